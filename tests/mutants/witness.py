"""A pytest plugin that says which product was tested, and what failed in which way."""

import importlib
import json
import os
from pathlib import Path
from typing import Final

import pytest

MODULE: Final = "MUTANT_MODULE"
FILE: Final = "MUTANT_WITNESS"


class Visitor:
    """Writes down what was seen at the end of the run."""

    def __init__(self) -> None:
        self._failed: list[str] = []
        self._timed_out: list[str] = []
        self._errors: list[str] = []
        self._passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a part of a test ended."""
        if report.failed and "Failed: Timeout" in str(report.longrepr):
            self._timed_out.append(report.nodeid)
        elif report.failed:
            (self._failed if report.when == "call" else self._errors).append(report.nodeid)
        elif report.passed and report.when == "call":
            self._passed += 1

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        said = {
            "failed": self._failed,
            "timed_out": self._timed_out,
            "errors": self._errors,
            "passed": self._passed,
        }
        Path(os.environ[FILE]).write_text(json.dumps(said))


def pytest_configure(config: pytest.Config) -> None:
    """Import what is tested, and refuse to test another product than this folder's."""
    for name in ("replicator", os.environ[MODULE]):
        try:
            found = importlib.import_module(name).__file__
        except Exception as exc:
            raise pytest.UsageError(f"{name} cannot be imported: {exc!r}") from exc
        if found is None or config.rootpath not in Path(found).parents:
            raise pytest.UsageError(f"{name} is {found}, not of {config.rootpath}")
    config.pluginmanager.register(Visitor(), "mutant-witness")
