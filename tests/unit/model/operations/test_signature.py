"""A signature is the end of its file, and everybody else reads the file as before."""

import shutil
import subprocess

import cramjam
import orjson
import pytest

from replicator.model.operations.signature import (
    END_BYTES_MAX,
    Signature,
    signed,
    split,
    statement,
)

SIGNATURE = Signature(key_id="00ff" * 4, value=bytes(range(64)))
NAMES = ["points/a.json", "history/log/1.jsonl.zst", "expiry/1/places"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [b"", b"{}", b"x" * 200, bytes(1000)])
def test_what_was_signed_is_split_again(name: str, data: bytes):
    whole = signed(name, data, SIGNATURE)
    assert len(whole) <= len(data) + END_BYTES_MAX
    assert split(name, whole) == (data, SIGNATURE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_cut_short_or_altered_at_its_end_has_no_signature(name: str):
    whole = signed(name, b"data", SIGNATURE)
    for part in [whole[:-1], whole + b"\n", whole.replace(b"ed25519", b"ed25518"), b"data", b""]:
        assert split(name, part) == (part, None)


def test_a_frame_of_another_length_is_no_signature():
    whole = bytearray(signed("a.zst", b"data", SIGNATURE))
    whole[len(b"data") + 4] += 1
    assert split("a.zst", bytes(whole)) == (bytes(whole), None)


def test_another_name_or_other_contents_are_another_statement():
    found = {statement(name, data) for name in NAMES for data in (b"", b"x")}
    assert len(found) == 2 * len(NAMES)


def test_zstd_leaves_the_signature_out():
    packed = bytes(cramjam.zstd.compress(b"lines\n"))
    whole = signed("history/a.jsonl.zst", packed, SIGNATURE)
    assert bytes(cramjam.zstd.decompress(whole)) == b"lines\n"
    if (program := shutil.which("zstd")) is not None:
        said = subprocess.run([program, "-dc"], input=whole, capture_output=True, check=True)
        assert said.stdout == b"lines\n"


def test_a_signed_document_is_two_objects():
    whole = signed("points/a.json", b'{"format":1}', SIGNATURE)
    document, note, end = whole.split(b"\n")
    assert (orjson.loads(document), end) == ({"format": 1}, b"")
    assert orjson.loads(note)["signed_by"] == SIGNATURE.key_id
