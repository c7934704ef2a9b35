"""Prometheus' own rules, tested over what a replicator was really scraped to say."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

STEP_S = 60
TIMES = "_timestamp_seconds"


@dataclass(frozen=True)
class Scraped:
    """One answer of `/metrics`, which stays the same for some minutes."""

    text: str
    at_s: float
    """Unix time of the answer, which the tests of rules know as 0."""
    minutes: int = 1


class Promtool:
    """Runs `promtool` in a folder of its own."""

    def __init__(self, program: Path, rules: Path, folder: Path) -> None:
        self._program, self.rules, self._folder = program, rules, folder

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._program), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def check(self, expressions: Sequence[str]) -> None:
        """Have each expression parsed."""
        rules = [{"record": f"one:{n}", "expr": one} for n, one in enumerate(expressions)]
        file = self._folder / "expressions.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
        self.run("check", "rules", str(file))

    def alerts(self) -> list[str]:
        found = yaml.safe_load(self.rules.read_text())
        return [rule["alert"] for group in found["groups"] for rule in group["rules"]]

    def firing(self, scrapes: Sequence[Scraped]) -> set[str]:
        """Return the alerts that fire at the end of these scrapes."""
        names = self.alerts()
        counts = [f'count(ALERTS{{alertname="{name}",alertstate="firing"}})' for name in names]
        fire = self._are_not_zero(scrapes, counts)
        return {name for name, does in zip(names, fire, strict=True) if does}

    def without_data(self, scrapes: Sequence[Scraped], expressions: Sequence[str]) -> list[str]:
        """Return the expressions that have no sample at the end of these scrapes."""
        has = self._are_not_zero(scrapes, [f"count({one})" for one in expressions])
        return [one for one, does in zip(expressions, has, strict=True) if not does]

    def _are_not_zero(self, scrapes: Sequence[Scraped], counts: Sequence[str]) -> list[bool]:
        """Evaluate expressions at the end of these scrapes; none is like 0."""
        minutes = sum(one.minutes for one in scrapes)
        wanted = [
            {
                "expr": f"{one} or vector(0)",
                "eval_time": f"{minutes - 1}m",
                "exp_samples": [{"labels": "{}", "value": -1}],
            }
            for one in counts
        ]
        test = {
            "rule_files": [str(self.rules)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": _series(scrapes),
                    "promql_expr_test": wanted,
                }
            ],
        }
        file = self._folder / "scraped.test.yml"
        file.write_text(yaml.safe_dump(test))
        done = subprocess.run(
            [str(self._program), "test", "rules", str(file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        parts = [part.partition("got:")[2].strip() for part in said.split("expr: ")[1:]]
        assert len(parts) == len(wanted), said
        assert all(part.startswith("{} ") for part in parts), said
        return [not part.startswith("{} 0E+00") for part in parts]


def _series(scrapes: Sequence[Scraped]) -> list[Mapping[str, str]]:
    """Write what was scraped as series; times of events are counted from the first scrape."""
    values: dict[str, list[str]] = {}
    passed = 0
    for scraped in scrapes:
        for name, value in _samples(scraped, scrapes[0].at_s).items():
            found = values.setdefault(name, ["_"] * passed)
            found += [value] * scraped.minutes
        passed += scraped.minutes
        for name, before in values.items():
            values[name] = before + ["_"] * (passed - len(before))
    return [{"series": name, "values": " ".join(found)} for name, found in values.items()]


def _samples(scraped: Scraped, start_s: float) -> dict[str, str]:
    found: dict[str, str] = {}
    for family in text_string_to_metric_families(scraped.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            value = sample.value - start_s if sample.name.endswith(TIMES) else sample.value
            found[f"{sample.name}{{{labels}}}"] = f"{value:.3f}"
    return found
