"""Druid's own metadata tables on PostgreSQL, as each release was seen to make them."""

from pathlib import Path

from replicator.model.druid.release import table_layout

PREFIX = "druid_"
LAYOUTS = {path.stem: path for path in Path(__file__).parent.glob("*.sql")}
"""By `druid-<release>` or `druid-<release>-centralized`: the latter with
`druid.centralizedDatasourceSchema.enabled=true`, which adds columns and a table."""
CATALOG = """
CREATE TABLE druid_tableDefs (
    schemaName VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    creationTime BIGINT NOT NULL,
    updateTime BIGINT NOT NULL,
    state CHAR(1) NOT NULL,
    tableType VARCHAR(20) NOT NULL,
    properties BYTEA,
    columns BYTEA,
    PRIMARY KEY (schemaName, name)
)"""
"""The table of druid-catalog, as SQLCatalogManager.CREATE_TABLE has it in every release.

It is made beside those of any release: without the extension no Druid looks at it, and with it the
Coordinator takes it as it is."""


def statements(release: str, *, centralized: bool) -> str:
    """Return what makes the tables of a release, like `33.0.0`, in the first schema searched.

    Raises:
        ConfigError: the tables of that release are not known here.
    """
    name = table_layout(release, centralized=centralized, known=LAYOUTS)
    return f"{LAYOUTS[name].read_text(encoding='utf-8')}\n{CATALOG};"
