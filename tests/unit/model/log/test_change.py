"""What an event did, in words."""

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from replicator.model.event import RowRemoved
from replicator.model.log.change import DETAILS_MAX, ChangeKind, change
from replicator.model.row import Kind, Row, RowKey
from tests.builders import (
    changed,
    commit,
    json_bytes,
    mark,
    rules,
    segment,
    segment_payload,
    supervisor,
)

LATER = "2024-06-01T00:00:00.000Z"


def described(before: Row, after: Row) -> tuple[ChangeKind, tuple[str, ...]]:
    return change(changed(after, previous=mark(1)), before)


def test_a_new_row_is_published_with_its_state():
    assert change(changed(segment()), None) == (ChangeKind.PUBLISHED, ("used",))
    assert change(changed(segment(used=False)), None) == (ChangeKind.PUBLISHED, ("unused",))


def test_a_flip_of_used_says_when():
    what, details = described(segment(), segment(used=False, used_status_last_updated=LATER))
    assert what is ChangeKind.MARKED_UNUSED
    assert details[0] == "used: true → false"
    assert details[-1].endswith(f'→ "{LATER}"')
    assert described(segment(used=False), segment())[0] is ChangeKind.MARKED_USED


def test_a_rewritten_payload_names_its_members():
    moved = {"type": "s3_zip", "bucket": "archive", "key": "k"}
    after = segment(payload=json_bytes(segment_payload(loadSpec=moved, size=5)))
    what, details = described(segment(), after)
    assert what is ChangeKind.PAYLOAD_REWRITTEN
    assert 'loadSpec.type: "local" → "s3_zip"' in details
    assert 'loadSpec.bucket: new, "archive"' in details
    assert "size: 1967 → 5" in details
    assert any(one.startswith("loadSpec.path: ") and one.endswith("→ gone") for one in details)


def test_other_bytes_of_the_same_values_are_said_too():
    spaced = segment().payload.replace(b":", b": ", 1)
    what, details = described(segment(), segment(payload=spaced))
    assert (what, details) == (
        ChangeKind.PAYLOAD_REWRITTEN,
        ("the payload's bytes, and none of its values",),
    )


def test_offsets_are_told_partition_by_partition():
    after = commit(commit_metadata_payload=b'{"type":"kafka","partitions":{"0":50,"1":7}}')
    what, details = described(commit(), after)
    assert (what, details) == (
        ChangeKind.OFFSETS_COMMITTED,
        ("partitions.0: 42 → 50", "partitions.1: new, 7"),
    )


def test_rules_and_supervisors():
    after = rules(payload=b'[{"type":"dropForever"}]')
    what, details = described(rules(), after)
    assert what is ChangeKind.RULES_CHANGED
    assert '0.type: "loadForever" → "dropForever"' in details
    suspended = supervisor(payload=supervisor().payload.replace(b"false", b"true"))
    assert described(supervisor(), suspended) == (
        ChangeKind.SUPERVISOR_CHANGED,
        ("suspended: false → true",),
    )
    ended = supervisor(payload=b'{"type":"NoopSupervisorSpec"}')
    assert described(supervisor(), ended)[0] is ChangeKind.SUPERVISOR_TERMINATED


def test_no_value_of_a_specification_is_shown_that_can_be_a_password():
    """Any viewer may ask for `blame`; a number can be a password as well."""
    spec = '{"type":"kafka","suspended":%s,"spec":{"password":%s,"pin":%s,"tasks":%s}}'
    before = supervisor(payload=(spec % ("false", '"s3cret-old"', 4711, "[1]")).encode())
    after = supervisor(payload=(spec % ("true", '"s3cret-new"', 4712, "[]")).encode())
    assert described(before, after) == (
        ChangeKind.SUPERVISOR_CHANGED,
        (
            "suspended: false → true",
            "spec.password: (not shown) → (not shown)",
            "spec.pin: (not shown) → (not shown)",
            "spec.tasks.0: (not shown) → gone",
            "spec.tasks: new, (not shown)",
        ),
    )
    extra = replace(before, extras={"login": "s3cret"})
    assert described(before, extra)[1] == ("login: null → (not shown)",)
    assert change(changed(before), None).details == ()


def test_a_row_that_is_gone_says_what_it_was():
    gone = RowRemoved(key=RowKey(Kind.SEGMENT, segment().id), previous=mark(1))
    before = segment(used=False, used_status_last_updated=LATER)
    assert change(gone, before) == (ChangeKind.KILLED, (f"it was unused since {LATER}",))
    assert change(gone, None) == (ChangeKind.DELETED, ())
    used = change(gone, segment(used=True, used_status_last_updated=LATER))
    assert used.what is ChangeKind.DELETED, "a kill takes unused segments only"
    assert used.details[0] == f"it was used since {LATER}"
    assert "by hand" in used.details[1]
    offsets = RowRemoved(key=RowKey(Kind.COMMIT, "wiki"), previous=mark(1))
    assert change(offsets, commit())[0] is ChangeKind.OFFSETS_REMOVED


def test_what_was_before_a_trimmed_log_is_not_made_up():
    what, details = change(changed(segment(), previous=mark(1)), None)
    assert what is ChangeKind.COLUMNS_CHANGED
    assert details[-1] == "the log does not go back to what it was before"


@pytest.mark.parametrize("payload", [b"\xff", b"{", b"[" * 100_000])
def test_a_payload_that_is_no_json_is_no_reason_to_fail(payload: bytes):
    what, details = described(segment(), replace(segment(), payload=payload))
    assert what is ChangeKind.PAYLOAD_REWRITTEN
    assert "no JSON" in details[0]


def test_there_is_an_end_to_details():
    many: dict[str, Any] = {f"m{n}": n for n in range(100)}
    _, details = described(segment(), segment(payload=json_bytes(segment_payload(**many))))
    assert len(details) == DETAILS_MAX
    assert details[-1] == "and 81 more"


@pytest.mark.parametrize("levels", [["n" * 10_000], ["level"] * 60])
def test_what_a_payload_holds_costs_its_own_size_and_no_more(levels: list[str]):
    """A long name above many values, and many names."""
    document: object = list(range(10_000))
    for name in levels:
        document = {name: document}
    payload = json_bytes(document)
    tracemalloc.start()
    _, details = described(rules(payload=b"[]"), rules(payload=payload))
    _, used = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert details[0] == "payload: [] → gone"
    assert details[1].endswith(".0: new, 0")
    assert details[-1] == f"and {10_001 - DETAILS_MAX + 1} more"
    assert max(map(len, details)) < 400
    assert used < 20 * len(payload)
