"""Text about bytes that a target had already, and that were found by receipts and not read.

A copy compares the receipt with the source's present object, which reveals another segment's bytes
at the same location, but not bit rot.
"""

from collections.abc import Iterator


def were_there(objects: int) -> str:
    """Return the number of segments that the target had already, as text."""
    return f"{objects} {'was' if objects == 1 else 'were'} there"


def unread(target: str, objects: int) -> Iterator[str]:
    """Yield how such bytes can be verified, if there are any."""
    if objects:
        yield (
            "what was there already was not read;"
            f" `replicator verify {target} --level checksum` reads it"
        )
