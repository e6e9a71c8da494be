"""Logs that administrators reported, each with what must come out of each line; addresses and names are examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbs_fast.matching.backends import Backend
from rewrite.test_layout_rules import reader

REPORTED = sorted((Path(__file__).parent / "reported").glob("*.log"))
NOW = 1_796_000_000


@pytest.mark.parametrize("log", REPORTED, ids=lambda log: log.stem)
def test_a_reported_log_is_read(core: Backend, log: Path) -> None:
    data = log.read_bytes()
    wanted = [json.loads(line) for line in log.with_suffix(".expected.jsonl").read_text().splitlines()]
    found = {}
    for event in reader(core).events(data, 0, len(data), offset=0, reference=NOW):
        if event.kind != "missed":
            found[data.count(b"\n", 0, event.offset) + 1] = (event.kind, event.ip)
    expected = {each["n"]: (each["event"], each.get("ip")) for each in wanted if each["event"] != "none"}
    assert {n: kind for n, (kind, _) in found.items()} == {n: kind for n, (kind, _) in expected.items()}
    assert {n: ip for n, (kind, ip) in found.items() if kind == "login"} == {
        n: ip for n, (kind, ip) in expected.items() if kind == "login"
    }


def test_there_are_some() -> None:
    assert len(REPORTED) >= 5
