"""How a source's load rules are mapped to a target's rules and tiers.

A source's drop rule marks segments as unused, and this mark is replicated with their rows. On a
target the same rule would be evaluated by the target's own Coordinator and clock: it would undo a
restore to a cut before the drop within a minute. Therefore drop rules are not replicated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replicator.errors import MalformedRowError
from replicator.model.druid.payload import encoded, parse_any

DROPS = frozenset({"dropForever", "dropByInterval", "dropByPeriod", "dropBeforeByPeriod"})
"""Druid 33: server/src/main/java/org/apache/druid/server/coordinator/rules/."""
REPLICANTS = "tieredReplicants"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRules:
    """How the rules of one source are mapped to those of one target."""

    with_drops: bool = False
    """Whether the target gets rules that drop segments; a standby must not."""
    tiers: Mapping[str, str] = field(default_factory=dict)
    """Target's tier for a tier of the source; other tiers keep their names."""

    def mapped(self, payload: bytes) -> bytes:
        """Return the rules for the target; the same bytes if no rule differs there.

        Raises:
            MalformedRowError: the payload is not a list of rules, or a rule for a renamed tier has
                no number of replicants.
        """
        found = parse(payload)
        rules = [self._rule(rule) for rule in found if self.with_drops or not _drops(rule)]
        if rules == found:
            return payload
        return encoded(rules)

    def _rule(self, rule: dict[str, Any]) -> dict[str, Any]:
        replicants = rule.get(REPLICANTS)
        if not isinstance(replicants, dict) or not self.tiers.keys() & replicants.keys():
            return rule
        counts: dict[str, float] = {}
        for tier, count in replicants.items():
            if not isinstance(count, int | float):
                raise MalformedRowError(f"a rule loads no number of replicants into tier {tier!r}")
            name = self.tiers.get(tier, tier)
            counts[name] = max(count, counts.get(name, 0))
        return {**rule, REPLICANTS: counts}


def parse(payload: bytes) -> list[dict[str, Any]]:
    """Return the rules in a row of `druid_rules`.

    Raises:
        MalformedRowError: the payload is not a list of JSON objects.
    """
    found = parse_any(payload)
    if not isinstance(found, list) or not all(isinstance(rule, dict) for rule in found):
        raise MalformedRowError("its payload is not a list of rules")
    return found


def tiers(payload: bytes) -> frozenset[str]:
    """Return the tiers that rules load into.

    Raises:
        MalformedRowError: as for `parse`.
    """
    return frozenset(
        tier
        for rule in parse(payload)
        if isinstance(replicants := rule.get(REPLICANTS), dict)
        for tier in replicants
    )


def drops(payload: bytes) -> list[str]:
    """Return the types of drop rules, in the order in which Druid tries the rules.

    Raises:
        MalformedRowError: as for `parse`.
    """
    return [str(rule["type"]) for rule in parse(payload) if _drops(rule)]


def _drops(rule: Mapping[str, Any]) -> bool:
    type_ = rule.get("type")
    return isinstance(type_, str) and type_ in DROPS
