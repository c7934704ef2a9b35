#!/usr/bin/env bash
# obstore 0.12.1 on Azurite 3.35.0: list(offset=…) answers the whole listing, also what comes before the offset.
#
# Its documentation says that only what sorts after the offset is listed. A guess would be that the client drops what a
# service sends too much, as it does elsewhere. It sends the offset as a parameter of the request (startFrom) and passes
# on what comes; a service that does not know the parameter lists all. Who reads a long listing page by page, each from
# the last name of the page before, never gets beyond the first. Seen:
#   in memory: ['c', 'd']
#   on Azurite: ['a', 'b', 'c', 'd'], asked with startFrom=b
set -euo pipefail
folder=$(mktemp -d) server=; trap 'kill $server 2>/dev/null; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1 azure-storage-blob==12.27.1
npm install --silent --no-audit --no-fund --prefix "$folder" azurite@3.35.0 >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node "$folder/node_modules/azurite/dist/src/blob/main.js" --inMemoryPersistence --disableTelemetry \
  --skipApiVersionCheck --blobPort "$port" >"$folder/log" 2>&1 &
server=$!
cat > "$folder/seen.py" <<'PY'
import os
import sys
import time

import obstore
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobServiceClient
from obstore.store import AzureStore, MemoryStore

# the account that the documentation of Azurite names for everybody
name = "devstoreaccount1"
key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
url = f"http://127.0.0.1:{sys.argv[1]}/{name}"
service = BlobServiceClient(url, credential={"account_name": name, "account_key": key}, retry_total=0)
for _ in range(150):
    try:
        service.create_container("box")
        break
    except ServiceRequestError:
        time.sleep(0.2)
azurite = AzureStore("box", account_name=name, account_key=key, endpoint=url, client_options={"allow_http": True})
for where, store in (("in memory", MemoryStore()), ("on Azurite", azurite)):
    for one in "abcd":
        obstore.put(store, one, b"1")
    print(f"{where}:", [meta["path"] for batch in obstore.list(store, offset="b") for meta in batch], flush=True)
os._exit(0)
PY
"$folder/venv/bin/python" "$folder/seen.py" "$port" > "$folder/out"
asked=$(grep -o 'comp=list[^ ]*' "$folder/log" | grep -o 'startFrom=b' | sort -u || true)
sed -i "\$s/\$/, asked with ${asked:-nothing}/" "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
in memory: ['c', 'd']
on Azurite: ['a', 'b', 'c', 'd'], asked with startFrom=b
WANT
