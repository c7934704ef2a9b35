"""The warning of `apply --resume`, which undoes a restore."""

from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.cli.command import OpenCall, agree
from replicator.cli.go_back.effects import effect_lines
from replicator.cli.terminal.console import paper
from replicator.errors import GapError, NotFoundError
from replicator.model.plans.plan import Estimate
from replicator.model.plans.restore_point import Latest, RestorePoint, ToTime


async def agree_to_resume(call: OpenCall, target: str, *, yes: bool) -> None:
    """Continue only if no restored segment is lost again, or if the operator agrees to that.

    Raises:
        RefusedError: the operator did not agree.
    """
    estimate = await _taken_away(call.application, target)
    if estimate is None or not any(one.lost for one in estimate.effects):
        return
    if not call.as_json:
        console = paper()
        console.print(f"{target} follows the source again, which undoes what was restored:")
        for line in effect_lines(estimate):
            console.print(f"    {line}", markup=False)
        console.print("  rows go, and bytes stay: what goes can be restored once more")
    agree(target, yes=yes, doing="following the source again, which takes away restored segments,")


async def _taken_away(application: Application, target: str) -> Estimate | None:
    """Return the effect of the step to the newest due cut; None if the target is not paused."""
    checkpoint = await application.checkpoint(target)
    if checkpoint is None or not checkpoint.paused or checkpoint.promoted:
        return None
    place = Place(target=target, into=target)
    restorer = (await place.decide(application)).restorer()
    try:
        plan = await restorer.plan(_point(application, target), datasource=None, adopt=True)
    except (GapError, NotFoundError):  # no cut is due, or none is there: the applier says so
        return None
    if plan.cut.offset <= checkpoint.offset and checkpoint.datasource is None:
        return None  # a delayed target never goes back
    return plan.estimate


def _point(application: Application, target: str) -> RestorePoint:
    delay = application.target(target).settings.delay
    return ToTime(time=application.clock.now() - delay) if delay else Latest()
