"""A start is refused for settings that are wrong without asking a server, if it needs them."""

from pathlib import Path

import pytest
import yaml

from replicator.app import Application
from replicator.config import load
from replicator.errors import ConfigError

BUCKET = {
    "type": "s3",
    "bucket": "b",
    "region": "eu-central-1",
    "access_key_id_env": "ID",
    "secret_access_key_env": "KEY",
}


async def refuse(folder: Path, environ: dict[str, str], *names: str) -> None:
    """Look at two targets, one with a password and one in a bucket, as a start does."""
    root = {"type": "local", "root": str(folder / "source")}
    metadata = {"type": "postgresql", "url": "postgresql://replicator@db1/druid"}
    said = {
        "source": {"name": "prod", "metadata": metadata, "deep_storage": root},
        "log": {"type": "sqlite", "path": str(folder / "log")},
        "targets": {
            "standby": {
                "metadata": {
                    **metadata,
                    "url": "postgresql://db2/druid",
                    "password_env": "PASSWORD",
                },
                "deep_storage": {**root, "root": str(folder / "standby")},
            },
            "vault": {"deep_storage": BUCKET},
        },
    }
    config = folder / "replicator.yaml"
    config.write_text(yaml.safe_dump(said))
    async with Application(load(config, {}), environ, lambda _: None) as application:
        application.refuse_unusable(names)


@pytest.mark.parametrize(("name", "unset"), [("standby", "PASSWORD"), ("vault", "ID")])
async def test_a_secret_that_is_not_set_ends_the_start(tmp_path: Path, name: str, unset: str):
    environ = {"PASSWORD": "secret", "ID": "id", "KEY": "key"}
    await refuse(tmp_path, environ, "standby", "vault")
    del environ[unset]
    with pytest.raises(ConfigError, match=unset):
        await refuse(tmp_path, environ, "standby", "vault")
    (other,) = {"standby", "vault"} - {name}
    await refuse(tmp_path, environ, other)
