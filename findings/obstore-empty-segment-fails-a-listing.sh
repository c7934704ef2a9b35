#!/usr/bin/env bash
# obstore 0.12.1: one key with an empty path segment ("druid//old.tar") below a prefix fails the whole listing.
#
# S3 keys are opaque, and Apache Druid itself writes "druid/segments//wiki/…" where druid.storage.baseKey
# ends in a slash. A guess would be that such a key is listed, or skipped. The listing ends with an error
# instead, so that the keys beside it cannot be listed either. The server here answers as S3 does. Seen:
#   without it: ['druid/a', 'druid/b']
#   with it: InvalidPathError: Encountered object with invalid path: Path "druid//old.tar" contained empty path segment
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1
cat > "$folder/seen.py" <<'PY'
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import obstore
from obstore.store import S3Store

keys = ["druid/a", "druid/b"]


class Listing(BaseHTTPRequestHandler):
    def do_GET(self):
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f'<ETag>"e"</ETag><Size>1</Size></Contents>' for key in keys)
        body = (f"<ListBucketResult><Name>bucket</Name><Prefix>druid/</Prefix><KeyCount>{len(keys)}</KeyCount>"
                f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Listing)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = S3Store("bucket", endpoint=f"http://127.0.0.1:{server.server_port}", region="us-east-1", access_key_id="k",
                secret_access_key="s", virtual_hosted_style_request=False, client_options={"allow_http": True})


def listed():
    try:
        return sorted(meta["path"] for batch in obstore.list(store, "druid") for meta in batch)
    except Exception as exc:
        return f"{type(exc).__name__}: {str(exc).splitlines()[0]}"


print("without it:", listed())
keys.append("druid//old.tar")
print("with it:", listed(), flush=True)
os._exit(0)
PY
env -u AWS_ENDPOINT_URL_S3 "$folder/venv/bin/python" "$folder/seen.py" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
without it: ['druid/a', 'druid/b']
with it: InvalidPathError: Encountered object with invalid path: Path "druid//old.tar" contained empty path segment
WANT
