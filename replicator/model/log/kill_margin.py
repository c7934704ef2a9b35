"""When the source's own kill could delete the bytes of a segment.

Druid's Coordinator (`druid.coordinator.kill.bufferPeriod`) and its Overlord
(`druid.manager.segments.killUnused.bufferPeriod`) kill a segment once it has been unused for a
buffer, counted from `used_status_last_updated`. `durationToRetain` is about the end of its interval
and spares no segment because of its age. A kill task that a user submits waits for no buffer.
"""

from typing import TYPE_CHECKING, TypeAlias

from replicator.model.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

USED = 1 << 62
"""Value for the time at which a used segment was marked unused."""
UNKNOWN = -1
"""Value for a time that the row does not have: releases before 28 kill without any buffer."""

Milliseconds: TypeAlias = "NDArray[np.int64]"


def kill_margins_ms(unused_since_ms: Milliseconds, *, now_ms: int, buffer_ms: int) -> Milliseconds:
    """Return for each segment the time until a kill may delete it; 0 or less: it may already.

    A used segment must be marked unused first, which can be now at the earliest.
    """
    since = np.minimum(unused_since_ms, now_ms)
    margins: Milliseconds = np.where(unused_since_ms == UNKNOWN, 0, since + buffer_ms - now_ms)
    return margins
