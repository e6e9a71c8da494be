"""The suite: logs that are data (suite.toml), with what must be counted and what each stage may cost."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from measure.contenders import RUST_1, alternate, median, stage
from measure.logs import generated
from measure.rivals import RG_RARE, ripgrep

SUITE = Path(__file__).parents[1] / "suite.toml"


class Found(NamedTuple):
    """What one case showed."""

    name: str
    why: str
    lines: int
    seconds: float
    stages: dict[str, float]
    """Seconds."""
    ratios: dict[str, float]
    """To ripgrep on the same log; empty where it is not installed."""
    budget: dict[str, float]

    @property
    def over(self) -> list[str]:
        """The stages that cost more than they may."""
        return [name for name, ratio in self.ratios.items() if ratio > self.budget[name]]


class Limits(NamedTuple):
    """What the other parts may cost, and what is aimed at."""

    aims: dict[str, float]
    budget: dict[str, float]
    reasons: dict[str, str]
    """Why an aim is missed, by its key."""


def limits() -> Limits:
    """Those of suite.toml."""
    data = tomllib.loads(SUITE.read_text())
    return Limits(data["aims"], data["budget"], data["reasons"])


def cases(*, quick: bool) -> list[dict[str, Any]]:
    """The suite as it is written. The quick form has the quick ones only."""
    every = tomllib.loads(SUITE.read_text())["case"]
    return [case for case in every if case.get("quick", False) or not quick]


def run(case: dict[str, Any], rounds: int) -> Found:
    """One case, in alternation with ripgrep. Raises AssertionError when something else is counted than must be."""
    print(f"case {case['name']}", file=sys.stderr)
    log = generated(**case["options"])
    for key in ("logins", "granted", "digest"):
        assert case.get(key, log.totals[key]) == log.totals[key], f"{case['name']}: the log has {log.totals[key]} {key}"
    samples = alternate([RUST_1, *ripgrep()[:1]], log, rounds)
    ours = samples[RUST_1.name]
    stages = {name: stage(ours, name) for name in case["budget"]}
    base = median(samples[RG_RARE]) if RG_RARE in samples else None
    ratios = {name: spent / base for name, spent in stages.items()} if base else {}
    return Found(
        case["name"], case["why"], int(log.totals["lines"]), median(ours), stages, ratios, dict(case["budget"])
    )
