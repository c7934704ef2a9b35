"""What a promoted standby takes over of its source's configuration, and what never."""

import json
from pathlib import Path
from typing import Any

import pytest

from replicator.model.druid import smile
from replicator.model.druid.cluster_config import (
    BROKERS,
    COMPACTION,
    COORDINATOR,
    WORKERS,
    ConfigParts,
    Configuration,
    configuration,
)
from replicator.model.row import ConfigEntry
from tests.builders import json_bytes

DATA = Path(__file__).parents[3] / "data" / "smile"
DYNAMIC = {
    "millisToWaitBeforeDeleting": 900000,
    "maxSegmentsToMove": 100,
    "replicationThrottleLimit": 500,
    "decommissioningNodes": ["historical-7.prod:8083"],
    "killDataSourceWhitelist": ["clicks"],
    "pauseCoordination": True,
    "replicateAfterLoadTimeout": False,
    "turboLoadingNodes": [],
    "cloneServers": {"a.prod:8083": "b.prod:8083"},
    "historicalTierAliases": {"hot": ["hot_1", "hot_2"]},
    "debugDimensions": {"server": "historical-1.prod:8083"},
}
"""As CoordinatorDynamicConfig writes it, its aliases those of 38."""
COMPACTIONS = json_bytes(
    {
        "compactionConfigs": [{"dataSource": "wiki", "skipOffsetFromLatest": "P1D"}],
        "compactionTaskSlotRatio": 0.1,
        "maxCompactionTaskSlots": 2147483647,
        "useSupervisors": False,
        "engine": "native",
    }
)
USERS = "basic_authentication_db_users"


def taken(
    source: dict[str, bytes], target: dict[str, bytes] | None = None, **parts: Any
) -> tuple[dict[str, bytes], dict[str, str], Configuration]:
    found = configuration(entries(source), entries(target or {}), ConfigParts(**parts))
    left = {one.name: one.why for one in found.left}
    return {row.name: row.payload for row in found.rows}, left, found


def entries(rows: dict[str, bytes]) -> dict[str, ConfigEntry]:
    return {name: ConfigEntry(name=name, payload=payload) for name, payload in rows.items()}


def test_compaction_and_blocked_queries_are_taken_byte_for_byte():
    blocked = b'{"queryBlocklist":[{"ruleName":"no-scan","queryTypes":["scan"]}]}'
    rows, left, _ = taken({COMPACTION: COMPACTIONS, BROKERS: blocked, "lookupsConfig": b"{}"})

    assert rows == {COMPACTION: COMPACTIONS, BROKERS: blocked}
    assert left == {}


def test_the_coordinators_configuration_comes_without_hosts_and_acts():
    """A primary that paused, or emptied servers by another cluster's names, would do harm."""
    own = {"maxSegmentsToMove": 5, "pauseCoordination": False, "decommissioningNodes": ["x:8083"]}
    rows, left, _ = taken({COORDINATOR: json_bytes(DYNAMIC)}, {COORDINATOR: json_bytes(own)})

    assert json.loads(rows[COORDINATOR]) == {
        "maxSegmentsToMove": 100,
        "pauseCoordination": False,
        "decommissioningNodes": ["x:8083"],
        "millisToWaitBeforeDeleting": 900000,
        "replicationThrottleLimit": 500,
        "replicateAfterLoadTimeout": False,
        "historicalTierAliases": {"hot": ["hot_1", "hot_2"]},
    }
    assert left.keys() == {
        f"{COORDINATOR} {name}"
        for name in (
            "decommissioningNodes",
            "killDataSourceWhitelist",
            "pauseCoordination",
            "cloneServers",
            "debugDimensions",
        )
    }
    assert "historical-1.prod:8083" in left[f"{COORDINATOR} debugDimensions"]


def test_workers_come_without_what_is_of_the_sources_cloud():
    auto = {"type": "ec2", "minNumWorkers": 1, "envConfig": {"nodeData": {"amiId": "ami-1"}}}
    plain = {"type": "default", "selectStrategy": {"type": "equalDistribution"}}
    rows, left, _ = taken({WORKERS: json_bytes({**plain, "autoScaler": auto})})

    assert json.loads(rows[WORKERS]) == {**plain, "autoScaler": None}
    assert left.keys() == {f"{WORKERS} autoScaler"}


def test_workers_that_are_named_stay_behind():
    strategy = {
        "type": "equalDistributionWithCategorySpec",
        "workerCategorySpec": {"affinityConfig": {"affinity": {"wiki": ["mm-1.prod:8091"]}}},
    }
    rows, left, _ = taken({WORKERS: json_bytes({"type": "default", "selectStrategy": strategy})})

    assert rows == {}
    assert "mm-1.prod:8091" in left[WORKERS]


def test_what_is_so_already_is_not_written_again():
    same = {COMPACTION: COMPACTIONS, COORDINATOR: b'{"maxSegmentsToMove" : 100}'}

    assert taken({**same, COORDINATOR: b'{"maxSegmentsToMove":100}'}, same)[0] == {}


def test_what_the_settings_leave_out_is_named():
    source = {COMPACTION: COMPACTIONS, BROKERS: b"{}", USERS: b"{}"}
    rows, left, _ = taken(source, compaction=False, brokers=False)

    assert rows == {}
    assert left.keys() == {COMPACTION, BROKERS, USERS}


def test_users_join_those_of_the_target_whose_own_system_user_and_administrator_stay():
    """With the source's `druid_system` the target's servers could not log in to one another."""
    druids = smile.loads((DATA / "users.smile").read_bytes())
    assert isinstance(druids, dict)
    theirs: dict[str, Any] = {
        **druids,
        "druid_system": {"name": "druid_system", "credentials": 1},
        "admin": 1,
    }
    ours: dict[str, Any] = {
        "druid_system": {"name": "druid_system", "credentials": 2},
        "local": {"name": "local"},
    }
    rows, left, _ = taken({USERS: smile.dumps(theirs)}, {USERS: smile.dumps(ours)}, security=True)

    assert smile.loads(rows[USERS]) == {**ours, **druids}
    assert left == {}
    assert taken({USERS: smile.dumps(theirs)}, rows, security=True)[0] == {}


@pytest.mark.parametrize("name", ["users", "roles", "groupMappings"])
def test_roles_and_group_mappings_come_with_their_users(name: str):
    entry = f"basic_authorization_db_{name}"
    roles = (DATA / "roles.smile").read_bytes()
    rows, _, _ = taken({entry: roles}, security=True)

    found, whole = smile.loads(rows[entry]), smile.loads(roles)
    assert isinstance(whole, dict)
    assert found == {"readers": whole["readers"]}


def test_other_users_can_be_the_targets_own():
    source = {USERS: smile.dumps({"etl": 1, "druid_system": 1})}
    rows, _, _ = taken(
        source, {USERS: smile.dumps({"etl": 2})}, security=True, keep=frozenset({"etl"})
    )

    assert smile.loads(rows[USERS]) == {"etl": 2, "druid_system": 1}


def test_users_that_cannot_be_read_stay_behind_and_are_named():
    """Half of them would lock out the others."""
    whole = (DATA / "users.smile").read_bytes()
    rows, left, _ = taken({USERS: whole[:-3]}, security=True)

    assert rows == {}
    assert "damaged Smile" in left[USERS]


def test_how_passwords_are_cached_is_the_targets_own():
    """`…_config` of basic security: it is written by each start of a Coordinator."""
    rows, left, _ = taken({"basic_authentication_db_config": b"{}"}, security=True)

    assert (rows, left) == ({}, {})
