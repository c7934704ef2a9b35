"""Druid's own metadata tables on MySQL and MariaDB, as each release makes them.

They are the tables that were seen on PostgreSQL, with the types and the spelling of Druid's
MySQLConnector. One thing is better: all texts are utf8mb4_bin, not only the names of datasources.
With the database's default, which ignores case, segments of `Wiki` and `wiki` would be one row.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from replicator.model.druid.release import table_layout

PREFIX: Final = "druid_"
LAYOUTS: Final = {path.stem: path for path in Path(__file__).parent.glob("*.sql")}
"""By `druid-<release>` or `druid-<release>-centralized`: the latter with
`druid.centralizedDatasourceSchema.enabled=true`, which adds columns and a table."""
CATALOG: Final = """
CREATE TABLE druid_tableDefs (
    schemaName VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    creationTime BIGINT NOT NULL,
    updateTime BIGINT NOT NULL,
    state CHAR(1) NOT NULL,
    tableType VARCHAR(20) NOT NULL,
    properties LONGBLOB,
    columns LONGBLOB,
    PRIMARY KEY (schemaName, name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"""
"""The table of druid-catalog, as SQLCatalogManager.CREATE_TABLE has it in every release.

It is created beside those of any release: without the extension no Druid looks at it, and with the
extension the Coordinator uses it as it is."""


def statements(release: str, *, centralized: bool) -> Sequence[str]:
    """Return the statements that create the tables of a release, such as `33.0.0`.

    Raises:
        ConfigError: the tables of that release are not known here.
    """
    name = table_layout(release, centralized=centralized, known=LAYOUTS)
    return [*split(LAYOUTS[name].read_text(encoding="utf-8")), CATALOG]


def split(text: str) -> Sequence[str]:
    """Return the statements of a layout; no text within them has a semicolon."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
