"""`target create` and `target sign`: prepare a target, and sign the files of its store."""

from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from replicator.app.verbs.preparing import prepare
from replicator.cli.command import PARTLY_DONE, Changes, OpenCall, Outcome, agree
from replicator.cli.terminal.console import bad, good, note, paper
from replicator.cli.verb import verb
from replicator.errors import CorruptionError
from replicator.model.druid.cluster_config import ALIASES
from replicator.model.druid.standby import REQUIREMENTS, Verdict
from replicator.model.operations.shown import escaped_json
from replicator.model.operations.words import counted
from replicator.services.standby.creation import Created
from replicator.services.store.signing import Signed, seal_all, sign_all, sign_heads

app = typer.Typer(help="Prepare a target.", no_args_is_help=True)
SHOWN_MAX = 20
"""Number of unsigned files that the text names; the JSON document names all."""


@app.command("create")
@verb("target create")
async def create(
    call: OpenCall,
    name: Annotated[str, typer.Argument(help="The target's name in the configuration.")],
    druid_release: Annotated[
        str | None, typer.Option(help="Create the tables of this release, like 33.0.0.")
    ] = None,
    centralized_schema: Annotated[
        bool, typer.Option(help="With druid.centralizedDatasourceSchema.enabled.")
    ] = False,
) -> Outcome:
    """Create a target's tables and folder, and check its Druid's settings for a standby."""
    created = await prepare(
        call.application, name, release=druid_release, centralized=centralized_schema
    )
    is_archive = call.application.target(name).settings.metadata is None

    def show(console: Console) -> None:
        console.print(f"{name}: {_prepared(created, druid_release, is_archive=is_archive)}")
        if not is_archive:
            _show_cluster(console, name, created)
        console.print(f"next: {call.typed.printed.command('check')}")

    wrong = _wrong(created) or created.tiers_missing or created.obstacles or created.skew.losses
    return Outcome(
        result=_json(created),
        show=show,
        exit_code=PARTLY_DONE if wrong else 0,
    )


@app.command("sign")
@verb("target sign", changes=Changes.ONCE_AGREED)
async def sign(
    call: OpenCall,
    name: Annotated[str, typer.Argument(help="The target's name in the configuration.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Outcome:
    """Sign the files of a target's store that no key of this machine has signed yet."""
    target = call.application.target(name)
    sealable = target.sealable()
    if not (yes or call.as_json):
        paper().print(
            f"what is in the store of {name} without a signature gets one, whoever wrote it:"
            " only you know that no stranger could write there"
        )
    agree(name, yes=yes, doing="signing what is in the store", what="target to sign")
    observer = call.screen.of(name)
    files = await sign_all(target.area(), observer=observer)
    if target.witness is not None:
        files += await sign_heads(target.witness.area, name, observer=observer)
    places = await seal_all(sealable, observer=observer)
    refused = [*files.refused, *places.refused]
    return Outcome(
        result={
            "signed": files.signed,
            "signed_before": files.signed_before,
            "sealed": places.signed,
            "sealed_before": places.signed_before,
            "refused": refused,
        },
        show=lambda console: _show_signed(console, name, files, places),
        exit_code=CorruptionError.exit_code if refused else 0,
    )


def _show_signed(console: Console, name: str, files: Signed, places: Signed) -> None:
    console.print(
        f"{name}: {counted(files.signed, 'file')} signed, {files.signed_before} signed before"
    )
    console.print(
        f"{name}: {counted(places.signed, 'location')} sealed, {places.signed_before} sealed before"
    )
    refused = [*files.refused, *places.refused]
    for fault in refused[:SHOWN_MAX]:
        console.print(bad("BAD "), f"  {fault}", sep="")
    if (more := len(refused) - SHOWN_MAX) > 0:
        console.print(f"      and {more} more")


def _wrong(created: Created) -> list[str]:
    return [one.requirement.name for one in created.judged or () if one.verdict is Verdict.WRONG]


def _json(created: Created) -> dict[str, Any]:
    found = {one.requirement.name: one for one in created.judged or ()}
    return {
        "tables_made": created.tables_made,
        "tables_of_release": None if created.tables is None else created.tables.release,
        "settings_checked": created.judged is not None,
        "settings": [
            {
                "name": one.name,
                "wanted": one.wanted,
                "reason": one.reason,
                "found": found[one.name].found if found else None,
                "good": found[one.name].verdict is Verdict.GOOD if found else None,
            }
            for one in REQUIREMENTS
        ],
        "tiers_missing": list(created.tiers_missing),
        "aliases_missing": {name: list(some) for name, some in created.aliases_missing.items()},
        "skew": [
            {"what": one.known.trait.text, "fate": one.known.fate, "detail": one.text}
            for one in created.skew.found
        ],
        "obstacles": [{"what": one.what, "remedy": one.remedy} for one in created.obstacles],
    }


def _prepared(created: Created, release: str | None, *, is_archive: bool) -> str:
    tables = "an archive, it has no tables" if is_archive else _tables(created, release)
    return f"{tables}; its deep storage can be written"


def _tables(created: Created, release: str | None) -> str:
    if (found := created.tables) is not None:
        centralized = " with segment schemas" if found.centralized else ""
        return f"Druid's tables of release {found.release}{centralized} were made: {found.because}"
    if created.tables_made:
        return "Druid's tables were made"
    if release is not None:
        return (
            f"Druid's tables were there and are left as they are, --druid-release {release} or not"
        )
    return "Druid's tables were there"


def _show_cluster(console: Console, name: str, created: Created) -> None:
    for obstacle in created.obstacles:
        console.print(bad("BAD "), f"  {obstacle.what}", sep="")
        console.print(f"      {obstacle.remedy}")
    _show_skew(console, created)
    if created.judged is None and not created.tables_made:
        console.print(f"its Druid is not known (targets.{name}.druid): its settings were not seen")
        return
    if created.judged is None:
        console.print(f"its Druid is not known (targets.{name}.druid); tell its Coordinator:")
        for one in REQUIREMENTS:
            console.print(f"  {one.name}={one.wanted}", markup=False)
            console.print(f"      {one.reason}", markup=False)
        return
    for judged in created.judged:
        is_good = judged.verdict is Verdict.GOOD
        mark = good("good") if is_good else bad("BAD ")
        console.print(mark, f"  {judged.requirement.name} is {judged.found}", sep="")
        if not is_good:
            console.print(
                f"      set it to {judged.requirement.wanted}: {judged.requirement.reason}",
                markup=False,
            )
    _show_tiers(console, name, created)


def _show_skew(console: Console, created: Created) -> None:
    for one in created.skew.found:
        mark = bad("BAD ") if one.loses else note("note")
        console.print(mark, f"  {one.text}", sep="")


def _show_tiers(console: Console, name: str, created: Created) -> None:
    for tier in created.tiers_missing:
        console.print(
            bad("BAD "),
            f"  the source's rules load into tier {tier!r}, which the target does not have",
            sep="",
        )
        console.print(f"      name one that it has: targets.{name}.load_rules.tiers: {{{tier}: …}}")
        if (stands_for := created.aliases_missing.get(tier)) is not None:
            body = escaped_json(orjson.dumps({ALIASES: {tier: list(stands_for)}}).decode())
            console.print(
                "      or give its Coordinator the source's alias, with tiers that it has:"
                f" POST /druid/coordinator/v1/config {body}",
                markup=False,
            )
