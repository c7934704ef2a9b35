"""The worked example of docs/moving.md, as a reader would carry it out."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from tests.acceptance.druids import PASSWORD, Cluster
from tests.servers.mariadb import execute

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "moving.md"
FROM_MYSQL: Final = "## From MySQL to PostgreSQL"
Settings: TypeAlias = dict[str, Any]


def commands() -> Sequence[Sequence[str]]:
    """Return what the page tells its reader to type, in its order."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("replicator ")]
    return [words[1:] for words in found]


def configuration(places: Mapping[str, str]) -> Settings:
    """Return the configuration for a move from MySQL, each name in it replaced by a real one.

    A name that the page does not have is an error of the test, and so is one that is left.
    """
    text = PAGE.read_text().partition(FROM_MYSQL)[2]
    found = text.partition("```yaml\n")[2].partition("```")[0]
    for name, place in places.items():
        assert name in found, name
        found = found.replace(name, place)
    assert not re.search(r"\b(old|new)-|/mnt/|/var/", found), found
    settings: Settings = yaml.safe_load(found)
    return settings


def written(settings: Settings, path: Path) -> str:
    """Write a configuration, and return its path."""
    path.write_text(yaml.safe_dump(json.loads(json.dumps(settings))))
    return str(path)


async def reading_user(dsn: str) -> str:
    """Make the user of docs/mysql.md who may read a source; return host, port and database."""
    place = dsn.rpartition("@")[2]
    database = place.rpartition("/")[2]
    await execute(
        dsn,
        f"CREATE OR REPLACE USER 'replicator'@'%' IDENTIFIED BY '{PASSWORD}'",
        f"GRANT SELECT ON {database}.* TO 'replicator'@'%'",
    )
    return place


def druids(old: Cluster, new: Cluster) -> Mapping[str, str]:
    """Return where the names of the page's Druids lead."""
    return {
        "http://old-broker:8082": old.druid.url("broker"),
        "http://new-coordinator:8081": new.druid.url("coordinator"),
        "http://new-overlord:8090": new.druid.url("coordinator"),
        "http://new-broker:8082": new.druid.url("broker"),
    }
