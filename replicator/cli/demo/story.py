"""`demo`: shows what the product is for, by a story of real commands."""

import asyncio
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator.adapters.machine.privacy import refuse_foreign
from replicator.adapters.scratch import postgresql as embedded_postgresql
from replicator.cli.demo.kept_page import KeptPage, end_page, keep_page
from replicator.cli.demo.recording import Step, steps
from replicator.cli.demo.sandbox import OTHER, SOURCE, TARGET, DemoError, Stage, stage
from replicator.errors import ReplicatorError
from replicator.model.operations.words import counted

FOLLOW_MAX_S = 300.0
"""Longest time of one step on the standby, in seconds; an idle machine takes one or two."""
POLL_S = 0.02
ROOT_FOLDER_MODE = 0o755
PREFIX = "druid-replicator-demo-"
"""Prefix of folders whose name the operator did not choose."""


def demo(
    directory: Annotated[
        Path | None, typer.Option(help="Folder for everything; empty or new.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running afterwards, to try it out.")
    ] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="End the demo that --keep left running in --directory.")
    ] = False,
) -> None:
    """Replicate, break and restore a recorded Druid on this machine; nothing to configure."""
    try:
        if stop:
            _stop(directory)
        else:
            asyncio.run(_demo(_folder(directory), keep=keep))
    except ReplicatorError as exc:
        typer.echo(f"replicator: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else ""), err=True)
        raise typer.Exit(exc.exit_code) from exc


def _stop(directory: Path | None) -> None:
    if directory is None:
        found = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
        there = ", ".join(str(one) for one in found) or "none"
        raise DemoError("name one with --directory", hint=f"there is {there}")
    folder = directory.absolute()
    if not folder.exists():
        typer.echo(f"nothing is running: {folder} is gone already")
        return
    refuse_foreign([folder], "what a demo runs")
    if not (folder / "replicator.yaml").exists() or not (folder / "postgresql").exists():
        raise DemoError(f"{folder} is no folder of a demo; nothing was removed")
    end_page(folder)
    asyncio.run(embedded_postgresql.stop(folder / "postgresql"))
    shutil.rmtree(folder)
    typer.echo(f"stopped its page and its PostgreSQL; {folder} is gone")


def _folder(directory: Path | None) -> Path:
    try:
        return _made(directory)
    except OSError as exc:
        where = directory or tempfile.gettempdir()
        raise DemoError(
            f"nothing can be put in {where}: {exc.strerror}", hint="name another --directory"
        ) from exc


def _made(directory: Path | None) -> Path:
    if directory is None:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    else:
        folder = directory.absolute()
        refuse_foreign([folder], "what a demo runs")
        if folder.exists() and any(folder.iterdir()):
            raise DemoError(
                f"{folder} is not empty", hint="name another --directory, or end it with --stop"
            )
        folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(ROOT_FOLDER_MODE)  # root starts PostgreSQL as another user, who must get in
    return folder


async def _demo(folder: Path, *, keep: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    try:
        async with stage(folder, keep=keep) as made:
            await Story(made, console).tell()
            if keep:
                _say_what_is_there(console, folder, await keep_page(made))
    except BaseException:
        end_page(folder)
        await embedded_postgresql.stop(folder / "postgresql")
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not keep:
        shutil.rmtree(folder)


class Story:
    """The chapters, each with the commands that an operator would type."""

    def __init__(self, made: Stage, console: Console) -> None:
        self._stage = made
        self._console = console
        self._steps = steps()
        self._digest = ""
        self._before: dict[str, Any] = {}

    async def tell(self) -> None:
        """Run all chapters."""
        await self._history()
        async with self._stage.following():
            await self._arrivals()
            await self._accident()
        await self._restores()
        self._end()

    async def _history(self) -> None:
        self._chapter("1", "A Druid that has been running for a while")
        await self._play("1-history")
        self._say(
            f"{self._steps['1-history'].segments} real segments, written by Apache Druid 33.0.0,"
            " in a deep storage folder and a PostgreSQL with Druid's own tables. The replicator"
            " gets a role that can only SELECT, and an empty standby."
        )
        await self._show("check")
        self._chapter("2", "Backup of all that exists, then proof")
        await self._show("watch", "--once")
        await self._show("apply", TARGET, "--once")
        await self._show("verify", TARGET, "--level", "checksum")

    async def _arrivals(self) -> None:
        self._chapter("3", "It keeps running, and the standby follows")
        self._console.print(f"\n  [bold cyan]$ replicator run --target {TARGET} &[/]")
        for name in ("2-publish", "3-overwrite", "3b-overshadowed", "4a-stream", "4b-stream"):
            await self._follow(name)
        self._say(
            "Stream offsets travel in the same cut as the segments that hold their rows; the"
            " supervisor waits suspended on the standby."
        )
        await self._show("status")
        self._digest = str((await self._stage.ask("verify", TARGET))["digest"])

    async def _accident(self) -> None:
        self._chapter("4", "The accident: a user drops `orders`, and a kill task deletes it")
        self._before = await self._last_point()
        for name in ("4c-drop", "5-accident"):
            await self._follow(name)
        left = self._files(SOURCE, "orders")
        self._say(
            f"The source has {counted(left, 'file')} of `orders` left, and its metadata"
            " knows nothing of it."
            " A mirror would have followed into the abyss, and so did the standby's rows; but its"
            f" bytes stay: {self._files(TARGET, 'orders')} files of `orders` are still there."
        )

    async def _restores(self) -> None:
        self._chapter("5", "Back to just before it, by time")
        dropped = await self._first_event_after(self._before)
        self._say(f"The log knows what happened; `orders` began to go at offset {dropped}:")
        await self._show("log", "--from", str(dropped), "--datasource", "orders", "--limit", "3")
        time = str(self._before["source_time"])
        await self._show("restore", TARGET, "--to-time", time, "--dry-run")
        await self._show("restore", TARGET, "--to-time", time, "--yes")
        await self._prove(TARGET)
        self._chapter("6", "Anywhere else, by offset, and into another cluster")
        self._stage.add_other()
        first = (await self._points())["first"]
        await self._show("restore", TARGET, "--to-offset", str(first["offset"]), "--yes")
        await self._show("verify", TARGET, "--level", "checksum")
        await self._show("restore", TARGET, "--before", str(dropped), "--into", OTHER, "--yes")
        await self._prove(OTHER)
        self._say(
            f"`{OTHER}` was empty, and the bytes of `orders` came from the standby alone: the"
            " source had deleted them."
        )

    def _end(self) -> None:
        self._console.print(
            "\n[bold]That is all of it:[/] nothing was lost, and each step proved itself."
        )

    async def _prove(self, target: str) -> None:
        """Verify digest, rows and checksums, and compare the files with the recording."""
        printed = await self._show("verify", target, "--level", "checksum")
        if self._digest not in "".join(printed.split()):  # a bad result has ended with code 9
            raise DemoError(f"{target} is not what the source was before the accident")
        files = self._compare_with_recording(target)
        self._say(
            f"The digest is the one from before the accident, {self._digest[:16]}…, and"
            f" {counted(files, 'file')} equal, byte for byte, those that Druid once wrote."
        )

    def _compare_with_recording(self, target: str) -> int:
        root, archive = self._stage.folder / f"{target}-segments", self._stage.folder / "archive"
        found = [
            path for path in archive.rglob("*") if (root / path.relative_to(archive)).is_file()
        ]
        for path in found:
            other = root / path.relative_to(archive)
            if sha256(path.read_bytes()).digest() != sha256(other.read_bytes()).digest():
                raise DemoError(f"{other} differs from what Druid wrote")
        return len(found)

    async def _play(self, name: str) -> Step:
        step = self._steps[name]
        await self._stage.druid.play(step)
        return step

    async def _follow(self, name: str) -> None:
        """Play a step and wait until the standby has it."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        step = await self._play(name)
        try:
            async with asyncio.timeout(FOLLOW_MAX_S):
                while not await self._stage.is_followed():
                    self._stage.refuse_ended()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise self._stage.too_slow("the standby has not followed", FOLLOW_MAX_S) from None
        self._console.print(
            f"  [bold]{name}[/] {step.title}\n     on the standby {loop.time() - started_s:.1f} s"
            f" later: {counted(step.segments, 'segment row')} written,"
            f" {self._deleted(step)} removed,"
            f" {counted(len(step.objects_added), 'segment')} copied"
        )

    async def _points(self) -> dict[str, Any]:
        return await self._stage.ask("points", "--limit", "1")

    async def _last_point(self) -> dict[str, Any]:
        """Return the newest cut with a change."""
        last: dict[str, Any] = _list((await self._points())["points"])[-1]
        return last

    async def _first_event_after(self, point: dict[str, Any]) -> int:
        found = await self._stage.ask(
            "log", "--from", str(point["offset"] + 1), "--type", "segment.published", "--limit", "1"
        )
        return int(_list(found["events"])[0]["offset"])

    async def _show(self, *args: str) -> str:
        """Print a command and its output, and return the output."""
        self._console.print(f"\n  [bold cyan]$ replicator {' '.join(args)}[/]")
        printed = await self._stage.run(*args, may_exit=(0, 10))
        for line in printed.rstrip().splitlines():
            self._console.print(f"  {line}", markup=False)
        return printed

    def _files(self, cluster: str, datasource: str) -> int:
        root = self._stage.folder / f"{cluster}-segments" / datasource
        return sum(path.is_file() for path in root.rglob("*"))

    def _deleted(self, step: Step) -> int:
        return len(step.delete.get("segments", ()))

    def _chapter(self, number: str, title: str) -> None:
        self._console.print(f"\n[bold]{number}. {title}[/]")

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False)


def _list(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise DemoError(f"a list was expected, not {value!r}")
    return value


def _say_what_is_there(console: Console, folder: Path, page: KeptPage) -> None:
    program = sys.argv[0]
    if program.endswith("__main__.py"):
        program = f"{sys.executable} -m replicator"
    console.print(
        f"""
Its page: {page.url}
  sign in with {page.token}
There the accident has just happened again: the page brings `orders` back in three steps.

It is still there, in {folder}:
  export REPLICATOR_CONFIG={folder}/replicator.yaml
  {program} blame orders
  {program} points
  {program} rollback orders --on {TARGET} --to before-drop --yes
  {program} status
Each of them works as it stands; `run` goes on in the background. End all of it with
  {program} demo --stop --directory {folder}""",
        markup=False,
    )
