"""The user that root runs servers as: made once, however many processes want it at once."""

import asyncio
import os
import pwd
import shutil
from pathlib import Path

import pytest

from replicator.adapters.scratch import user as system_user

USERADD = """#!/bin/sh
# Like the real one it looks first, and writes a while later.
sleep 0.2
echo made >> "$(dirname "$0")/users"
"""
HERE = pwd.getpwuid(0)


async def test_several_at_once_make_one_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    useradd, users = tmp_path / "useradd", tmp_path / "users"
    useradd.write_text(USERADD)
    useradd.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: str(useradd))
    monkeypatch.setattr(system_user, "_known", lambda: HERE if users.exists() else None)
    monkeypatch.setattr(system_user, "MAKING", tmp_path / "making")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(system_user.identity()) for _ in range(4)]
    assert users.read_text() == "made\n"
    assert {task.result()["user"] for task in tasks} == {HERE.pw_uid}
