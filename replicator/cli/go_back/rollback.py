"""`rollback`: restores one datasource of a target, by a command that is easy to type."""

from difflib import get_close_matches
from typing import Annotated

import typer

from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.go_back.restore import AcceptGaps, RestoreOptions, Yes, carry_out
from replicator.cli.go_back.when import Moment, moment_of
from replicator.cli.verb import Expect, verb
from replicator.errors import ConfigError, NotFoundError
from replicator.model.plans.restore_point import WORDS, RestorePoint

CUTOFF = 0.8
"""Similarity from which a word is suggested for a name; 1 is equality."""


@verb("rollback", changes=Changes.ONCE_AGREED)
async def rollback(
    call: OpenCall,
    datasource: Annotated[str, typer.Argument(help="The datasource.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="When: before-drop, '10m ago', latest, a time with its zone, an offset, or the"
            " name of a point.",
        ),
    ],
    on: Annotated[
        str | None, typer.Option("--on", help="The target; optional if there is only one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    yes: Yes = False,
    accept_gaps: AcceptGaps = False,
    expect: Expect = None,
) -> Outcome:
    """Return one datasource of a target to an earlier state; the target is then paused."""
    moment = moment_of(to, datasource)
    application = call.application
    target = on or _only(application)
    place = Place(target=target, into=target)
    request = RestoreOptions(
        place=place,
        point=await point_to(application, moment, place),
        datasource=datasource,
        dry_run=dry_run,
        yes=yes,
        accept_gaps=accept_gaps,
        expect=expect,
    )
    return await carry_out(call, request)


async def point_to(application: Application, moment: Moment, place: Place) -> RestorePoint:
    """Return the given restore point; an unknown name may be a misspelt word.

    Raises:
        ReplicatorError: as for `Moment.point`.
    """
    try:
        return await moment.point(application, place)
    except NotFoundError as exc:
        if close := get_close_matches(moment.to_point or "", WORDS, n=1, cutoff=CUTOFF):
            raise NotFoundError(str(exc), hint=f"did you mean `--to {close[0]}`?") from exc
        raise


def _only(application: Application) -> str:
    """Return the only target that has rows.

    Raises:
        ConfigError: several targets have rows, or none.
    """
    targets = application.settings.targets
    found = [name for name in application.target_names if targets[name].metadata is not None]
    if len(found) != 1:
        raise ConfigError(
            f"name the target with --on: the configuration has {', '.join(found) or 'none'}"
        )
    return found[0]
