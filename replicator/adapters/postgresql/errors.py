"""What PostgreSQL's errors mean for the operator, and what to do about each.

Errors are told apart by SQLSTATE
(https://www.postgresql.org/docs/current/errcodes-appendix.html), as asyncpg's classes map it. The
first class that fits counts, so the library's base classes come last: the server's own words always
reach the user.
"""

import ssl
from collections.abc import Callable
from typing import Final

import asyncpg
from asyncpg.pgproto.pgproto import BufferError as UnreadableError

from replicator.adapters.boundary import ErrorMap
from replicator.adapters.tls import distrust_hint
from replicator.errors import (
    ConfigError,
    DamagedServerError,
    LoginError,
    ReplicatorError,
    TransientError,
    UnfitRowError,
)

DENIED_HINT: Final = (
    "GRANT USAGE ON SCHEMA and GRANT SELECT ON the tables that Druid made; a target's role needs"
    " INSERT, UPDATE and DELETE on them too, USAGE on their sequences and CREATE on the schema"
    " (docs/postgresql.md has the statements)"
)
HIDDEN: Final = "row-level security"
HIDDEN_HINT: Final = (
    "all rows are needed, and a policy may hide some: ALTER TABLE … DISABLE ROW LEVEL SECURITY, or"
    " ALTER ROLE … BYPASSRLS"
)
TABLE_HINT: Final = (
    "check the schema and the table prefix; Druid makes its tables when it first starts, and"
    " `replicator target create TARGET` those of a target"
)
SHARED: Final = (
    "a pooler in transaction mode gives this session's server process to others in between"
)
SHARED_HINT: Final = (
    "connect directly, or through a pooler in session mode (PgBouncer: pool_mode=session): settings"
    " and prepared statements are a session's"
)
POOLER_HINT: Final = "a pooler says so in the server's place: see its configuration and its log"
UNSUPPORTED_REQUESTS: Final = (
    "unsupported startup parameter",
    "authentication failed",
    "auth failed",
    "no such user",
    "no such database",
)
"""Messages in PgBouncer's src/client.c about faults that no retry gets over."""

UNFIT_HINT: Final = (
    "the table cannot hold a row of the source: compare its columns with those that Druid makes"
)
WIDEN_HINT: Final = "make the target's column as wide as the source's, then `repair`"
CHARACTER_HINT: Final = (
    "make a target's database with ENCODING 'UTF8', so that it holds every character; in a source"
    " correct the row whose bytes are none"
)
NUL_HINT: Final = "no text of PostgreSQL holds a NUL: take it out of the row at the source"
BY_TRIGGER_HINT: Final = "a trigger or function of the database says so: Druid's tables have none"
UNFIT: Final = "invalid input for query argument"
"""Start of asyncpg's message for a value that does not fit a column's type."""

AUTHORITY_HINT: Final = (
    "name the authority that signed the server's certificate with sslrootcert=/path in the URL;"
    " sslmode=verify-full also compares the host's name"
)
IN_RECOVERY: Final = "cannot set transaction read-write mode during recovery"
ONLY_READS_HINT: Final = (
    "the server only reads: a replica, or a primary that was demoted. Name all hosts in the URL"
    " with ?target_session_attrs=read-write, or the primary alone"
)

_Translation = Callable[[str], ReplicatorError]


def _passes(hint: str, *, words: str = "") -> _Translation:
    return lambda text: TransientError(f"{text.removesuffix(': ')}{words}", hint=hint)


def _wrong(hint: str, *, words: str = "") -> _Translation:
    return lambda text: ConfigError(f"{text}{words}", hint=hint)


def _unfit(hint: str) -> _Translation:
    return lambda text: UnfitRowError(text, hint=hint)


def _of_character(text: str) -> UnfitRowError:
    """Translate the refusal of a character, which is a NUL or one of another encoding."""
    return UnfitRowError(text, hint=NUL_HINT if text.endswith(": 0x00") else CHARACTER_HINT)


def _untrusted(text: str) -> ConfigError:
    """Translate a certificate of the server that is not trusted."""
    return ConfigError(text, hint=distrust_hint(text, AUTHORITY_HINT))


def _unsupported(text: str) -> ReplicatorError:
    """Translate what the server cannot do; a replica refuses a writing transaction with this code.

    A server that became a replica may be the primary again after the next failover.
    """
    if IN_RECOVERY in text:
        return TransientError(text, hint=ONLY_READS_HINT)
    return ConfigError(
        text,
        hint="this server speaks PostgreSQL's protocol and lacks what is needed here: use"
        " PostgreSQL 11 or later, and the primary where a replica lacks it",
    )


def _damaged(text: str) -> DamagedServerError:
    return DamagedServerError(
        text,
        hint="the server found its own data damaged: check its disk, look with pg_amcheck, and"
        " restore the row that it names; nothing was written",
    )


def _of_pooler(text: str) -> ReplicatorError:
    """Translate errors of poolers, which use one code for everything, outages included."""
    if any(words in text for words in UNSUPPORTED_REQUESTS):
        return ConfigError(text, hint=POOLER_HINT)
    return TransientError(text, hint=POOLER_HINT)


def _of_transaction_mode(text: str) -> ConfigError:
    """Translate a lost prepared statement; asyncpg adds a page of advice to the server's words.

    Its `statement_cache_size` would only hide the fault: the session's settings would still be
    lost.
    """
    return ConfigError(f"{text.splitlines()[0]}: {SHARED}", hint=SHARED_HINT)


def _of_client(text: str) -> ConfigError:
    """Translate errors of asyncpg itself, without the server."""
    if UNFIT in text:
        return UnfitRowError(text, hint=UNFIT_HINT)
    return ConfigError(
        text,
        hint="the client library asyncpg says so: check the URL's options and the server's way to"
        " log in; otherwise it is worth a report with the versions of the server and of any pooler",
    )


def _unreadable(text: str) -> TransientError:
    """Translate what asyncpg cannot read of an answer."""
    return TransientError(
        f"{text}: the server's answer cannot be read",
        hint="is a PostgreSQL there, with server_encoding UTF8? A proxy before it may answer in its"
        " place: see its log",
    )


def _not_let_in(text: str) -> ConfigError:
    """Translate a refused login, which has one code for all methods."""
    hint = "check user, password and pg_hba.conf of the server named above"
    if "password" in text:
        return LoginError(text, hint=hint)
    if "certificate" in text:
        hint = "the server asks for a certificate: name it with sslcert and sslkey in the URL"
    elif "no encryption" in text:
        hint = "ask for TLS with sslmode=require or verify-full in the URL, or see pg_hba.conf"
    return ConfigError(text, hint=hint)


def _denied(text: str) -> ConfigError:
    """Translate a missing right; a policy that hides rows is refused with the same code."""
    return ConfigError(text, hint=HIDDEN_HINT if HIDDEN in text else DENIED_HINT)


_away = TransientError
"""Return an error whose hint is to check that the server runs: nothing has answered."""

ERRORS: ErrorMap = {
    # ------------------------------------------------------------------ connections and sessions
    asyncpg.ProtocolViolationError: _of_pooler,
    asyncpg.DuplicatePreparedStatementError: _of_transaction_mode,
    asyncpg.InvalidSQLStatementNameError: _of_transaction_mode,
    asyncpg.PostgresConnectionError: _away,
    asyncpg.QueryCanceledError: _passes(
        "raise statement_timeout_s, or find out what keeps the server busy: pg_stat_activity"
    ),
    asyncpg.OperatorInterventionError: _passes(
        "the server starts, stops, or was made to end this session: run the command again"
    ),
    asyncpg.IdleInTransactionSessionTimeoutError: _passes(
        "this process stood still for too long in a transaction: run the command again"
    ),
    asyncpg.InvalidAuthorizationSpecificationError: _not_let_in,
    asyncpg.InvalidCatalogNameError: _wrong("check the database's name in the DSN"),
    # --------------------------------------------------------------------------- faults that pass
    asyncpg.DiskFullError: _passes(
        "free space on the PostgreSQL server's disk, then run the command again",
        words=": the disk of the PostgreSQL server is full",
    ),
    asyncpg.InsufficientResourcesError: _passes(
        "the server has no connection or memory to spare: close others, or raise its limits"
    ),
    asyncpg.TransactionRollbackError: _passes(
        "run the command again; a replica that ends long queries wants hot_standby_feedback=on or a"
        " larger max_standby_streaming_delay"
    ),
    asyncpg.LockNotAvailableError: _passes(
        "another session holds a lock on the table or a row: pg_locks and pg_stat_activity show"
        " which"
    ),
    asyncpg.ReadOnlySQLTransactionError: _passes(ONLY_READS_HINT),
    asyncpg.PostgresSystemError: _passes(
        "the PostgreSQL server cannot read or write its files: see its log and its disk"
    ),
    # ------------------------------------------------------------------ faults for the operator
    asyncpg.InsufficientPrivilegeError: _denied,
    asyncpg.InvalidSchemaNameError: _wrong(TABLE_HINT),
    asyncpg.UndefinedTableError: _wrong(TABLE_HINT),
    asyncpg.UndefinedColumnError: _wrong(TABLE_HINT),
    asyncpg.UndefinedFunctionError: _wrong("PostgreSQL 11 or later is needed, it brought sha256()"),
    asyncpg.InvalidColumnReferenceError: _wrong(
        "the table has no primary key as Druid makes it; `replicator check` says which, and how to"
        " add it"
    ),
    asyncpg.DuplicateTableError: _wrong(
        "some of the tables are there already: check the schema and the table prefix, or remove"
        " what is left of an earlier try"
    ),
    asyncpg.IntegrityConstraintViolationError: _unfit(
        "the table has a rule that a row of the source does not keep: compare its constraints with"
        " those that Druid makes, and run `replicator check`"
    ),
    asyncpg.UntranslatableCharacterError: _of_character,
    asyncpg.CharacterNotInRepertoireError: _of_character,
    asyncpg.StringDataRightTruncationError: _unfit(WIDEN_HINT),
    asyncpg.InvalidParameterValueError: _wrong(
        "the server does not take a setting of the session: see its log; is its installation whole?"
    ),
    asyncpg.DataError: _unfit(UNFIT_HINT),
    asyncpg.ProgramLimitExceededError: _unfit(
        "a row is larger than this server or an index of the table takes: compare its indexes with"
        " those that Druid makes"
    ),
    asyncpg.PLPGSQLError: _unfit(BY_TRIGGER_HINT),
    asyncpg.TriggeredActionError: _unfit(BY_TRIGGER_HINT),
    asyncpg.TriggeredDataChangeViolationError: _unfit(BY_TRIGGER_HINT),
    asyncpg.FeatureNotSupportedError: _unsupported,
    asyncpg.SyntaxOrAccessError: _wrong(
        "the server does not take the statement: compare the tables with those that Druid makes;"
        " PostgreSQL 11 or later is needed"
    ),
    # ------------------------------------------------------------------------------------- damage
    asyncpg.DataCorruptedError: _damaged,
    asyncpg.IndexCorruptedError: _damaged,
    # --------------------------------------------------------------------------- everything else
    asyncpg.PostgresError: _passes(
        "these are the server's own words, or those of a pooler before it: see its log; what does"
        " not pass is worth a report with the versions of both"
    ),
    asyncpg.InterfaceError: _of_client,
    asyncpg.TargetServerAttributeNotMatched: _passes(
        "no host of the URL is what target_session_attrs asks for: is there a primary, and is its"
        " host among them?"
    ),
    # the server has ended the session; asyncpg has read its message but not yet the connection's
    # end (https://github.com/MagicStack/asyncpg/issues/784)
    asyncpg.InternalClientError: _passes(TransientError.hint, words=": the connection is lost"),
    ssl.SSLCertVerificationError: _untrusted,
    ssl.SSLError: _wrong(
        "check sslmode, sslrootcert, sslcert and sslkey in the URL against what the server asks for"
    ),
    FileNotFoundError: _passes(
        "the Unix socket that the URL names is not there: is the server up, and is its"
        " unix_socket_directories that folder?"
    ),
    # an answer that is none of PostgreSQL's, or in another encoding than was asked for
    UnreadableError: _unreadable,
    UnicodeDecodeError: _unreadable,
    OverflowError: _unreadable,
    TimeoutError: _passes(TransientError.hint, words=": no answer in time"),
    OSError: _away,  # refused, reset, unknown host
}
