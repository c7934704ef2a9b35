"""What the benchmarks stand on: a PostgreSQL of their own, filled with a cluster's segments.

The rows are made by the server itself, which is the fastest way. Ids, columns and payloads agree,
as Druid's do: `druid-replicator` refuses rows whose columns and payload tell two stories.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from replicator.adapters.postgresql.druid_tables import LAYOUTS
from replicator.adapters.scratch.postgresql import running

SOURCE_ROOT = "/druid/segments"
TARGET_ROOT = "/backup/segments"
TABLES = LAYOUTS["druid-33"]
DATASOURCES = 20
PARTITIONS = 5
WORDS = (
    "account active browser campaign channel city client country currency customer device domain"
    " duration error event first host language last latency method model name network order page"
    " partner platform price product region request response session source status type user"
    " version zone"
)

# Segment n: its datasource, its hour and its partition are digits of n; a day shares one version.
# The dimensions are names of two words, the same throughout a datasource, as Druid's are: TOAST
# squeezes such payloads to about two thirds and keeps them in the table itself.
FILL = f"""
WITH datasources AS (
    SELECT d, 'datasource_' || d AS datasource,
           (SELECT string_agg(words[1 + abs(hashtext(d || 'a' || i)) % 40] || '_'
                              || words[1 + abs(hashtext(d || 'b' || i)) % 40], ',')
            FROM generate_series(1, 300) AS i) AS dimensions
    FROM generate_series(0, {DATASOURCES - 1}) AS d, string_to_array('{WORDS}', ' ') AS words
), numbered AS (
    SELECT d, n / {DATASOURCES} % {PARTITIONS} AS partition,
           timestamp '2015-01-01' + n / {DATASOURCES * PARTITIONS} * interval '1 hour' AS hour
    FROM generate_series($1::bigint, $2::bigint - 1) AS n
    JOIN datasources ON d = n % {DATASOURCES}
), timed AS (
    SELECT d, partition, to_char(hour, 'YYYY-MM-DD"T"HH24:00:00.000"Z"') AS start,
           to_char(hour + interval '1 hour', 'YYYY-MM-DD"T"HH24:00:00.000"Z"') AS "end",
           to_char(hour + interval '2 days', 'YYYY-MM-DD"T"03:04:05.678"Z"') AS version
    FROM numbered
), named AS (
    SELECT timed.*, datasource, dimensions,
           datasource || '_' || start || '_' || "end" || '_' || version
           || CASE partition WHEN 0 THEN '' ELSE '_' || partition END AS id
    FROM timed JOIN datasources USING (d)
)
INSERT INTO druid_segments (id, datasource, created_date, start, "end", partitioned, version, used,
                            payload, used_status_last_updated)
SELECT id, datasource, version, start, "end", true, version, true, convert_to(
    head || left(dimensions, $4 - length(head) - length(tail)) || tail, 'UTF8'), version
FROM named, LATERAL (SELECT
    format('{{"dataSource":"%s","interval":"%s/%s","version":"%s","loadSpec":{{"type":"local",'
           '"path":"%s/%s/%s_%s/%s/%s/index/"}},"dimensions":"', datasource, start, "end", version,
           $3::text, datasource, start, "end", version, partition) AS head,
    format('","metrics":"count,added,deleted","shardSpec":{{"type":"numbered","partitionNum":%s,'
           '"partitions":{PARTITIONS}}},"binaryVersion":9,"size":%s,"identifier":"%s"}}', partition,
           400000000 + hashtext(id) % 100000000, id) AS tail) AS texts
"""
"""$1 to $2: which segments; $3: the root of the deep storage; $4: bytes of a payload."""


@asynccontextmanager
async def server(folder: Path | None) -> AsyncIterator[tuple[Path, str]]:
    """Run a PostgreSQL on a new folder below `folder`; give the folder and the server's DSN.

    All is removed at the end.
    """
    made = Path(tempfile.mkdtemp(prefix="replicator-bench-", dir=folder))
    made.chmod(0o755)  # noqa: ASYNC240 - once; root starts the server as another user
    try:
        async with running(made / "postgresql", start_timeout_s=120) as server:
            yield made, server.superuser_dsn
    finally:
        shutil.rmtree(made)
