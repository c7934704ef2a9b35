#!/usr/bin/env bash
# obstore 0.12.1 and boto3 1.40.61 mean different things by an endpoint in virtual-hosted style.
#
# boto3 takes the endpoint for the service's and puts the bucket before its host name. obstore takes it for the
# bucket's and adds nothing: with the same two settings the bucket is in no request, and the first part of the
# key stands where a path-style server expects the bucket. Druid's and Hadoop's clients do as boto3. Seen:
#   boto3: PUT /segments/index.zip to bucket.localhost
#   obstore: PUT /segments/index.zip to localhost
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1 boto3==1.40.61
cat > "$folder/seen.py" <<'PY'
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import obstore
from botocore.config import Config
from obstore.store import S3Store

asked = []
resolve = socket.getaddrinfo  # any name below localhost is this machine, as RFC 6761 says and not every resolver knows
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1" if host.endswith(".localhost") else host, *rest, **more)


class Answer(BaseHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked.append(f"PUT {self.path} to {self.headers['Host'].partition(':')[0]}")
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://localhost:{server.server_port}"
style = Config(s3={"addressing_style": "virtual"}, retries={"total_max_attempts": 1},
               request_checksum_calculation="when_required")
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s",
                  config=style)
s3.put_object(Bucket="bucket", Key="segments/index.zip", Body=b"bytes")
store = S3Store("bucket", endpoint=url, region="us-east-1", access_key_id="k", secret_access_key="s",
                virtual_hosted_style_request=True, client_options={"allow_http": True})
obstore.put(store, "segments/index.zip", b"bytes", use_multipart=False)
print("boto3:", asked[0])
print("obstore:", asked[1], flush=True)
os._exit(0)
PY
env -u AWS_ENDPOINT_URL_S3 -u AWS_ENDPOINT_URL "$folder/venv/bin/python" "$folder/seen.py" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
boto3: PUT /segments/index.zip to bucket.localhost
obstore: PUT /segments/index.zip to localhost
WANT
