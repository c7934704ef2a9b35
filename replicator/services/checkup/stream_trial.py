"""Whether a source's change stream can be followed, and what is missing for it."""

from replicator.errors import ReplicatorError
from replicator.ports import NewChangeStream
from replicator.services.checkup.finding import Finding, failed

WHAT = "source change stream"


async def try_stream(stream: NewChangeStream) -> list[Finding]:
    """Return what the stream lacks, each with its SQL, and what is recommended."""
    try:
        obstacles = await stream.obstacles()
        advice = await stream.advice()
        retained = await stream.retained_bytes()
    except ReplicatorError as exc:
        return [failed(WHAT, exc)]
    finally:
        await stream.close()
    notes = [Finding(what=WHAT, good=True, note=True, detail=one) for one in advice]
    if obstacles:
        lacks = [
            Finding(what=WHAT, good=False, detail=one.what, hint=one.remedy) for one in obstacles
        ]
        return [*lacks, *notes]
    kept = f"there: each commit becomes a cut; the source keeps {retained or 0} bytes of WAL for it"
    return [Finding(what=WHAT, good=True, detail=kept), *notes]
