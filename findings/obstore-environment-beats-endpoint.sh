#!/usr/bin/env bash
# obstore 0.12.1: AWS_ENDPOINT_URL_S3 in the environment beats the `endpoint` that the code passes.
#
# A guess would be that an explicit argument wins, as it does in boto3. It wins over AWS_ENDPOINT_URL and
# AWS_ENDPOINT, too, but not over the variable of the one service: the object goes to the other server.
# Seen:
#   AWS_ENDPOINT_URL_S3 set: the request went to the environment's server
#   AWS_ENDPOINT_URL set: the request went to the argument's server
#   AWS_ENDPOINT set: the request went to the argument's server
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1
cat > "$folder/seen.py" <<'PY'
import os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import obstore
from obstore.store import S3Store

asked = []


class Answer(BaseHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked.append(self.server.server_port)
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def serve():
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


argument, environment = serve(), serve()
names = {argument: "argument", environment: "environment"}
os.environ[sys.argv[1]] = f"http://127.0.0.1:{environment}"
store = S3Store("bucket", endpoint=f"http://127.0.0.1:{argument}", region="us-east-1", access_key_id="k",
                secret_access_key="s", virtual_hosted_style_request=False, client_options={"allow_http": True})
obstore.put(store, "key", b"bytes", use_multipart=False)
print(f"{sys.argv[1]} set: the request went to the {names[asked[0]]}'s server", flush=True)
os._exit(0)
PY
for name in AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL AWS_ENDPOINT; do
  env -u AWS_ENDPOINT_URL_S3 -u AWS_ENDPOINT_URL -u AWS_ENDPOINT "$folder/venv/bin/python" "$folder/seen.py" "$name"
done > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
AWS_ENDPOINT_URL_S3 set: the request went to the environment's server
AWS_ENDPOINT_URL set: the request went to the argument's server
AWS_ENDPOINT set: the request went to the argument's server
WANT
