"""Settings are refused early, name the key and the place, and never tell a secret."""

import ast
import copy
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from replicator.app.wiring.pipeline import load_rules
from replicator.app.wiring.storages import require_apart
from replicator.cli.terminal.typed import parse_overrides
from replicator.config import (
    Explained,
    KafkaLogSettings,
    LocalStorageSettings,
    Origin,
    PostgresqlSettings,
    S3StorageSettings,
    Settings,
    explain,
    load,
)
from replicator.config.clusters.storages import overlap
from replicator.config.file.keys import all_keys
from replicator.config.file.loading import _Draft, _settings
from replicator.config.file.yaml_file import parse, scalar
from replicator.config.values import (
    Section,
    duration,
    duration_setting,
    postgresql_hosts,
    size,
    size_setting,
)
from replicator.errors import ConfigError
from replicator.model.operations.retry import RetryPolicy

REFERENCE = Path(__file__).parents[3] / "config" / "replicator.yaml"
SMALLEST = """\
source:
  name: prod
  metadata: {type: postgresql, url: "postgresql://reader@db/druid"}
  deep_storage: {type: local, root: /druid/segments}
log: {type: sqlite, path: /var/lib/prod.log}
"""
STANDBY = """\
targets:
  standby:
    metadata: {type: postgresql, url: "postgresql://writer@other/druid"}
    deep_storage: {type: local, root: /standby/segments}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "replicator.yaml"
    path.write_text(SMALLEST + STANDBY)
    return path


def refusal(
    path: Path,
    text: str | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> str:
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, flags)
    assert caught.value.exit_code == 2
    return str(caught.value)


def explained(found: list[Explained], key: str) -> Explained:
    (one,) = [setting for setting in found if setting.key == key]
    return one


# ------------------------------------------------------------------------------------ the layers


def test_a_few_lines_are_enough(file: Path):
    settings = load(file, {})

    assert settings.watched.name == "prod"
    assert settings.watch.poll_interval_s == 10.0
    assert settings.targets["standby"].copies_in_flight_max == 8
    assert settings.targets["standby"].config_names == {"lookupsConfig"}
    assert settings.targets["standby"].rpo == timedelta(seconds=60)
    assert settings.drain_s == 30.0


def test_a_source_without_targets_can_be_watched(file: Path):
    file.write_text(SMALLEST)

    assert load(file, {}).targets == {}


def test_later_origins_overrule_earlier_ones(file: Path):
    """Defaults, then the file, then the environment, then flags."""
    file.write_text(SMALLEST + STANDBY + "watch: {poll_interval_s: 5, jitter: 0.2}\ndrain_s: 7\n")
    environ = {"REPLICATOR__WATCH__POLL_INTERVAL_S": "6", "REPLICATOR__WATCH__JITTER": "0.3"}
    flags = {"watch.poll_interval_s": 7}

    settings = load(file, environ, flags)
    origins = {found.key: found.origin for found in explain(file, environ, flags)}

    assert settings.watch.poll_interval_s == 7.0
    assert origins["watch.poll_interval_s"] is Origin.FLAG
    assert settings.watch.jitter == 0.3
    assert origins["watch.jitter"] is Origin.ENVIRONMENT
    assert settings.drain_s == 7.0
    assert origins["drain_s"] is Origin.FILE
    assert settings.watch.fetch_rows_max == 1000
    assert origins["watch.fetch_rows_max"] is Origin.DEFAULT


def test_an_explanation_says_where_exactly(file: Path):
    environ = {"REPLICATOR__DRAIN_S": "5"}

    found = explain(file, environ, {"watch.jitter": 0})

    assert explained(found, "source.name").place == f"{file}:2"
    assert explained(found, "drain_s").place == "REPLICATOR__DRAIN_S"
    assert explained(found, "watch.jitter").origin is Origin.FLAG
    assert explained(found, "watch.fetch_rows_max").place == ""


def test_an_explanation_says_values_as_a_file_would(file: Path):
    """What `config print` shows can be pasted."""
    found = explain(file, {"REPLICATOR__TARGETS__STANDBY__RPO": "7200"})

    assert explained(found, "targets.standby.rpo").value == "2h"
    assert explained(found, "targets.standby.config_names").value == ["lookupsConfig"]
    assert explained(found, "source.deep_storage.root").value == "/druid/segments"
    assert explained(found, "source.metadata.schema").value == "public"


KILL_BUFFER = "source.kill_buffer"


@pytest.mark.parametrize("written", ["null", "~", ""])
def test_null_means_the_same_in_file_environment_and_flags(file: Path, written: str):
    """A flag with null once said nothing at all, and the value of the file stayed."""
    text = SMALLEST.replace("source:\n", "source:\n  kill_buffer: 7d\n") + STANDBY
    file.write_text(text)
    assert load(file, {}).watched.kill_buffer == timedelta(days=7)
    flag = parse_overrides((f"{KILL_BUFFER}={written}",))
    assert load(file, {}, flag).watched.kill_buffer is None
    assert load(file, {"REPLICATOR__SOURCE__KILL_BUFFER": written}).watched.kill_buffer is None
    file.write_text(text.replace("7d", written))
    assert load(file, {}).watched.kill_buffer is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("watch.poll_interval_s=null",), "--set watch.poll_interval_s: a number is expected"),
        (("watch.poll_interval_s=",), "--set watch.poll_interval_s: a number is expected"),
        (("watch.poll_interval_s=often",), "--set watch.poll_interval_s: "),
        (("watch.poll_interval_s=[5]",), "--set watch.poll_interval_s: "),
        (("watch.poll_interval=5",), "--set watch.poll_interval: unknown key"),
        (("watch=5",), "--set watch: keys and values are expected below it"),
        (("log=",), "log is missing: source and log go together"),
        (("watch.jitter.x=5",), "--set watch.jitter.x: watch.jitter: "),
        (("watch.jitter=0.1", "watch.jitter=0.2"), "--set watch.jitter is given twice"),
        (("watch={jitter: 0.1, jitter: 0.2}",), "--set watch: a key stands twice in the value"),
        (("watch={jitter: {",), "--set watch: the value is not YAML"),
        (("=5",), "--set  names no setting"),
        (("watch..jitter=5",), "--set watch..jitter names no setting"),
        (("watch.jitter",), "write it as KEY=VALUE"),
        (
            ("source.metadata.password_env=null", "source.metadata.password_file=''"),
            "password_file",
        ),
        (("source.metadata.password_env=''",), "password_env"),
        (("source.metadata.password_env=5",), "password_env"),
    ],
)
def test_a_flag_that_does_not_fit_is_refused_by_its_name(
    file: Path, said: tuple[str, ...], words: str
):
    with pytest.raises(ConfigError) as caught:
        load(file, {}, parse_overrides(said))
    assert words in str(caught.value)


def test_a_flag_for_a_part_counts_beside_one_for_the_whole_in_any_order(file: Path):
    found = load(file, {}, parse_overrides(("watch.jitter=0.2", "watch={poll_interval_s: 5}")))
    assert (found.watch.jitter, found.watch.poll_interval_s) == (0.2, 5.0)


def test_two_variables_for_one_key_are_refused(file: Path):
    both = {"REPLICATOR__WATCH__JITTER": "0.1", "REPLICATOR__watch__jitter": "0.2"}
    assert "both set watch.jitter" in refusal(file, environ=both)


def test_a_variable_that_could_mean_two_targets_is_refused(file: Path):
    twins = STANDBY.replace("standby", "warm-1") + STANDBY.replace("standby", "warm_1").replace(
        "targets:\n", ""
    ).replace("segments2", "segments3")
    file.write_text(SMALLEST + twins)
    environ = {"REPLICATOR__TARGETS__WARM_1__RPO": "5m"}
    assert "could mean each of warm-1, warm_1" in refusal(file, environ=environ)


def test_a_key_that_stands_twice_in_a_list_is_refused(file: Path):
    found = refusal(file, SMALLEST + STANDBY + "x:\n- a: 1\n  a: 2\n")
    assert "stands here for the second time" in found


def test_no_port_is_opened_unless_one_is_named(file: Path):
    assert load(file, {}).web is None
    served = load(file, {}, {"web.listen": "127.0.0.1:9464"}).web
    assert served is not None
    assert (served.listen, served.datasources_max) == ("127.0.0.1:9464", 200)
    assert "web: listen is missing" in refusal(file, flags={"web.status_interval_s": 5})


def test_a_source_that_kills_nothing_can_be_told(file: Path):
    assert load(file, {}).watched.kill_buffer == timedelta(days=30)
    assert load(file, {}, {"source.kill_buffer": "7d"}).watched.kill_buffer == timedelta(days=7)
    file.write_text(SMALLEST.replace("source:\n", "source:\n  kill_buffer: null\n") + STANDBY)
    assert load(file, {}).watched.kill_buffer is None


def test_a_promise_about_the_log_must_be_one_that_the_log_can_keep(file: Path):
    kafka = "log: {type: kafka, bootstrap_servers: [k:9092], retention: 12h}\n"
    file.write_text(re.sub("log: .*\n", kafka, SMALLEST) + STANDBY)
    assert "log_margin_min is not shorter than log.retention" in refusal(file)
    load(file, {}, {"targets.standby.log_margin_min": "6h"})


def test_a_variable_can_name_a_whole_target(file: Path):
    prefix = "REPLICATOR__TARGETS__NEW__"
    environ = {
        f"{prefix}METADATA": "{type: postgresql, url: 'postgresql://w@new/druid'}",
        f"{prefix}DEEP_STORAGE__TYPE": "local",
        f"{prefix}DEEP_STORAGE__ROOT": "/new/segments",
        f"{prefix}CONFIG_NAMES": "[a, b]",
        f"{prefix}RPO": "5m",
    }

    target = load(file, environ).targets["new"]

    assert target.metadata is not None
    assert target.metadata.url == "postgresql://w@new/druid"
    assert target.config_names == {"a", "b"}
    assert target.rpo == timedelta(minutes=5)


def test_a_dash_of_a_name_is_an_underscore_in_a_variable(file: Path):
    file.write_text(SMALLEST + STANDBY.replace("standby:", "Warm-Standby:"))
    environ = {"REPLICATOR__TARGETS__WARM_STANDBY__APPLY_INTERVAL_S": "9"}

    settings = load(file, environ)

    assert settings.targets.keys() == {"Warm-Standby"}
    assert settings.targets["Warm-Standby"].apply_interval_s == 9.0


def test_other_variables_are_not_ours(file: Path):
    assert load(file, {"REPLICATOR_CONFIG": "x", "PATH": "/bin"}) == load(file, {})


def test_a_key_with_all_below_it_commented_out_means_defaults(file: Path):
    file.write_text(SMALLEST + "watch:\ntargets:\n")

    settings = load(file, {})

    assert settings.watch.poll_interval_s == 10.0
    assert settings.targets == {}
    found = explain(file, {})
    assert explained(found, "watch.poll_interval_s").origin is Origin.DEFAULT


def test_an_anchor_saves_typing(file: Path):
    file.write_text(
        SMALLEST.replace("metadata: {", "metadata: &db {")
        + STANDBY.replace("metadata: {type: postgresql, ", "metadata: {<<: *db, ")
    )

    metadata = load(file, {}).targets["standby"].metadata
    assert metadata is not None
    assert metadata.url == "postgresql://writer@other/druid"


def test_settings_do_not_change(file: Path):
    settings = load(file, {})

    with pytest.raises(ValueError, match="frozen"):
        settings.drain_s = 1.0


# ------------------------------------------------------------------------------------- unknown keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wacth: {}", "wacth: unknown key; the nearest right one is watch"),
        (
            "watch: {poll_intervall_s: 5}",
            "watch.poll_intervall_s: unknown key; the nearest right one is watch.poll_interval_s",
        ),
        (
            "poll_interval_s: 5",
            "poll_interval_s: unknown key; the nearest right one is watch.poll_interval_s",
        ),
        (
            "rpo: 5",
            "rpo: unknown key; the nearest right one is targets.<name>.rpo",
        ),
        (
            "watch: {xyz: 5}",
            "watch.xyz: unknown key; here can stand poll_interval_s, jitter, idle_cut_interval_s,",
        ),
        (
            "watch: {retry: {attempts: 5}}",
            "watch.retry.attempts: unknown key; the nearest right one is watch.retry.attempts_max",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_right_one(file: Path, text: str, said: str):
    found = refusal(file, SMALLEST + text)

    assert found.startswith(f"{file}:6: {said}")


def test_an_unknown_key_deep_in_a_target_is_found(file: Path):
    text = SMALLEST + STANDBY + "    retry: {attempts_min: 3}\n"

    assert refusal(file, text) == (
        f"{file}:10: targets.standby.retry.attempts_min: unknown key;"
        " the nearest right one is targets.standby.retry.attempts_max"
    )


def test_an_unknown_key_of_a_database_is_found(file: Path):
    found = refusal(file, flags={"targets.standby.metadata.shema": "x"})

    assert "the nearest right one is targets.standby.metadata.schema" in found


def test_a_variable_with_an_unknown_key_is_named(file: Path):
    found = refusal(file, environ={"REPLICATOR__WATCH__POLL_INTERVAL": "5"})

    assert found == (
        "REPLICATOR__WATCH__POLL_INTERVAL: watch.poll_interval: unknown key;"
        " the nearest right one is watch.poll_interval_s"
    )


@pytest.mark.parametrize("variable", ["REPLICATOR__", "REPLICATOR__WATCH____JITTER"])
def test_a_variable_that_names_nothing_is_refused(file: Path, variable: str):
    assert variable in refusal(file, environ={variable: "5"})


def test_all_problems_are_named_at_once(file: Path):
    found = refusal(file, SMALLEST + "wacth: {}\ndrain_s: -1\n")

    assert [line.split(": ")[1] for line in found.splitlines()] == ["drain_s", "wacth"]


# ----------------------------------------------------------------------------------------- the file


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    assert "cannot be read: No such file" in refusal(tmp_path / "none.yaml")


def test_a_directory_is_refused(tmp_path: Path):
    assert "cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_refused(file: Path, text: str):
    assert str(file) in refusal(file, text)


def test_a_file_that_is_no_text_is_refused(file: Path):
    file.write_bytes(b"\xff\xfe\x00")

    assert "not UTF-8" in refusal(file)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("watch: {jitter: [}", "6:18", "expected the node content"),
        ("a: b: c", "6:5", "mapping values are not allowed here"),
        ("\tdrain_s: 5", "6:1", "found character"),
        ("log: {}", "6:1", "the key 'log' stands here for the second time"),
        ("watch: {jitter: 0, jitter: 1}", "6:20", "the key 'jitter' stands here for the second"),
        ("targets: {no: {}}", "6:11", "the key False is not a text; put it in quotes"),
        ("targets: &t {standby: *t}", "6:10", "nested too deeply"),
        ("targets: !!python/object:os.system {}", "6:10", "has no meaning here"),
        ("drain_s: !!python/name:os.system ", "6:10", "could not determine a constructor"),
        ("drain_s: 2024-13-45", "it is not YAML", "month must be in 1..12"),
        ("--- \nsecond: document", "6:1", "but found another document"),
    ],
)
def test_what_is_no_yaml_is_shown_by_line_and_column(file: Path, text: str, place: str, said: str):
    found = refusal(file, SMALLEST + text + "\n")

    assert place in found, found
    assert said in found


def test_a_list_is_no_configuration(file: Path):
    assert "a mapping of keys to values is expected" in refusal(file, "- a\n- b\n")


@given(text=st.text(alphabet="abs:{}[]&*!<>-'\"|#%@0123456789.\n \t\0\ud800", max_size=30))
def test_no_text_whatsoever_is_a_crash(text: str):
    for read in (
        lambda: parse(SMALLEST + text, "file"),
        lambda: parse(text, ""),
        lambda: scalar(text),
    ):
        with suppress(ConfigError):
            read()


# --------------------------------------------------------------------------------------- the values


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("watch.poll_interval_s", 0, "greater than 0"),
        ("watch.poll_interval_s", -1, "greater than 0"),
        ("watch.poll_interval_s", "10", "a number"),
        ("watch.poll_interval_s", True, "a number"),
        ("watch.poll_interval_s", float("inf"), "a finite number"),
        ("watch.poll_interval_s", float("nan"), "a finite number"),
        ("watch.jitter", 1, "less than 1"),
        ("watch.jitter", -0.1, "greater than or equal to 0"),
        ("watch.fetch_rows_max", 0, "greater than or equal to 1"),
        ("watch.fetch_rows_max", 10.5, "a whole number"),
        ("watch", 5, "keys and values are expected below it"),
        ("targets", [1], "keys and values are expected below it"),
        ("drain_s", -1, "greater than or equal to 0"),
        ("source.name", "", "pattern"),
        ("source.name", "a b", "pattern"),
        ("source.name", 7, "text (in quotes"),
        ("source.deep_storage", {"type": "ftp"}, "'local', 's3'"),
        ("source.deep_storage.root", "segments", "not absolute"),
        ("source.deep_storage.root", 7, "a path is expected"),
        ("source.metadata.table_prefix", 'druid"', "pattern"),
        ("source.metadata.schema", "", "at least 1 character"),
        ("source.metadata.url", "mysql://u@h/druid", "postgresql://"),
        ("source.metadata.url", "postgresql://u@h", "names no database"),
        ("source.metadata.url", "postgresql://u@h:port/druid", "cannot be read"),
        ("source.metadata.url", "postgresql://u@h1:5432,h2:port/druid", "cannot be read"),
        ("source.metadata.url", "postgresql://u@h1,h2,h3/druid?port=1,2", "cannot be read"),
        ("source.metadata.url", "postgresql://u:p@h1:5432,h2/druid", "contains a password"),
        ("source.metadata.url", "postgresql://u@h/druid?sslpassword=p", "contains a password"),
        ("source.metadata.url", "postgresql://u@h/druid?connect_timeout=3", "connect_timeout_s"),
        ("log.path", "prod.log", "not absolute"),
        ("targets.standby.copies_in_flight_max", 0, "greater than or equal to 1"),
        ("targets.standby.objects_missing_max", -1, "greater than or equal to 0"),
        ("targets.standby.config_names", "lookupsConfig", "like [a, b]"),
        ("targets.standby.config_names", [1], "text (in quotes"),
        ("targets.standby.config_names", [["a"]], "like [a, b]"),
        ("targets.standby.retry", {"attempts_max": 0}, "greater than or equal to 1"),
        ("targets.standby.retry", {"delay_initial_s": 60}, "larger than delay_max_s"),
        ("targets.standby.rpo", "5 parsecs", "30s, 5m, 12h, 30d"),
        ("targets.standby.rpo", True, "30s, 5m, 12h, 30d"),
        ("targets.standby.rpo", 0, "greater than"),
        ("targets.standby.rpo", "29s", "a source without changes would break the promise"),
        ("targets.standby.rpo", 1e300, "too long"),
        ("targets.standby.drill", {"every": "7d"}, "unknown key"),
        ("targets.standby.kill_margin_min", "30d", "not shorter than source.kill_buffer"),
        ("source.kill_buffer", "1h", "not shorter than source.kill_buffer"),
        ("web", {"listen": "9464"}, "write it as host:port"),
        ("log", {"type": "kafka", "bootstrap_servers": []}, "at least one is expected"),
        ("web", {"listen": "localhost:99999"}, "at most 65535"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(file: Path, key: str, value: object, said: str):
    found = refusal(file, flags={key: value})

    assert key in found
    assert said in found


@pytest.mark.parametrize("name", ["a b", "a.b", "a__b", "-a", "", "a" * 64, "\u00e9"])
def test_a_target_needs_a_name_that_variables_can_say(file: Path, name: str):
    found = refusal(file, SMALLEST + STANDBY.replace("standby:", f'"{name}":', 1))

    assert "targets." in found


def test_a_variable_that_is_not_yaml_is_refused_without_its_value(file: Path):
    found = refusal(file, environ={"REPLICATOR__DRAIN_S": "[secret"})

    assert "REPLICATOR__DRAIN_S" in found
    assert "secret" not in found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000), ("1.5h", 5400)],
)
def test_a_duration_is_read_with_its_unit(text: str, seconds: float):
    assert duration(text) == timedelta(seconds=seconds)


@given(seconds=st.integers(0, 10**7) | st.just(0.5))
def test_a_duration_is_written_as_it_is_read(seconds: float):
    assert duration(duration_setting(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
    assert duration(seconds) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "count"), [("7B", 7), ("1KiB", 1024), ("64MiB", 67_108_864), ("1.5KiB", 1536)]
)
def test_a_size_is_read_with_its_unit(text: str, count: int):
    assert size(text) == count


@given(count=st.integers(0, 2**50))
def test_a_size_is_written_as_it_is_read(count: int):
    assert size(size_setting(count)) == size(count) == count


@pytest.mark.parametrize("text", ["64MB", "64", "MiB", "-1KiB", "1.0001KiB", None, True])
def test_a_size_without_a_right_unit_is_refused(text: object):
    with pytest.raises(ValueError, match="size"):
        size(text)


def test_a_retry_is_a_policy(file: Path):
    policy = load(file, {}, {"watch.retry.attempts_max": 3}).watch.retry.policy

    assert policy == RetryPolicy(attempts_max=3, delay_initial_s=0.2, delay_max_s=30.0)


def test_the_root_of_load_specs_is_the_root_unless_it_is_said(file: Path):
    storage = load(file, {}).watched.deep_storage
    mounted = load(file, {}, {"source.deep_storage.root_in_load_spec": "/d"}).watched.deep_storage

    assert isinstance(storage, LocalStorageSettings)
    assert isinstance(mounted, LocalStorageSettings)
    assert str(storage.druid_root) == "/druid/segments"
    assert str(mounted.druid_root) == "/d"


# -------------------------------------------------------------------------------- clusters collide


@pytest.mark.parametrize(
    "root",
    [
        "/druid/segments",
        "/druid/segments/",
        "/druid//segments/./x",
        "/druid/segments/standby",
        "/druid",
        "/",
        "/other/../druid/segments",
    ],
)
def test_a_target_inside_the_source_is_refused(file: Path, root: str):
    """Druid's kill tasks delete directories: two clusters must not meet in one."""
    found = refusal(file, flags={"targets.standby.deep_storage.root": root})

    assert "targets.standby.deep_storage and source.deep_storage overlap" in found


def test_a_root_that_only_begins_like_another_is_allowed(file: Path):
    load(file, {}, {"targets.standby.deep_storage.root": "/druid/segments2"})


@pytest.mark.parametrize(
    ("prefix", "other", "meet"),
    [
        ("druid/segments", "druid/segments/", True),
        ("druid/segments", "druid", True),
        ("", "druid", True),
        ("druid/segments", "druid/segments2", False),
        ("a", "b", False),
        ("druid/", "druid//segments", True),
        ("/druid", "druid", True),
    ],
)
def test_two_prefixes_of_one_bucket_that_meet_are_refused(prefix: str, other: str, meet: bool):
    one, two = (
        S3StorageSettings.model_validate({"type": "s3", "bucket": "b", "prefix": text})
        for text in (prefix, other)
    )
    assert overlap(one.address, two.address) is meet
    elsewhere = S3StorageSettings.model_validate({"type": "s3", "bucket": "c", "prefix": prefix})
    assert not overlap(one.address, elsewhere.address)


@pytest.mark.parametrize("prefix", ["druid/", "druid//", "/druid", "a//b/", "/"])
def test_a_sources_prefix_is_druids_own_and_a_targets_is_plain(file: Path, prefix: str):
    bucket = {"type": "s3", "bucket": "b", "prefix": prefix}
    load(file, {}, {"source.deep_storage": bucket})
    if prefix in {"druid/", "druid//"}:
        load(file, {}, {"targets.standby.deep_storage": bucket})
        return
    plain = "/".join(name for name in prefix.split("/") if name)
    found = refusal(file, flags={"targets.standby.deep_storage": bucket})
    assert f"deep_storage.prefix of a target is {prefix!r}: write {plain!r}" in found


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("http://s3.test:9000", "http://S3.test:9000/", True),
        ("https://s3.test", "https://s3.test:443", True),
        (None, "https://s3.eu-central-1.amazonaws.com", True),
        ("https://s3.dualstack.us-east-1.amazonaws.com", "https://s3.amazonaws.com", True),
        ("http://s3.test:9000", "http://s3.test:9001", False),
        ("http://s3.test", "http://other.test", False),
    ],
)
def test_a_service_is_the_same_however_its_address_is_written(
    one: str | None, other: str, *, meet: bool
):
    first, second = (
        S3StorageSettings.model_validate({"type": "s3", "bucket": "b", "endpoint_url": url})
        for url in (one, other)
    )
    assert overlap(first.address, second.address) is meet


@pytest.mark.parametrize(("prefix", "meet"), [("druid", True), ("standby", False)])
def test_two_buckets_are_compared_by_the_service_that_the_environment_names(
    file: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, *, meet: bool
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.test:9000")
    keys = {"access_key_id_env": "ID", "secret_access_key_env": "ID"}
    bucket = {"type": "s3", "bucket": "b", "region": "x", **keys}
    named = {**bucket, "prefix": "druid/segments", "endpoint_url": "http://s3.test:9000/"}
    settings = load(
        file, {},
        {
            "source.deep_storage": named,
            "targets.standby.deep_storage": {**bucket, "prefix": prefix},
        },
    )  # fmt: skip
    if not meet:
        require_apart(settings)
        return
    with pytest.raises(ConfigError, match="both are at http://s3"):
        require_apart(settings)


def test_a_target_in_one_of_the_sources_other_storages_is_refused(file: Path):
    archive = {"type": "local", "root": "/standby"}
    found = refusal(file, flags={"source.other_deep_storages": {"archive": archive}})

    assert "targets.standby.deep_storage and source.other_deep_storages.archive overlap" in found


def test_a_lock_needs_to_know_for_how_long(file: Path):
    locked = {"type": "s3", "bucket": "b", "object_lock": {"mode": "compliance"}}
    flags: dict[str, object] = {"targets.standby.deep_storage": locked}
    assert "retention says: set that, too" in refusal(file, flags=flags)
    found = load(file, {}, {**flags, "targets.standby.retention": "30d"})
    assert found.targets["standby"].retention == timedelta(days=30)


def test_an_expiry_is_over_before_others_take_it_for_over(file: Path):
    """Nothing of it may be under way any more when its margin is used up."""
    slow = {"type": "s3", "bucket": "b", "request_timeout_s": 600.0}
    flags: dict[str, object] = {"targets.standby.deep_storage": slow}
    assert "expiry.margin is not longer than" in refusal(file, flags=flags)
    longer = {**flags, "targets.standby.expiry": {"lease": "60m", "margin": "11m"}}
    assert load(file, {}, longer).targets["standby"].expiry.margin == timedelta(minutes=11)


@pytest.mark.parametrize("key", ["deep_storage", "other_deep_storages.archive"])
def test_a_lock_at_the_source_is_refused(file: Path, key: str):
    locked = {"type": "s3", "bucket": "b", "object_lock": {"mode": "governance"}}
    found = refusal(file, flags={f"source.{key}": locked})
    assert f"source.{key}.object_lock: nothing is ever stored at the source" in found


def test_half_a_key_is_refused():
    half = {"type": "s3", "bucket": "b", "access_key_id_env": "A"}
    with pytest.raises(ValueError, match="belong together"):
        S3StorageSettings.model_validate(half)


def test_keys_come_from_the_variables_that_are_named():
    names = {"access_key_id_env": "A", "secret_access_key_env": "B"}
    settings = S3StorageSettings.model_validate({"type": "s3", "bucket": "b", **names})
    assert settings.secrets({"A": "id", "B": "key"}) == ("id", "key", None)
    with pytest.raises(ConfigError, match="B is not set"):
        settings.secrets({"A": "id"})


def test_two_targets_in_one_directory_are_refused(file: Path):
    other = STANDBY.replace("targets:\n", "").replace("standby:", "second:")

    found = refusal(file, SMALLEST + STANDBY + other.replace("other/", "third/"))

    assert "targets.second.deep_storage and targets.standby.deep_storage overlap" in found


def test_a_broker_without_a_port_is_one_line(file: Path):
    said = refusal(file, flags={"log": {"type": "kafka", "bootstrap_servers": ["kafka-1"]}})
    (line,) = [line for line in said.splitlines() if "bootstrap_servers" in line]
    assert line.endswith("write it as host:port, like kafka-1.example:9092")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@h/d", (("h", 5432),)),
        ("postgresql://u@h1:5432,h2:6432,h3/d", (("h1", 5432), ("h2", 6432), ("h3", 5432))),
        ("postgresql://u@[::1]:6000,[fe80::2]/d", (("::1", 6000), ("fe80::2", 5432))),
        ("postgresql://u@%2Frun%2Fpostgresql/d", (("/run/postgresql", 5432),)),
        ("postgresql://u@/d?host=/run/postgresql&port=6432", (("/run/postgresql", 6432),)),
        ("postgresql:///d", (("localhost", 5432),)),
    ],
)
def test_hosts_of_a_url_are_read_as_libpq_does(url: str, hosts: tuple[tuple[str, int], ...]):
    assert postgresql_hosts(url) == hosts


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader@db/druid",
        "postgresql://somebody.else@db/druid",
        "postgres://reader@DB:5432/druid?sslmode=require",
        "postgresql://reader@other,db:5432/druid?target_session_attrs=read-write",
        "postgresql://reader@/druid?host=other,db&port=5433,5432",
        "postgresql://reader@db/?dbname=druid",
    ],
)
def test_a_target_with_the_tables_of_the_source_is_refused(file: Path, url: str):
    """Whoever logs in, they are the same tables."""
    found = refusal(file, flags={"targets.standby.metadata.url": url})

    assert "targets.standby.metadata and source.metadata are the same tables" in found


@pytest.mark.parametrize(
    "flags",
    [
        {"url": "postgresql://reader@db/standby"},
        {"url": "postgresql://reader@db:5433/druid"},
        {"url": "postgresql://reader@db/druid", "schema": "standby"},
        {"url": "postgresql://reader@db/druid", "table_prefix": "standby_"},
    ],
)
def test_other_tables_of_the_same_server_are_allowed(file: Path, flags: dict[str, str]):
    load(file, {}, {f"targets.standby.metadata.{name}": value for name, value in flags.items()})


# ------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:s3cret@db/druid",
        "postgresql://reader:s3cret@db:port/druid",
        "postgresql://reader@db/druid?password=s3cret",
        "mysql://reader:s3cret@db/druid",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(file: Path, url: str):
    found = refusal(file, flags={"source.metadata.url": url})

    assert "source.metadata.url" in found
    assert "s3cret" not in found


def test_the_refusal_of_a_password_says_what_to_do(file: Path):
    found = refusal(file, flags={"source.metadata.url": "postgresql://reader:s3cret@db/druid"})

    assert "password_env or password_file" in found


def test_a_password_of_its_own_is_refused_and_not_repeated(file: Path):
    found = refusal(file, flags={"source.metadata.password": "s3cret"})

    assert "password_env or password_file" in found
    assert "s3cret" not in found


def database(**settings: Any) -> PostgresqlSettings:
    url = "postgresql://reader@db/druid"
    return PostgresqlSettings.model_validate({"type": "postgresql", "url": url, **settings})


def test_a_password_is_read_from_its_variable():
    assert database(password_env="DB_PASSWORD").password({"DB_PASSWORD": "s3cret"}) == "s3cret"


@pytest.mark.parametrize("environ", [{}, {"DB_PASSWORD": ""}])
def test_a_variable_without_a_password_is_named(environ: dict[str, str]):
    with pytest.raises(ConfigError, match="DB_PASSWORD is not set"):
        database(password_env="DB_PASSWORD").password(environ)


def test_a_variable_is_asked_for_only_when_the_password_is_needed(file: Path):
    """`config validate` runs on a machine without the secrets."""
    load(file, {}, {"source.metadata.password_env": "NOT_SET"})


@pytest.mark.parametrize(
    ("text", "password"), [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a \n\n", " a \n")]
)
def test_a_password_is_read_from_its_file(tmp_path: Path, text: str, password: str):
    file = tmp_path / "password"
    file.write_bytes(text.encode())

    assert database(password_file=str(file)).password({}) == password


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_file_without_a_password_is_named(tmp_path: Path, content: bytes | None):
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(str(file))):
        database(password_file=str(file)).password({})


def test_no_password_is_no_password():
    assert database().password({}) is None


def test_two_passwords_are_refused():
    with pytest.raises(ValueError, match="keep one of them"):
        database(password_env="A", password_file="/a")


# ------------------------------------------------------------------------------------ the reference


def test_the_reference_can_be_used_as_it_is():
    assert load(REFERENCE, {}).targets.keys() == {"standby"}


def test_the_other_choices_of_the_reference_can_be_used_as_they_are(tmp_path: Path):
    found = load(written(tmp_path, reference(other=True)), {})
    assert isinstance(found.log, KafkaLogSettings)
    assert found.log.bootstrap_servers == ("kafka-1.example:9092", "kafka-2.example:9092")
    assert found.watched.deep_storage.type == "azure"
    assert found.targets["standby"].deep_storage.type == "s3"
    assert found.drill.druid is not None
    assert found.drill.druid.home == Path("/opt/apache-druid-33.0.0")


def reference(*, other: bool = False, defaults: bool = False) -> dict[str, Any]:
    """The reference, with its other choices in force and its defaults written out, or not."""
    text = REFERENCE.read_text()
    chosen: dict[str, Any] = yaml.safe_load(uncomment(text) if defaults else text)
    if other:
        others = "\n".join(re.findall(r"^#\| (.*)$", text, flags=re.MULTILINE))
        found = yaml.safe_load(uncomment(others) if defaults else others)
        chosen["log"], chosen["drill"] = found["log"], found["drill"]
        chosen["web"] |= found["web"]
        chosen["source"] |= found["source"]
        chosen["schedules"] |= found["schedules"]
        chosen["targets"]["standby"] |= found["targets"]["standby"]
    return chosen


def written(folder: Path, values: Mapping[str, Any]) -> Path:
    file = folder / f"{len(list(folder.iterdir()))}.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def uncomment(text: str) -> str:
    return re.sub(r"^( *)#: ", r"\1", text, flags=re.MULTILINE)


NAMED_BY_USERS = {
    ("targets",),
    ("source", "other_deep_storages"),
    ("web", "control", "clients"),
    ("notifications", "webhooks"),
    ("schedules",),
}


def keys_in(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> set[str]:
    found = set()
    for name, value in values.items():
        named = above in NAMED_BY_USERS
        key = (*above, "<name>" if named else name)
        found.add(".".join(key))
        if isinstance(value, dict):
            found |= keys_in(value, key)
    return found


def shown_somewhere(keys: Iterable[str]) -> set[str]:
    """A storage is set in the same way wherever it stands."""
    return {re.sub(r"^.*deep_storages?\.(<name>\.)?", "deep_storage.", key) for key in keys}


SHOWN_ONCE = {
    "targets.<name>.metadata.password_env",
    "targets.<name>.metadata.table_prefix",
    "targets.<name>.metadata.schema",
    "targets.<name>.metadata.connect_timeout_s",
    "targets.<name>.metadata.statement_timeout_s",
    "targets.<name>.metadata.lock_timeout_s",
}
"""A target's database is set as the source's."""


@pytest.mark.parametrize(
    ("schedule", "promise", "is_kept"),
    [
        ({"cron": "0 6 * * 6"}, "7d", False),
        ({"cron": "0 6 * * 6"}, "8d", True),
        ({"cron": "0 6 * * 6", "jitter": "1d"}, "8d", False),
        ({"cron": "0 6 * * *", "unless_younger": "6d"}, "7d", False),
        ({"cron": "0 6 * * *", "unless_younger": "6d"}, "8d", True),
        ({"cron": "0 6 1 * *"}, "31d", False),
        ({"cron": "0 6 * * 6", "targets": ["other"]}, "1d", True),
    ],
)
def test_a_drill_that_is_promised_is_scheduled_in_time(
    tmp_path: Path, schedule: dict[str, Any], promise: str, is_kept: bool
):
    found = reference(other=True)
    found["targets"]["standby"]["drill"] = {"promise": promise}
    found["targets"]["other"] = {"deep_storage": {"type": "local", "root": "/other"}}
    found["schedules"] = {"proof": {"type": "drill", **schedule}}
    file = written(tmp_path, found)
    if is_kept:
        load(file, {})
        return
    with pytest.raises(ConfigError, match=r"drill\.promise is not longer than"):
        load(file, {})


def test_the_reference_names_every_setting_and_no_other():
    shown = keys_in(reference(defaults=True)) | keys_in(reference(other=True, defaults=True))
    named = {".".join((*above, "<name>")) for above in NAMED_BY_USERS}
    assert shown_somewhere(shown | SHOWN_ONCE) == shown_somewhere({*all_keys(), *named})


@pytest.mark.parametrize("other", [False, True])
def test_what_the_reference_calls_a_default_is_the_default(tmp_path: Path, other: bool):
    found = reference(other=other, defaults=True)
    del found["source"]["metadata"]["password_env"]
    if other:
        del found["log"]["sasl"]["password_file"]
    bare = {"source.metadata.password_env": None}

    with_defaults = load(written(tmp_path, found), {}, bare)

    used = load(written(tmp_path, reference(other=other)), {})
    database = used.watched.metadata.model_copy(update={"password_env": None})
    source = used.watched.model_copy(update={"metadata": database})
    assert with_defaults == used.model_copy(update={"source": source})


def models(model: type[BaseModel] = Settings) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found += models(part)
    return found


@pytest.mark.parametrize("model", list(dict.fromkeys(models())), ids=lambda model: model.__name__)
def test_every_setting_says_what_it_is(model: type[BaseModel]):
    described = {name for one in model.__mro__ for name in _described(one)}
    assert set(model.model_fields) - described == set()


def _described(one: type) -> Iterator[str]:
    """Yield the fields of a class that a docstring follows."""
    if not one.__module__.startswith("replicator."):
        return
    [definition] = ast.parse(dedent(inspect.getsource(one))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in pairwise(definition.body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            yield field.target.id


def test_a_standby_gets_no_rules_that_drop_unless_it_is_said(file: Path):
    standby = load(file, {}).targets["standby"]
    assert not load_rules(standby).with_drops


def _sections(above: type[Section] = Section) -> Iterator[type[Section]]:
    for one in above.__subclasses__():
        yield one
        yield from _sections(one)


DEFAULTS = [
    field.default
    for section in _sections()
    for field in section.model_fields.values()
    if isinstance(field.default, Section)
]


@pytest.mark.parametrize("default", DEFAULTS, ids=lambda one: type(one).__name__)
def test_a_section_that_is_left_out_is_as_an_empty_one(default: Section):
    """Defaults are made without validation, so they are held against the validated ones."""
    assert default == type(default).model_validate({})


PYTHON_WORDS = re.compile(
    r"\b(tuple|dict|dictionary|nonetype|literal|frozenset|input|instance|pydantic|validator|str|int"
    r"|none|valid string|valid boolean|valid integer|valid number)\b",
    re.IGNORECASE,
)
WRONG: tuple[object, ...] = (None, 7, "x y", {"a": 1})


def places(values: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each value of a configuration, also of those that have some below."""
    below = values.items() if isinstance(values, dict) else ()
    for name, value in below:
        yield (*above, name)
        yield from places(value, (*above, name))


def put(values: dict[str, Any], place: Sequence[str | int], value: object) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    at: Any = changed
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return changed


@pytest.mark.parametrize("other", [True, pytest.param(False, marks=pytest.mark.long)])
def test_no_message_speaks_of_python(other: bool):
    """Whatever stands anywhere: an operator reads it, who knows YAML and this tool."""
    whole = reference(other=other, defaults=True)
    seen = set[str]()
    for place in places(whole):
        for value in WRONG:
            try:
                _settings(_Draft(Path("x.yaml"), put(whole, place, value)))
            except ConfigError as exc:
                seen.update(line.rpartition(": ")[2] for line in str(exc).splitlines())
    bad = {said for said in seen if PYTHON_WORDS.search(said)}
    assert not bad, sorted(bad)


def test_brokers_are_a_list_or_text_with_commas(tmp_path: Path):
    values = reference(other=True)
    for written_as in ("a:9092, b:9092", ["a:9092", "b:9092"]):
        values["log"]["bootstrap_servers"] = written_as
        found = load(written(tmp_path, values), {})
        assert isinstance(found.log, KafkaLogSettings)
        assert found.log.bootstrap_servers == ("a:9092", "b:9092")
    values["log"]["bootstrap_servers"] = 9092
    with pytest.raises(ConfigError, match=r"bootstrap_servers: a list, like \[a, b\], is expected"):
        load(written(tmp_path, values), {})


@pytest.mark.parametrize("form", ["a{n}: &a{n} {{{more}}}", "a{n}: &a{n} [{more}]"])
def test_aliases_of_aliases_are_refused_at_once(form: str):
    """A kilobyte of them became 10^11 values, for which every verb waited."""
    lines = [form.format(n=0, more="x: 1" if "{{" in form else "x")]
    for n in range(1, 12):
        one = "k{k}: *a{n}" if "{{" in form else "*a{n}"
        lines.append(form.format(n=n, more=", ".join(one.format(k=k, n=n - 1) for k in range(10))))
    with pytest.raises(ConfigError, match="its aliases make more than 100000 values"):
        parse("\n".join(lines), "config.yaml")
    with pytest.raises(ConfigError, match="the value is not YAML"):
        scalar("\n".join(lines))
