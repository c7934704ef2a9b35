#!/usr/bin/env bash
# versitygw 1.8.0: in a bucket with versions a PutObject with If-None-Match: * over a delete marker is refused (412).
#
# Amazon documents success there: the current version is a delete marker, so no object has that key. A guess would be
# the same here, as a GET says 404. But what was removed once can never be created again under that condition, until
# somebody removes the marker by its version id. Seen:
#   GET after the removal: 404
#   create without a condition, of another key: 200
#   create where the marker is: 412
#   create where the marker was: 200
set -euo pipefail
folder=$(mktemp -d); server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
GOBIN="$folder/bin" GOFLAGS=-buildvcs=false go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.40.61
mkdir "$folder/data" "$folder/versions"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/bin/versitygw" --access k --secret secretsecret --port "127.0.0.1:$port" posix \
  --versioning-dir "$folder/versions" "$folder/data" > "$folder/log" 2>&1 &
server=$!
cat > "$folder/seen.py" <<'PY'
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1",
                  aws_access_key_id="k", aws_secret_access_key="secretsecret",
                  config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
for _ in range(100):
    try:
        s3.list_buckets()
        break
    except EndpointConnectionError:
        time.sleep(0.1)


def code(call, **args):
    try:
        return call(Bucket="bucket", **args)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as exc:
        return exc.response["ResponseMetadata"]["HTTPStatusCode"]


s3.create_bucket(Bucket="bucket")
s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
s3.put_object(Bucket="bucket", Key="one", Body=b"1")
marker = s3.delete_object(Bucket="bucket", Key="one")["VersionId"]
print("GET after the removal:", code(s3.get_object, Key="one"))
print("create without a condition, of another key:", code(s3.put_object, Key="two", Body=b"2"))
print("create where the marker is:", code(s3.put_object, Key="one", Body=b"1", IfNoneMatch="*"))
for version in (marker, s3.list_object_versions(Bucket="bucket", Prefix="one")["Versions"][0]["VersionId"]):
    s3.delete_object(Bucket="bucket", Key="one", VersionId=version)
print("create where the marker was:", code(s3.put_object, Key="one", Body=b"1", IfNoneMatch="*"))
PY
"$folder/venv/bin/python" "$folder/seen.py" "$port" | tee "$folder/out"
diff - "$folder/out" <<'WANT'
GET after the removal: 404
create without a condition, of another key: 200
create where the marker is: 412
create where the marker was: 200
WANT
