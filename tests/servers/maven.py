"""Servers out of Maven Central: fetched once, kept in a cache, usable by many processes at once."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

HOMES = Path(__file__).parent / "homes"
CACHE = Path(os.environ.get("REPLICATOR_TEST_CACHE", Path.home() / ".cache" / "druid-replicator"))
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_MIN = 17


class MissingToolError(Exception):
    """Java or Maven is not on this machine."""


def home(name: str, *, sources: str | None = None) -> Path:
    """Return the folder with the jars of `homes/<name>.xml`, and the classes of our own sources.

    Raises:
        MissingToolError: the message says what to install.
    """
    _require("java", "mvn", *(["javac"] if sources else []))
    ours = sorted((HOMES / sources).glob("*.java")) if sources else []
    stamp = sha256(b"".join(path.read_bytes() for path in (HOMES / f"{name}.xml", *ours)))
    place = CACHE / f"{name}-{stamp.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(CACHE / f"{name}.lock"):
        if not place.exists():
            _make(name, ours, place)
    return place


def class_path(place: Path) -> str:
    """Return what stands behind java's -cp."""
    return f"{place}/classes:{place}/lib/*"


def _make(name: str, ours: list[Path], place: Path) -> None:
    new = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=CACHE))
    try:
        pom, lib = HOMES / f"{name}.xml", new / "lib"
        _run("mvn", "-q", "-B", "-f", str(pom), COPY, f"-DoutputDirectory={lib}",
             "-DincludeScope=runtime")  # fmt: skip
        if ours:
            classes, services = new / "classes", new / "classes" / "META-INF" / "services"
            services.mkdir(parents=True)
            _run("javac", "-nowarn", "-cp", f"{lib}/*", "-d", str(classes), *map(str, ours))
            module = services / "org.apache.druid.initialization.DruidModule"
            module.write_text("onejvm.PostgresqlModule\n")
        new.chmod(0o755)
        new.rename(place)
    except BaseException:
        shutil.rmtree(new)
        raise


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _require(*tools: str) -> None:
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise MissingToolError(
            f"{' and '.join(missing)} not found: real Kafka and Druid servers need a JDK of version"
            f" {JAVA_MIN} and Maven (Debian, Ubuntu: apt install openjdk-17-jdk-headless maven)"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Fetch everything before the tests' own time limits run."""
    try:
        for name, sources in (("kafka", None), ("druid", "onejvm")):
            print(f"{name}: {home(name, sources=sources)}", flush=True)
    except MissingToolError as exc:
        if os.environ.get("CI", "") in {"true", "1"}:
            raise
        print(f"skipped: {exc}")


if __name__ == "__main__":
    main()
