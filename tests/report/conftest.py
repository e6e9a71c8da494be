"""A town, the findings of its logs, and the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pbs_fast.formats.loader import load_catalogue
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.zones import zone_table
from pbs_fast.report.findings import Findings
from pbs_fast.report.run import report
from report.town import DAY, START, Town, town
from support.matchers import catalogue_matcher

#: Of the town in the tests; the sample page has a month.
DAYS = 10
NETWORKS = "192.0.2.0/24, 127.0.0.0/8, [::1]"


@pytest.fixture(scope="session")
def hub() -> Town:
    return town(days=DAYS)


def look(
    backend: Backend,
    files: Sequence[Path],
    *,
    since: float = float("-inf"),
    threads: int = 1,
    grace: int = 1_800,
    now: int | None = START + DAYS * DAY,
    pseudonyms: bool = False,
    zone: str | None = "UTC",
) -> Findings:
    """What the files say."""
    matcher = catalogue_matcher(backend.name) if zone == "UTC" else backend.Matcher(load_catalogue(), zone_table(zone))
    return report(
        [str(file) for file in files],
        backend,
        matcher,
        read_netblocks((NETWORKS,)),
        grace=grace,
        since=since,
        zone=zone,
        now=now,
        threads=threads,
        pseudonyms=pseudonyms,
    )


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """`pbs-fast report` with the town's networks and zone: status, output, errors."""
    from pbs_fast.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(["report", f"--mynetworks={NETWORKS}", "--log-timezone=UTC", *map(str, arguments)])
        return status, *capfd.readouterr()

    return run


@pytest.fixture(scope="session")
def town_log(hub: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from report.town import write

    path = write(hub, tmp_path_factory.mktemp("town") / "mail.log")
    os.utime(path, (START + DAYS * DAY,) * 2)
    return path
