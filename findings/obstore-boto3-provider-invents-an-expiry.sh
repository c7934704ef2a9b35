#!/usr/bin/env bash
# obstore 0.12.1: Boto3CredentialProvider says that keys last 30 minutes, whenever they end.
#
# botocore knows when the keys of a role, a web identity or a credential_process end, and renews them ahead of it.
# A guess would be that the provider hands that end on. It says "now and 30 minutes", so that keys which end
# sooner (roles may last 15 minutes) are used after their end until the provider is asked again. Seen:
#   the keys end in 16 minutes, the provider says 30 minutes
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1 boto3==1.40.61
cat > "$folder/keys" <<'SH'
#!/bin/sh
echo "{\"Version\": 1, \"AccessKeyId\": \"k\", \"SecretAccessKey\": \"s\", \"SessionToken\": \"t\", \"Expiration\": \"$(date -u -d '+16 minutes' +%Y-%m-%dT%H:%M:%SZ)\"}"
SH
chmod +x "$folder/keys"
printf '[default]\ncredential_process = %s\n' "$folder/keys" > "$folder/config"
cat > "$folder/seen.py" <<'PY'
from datetime import UTC, datetime

import boto3
from obstore.auth.boto3 import Boto3CredentialProvider

session = boto3.Session()
keys = session.get_credentials()
keys.get_frozen_credentials()
now = datetime.now(UTC)


def minutes(end):
    return round((end - now).total_seconds() / 60)


said = Boto3CredentialProvider(session)()
print(f"the keys end in {minutes(keys._expiry_time)} minutes, the provider says {minutes(said['expires_at'])} minutes")
PY
env -u AWS_ACCESS_KEY_ID -u AWS_PROFILE AWS_CONFIG_FILE="$folder/config" AWS_SHARED_CREDENTIALS_FILE=/dev/null \
  "$folder/venv/bin/python" "$folder/seen.py" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
the keys end in 16 minutes, the provider says 30 minutes
WANT
