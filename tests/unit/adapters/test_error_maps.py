"""No error of a library reaches the user as a traceback: each class is one of ours, with a hint."""

import asyncio
import errno
import inspect
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import aiohttp
import aiokafka.errors
import asyncmy.errors
import asyncpg
import asyncpg.exceptions
import botocore.exceptions
import obstore.exceptions
import pytest
from asyncpg.pgproto.pgproto import BufferError as UnreadableError
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from replicator.adapters.azure import AzureAddress, azure_reader
from replicator.adapters.boundary import translate
from replicator.adapters.bucket.obstore import ObstoreBucket
from replicator.adapters.kafka import session as kafka_session
from replicator.adapters.local import files as local_files
from replicator.adapters.mysql import errors as mysql_errors
from replicator.adapters.postgresql.errors import ERRORS
from replicator.adapters.s3 import session as s3_session
from replicator.adapters.s3.service import S3Address, s3_service
from replicator.adapters.sqlite import file as sqlite_file
from replicator.adapters.transfer import http_session
from replicator.adapters.transfer.pacing import Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.adapters.webhook import HttpCaller
from replicator.errors import (
    ConfigError,
    DamagedServerError,
    LoginError,
    ReplicatorError,
    TransientError,
    UnfitRowError,
)
from tests.servers.certificates import Authority
from tests.servers.stores import AZURE_KEY

UP = "check that the server named above is up"
Boundary = Callable[[], AbstractContextManager[None]]


def test_an_error_that_says_nothing_is_named():
    for error, said in ((TimeoutError(), "no answer in time"), (OSError(), "OSError")):
        with (
            pytest.raises(TransientError) as ours,
            translate({OSError: TransientError}, "read the log"),
        ):
            raise error
        assert str(ours.value) == f"read the log: {said}"


def classes(module: ModuleType, *bases: type[Exception]) -> list[type[Exception]]:
    return [cls for _, cls in inspect.getmembers(module, inspect.isclass) if issubclass(cls, bases)]


def family(*bases: type[Exception]) -> Iterator[type[Exception]]:
    for base in bases:
        yield base
        yield from family(*base.__subclasses__())


def raised(boundary: AbstractContextManager[None], exc: Exception) -> ReplicatorError:
    with pytest.raises(ReplicatorError) as caught, boundary:
        raise exc
    return caught.value


def blank(cls: type[Exception]) -> Exception:
    """Make one of a class whatever its constructor wants."""
    exc: Exception = type(cls.__name__, (cls,), {"__init__": _nothing, "__str__": _words})()
    return exc


def _nothing(self: Exception) -> None:
    pass


def _words(self: Exception) -> str:
    return "its own words"


POSTGRESQL = [
    cls
    for cls in family(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    if cls is not asyncpg.ClientConfigurationError  # its words quote the DSN
]


def test_every_class_of_postgresql_has_its_words_and_a_hint():
    assert len(POSTGRESQL) > 250
    for cls in POSTGRESQL:
        found = raised(translate(ERRORS, "write druid_segments"), cls("its own words"))
        assert "write druid_segments: its own words" in str(found), cls
        assert found.hint, cls
        answered = not issubclass(
            cls, (asyncpg.PostgresConnectionError, asyncpg.InternalClientError)
        )
        assert not (answered and found.hint.startswith(UP)), cls


@pytest.mark.parametrize(
    "cls", [asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError]
)
def test_a_shared_session_is_named_without_the_clients_advice_to_programs(
    cls: type[asyncpg.PostgresError],
):
    advice = 'prepared statement "s1" is gone\nHINT:  set statement_cache_size to 0'
    found = raised(translate(ERRORS, "write"), cls(advice))
    assert str(found).startswith('write: prepared statement "s1" is gone: a pooler in')
    assert "statement_cache_size" not in str(found)


@pytest.mark.parametrize(
    ("exc", "kind", "hint"),
    [
        (asyncpg.InvalidColumnReferenceError("no unique"), ConfigError, "primary key"),
        (asyncpg.DataCorruptedError("missing chunk"), DamagedServerError, "pg_amcheck"),
        (asyncpg.UniqueViolationError("duplicate key"), UnfitRowError, "replicator check"),
        (asyncpg.DuplicateTableError("exists"), ConfigError, "schema"),
        (asyncpg.UntranslatableCharacterError("é"), UnfitRowError, "UTF8"),
        (asyncpg.CharacterNotInRepertoireError("of UTF8: 0x00"), UnfitRowError, "holds a NUL"),
        (asyncpg.StringDataRightTruncationError("too long"), UnfitRowError, "as wide as"),
        (asyncpg.RaiseError("no!"), UnfitRowError, "trigger"),
        (asyncpg.InternalServerError("proxy"), TransientError, "own words"),
        (asyncpg.ReadOnlySQLTransactionError("no"), TransientError, "read-write"),
        (
            asyncpg.FeatureNotSupportedError(
                "cannot set transaction read-write mode during recovery"
            ),
            TransientError,
            "read-write",
        ),
        (asyncpg.FeatureNotSupportedError("no"), ConfigError, "PostgreSQL 11"),
        (asyncpg.InterfaceError("invalid input for query argument $1"), UnfitRowError, "columns"),
        (asyncpg.ProtocolViolationError("no such user: x"), ConfigError, "pooler"),
        (asyncpg.ProtocolViolationError("query_wait_timeout"), TransientError, "pooler"),
        (OSError(111, "refused"), TransientError, UP),
    ],
)
def test_what_postgresql_says_asks_for_the_right_thing(
    exc: Exception, kind: type[ReplicatorError], hint: str
):
    found = raised(translate(ERRORS, "write"), exc)
    assert type(found) is kind
    assert hint in found.hint


def of_mysql(exc: Exception) -> ReplicatorError:
    return raised(mysql_errors.translated("write druid_segments"), exc)


def test_every_class_and_number_of_mysql_has_its_words_and_a_hint():
    found = list(family(asyncmy.errors.MySQLError))
    assert len(found) > 8
    for cls in found:
        for args in ((), ("its own words",), (1105, "its own words"), (None, "its own words")):
            error = of_mysql(cls(*args))
            assert str(error).startswith("write druid_segments: ")
            assert not args or "its own words" in str(error)
            assert error.hint
            assert not error.hint.startswith(UP), cls
    for number in mysql_errors.BY_NUMBER:
        error = of_mysql(asyncmy.errors.OperationalError(number, "its own words"))
        assert f"its own words (error {number})" in str(error)
        assert error.hint


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (1213, TransientError, "deadlock"),
        (1205, TransientError, "lock"),
        (1290, TransientError, "read_only"),
        (1021, TransientError, "free space"),
        (1114, TransientError, "free space"),
        (2013, TransientError, "wait_timeout"),
        (4031, TransientError, "wait_timeout"),
        (1412, TransientError, "altered"),
        (1969, TransientError, "statement_timeout_s"),
        (2003, TransientError, UP),
        (1153, ConfigError, "max_allowed_packet"),
        (1197, ConfigError, "max_binlog_cache_size"),
        (3100, ConfigError, "group_replication_transaction_size_limit"),
        (1045, LoginError, "password"),
        (1142, ConfigError, "GRANT"),
        (1366, UnfitRowError, "utf8mb4"),
        (1665, ConfigError, "binlog_format"),
        (3159, ConfigError, "ssl-mode"),
        (1062, UnfitRowError, "binary"),
        (1877, DamagedServerError, "CHECK TABLE"),
    ],
)
def test_what_mysql_says_asks_for_the_right_thing(
    number: int, kind: type[ReplicatorError], hint: str
):
    found = of_mysql(asyncmy.errors.OperationalError(number, "words"))
    assert type(found) is kind
    assert hint in found.hint


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (3, """Error writing file '/b/log.1' (Errcode: 28 "No space left on device")""", "free"),
        (3, "Error writing file '/b/log.1' (OS errno 28 - No space left on device)", "free"),
        (1, "Can't create/write to file '/t/ML1' (Errcode: 122 \"Disk quota exceeded\")", "free"),
        (1026, """Error writing file 'log' (errno: 28 "No space left on device")""", "free"),
        (1030, """Got error 28 "No space left on device" from storage engine InnoDB""", "free"),
        (1030, "Got error 28 - 'No space left on device' from storage engine", "free"),
        (1005, """Can't create table `d`.`t` (errno: 30 "Read-only file system")""", "read-only"),
        (1030, """Got error 168 "Unknown error" from storage engine InnoDB""", "own words"),
        (1105, """Somebody's words: error 28""", "own words"),
    ],
)
def test_what_the_system_said_to_mysql_is_heard(number: int, words: str, hint: str):
    """The same disk is full by many numbers: that of a file, of an engine, of a log."""
    found = of_mysql(asyncmy.errors.InternalError(number, words))
    assert type(found) is TransientError
    assert words in str(found)
    assert hint in found.hint


@pytest.mark.parametrize("kind", mysql_errors.UNREADABLE)
def test_an_answer_that_asyncmy_cannot_read_is_tried_again(kind: type[Exception]):
    found = of_mysql(blank(kind))
    assert type(found) is TransientError
    assert "the server's answer cannot be read" in str(found)
    assert "proxy" in found.hint


@pytest.mark.parametrize("kind", [UnreadableError, UnicodeDecodeError, OverflowError])
def test_an_answer_that_asyncpg_cannot_read_is_tried_again(kind: type[Exception]):
    found = raised(translate(ERRORS, "read"), blank(kind))
    assert type(found) is TransientError
    assert "the server's answer cannot be read" in str(found)
    assert "server_encoding" in found.hint


def test_a_certificate_that_is_not_believed_is_named_whatever_wraps_it():
    exc = asyncmy.errors.OperationalError(2003, "Can't connect")
    exc.__cause__ = ssl.SSLCertVerificationError(1, "unable to get local issuer certificate")
    found = of_mysql(exc)
    assert isinstance(found, ConfigError)
    assert "ssl-ca" in found.hint


def test_every_class_of_kafka_is_one_of_ours():
    found = classes(aiokafka.errors, Exception)
    assert len(found) > 80
    for cls in found:
        error = raised(kafka_session.translated("append"), blank(cls))
        assert "append" in str(error)
        assert error.hint, cls


def test_brokers_that_name_none_of_theirs_are_asked_again():
    exc = AssertionError("Broker id None not in current metadata")
    error = raised(kafka_session.translated("read"), exc)
    assert isinstance(error, TransientError)
    assert "cannot be used" in str(error)


def test_a_clock_that_is_ahead_is_told_of_a_broker_that_refuses_its_times():
    error = raised(kafka_session.translated("append"), aiokafka.errors.InvalidTimestampError())
    assert isinstance(error, TransientError)
    assert "clock" in error.hint


OTHERS: dict[str, tuple[Boundary, list[type[Exception]]]] = {
    "sqlite3": (
        lambda: sqlite_file.translated(Path("/log"), "read"),
        classes(sqlite3, sqlite3.Error),
    ),
    "aiohttp": (
        lambda: http_session.reached("http://a", "read"),
        classes(aiohttp, aiohttp.ClientError),
    ),
    "botocore": (
        lambda: s3_session.translated("b", "read", Pace()),
        [*classes(botocore.exceptions, botocore.exceptions.BotoCoreError), *s3_session.ODD],
    ),
}


OBSTORE = [
    *classes(obstore.exceptions, Exception),
    *(FileNotFoundError, NotImplementedError, OSError, TimeoutError, ValueError),
]
"""Its own, and those of Python that it raises for its own errors (pyo3-object_store's error.rs)."""
UNANSWERED = (obstore.exceptions.BaseError, obstore.exceptions.GenericError, OSError, ValueError)


def of_obstore(exc: Exception) -> ReplicatorError:
    store = ObstoreBucket(MemoryStore(), "s3://b", pace=Pace())  # type: ignore[arg-type]
    return raised(store._translated("cannot read x"), exc)


def test_every_class_of_obstore_has_its_words_and_a_hint():
    assert len(OBSTORE) > 15
    for cls in OBSTORE:
        found = of_obstore(cls("its own words"))
        assert "s3://b: cannot read x" in str(found), cls
        assert "its own words" in str(found), cls
        nobody = cls in UNANSWERED or cls is TimeoutError
        assert found.hint.startswith(UP) is nobody, (cls, found.hint)


@pytest.mark.parametrize(
    ("exc", "kind", "hint"),
    [
        (GenericError("status code: 500: own words"), TransientError, "answered so"),
        (GenericError("status code: 400: odd"), TransientError, "answered so"),
        (GenericError("status code: 400: ExpiredToken"), ConfigError, "session token"),
        (GenericError("status code: 501"), ConfigError, "conditional writes"),
        (GenericError("status code: 403"), ConfigError, "permissions"),
        (GenericError("error sending request: connection refused"), TransientError, UP),
        (NotImplementedError("conditional put"), ConfigError, "conditional writes"),
        (obstore.exceptions.AlreadyExistsError("x"), TransientError, "another process"),
        (obstore.exceptions.PermissionDeniedError("x"), ConfigError, "permissions"),
    ],
)
def test_what_obstore_says_asks_for_the_right_thing(
    exc: Exception, kind: type[ReplicatorError], hint: str
):
    found = of_obstore(exc)
    assert isinstance(found, kind)
    assert hint in found.hint


async def test_why_nobody_answered_is_said_with_a_remedy(tmp_path: Path):
    """obstore itself says "error sending request" of all of it."""
    ours, stranger = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "not", "stranger")
    certificate = ours.certificate("server", host="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    port = server.sockets[0].getsockname()[1]
    for host, ca_file, words, kind, hint in (
        (f"localhost:{port}", stranger.file, "not trusted, UnknownIssuer", ConfigError, "ca_file"),
        (f"127.0.0.1:{port}", ours.file, "not trusted, NotValidForName", ConfigError, "ca_file"),
        ("127.0.0.1:1", ours.file, "Connection refused", TransientError, UP),
        ("nowhere.invalid", ours.file, "failed to lookup", TransientError, UP),
    ):
        address = S3Address(
            bucket="b", prefix="", endpoint_url=f"https://{host}", region="r", path_style=True,
            access_key_id="k", secret_access_key="s", ca_file=ca_file,
        )  # fmt: skip
        bucket = s3_session.s3_bucket(s3_service(address), Pace())
        with pytest.raises(ReplicatorError, match=words) as found:
            await bucket.stat("x")
        assert isinstance(found.value, kind)
        assert hint in found.value.hint
    server.close()
    await server.wait_closed()


def of_kafka(heard: Exception) -> ReplicatorError:
    """Translate the failure of a connection, whose reason aiokafka only logs."""

    def connect() -> None:
        with kafka_session.translated("read"):
            kafka_session._heard.get().append(heard)
            raise aiokafka.errors.KafkaConnectionError

    with pytest.raises(ReplicatorError) as found:
        connect()
    return found.value


@pytest.mark.parametrize(
    ("starts", "hint"),
    [(timedelta(days=-3), "renew the server's certificate"), (timedelta(days=1), "the clocks")],
    ids=["expired", "not valid yet"],
)
async def test_a_certificate_of_another_time_is_no_unknown_authority(
    tmp_path: Path, starts: timedelta, hint: str
):
    """Its authority is named in the settings already: an operator would look in the wrong place."""
    ours = Authority(tmp_path / "ours", "ours")
    certificate = ours.certificate("server", host="localhost", starts=starts)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    address = S3Address(
        bucket="b", prefix="", endpoint_url=url, region="r", path_style=True,
        access_key_id="k", secret_access_key="s", ca_file=ours.file,
    )  # fmt: skip
    hints = []
    with pytest.raises(ConfigError) as found:
        await s3_session.s3_bucket(s3_service(address), Pace()).stat("x")
    hints.append(found.value.hint)
    with pytest.raises(ConfigError) as found:
        await HttpCaller(lambda: url, ca_file=ours.file, timeout_s=5).post(b"", {})
    hints.append(found.value.hint)
    server.close()
    await server.wait_closed()
    words = "certificate has expired" if starts < timedelta(0) else "certificate is not yet valid"
    refused = ssl.SSLCertVerificationError(1, f"certificate verify failed: {words}")
    hints.append(raised(translate(ERRORS, "connect"), refused).hint)
    wrapped = asyncmy.errors.OperationalError(2003, "Can't connect")
    wrapped.__cause__ = refused
    hints.append(of_mysql(wrapped).hint)
    hints.append(of_kafka(refused).hint)
    assert [hint in one for one in hints] == [True] * 5, hints


def test_a_store_that_cannot_be_made_is_a_matter_of_configuration(tmp_path: Path):
    """Its constructor raises other classes than its calls, and reads the file of authorities."""
    for text in ("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        (tmp_path / "ca.pem").write_text(text)
        s3 = S3Address(
            bucket="b", prefix="", endpoint_url="https://b.test", region="r",
            access_key_id="k", secret_access_key="s", ca_file=tmp_path / "ca.pem",
        )  # fmt: skip
        azure = AzureAddress(
            account="a", container="b", prefix="", endpoint_url="https://b.test",
            account_key=AZURE_KEY, ca_file=tmp_path / "ca.pem",
        )  # fmt: skip
        with pytest.raises(ConfigError, match="s3://b") as found:
            s3_session.s3_store(s3_service(s3))
        assert "ca_file" in found.value.hint
        with pytest.raises(ConfigError, match="azure://") as found:
            azure_reader(azure, pace=Pace(), sizes=Sizes())
        assert "ca_file" in found.value.hint


@pytest.mark.parametrize(("boundary", "found"), OTHERS.values(), ids=OTHERS.keys())
def test_every_class_of_a_library_is_one_of_ours(boundary: Boundary, found: list[type[Exception]]):
    assert found
    for cls in found:
        error = raised(boundary(), blank(cls))
        assert error.hint, cls


def test_every_error_of_the_operating_system_is_one_of_ours():
    for code in errno.errorcode:
        error = raised(local_files.translated("read /deep"), OSError(code, "its own words"))
        assert "its own words" in str(error)
        assert error.hint
        assert not error.hint.startswith(UP)
