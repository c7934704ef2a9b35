"""What is said of bytes that a target had already: they were found by their receipts, not read.

A copy compares the receipt with what the source has now, which finds another segment's bytes in the
same place; rot it cannot find.
"""

from collections.abc import Iterator


def were_there(objects: int) -> str:
    """Return how many segments were not copied because the target had them."""
    return f"{objects} {'was' if objects == 1 else 'were'} there"


def unread(target: str, objects: int) -> Iterator[str]:
    """Yield what the proof of these bytes is, if there are any."""
    if objects:
        yield (
            "what was there already was not read;"
            f" `replicator verify {target} --level checksum` reads it"
        )
