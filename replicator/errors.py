"""Every expected failure, sorted by what the caller must do next.

Anything else that escapes is a bug: it ends the process, or halts one target beside others.
`exit_code` is the process's exit code when the error ends a command (see docs/reference.md); `hint`
says what to do next.
"""

import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final


def writable(text: str) -> str:
    """Return a text that every document, database and log can hold.

    The names of files, links and headers that are not UTF-8 have halves of pairs of surrogates.
    """
    return text.encode(errors="backslashreplace").decode()


MESSAGE_CHARS_MAX: Final = 10_000
"""Longest message: a server's own words may have a gigabyte, and each look repeats them."""
TRACE_CHARS_MAX: Final = 100_000


def message_of(text: str) -> str:
    """Return a message as it is logged and shown: the beginning of a very long one."""
    if len(text) <= MESSAGE_CHARS_MAX:
        return writable(text)
    return writable(f"{text[:MESSAGE_CHARS_MAX]}… ({len(text)} characters)")


def trace(exc: BaseException) -> str:
    """Return an exception's traceback, as a text that every document and log can hold."""
    return writable("".join(traceback.format_exception(exc)).rstrip()[-TRACE_CHARS_MAX:])


BUG: Final = 1
"""Exit code of a defect of this program."""
BUG_HINT: Final = (
    "report it to the project with the lines above, the command and the versions of Druid,"
    " PostgreSQL, Kafka and the storages; what was confirmed is safe, and the next start goes on"
    " from there"
)


class ReplicatorError(Exception):
    """Base of all expected failures."""

    exit_code = 1
    hint = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message_of(message))
        if hint:
            self.hint = message_of(hint)


class DefectError(ReplicatorError):
    """A bug of this program that an answer, a file or a row of one target brought out."""

    exit_code = BUG
    hint = f"this is a bug of the program and not of your set-up: {BUG_HINT}"


def expected(exc: Exception) -> ReplicatorError:
    """Return an exception as an error with a hint and an exit code: an unexpected one is a bug."""
    return exc if isinstance(exc, ReplicatorError) else DefectError(f"{type(exc).__name__}: {exc}")


@contextmanager
def defects_named(who: str) -> Generator[None]:
    """Turn an unexpected exception into an error of `who`.

    For looks at several targets, of which each may hold anything: none blinds the look at others.

    Raises:
        DefectError: it was one; the message says where.
    """
    try:
        yield
    except ReplicatorError:
        raise
    except Exception as exc:
        last = traceback.extract_tb(exc.__traceback__)[-1]
        # without the folders above, as whoever reaches `/status.json` reads it
        file = "/".join(last.filename.split("/")[-2:])
        at = f"in {last.name} ({file}:{last.lineno})"
        raise DefectError(f"{who}: {expected(exc)}, {at}") from exc


class TransientError(ReplicatorError):
    """The same call may succeed later: retry it under the caller's policy."""

    exit_code = 8
    hint = "check that the server named above is up and reachable, then run the command again"

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        """Seconds for which the server wants no further request; None: it names none."""


class BrokenStreamError(TransientError):
    """The change stream does not continue the log: read the source's rows, then go on from there.

    The watcher does that by itself; no command ends with this error.
    """


class RewrittenObjectError(TransientError):
    """The object is another one than was listed: list it, and read it again."""


class ConfigError(ReplicatorError):
    """The operator must change the configuration, a privilege or a schema."""

    exit_code = 2


class UnfitRowError(ConfigError):
    """A table cannot hold a row: find out which one, record a gap for it and go on."""


class LargeRowsError(ConfigError):
    """Rows that were asked for have more bytes together than are read at once: ask for fewer."""


class LoginError(ConfigError):
    """A server does not let this user in with this password: another one may do."""


class RefusedError(ReplicatorError):
    """The operation would destroy something without the operator's consent: nothing was changed."""

    exit_code = 4


class LockedError(RefusedError):
    """The storage locks it until a time: the same call may succeed after that."""


class NotFoundError(ReplicatorError):
    """The thing that was named does not exist."""

    exit_code = 6


class FencedError(ReplicatorError):
    """A newer epoch owns the log or the target: stop writing at once."""

    exit_code = 7
    hint = "another process took over; stop one of the two, the newer one goes on safely"


class CorruptionError(ReplicatorError):
    """Bytes, rows and log disagree: keep the evidence, and write nothing until it is mended."""

    exit_code = 9
    hint = (
        "keep the log and the target as they are and run"
        " `replicator verify TARGET --level checksum`"
    )


class TooLargeError(CorruptionError):
    """A file is larger than is read of its kind; it was not read."""


class DamagedServerError(CorruptionError):
    """A database server finds its own data damaged, or contradicts itself.

    Nothing of it was taken over, and its operator mends it: the same call may succeed later.
    """


class DamagedStoreError(CorruptionError):
    """Files of one target's store are altered, and no other store has what they held.

    The log is as good as before: who writes it waits until they are mended.
    """


class LogCutShortError(ReplicatorError):
    """The log has lost records: who goes on writing it makes another history of them."""

    exit_code = 9

    def __init__(self, message: str, *, hint: str = "", reached: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.reached = reached
        """Offset to which the log is known to have gone; 0: that is not known."""


class GapError(ReplicatorError):
    """What was requested is not there any more and cannot be brought back."""

    exit_code = 11
    hint = "`replicator points` lists what can be restored and the gaps in it"
    beyond_hole = (
        "what is in the targets' stores stays restorable (`replicator points`); to follow the"
        " source again, delete the log's topic, or move its file away, and type"
        " `replicator run --new-log`"
    )
    """The hint where a log lacks records that no store has: no target can follow it beyond them."""


class MissingObjectError(GapError):
    """The bytes that a load spec names are not in this deep storage."""


class UnreadableObjectError(GapError):
    """The bytes of one place cannot be read, while others can: record a gap for it and go on."""


class ArchivedObjectError(UnreadableObjectError):
    """They are in a tier that cannot be read directly: the operator must retrieve them first."""


class DeniedObjectError(UnreadableObjectError):
    """Who asks may read others, not this one."""


class MalformedRowError(ReplicatorError):
    """One row cannot be replicated to a target as it is: record a gap for it and continue."""


class MisplacedError(MalformedRowError):
    """Its load spec leads to no configured storage: where all do so, the settings are wrong."""


class NewerReleaseError(MalformedRowError):
    """The target's Druid is too old to read it; nothing is wrong with it."""


def worst(group: BaseExceptionGroup[BaseException]) -> ReplicatorError | None:
    """Return the failure with the largest exit code in a group, None when one is not expected."""
    leaves = list(_leaves(group))
    expected = [leaf for leaf in leaves if isinstance(leaf, ReplicatorError)]
    if len(expected) < len(leaves):
        return None
    return max(expected, key=lambda leaf: leaf.exit_code)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc


@contextmanager
def worst_alone() -> Generator[None]:
    """Raise the worst failure of a group alone, where all of its failures are expected ones."""
    try:
        yield
    except BaseExceptionGroup as failures:
        if (one := worst(failures)) is None:
            raise
        raise one from failures
