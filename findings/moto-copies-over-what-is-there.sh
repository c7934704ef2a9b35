#!/usr/bin/env bash
# moto 5.2.2: CopyObject with If-None-Match: * writes over an object; uploads with the same condition are refused.
#
# A backup that must never write over what is there asks for it by the condition, and a large object is copied within
# the service. PutObject and CompleteMultipartUpload are refused with 412, so a guess would be that a copy is, too, as
# on Amazon since 2025. The condition is accepted and has no effect: a probe by an upload proves nothing about copies.
# Seen:
#   PutObject: 412, CompleteMultipartUpload: 412, CopyObject: 200
#   the object, written as 2, is: 1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[server,s3]==5.2.2' boto3==1.44.8
cat > "$folder/seen.py" <<'PY'
import logging

import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                  aws_access_key_id="k", aws_secret_access_key="s")


def code(call, **args):
    try:
        return call(Bucket="bucket", IfNoneMatch="*", **args)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as exc:
        return exc.response["ResponseMetadata"]["HTTPStatusCode"]


s3.create_bucket(Bucket="bucket")
s3.put_object(Bucket="bucket", Key="one", Body=b"1")
s3.put_object(Bucket="bucket", Key="two", Body=b"2")
put = code(s3.put_object, Key="two", Body=b"3")
upload = s3.create_multipart_upload(Bucket="bucket", Key="two")["UploadId"]
part = s3.upload_part(Bucket="bucket", Key="two", UploadId=upload, PartNumber=1, Body=b"4")["ETag"]
parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
whole = code(s3.complete_multipart_upload, Key="two", UploadId=upload, MultipartUpload=parts)
copied = code(s3.copy_object, Key="two", CopySource="bucket/one")
print(f"PutObject: {put}, CompleteMultipartUpload: {whole}, CopyObject: {copied}")
print("the object, written as 2, is:", s3.get_object(Bucket="bucket", Key="two")["Body"].read().decode())
server.stop()
PY
"$folder/venv/bin/python" "$folder/seen.py" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
PutObject: 412, CompleteMultipartUpload: 412, CopyObject: 200
the object, written as 2, is: 1
WANT
