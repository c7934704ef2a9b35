"""How far a drill is: what it copies counts for the drill, and not in the target's metrics."""

from replicator.model.observation import ObjectCopied, Observation, Observer, Progress
from replicator.model.observed.faults import ArchiveDamaged, FileUnsigned, Waiting


class DrillProgress:
    """Counts the bytes that a drill copies, and passes on progress and faults alone."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.copied_bytes = 0

    def observe(self, observation: Observation) -> None:
        """Take an observation of a service that rehearses."""
        match observation:
            case ObjectCopied(size_bytes=size_bytes):
                self.copied_bytes += size_bytes
            case Progress() | Waiting() | ArchiveDamaged() | FileUnsigned():
                self._observer(observation)
            case _:
                pass
