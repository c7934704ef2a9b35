"""`run`, `watch` and `apply`: the whole pipeline, or one part of it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from replicator.app import Application
from replicator.app.bystanders import bystander
from replicator.app.control_folder import control_folder
from replicator.app.monitoring import Monitor
from replicator.app.verbs.privacy import open_to_others
from replicator.app.verbs.shared_stores import refuse_exchanged, refuse_shared
from replicator.app.wiring.pipeline import Allowed
from replicator.cli.bytes_there import unread, were_there
from replicator.cli.command import NAMED_MAX, PARTLY_DONE, OpenCall, Outcome
from replicator.cli.follow.beside import notified, scheduled
from replicator.cli.follow.resuming import agree_to_resume
from replicator.cli.follow.taking_over import agree_to_take_over, polled_by_another
from replicator.cli.terminal import signals
from replicator.cli.terminal.log_lines import logger
from replicator.cli.terminal.screen import Screen
from replicator.cli.verb import verb
from replicator.errors import ConfigError, FencedError, NotFoundError
from replicator.model.observation import Followed
from replicator.model.operations.pulse import WATCH, apply_to
from replicator.model.operations.words import counted, duration_text
from replicator.services.replication.applier import Applier
from replicator.services.running.supervisor import Service, stop_on_signals, supervise
from replicator.services.running.turn import SILENT_MAX_S

if TYPE_CHECKING:
    from replicator.control.service import Control
    from replicator.control.work.jobs import Jobs
    from replicator.web.panorama import Panorama

RUN, SERVE = "run", "serve"
CONTROLLED: Final = frozenset({RUN, SERVE})
"""Verbs that offer the control API."""
Once = Annotated[bool, typer.Option("--once", help="Do what is due now, then exit.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Follow the source again after a restore in place.")
]
Adopt = Annotated[
    bool,
    typer.Option(
        "--adopt",
        help="Take over a target with rows that this tool did not write; rows that the source does"
        " not have are removed.",
    ),
]
TrustVersions = Annotated[
    bool,
    typer.Option(
        "--trust-row-versions",
        help="Poll by row versions again although they have missed a change.",
    ),
]
AcceptVanished = Annotated[
    bool,
    typer.Option(
        "--accept-vanished",
        help="Publish that most of the source's rows are gone; they were removed on purpose.",
    ),
]
CatchUp = Annotated[
    bool,
    typer.Option(
        "--catch-up",
        help="Bring the target to the source's present state, then exit; running watchers and"
        " appliers continue and are waited for.",
    ),
]
PollTimeout = Annotated[
    float,
    typer.Option(
        "--timeout-s",
        min=1,
        max=604_800,
        help="Longest time that --once waits for a poll of a running watcher.",
    ),
]
CatchUpTimeout = Annotated[
    float,
    typer.Option("--timeout-s", min=1, max=604_800, help="Longest wait of --catch-up."),
]
Passive = Annotated[
    bool,
    typer.Option(
        "--passive",
        help="Begin when no other process does this work any more: for a second machine.",
    ),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Do not ask before this process takes the work over from another one.",
    ),
]
NewLog = Annotated[
    bool,
    typer.Option(
        "--new-log",
        help="Switch to the configured log; the one that the target followed is lost.",
    ),
]


async def _turn_comes(application: Application, work: Sequence[str]) -> bool:
    """Wait until no other process does this work; return False if a signal comes first."""

    def waits_for(other: str) -> None:
        logger().info(
            "passive: begins when the other is not heard any more",
            other=other,
            silent_s=SILENT_MAX_S,
        )

    stop = asyncio.Event()
    stop_on_signals(stop)
    turn = application.processes.turn(work, waits_for)
    if not await turn.comes(stop):
        return False
    logger().info("no other process is heard: this one begins")
    return True


@verb(RUN, json=False)
async def run(
    call: OpenCall,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Only this target; may be repeated.")
    ] = None,
    resume: Resume = False,
    adopt: Adopt = False,
    new_log: NewLog = False,
    trust_row_versions: TrustVersions = False,
    passive: Passive = False,
    take_over: TakeOver = False,
) -> Outcome:
    """Watch the source and keep every target up to date, in one process."""
    application = call.application
    await refuse_shared(application)
    names = target or application.target_names
    application.refuse_unusable(names)
    if adopt:
        await refuse_exchanged(application)
    work = [WATCH, *map(apply_to, names)]
    if passive and not await _turn_comes(application, work):
        return _done({}, "stopped before it had anything to do; nothing was changed")
    await agree_to_take_over(call, work, yes=take_over or passive)
    watcher = application.replication.watcher(trust_versions=trust_row_versions)
    services: dict[str, Service] = {"watch": watcher}
    services["heart"] = bystander("heart", application.processes.heart(WATCH, "run"))
    for name in names:
        heart = f"heart {name}"
        services[heart] = bystander(heart, application.processes.heart(apply_to(name), "run"))
        allowed = Allowed(resume=resume, adopt=adopt, new_log=new_log)
        services |= application.replication.services(name, allowed)
    return await supervised(call, services, names)


@verb("watch")
async def watch(
    call: OpenCall,
    once: Once = False,
    trust_row_versions: TrustVersions = False,
    accept_vanished: AcceptVanished = False,
    take_over: TakeOver = False,
    timeout_s: PollTimeout = 600.0,
) -> Outcome:
    """Publish the source's changes to the log.

    With --once, a watcher that runs already continues: its next poll is waited for.
    """
    application, processes = call.application, call.application.processes
    if accept_vanished and not once:
        raise ConfigError("use --accept-vanished with --once: it holds for one look at the source")
    # a running watcher polls without these options
    leads = not once or take_over or trust_row_versions or accept_vanished
    if leads:
        await agree_to_take_over(call, [WATCH], yes=take_over)
    elif polled := await polled_by_another(processes.running, application.history, timeout_s):
        return polled
    watcher = application.replication.watcher(
        trust_versions=trust_row_versions, accept_vanished=accept_vanished
    )
    heart = processes.heart(WATCH, "watch --once" if once else "watch")
    if not once:
        return await supervised(call, {"watch": watcher, "heart": bystander("heart", heart)}, ())
    changed = await watcher.catch_up()
    await heart.end()
    result = {"published": changed, "polled_by": None}
    return _done(result, "a cut was published" if changed else "no change")


@verb("apply")
async def apply(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target's name in the configuration.")],
    once: Once = False,
    resume: Resume = False,
    adopt: Adopt = False,
    new_log: NewLog = False,
    catch_up: CatchUp = False,
    timeout_s: CatchUpTimeout = 3600.0,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --resume: do not ask before segments are removed.")
    ] = False,
    take_over: TakeOver = False,
) -> Outcome:
    """Keep one target up to date with the log."""
    application = call.application
    if catch_up:
        if once or resume or adopt or new_log:
            raise ConfigError("use --catch-up alone: it takes nothing over")
        return await _caught_up(application, target, timeout_s)
    if resume:
        await agree_to_resume(call, target, yes=yes)
    if adopt:
        await refuse_exchanged(application)
    if not once:  # an applier that ends by itself does not take over a target
        await agree_to_take_over(call, [apply_to(target)], yes=take_over)
    allowed = Allowed(resume=resume, adopt=adopt, new_log=new_log, alone=True)
    heart = application.processes.heart(apply_to(target), "apply --once" if once else "apply")
    if not once:
        services = {**application.replication.services(target, allowed)}
        services["heart"] = bystander("heart", heart)
        return await supervised(call, services, (target,))
    call.screen.name_gaps_later()
    applier = await application.replication.applier(target, allowed)
    applied = await _applied(application, target, applier, call.screen)
    heart.observe(Followed())
    await heart.end()
    return applied


async def _caught_up(application: Application, target: str, timeout_s: float) -> Outcome:
    await (await application.replication.drain(target)).catch_up(timeout_s=timeout_s)
    if (checkpoint := await application.checkpoint(target)) is None:
        raise NotFoundError("the log has no closed cut yet", hint="the source may be empty")
    return _done(
        {
            "target": target,
            "cut": checkpoint.cut,
            "offset": checkpoint.offset,
            "source_time": checkpoint.source_time,
        },
        f"{target} has all that the source had: it is at cut {checkpoint.cut}",
    )


async def _applied(
    application: Application, target: str, applier: Applier, screen: Screen
) -> Outcome:
    """Apply everything that is due, and report what could not be applied."""
    steps = await _steps(applier, target)
    awaited = applier.awaited
    is_empty = awaited is None and await application.checkpoint(target) is None
    if is_empty and not await application.history.has_cuts(await application.history.span()):
        hint = "run `replicator watch --once` first"
        raise NotFoundError("the log has no closed cut yet", hint=hint)
    bases = await application.replication.base_writer(target)
    await bases.write_if_due()  # no `run` may ever do it
    gaps = [gap for gap in screen.gaps if gap.closed is None]
    result = {
        "steps": steps,
        "objects_copied": screen.copied_objects,
        "bytes_copied": screen.copied_bytes,
        "objects_unread": screen.reused_objects,
        "waits_for": list(awaited.keys) if awaited else [],
        "waits_until": awaited.until.isoformat() if awaited else None,
        "gaps": [{"row": gap.key, "reason": gap.reason, "detail": gap.detail} for gap in gaps],
    }

    def show(console: Console) -> None:
        console.print(
            f"{counted(steps, 'step')}, {counted(screen.copied_objects, 'segment')} copied,"
            f" {were_there(screen.reused_objects)}"
        )
        for line in unread(target, screen.reused_objects):
            console.print(line, markup=False)
        if is_empty:
            delay = application.target(target).settings.delay
            console.print(f"no cut is due yet: its rows stay {duration_text(delay)} behind")
        named = [f"gap: {gap.words}: {gap.reason}: {gap.detail}" for gap in gaps]
        if awaited:
            until = awaited.until.isoformat(timespec="seconds")
            named.append(f"bytes are gone; unless a later cut explains it, a gap from {until} on:")
            named += [f"waits for: {key}" for key in awaited.keys]
        for line in named[:NAMED_MAX]:
            console.print(line, markup=False)
        if len(named) > NAMED_MAX:
            console.print(f"… and {len(named) - NAMED_MAX} more, see --json")

    return Outcome(result=result, show=show, exit_code=PARTLY_DONE if awaited or gaps else 0)


async def _steps(applier: Applier, target: str) -> int:
    """Apply everything that is due; return the number of steps.

    Raises:
        FencedError: another process applies to the target now.
    """
    steps = 0
    try:
        while await applier.apply_next():
            steps += 1
    except FencedError as exc:
        raise FencedError(
            f"another process applies to {target!r} now ({exc})",
            hint="if it is your `run`, it goes on by itself and nothing is left to do here:"
            " `replicator status` shows how far it is",
        ) from exc
    return steps


async def supervised(
    call: OpenCall, services: dict[str, Service], targets: Sequence[str]
) -> Outcome:
    """Run services, and those configured to run beside them, until a signal."""
    logger()  # configured before a service logs
    call.screen.follow()
    application, command = call.application, call.typed.command
    for path in await open_to_others(application.settings, targets):
        logger().warning("other users can read this", path=str(path), remedy=f"chmod -R go= {path}")
    monitor = await application.monitor(targets)
    bystanders: dict[str, Service] = {} if monitor is None else {"web": monitor.poller}
    stop = asyncio.Event()
    drain_s = application.settings.drain_s
    stop_on_signals(stop, told=lambda: signals.end_within(drain_s + signals.GRACE_S))
    async with AsyncExitStack() as stack:
        jobs: Jobs | None = None
        if command in CONTROLLED and (offered := controlled(call, monitor)) is not None:
            control, bystanders["panorama"] = offered
            services["control"] = await stack.enter_async_context(control)
            jobs = control.jobs
        scheduler = scheduled(call, targets, jobs)
        bystanders |= {} if scheduler is None else {"schedules": scheduler}
        if (services or bystanders) and (canary := application.canary(targets)) is not None:
            bystanders["canary"] = canary
        bystanders |= notified(call, scheduler, jobs)
        # What only shows, notifies or schedules must not end the pipeline: it is begun anew.
        services |= {name: bystander(name, one) for name, one in bystanders.items()}
        await supervise(services, stop=stop, drain_s=drain_s, late=partial(_log_late, drain_s))
    return _done({}, "stopped; the next start goes on from here")


def controlled(call: OpenCall, monitor: Monitor | None) -> "tuple[Control, Panorama] | None":
    """Return the control API and its view of the targets; None if `run` has none configured.

    Raises:
        ConfigError: `serve` has no control API configured.
    """
    application, typed = call.application, call.typed
    web = application.settings.web
    if typed.command == RUN and (web is None or web.control is None):
        return None
    from replicator.app.panorama import panorama  # noqa: PLC0415 - most runs do without
    from replicator.control.service import Control  # noqa: PLC0415
    from replicator.control.work.launch import Program  # noqa: PLC0415
    from replicator.page.routes import PageRoutes  # noqa: PLC0415

    folder = control_folder(application.settings)
    assert monitor is not None and web is not None and web.control is not None  # noqa: S101, PT018
    program = Program(
        config_path=typed.config_path.absolute(),
        overrides=typed.overrides,
        environ=typed.environ,
        folder=folder,
        document_bytes_max=web.control.jobs.answer_bytes_max,
    )
    seen = panorama(application, monitor.poller)
    shown = PageRoutes(seen, application.recorded.polled, source=application.source.name)
    return Control(application, monitor, seen, program, routes=shown.routes()), seen


def _log_late(drain_s: float, service: str) -> None:
    logger().warning("service did not stop in time", service=service, drain_s=drain_s)


def _done(result: Mapping[str, object], text: str) -> Outcome:
    def show(console: Console) -> None:
        console.print(text)

    return Outcome(result=result, show=show)
