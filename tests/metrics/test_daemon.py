"""The running daemon's metrics: valid, adding up, bounded, never falling; the shipped dashboard and alerts on them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from monitored import ALERTS, DASHBOARD, Monitored, await_, expression, monitored

from daemon.controlled import asked, revoked
from daemon.running import PROGRAM, Site, lines_with, login
from mta import PATIENCE, unavailable, wait_for
from pbs_fast.control.protocol import Metrics, Ping
from pbs_fast.metrics.families import FAMILIES

pytestmark = pytest.mark.system

A, B = "203.0.113.1", "203.0.113.2"
Series = dict[str, float]


def numbers(text: str) -> Series:
    """Name with labels -> value."""
    return {
        name: float(value)
        for line in text.splitlines()
        if not line.startswith("#")
        for name, _, value in [line.rpartition(" ")]
    }


def metrics(site: Site) -> Series:
    return numbers(asked(site, Metrics())["text"])


def total(found: Series, family: str) -> float:
    """The sum of a family's series."""
    return sum(n for name, n in found.items() if re.fullmatch(rf"pbs_fast_{family}(\{{.*\}})?", name))


def wait_metrics(site: Site, what: str, probe: Callable[[Series], bool]) -> Series:
    """The first numbers for which the condition holds; a snapshot is made every 2 s."""

    def found() -> Series | None:
        series = metrics(site)
        return series if probe(series) else None

    series = wait_for(what, found, seconds=PATIENCE)
    assert series is not None
    return series


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.close()


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        unavailable(f"no {name}: scripts/install-test-servers.sh")
    assert found is not None
    return found


def test_they_add_up_stay_bounded_and_never_fall(site: Site) -> None:
    """10,000 users and host names of strangers, refusals, a reload that works and one that does not."""
    site.deny.write_text('[[deny]]\nusers = ["mallory"]\n')
    site.configure("[guards]\nmax_new_per_minute = 100000\n")
    site.cover()
    daemon = site.start()
    first = wait_metrics(site, "readiness", lambda found: found["pbs_fast_ready"] == 1)
    assert total(first, "logins_total") == 0, "all series are there from the start"
    site.append(*(login(f"10.0.{n // 250}.{n % 250}", f'u{n}"}}\\', host=f"h{n}") for n in range(10_000)))
    site.append(login(A, "mallory"), login("127.0.0.1"), login(B), login(B))
    logins = 10_004
    second = wait_metrics(site, "all logins", lambda found: total(found, "logins_total") == logins)
    assert second.keys() == first.keys()
    assert total(second, "login_outcomes_total") == logins
    assert total(second, "refused_total") == second['pbs_fast_login_outcomes_total{outcome="refused"}'] == 1
    assert second['pbs_fast_refused_total{guard="deny"}'] == 1
    assert second['pbs_fast_login_outcomes_total{outcome="local"}'] == 1
    assert total(second, "rows") == 10_001 == len(site.rows())
    assert second[f'pbs_fast_log_lines_total{{log="{site.log}"}}'] == logins + 1
    assert second["pbs_fast_loop_turn_seconds_count"] > 0
    assert total(second, "table_write_seconds_count") > 0
    assert second["pbs_fast_denials"] == 1
    revoked(site, ip=B)
    daemon.reload()
    site.configure("grace = 0\n")
    daemon.reload("reload failed")
    third = wait_metrics(site, "the failure", lambda found: found["pbs_fast_config_last_reload_successful"] == 0)
    assert third["pbs_fast_denials"] == 2
    assert third['pbs_fast_rows_revoked_total{cause="manual"}'] == 1
    assert third['pbs_fast_control_requests_total{do="revoke",outcome="ok"}'] == 1
    assert third.keys() == first.keys()
    counters = re.compile(r".*_(total|count|sum|bucket)(\{.*)?")
    fell = {name for name in second if counters.fullmatch(name) and third[name] < second[name]}
    assert fell == set()
    assert set(FAMILIES) == {
        name.removeprefix("pbs_fast_") for name in re.findall(r"# TYPE (pbs_fast_\S+) ", asked(site, Metrics())["text"])
    }


def test_promtool_has_nothing_to_say(site: Site) -> None:
    site.start()
    wait_metrics(site, "readiness", lambda found: found.get("pbs_fast_ready") == 1)
    printed = subprocess.run([PROGRAM, "metrics", f"--config={site.config}"], capture_output=True, check=True)
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=printed.stdout, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = subprocess.run([tool("promtool"), "check", "rules", ALERTS], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_sigusr1_logs_the_counters(site: Site) -> None:
    site.cover()
    daemon = site.start()
    site.append(login(A))
    site.wait_rows(A)
    daemon.send(signal.SIGUSR1)
    site.wait_said("counted so far rows=1 ")
    (line,) = lines_with(site.said(), "counted so far ")
    assert {"granted=1", "lines=2", "login=1"} <= set(line.split())
    assert daemon.running
    assert asked(site, Ping())["ready"]


def test_a_file_without_a_daemon_says_how_old_it_is(site: Site) -> None:
    file = site.place / "pbs-fast.prom"
    site.configure(f'[metrics]\nfile = "{file}"\n')
    daemon = site.start()
    wait_for("the file", file.exists, seconds=PATIENCE)
    daemon.stop()
    found = numbers(file.read_text())
    assert found["pbs_fast_loop_last_turn_timestamp_seconds"] <= file.stat().st_mtime + 1


@pytest.fixture(scope="module")
def stage() -> Iterator[Monitored]:
    tool("prometheus")
    with TemporaryDirectory() as place, monitored(Path(place)) as found:
        yield found


def test_no_panel_of_the_dashboard_is_empty(stage: Monitored) -> None:
    stage.log_in(A)
    stage.log_in(A, "mallory")
    assert stage.look_up(A)
    await_("a rate of what was refused", lambda: bool(stage.query("rate(pbs_fast_refused_total[30s]) > 0")))
    panels = DASHBOARD["panels"]
    assert len(panels) > 10
    empty = {
        f"{panel['title']}: {target['expr']}"
        for panel in panels
        for target in panel["targets"]
        if not [each for each in stage.query(expression(target, "30s")) if each["value"][1] != "NaN"]
    }
    assert empty == set()


def test_every_metric_of_dashboard_and_alerts_exists() -> None:
    text = json.dumps(DASHBOARD) + ALERTS.read_text()
    named = set(re.findall(r"pbs_fast_([a-z_]+[a-z])", text))
    assert len(named) > 15
    assert {re.sub("_bucket$", "", name) for name in named} <= set(FAMILIES)


def test_no_alert_is_due_and_one_comes_when_a_log_is_gone(stage: Monitored) -> None:
    """`for` is left to Prometheus: pending is enough."""
    assert stage.query("ALERTS") == []
    stage.log.rename(stage.log.with_suffix(".gone"))
    await_("the alert", lambda: bool(stage.query('ALERTS{alertname="PbsFastLogMissing"}')))
    assert {each["metric"]["alertname"] for each in stage.query("ALERTS")} == {"PbsFastLogMissing"}
