"""A screen that is made when there is something to show: a verb that only looks imports none."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from replicator.cli.terminal.screen import Screen
    from replicator.model.observation import Observation, Observer


class LateScreen:
    """The screen of one verb, from its first observation on.

    Args:
        quiet: Whether no bar is ever drawn.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._screen: Screen | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._screen is not None:
            self._screen.__exit__(kind, exc, traceback)

    @property
    def screen(self) -> "Screen":
        """The screen; it is made now if there was none."""
        if self._screen is None:
            from replicator.cli.terminal.screen import Screen  # noqa: PLC0415 - see above

            self._screen = Screen(quiet=self._quiet).__enter__()
        return self._screen

    def of(self, target: str) -> "Observer":
        """Return the observer of one target's services."""

        def observe(observation: "Observation") -> None:
            self.screen.of(target)(observation)

        return observe

    def observe(self, observation: "Observation") -> None:
        """Show one observation of the watcher, or of no particular service."""
        self.screen.observe(observation)
