"""What the errors of MySQL and MariaDB mean for the operator, and what to do about each.

Errors are told apart by the server's number
(https://mariadb.com/kb/en/mariadb-error-code-reference/,
https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html), because asyncmy's classes
are too coarse. A number without an entry is judged by its class; the server's own words always
reach the user.
"""

import re
import ssl
import struct
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from asyncmy import errors as client

from replicator.adapters import refusals
from replicator.adapters.tls import distrust_hint
from replicator.errors import (
    ConfigError,
    DamagedServerError,
    LoginError,
    ReplicatorError,
    TransientError,
    UnfitRowError,
)

GRANTS: Final = "(docs/mysql.md has the statements)"
DENIED_HINT: Final = (
    "GRANT SELECT ON the database with Druid's tables; a target's user needs INSERT, UPDATE, DELETE"
    f", CREATE and INDEX on it too {GRANTS}"
)
TABLE_HINT: Final = (
    "check the database's name in the URL and the table prefix; Druid makes its tables when it"
    " first starts. A table without any privilege for this user looks as if it were not there:"
    f" GRANT SELECT ON it {GRANTS}"
)
PACKET_HINT: Final = (
    "SET GLOBAL max_allowed_packet = 67108864 on the server, or as much as the row needs, and the"
    " same in its configuration file; a proxy may have a limit of its own"
)
UNFIT_HINT: Final = (
    "the table cannot hold a row of the source: compare its columns and their character sets with"
    " those that Druid makes (utf8mb4 holds every character)"
)
ENDED_HINT: Final = (
    "the server, or a proxy on the way, ended the connection: it was restarted, it was killed,"
    " it ended itself, as MariaDB does with a full disk in the middle of a rollback (its log says"
    " so), or it was idle for longer than wait_timeout. All of a cut is there or nothing of it:"
    " the next try looks"
)
READ_ONLY_HINT: Final = (
    "the server only reads: a replica, or a primary that was demoted. Name the primary in the URL,"
    " or SET GLOBAL read_only = OFF there (super_read_only on MySQL)"
)
TLS_HINT: Final = (
    "check ssl-mode, ssl-ca, ssl-cert and ssl-key in the URL against what the server offers and"
    " asks for; ssl-mode=VERIFY_IDENTITY also compares the host's name"
)
WIDEN_HINT: Final = "make the target's column as wide as the source's, then `repair`"
CLASH: Final = "two keys that differ only in case or in blanks at the end are one row here"
CLASH_HINT: Final = (
    "make the column binary, while the target's Druid is stopped (docs/mysql.md has the statement),"
    " or leave one of the two out of the target"
)
REPORT: Final = (
    "these are the server's own words, or those of a proxy before it: see its log; what does not"
    " pass is worth a report with the versions of both"
)

_Translation = Callable[[str], ReplicatorError]


def _passes(hint: str, *, words: str = "") -> _Translation:
    return lambda text: TransientError(f"{text}{words}", hint=hint)


def _wrong(hint: str, *, words: str = "") -> _Translation:
    return lambda text: ConfigError(f"{text}{words}", hint=hint)


def _untrusted(text: str) -> ConfigError:
    """Translate what is wrong with TLS, most often a certificate that is not trusted."""
    return ConfigError(text, hint=distrust_hint(text, TLS_HINT))


def _unfit(hint: str, *, words: str = "") -> _Translation:
    return lambda text: UnfitRowError(f"{text}{words}", hint=hint)


def _damaged(text: str) -> DamagedServerError:
    return DamagedServerError(
        text,
        hint="the server found its own data damaged: see its log and its disk, look with CHECK"
        " TABLE, and restore the table that it names; nothing was written",
    )


def _away(text: str) -> TransientError:
    return TransientError(text)


LOGIN_HINT: Final = (
    "check user and password, and for which hosts the server knows this user; one who was made with"
    " REQUIRE SSL wants ssl-mode=REQUIRED in the URL"
)
_not_let_in = _wrong(LOGIN_HINT)
_ended = _passes(ENDED_HINT)
_large = _wrong(PACKET_HINT, words=": a row or a statement is larger than max_allowed_packet")
_large_transaction = _wrong(
    "raise the limit that the server names, or SET GLOBAL max_binlog_cache_size to its default: a"
    " cut is written in one transaction, and a first one holds every row. On a group or a Galera"
    " cluster it is group_replication_transaction_size_limit or wsrep_max_ws_size"
)
_busy = _passes("the server has no connection, thread or memory to spare: see its limits")
_full = _passes(
    "free space on the server's disk, that of its binary log and of its tmpdir too, then run the"
    " command again: nothing of the cut is there",
    words=": a disk of the server is full",
)
BY_ERRNO: Final[Mapping[int, _Translation]] = {
    28: _full,  # ENOSPC
    122: _full,  # EDQUOT
    30: _passes(
        "the server's system made the disk read-only, mostly after an error of the device: see its"
        " kernel's log, mend the disk and start the server again; nothing of the cut is there",
        words=": a disk of the server can only be read",
    ),
}
"""Errors of the operating system that servers quote, by Linux's numbers."""
SYSTEMS: Final = frozenset({*range(1, 100), 1004, 1005, 1026, 1030})
"""Errors that quote the system's: those of the servers' library for files, and of the engine."""
ERRNO: Final = re.compile(r"(?:\bErrcode|\berrno|\berror):? (\d+)\b")

BY_NUMBER: Final[Mapping[int, _Translation]] = {
    # ------------------------------------------------------------------ connections and sessions
    1040: _busy,  # too many connections
    1041: _busy,
    1042: _away,  # bad host
    1043: _away,  # bad handshake
    1044: _wrong(DENIED_HINT),  # no access to the database
    1045: lambda text: LoginError(text, hint=LOGIN_HINT),
    1049: _wrong("check the database's name in the URL"),
    1053: _ended,  # shutdown
    1077: _ended,
    1079: _ended,
    1080: _ended,
    1129: _passes(
        "the server blocks this host after too many failed connections: FLUSH HOSTS there"
    ),
    1130: _not_let_in,  # host is not allowed
    1152: _ended,
    1158: _ended,
    1159: _ended,
    1160: _ended,
    1161: _ended,
    1184: _ended,
    1203: _busy,  # max_user_connections
    1226: _busy,
    1251: _not_let_in,
    1698: _not_let_in,
    1927: _ended,  # connection was killed (MariaDB)
    2003: _away,
    2006: _ended,
    2013: _ended,
    2014: _ended,
    2055: _ended,
    3159: _wrong("the server wants TLS: add ssl-mode=REQUIRED or VERIFY_IDENTITY to the URL"),
    4031: _ended,  # idle for too long (MySQL 8)
    # --------------------------------------------------------------------------- faults that pass
    1021: _full,
    1114: _full,  # the table is full
    1037: _busy,
    1038: _busy,
    1205: _passes(
        "another session holds a lock on the row or the table: SHOW ENGINE INNODB STATUS and"
        " SHOW PROCESSLIST say which"
    ),
    1213: _passes("the server chose this transaction to end a deadlock; it is tried again"),
    1290: _passes(READ_ONLY_HINT),
    1836: _passes(READ_ONLY_HINT),
    1792: _passes(READ_ONLY_HINT),
    1317: _passes("another session used KILL QUERY: run the command again"),
    1028: _passes(
        "another session used KILL, or a limit of the server ended it: run the command again"
    ),
    1969: _passes(  # max_statement_time (MariaDB)
        "raise statement_timeout_s, or find out what keeps the server busy: SHOW PROCESSLIST"
    ),
    3024: _passes(  # max_execution_time (MySQL)
        "raise statement_timeout_s, or find out what keeps the server busy: SHOW PROCESSLIST"
    ),
    1412: _passes(
        "a table was altered or emptied while it was read; the next try sees it as it is now"
    ),
    3101: _passes("another member of the group changed the same rows: it is tried again"),
    1047: _passes("the node is not part of its cluster now, see its log; or name another one"),
    # ------------------------------------------------------------------ faults for the operator
    1102: _wrong("check the database's name in the URL"),
    1142: _wrong(DENIED_HINT),
    1143: _wrong(DENIED_HINT),
    1227: _wrong(DENIED_HINT),
    1370: _wrong(DENIED_HINT),
    1054: _wrong(TABLE_HINT),
    1146: _wrong(TABLE_HINT),
    1050: _wrong(
        "some of the tables are there already: check the database and the table prefix, or remove"
        " what is left of an earlier try"
    ),
    1062: _unfit(
        CLASH_HINT + "; if the two are equal, the table has a unique key that Druid does not make",
        words=f": {CLASH}",
    ),
    1048: _unfit(UNFIT_HINT),
    1071: _wrong(
        "the server takes no index so long: ROW_FORMAT=DYNAMIC is needed, the default since MySQL"
        " 5.7 and MariaDB 10.2"
    ),
    1118: _wrong("the server takes no row so long: it needs ROW_FORMAT=DYNAMIC"),
    1264: _unfit(UNFIT_HINT),
    1265: _unfit(UNFIT_HINT),
    1292: _unfit(UNFIT_HINT),
    1364: _unfit(UNFIT_HINT),
    1366: _unfit(UNFIT_HINT),
    1406: _unfit(WIDEN_HINT),
    1153: _large,
    1162: _large,
    1301: _large,
    2020: _large,
    1180: _large_transaction,  # error during COMMIT: Galera's limit, for one
    1197: _large_transaction,
    3100: _large_transaction,  # a hook of the group's replication
    1193: _wrong("the server does not know a setting of the session: MySQL 5.7 or MariaDB 10.2 on"),
    1267: _unfit(UNFIT_HINT),
    1286: _wrong("the server has no InnoDB, which transactions need"),
    1305: _wrong("the server lacks a function: MySQL 5.7 or MariaDB 10.2 or later is needed"),
    1064: _wrong(
        "the server does not take the statement: MySQL 5.7 or MariaDB 10.2 or later is needed"
    ),
    1665: _wrong(
        "SET GLOBAL binlog_format = 'ROW' on the server, and in its configuration file: STATEMENT"
        " cannot log what a transaction of READ COMMITTED does"
    ),
    1785: _wrong("a table is not of InnoDB: `replicator check` says which"),
    1644: _unfit("a trigger of the database says so: Druid's tables have none"),
    3819: _unfit(UNFIT_HINT),  # a constraint (MySQL)
    4025: _unfit(UNFIT_HINT),  # the same (MariaDB)
    # ------------------------------------------------------------------------------------- damage
    126: _damaged,
    1034: _damaged,
    1035: _damaged,
    1194: _damaged,
    1712: _damaged,
    1877: _damaged,
    1932: _damaged,
}
BY_CLASS: Final[tuple[tuple[type[BaseException], _Translation], ...]] = (
    (client.IntegrityError, _unfit(
        "the table has a rule that a row of the source does not keep: compare its constraints with"
        " those that Druid makes, and run `replicator check`"
    )),
    (client.DataError, _unfit(UNFIT_HINT)),
    (client.NotSupportedError, _wrong(
        "this server lacks what is needed here: MySQL 5.7 or MariaDB 10.2 or later, with InnoDB"
    )),
    (client.ProgrammingError, _wrong(
        "the server does not take the statement: compare the tables with those that Druid makes"
    )),
    (client.InternalError, _passes(REPORT)),
    (client.OperationalError, _passes(REPORT)),
    (client.InterfaceError, _ended),
    (client.MySQLError, _passes(REPORT)),
    (ssl.SSLError, _untrusted),
    (TimeoutError, _passes(TransientError.hint, words="no answer in time")),
    (OSError, _away),
)  # fmt: skip


UNREADABLE: Final = (
    AttributeError,
    IndexError,
    MemoryError,
    OverflowError,
    SystemError,
    UnicodeDecodeError,
    struct.error,
)
"""What asyncmy raises of an answer that is none of its protocol."""


@contextmanager
def translated(doing: str) -> Generator[None]:
    """Translate the client's errors; the original is the `__cause__`."""
    try:
        yield
    except (client.MySQLError, OSError) as exc:
        raise _ours(exc, doing) from exc
    except UNREADABLE as exc:
        raise unreadable(exc, doing) from exc


def unreadable(exc: BaseException, doing: str) -> TransientError:
    """Return the error of an answer that the client cannot read."""
    return TransientError(f"{doing}: the server's answer cannot be read: {exc!r}", hint=REPORT)


@contextmanager
def in_utf8(relation: str) -> Generator[None]:
    """Translate what bytes raise that stand in a table where Druid has texts.

    Raises:
        ConfigError: some are no text.
    """
    try:
        yield
    except UnicodeDecodeError as exc:
        raise refusals.no_text(relation, exc) from exc


def number_of(exc: BaseException) -> int | None:
    """Return the number of a server's or client's error."""
    number = exc.args[0] if isinstance(exc, client.MySQLError) and exc.args else None
    return number if isinstance(number, int) else None


def _ours(exc: BaseException, doing: str) -> ReplicatorError:
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLError):  # asyncmy wraps errors of the login
        return _untrusted(f"{doing}: {cause}")
    translation = BY_ERRNO.get(_errno(exc) or 0) or BY_NUMBER.get(number_of(exc) or 0)
    if translation is None:
        translation = next(ours for cls, ours in BY_CLASS if isinstance(exc, cls))
    return translation(f"{doing}: {_words(exc)}")


def _errno(exc: BaseException) -> int | None:
    """Return the operating system's error number that a server's error quotes."""
    if number_of(exc) not in SYSTEMS or len(exc.args) < 2:  # noqa: PLR2004 - number and words
        return None
    found = ERRNO.search(str(exc.args[1]))
    return int(found[1]) if found else None


def _words(exc: BaseException) -> str:
    if isinstance(exc, client.MySQLError) and len(exc.args) > 1:
        return f"{exc.args[1]} (error {exc.args[0]})"
    return str(exc)
