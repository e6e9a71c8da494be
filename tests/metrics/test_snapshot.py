"""Labels are bounded, counters never fall, and each family comes out in Prometheus' formats."""

from __future__ import annotations

import os
import re
import signal
import stat
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta import wait_for
from pbs_fast.config.keys import KEYS
from pbs_fast.config.kinds import RefusedError
from pbs_fast.daemon.log_set import FORGET_AFTER, RESCAN, LogSet
from pbs_fast.daemon.signals import Signals
from pbs_fast.errors import ConfigError
from pbs_fast.metrics import expose
from pbs_fast.metrics.expose import Registry, Text, Ways
from pbs_fast.metrics.families import FAMILIES, FAULTS, MOST_LOGS, OTHER, READ, TURN_BOUNDS
from pbs_fast.metrics.snapshot import Draft, Histogram, Latest, LogTotals
from pbs_fast.util import early_signals
from pbs_fast.util.addresses import parse_endpoint

ROOT = Path(__file__).parents[2]


def latest() -> Latest:
    """One series of each family."""
    draft = Draft()
    for name, family in FAMILIES.items():
        labels = [f'a"\\\n{label}' for label in family.labels]
        histogram = Histogram(family.bounds)
        histogram.observe(0.02)
        draft.put(name, histogram.frozen() if family.type == "histogram" else 7, *labels)
    found = Latest()
    found.snapshot = draft.done()
    return found


@given(st.lists(st.floats(0, 5), max_size=50))
def test_a_histogram_counts_each_value_once(values: list[float]) -> None:
    histogram = Histogram(TURN_BOUNDS)
    for value in values:
        histogram.observe(value)
    found = histogram.frozen()
    assert found.sum == pytest.approx(sum(values))
    for number, bound in enumerate(TURN_BOUNDS):
        assert sum(found.counts[: number + 1]) == sum(value <= bound for value in values)
    assert sum(found.counts) == len(values)
    assert bisect_left(TURN_BOUNDS, 0.001) == 0, "a bound belongs to its bucket, as Prometheus' le says"


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=400))
def test_totals_of_logs_never_fall_and_labels_are_bounded(steps: list[tuple[int, bool]]) -> None:
    """Logs come, count and go, and come again."""
    totals = LogTotals()
    live: dict[str, dict[str, int]] = {}
    before: dict[str, int] = {}
    for counted, (number, goes) in enumerate(steps, 1):
        name = f"/var/log/{number}"
        live.setdefault(name, {"lines": 0})["lines"] += 1
        totals.totals(live.items())
        if goes:
            totals.gone(name, live.pop(name))
        now = {label: counters["lines"] for label, counters in totals.totals(live.items()).items()}
        assert len(now) <= MOST_LOGS + 1
        assert all(now[label] >= n for label, n in before.items())
        assert sum(now.values()) == counted
        before = now


def test_further_logs_share_a_label() -> None:
    totals = LogTotals()
    labels = [totals.label(f"/var/log/{number}\udcff") for number in range(MOST_LOGS + 9)]
    assert labels[-9:] == [OTHER] * 9
    assert labels[0] == "/var/log/0\\xff"
    assert totals.label("/var/log/3\udcff") == labels[3]


def test_every_family_comes_out() -> None:
    text = Registry(latest()).text().decode()
    for name, family in FAMILIES.items():
        assert f"# TYPE pbs_fast_{name} {family.type}\n" in text
        assert f"# HELP pbs_fast_{name} {family.help}\n" in text
    assert 'pbs_fast_log_lines_total{log="a\\"\\\\\\nlog"} 7.0\n' in text
    assert re.search(r'pbs_fast_loop_turn_seconds_bucket\{le="0.03"\} 1.0\n', text)
    assert re.search(r"pbs_fast_loop_turn_seconds_sum 0.02\n", text)
    assert "process_resident_memory_bytes" in text


def test_the_table_in_the_documentation_is_the_one_in_the_code() -> None:
    text = (ROOT / "docs" / "MONITORING.md").read_text()
    for name, family in FAMILIES.items():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        assert f"| `{name}` | {family.type} | {labels} | {family.help} |\n" in text


def test_each_counter_of_a_source_is_a_fault_or_none() -> None:
    """A new counter would otherwise appear only when it first counts, or not at all."""
    found: set[str] = set()
    for file in (ROOT / "python" / "pbs_fast" / "sources").rglob("*.py"):
        found |= set(re.findall(r'counters\["([a-z_]+)"\]', file.read_text()))
    assert {"rotated", "lost", "entries"} <= found
    assert {"refused" if name.startswith("refused_") else name for name in found} <= {*FAULTS, *READ}


def test_text_before_the_first_turn_is_that_of_the_process() -> None:
    text = Text(Latest())().decode()
    assert "process_" in text
    assert "pbs_fast_" not in text


@contextmanager
def ways(found: Latest, file: Path | None = None, listen: str | None = None) -> Iterator[Ways]:
    out = Ways(found, None if file is None else str(file), listen)
    try:
        yield out
    finally:
        out.close()


def test_the_file_is_whole_and_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expose, "EVERY", 0.01)
    file = tmp_path / "pbs-fast.prom"
    umask = os.umask(0o077)
    try:
        with ways(latest(), file):
            wait_for("the file", file.exists)
            assert stat.S_IMODE(file.stat().st_mode) == 0o644
            for _ in range(50):
                assert file.read_text().endswith("process_max_fds " + file.read_text().rpartition(" ")[2])
    finally:
        os.umask(umask)
    assert [each.name for each in tmp_path.iterdir()] == [file.name], "it stays, and nothing else does"


def test_a_file_that_cannot_be_written_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(expose, "EVERY", 0.01)
    caplog.set_level("INFO")
    place = tmp_path / "later"
    with ways(latest(), place / "pbs-fast.prom"):
        wait_for("the warning", lambda: "ReadWritePaths=" in caplog.text)
        place.mkdir()
        wait_for("the file", lambda: "is written again" in caplog.text)
    assert caplog.text.count("cannot write") == 1


def test_http_answers_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expose, "parse_endpoint", lambda _: ("127.0.0.1", 0))
    before = threading.active_count()
    with ways(latest(), listen="any") as out:
        assert out.server is not None
        port = out.server.server_port
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert "pbs_fast_ready 7.0\n" in answer.read().decode()
        monkeypatch.setattr(expose, "parse_endpoint", parse_endpoint)
        with pytest.raises(ConfigError, match=f"metrics.listen: cannot listen on 127.0.0.1:{port}: Address already"):
            Ways(latest(), None, f"127.0.0.1:{port}")
    wait_for("its threads to end", lambda: threading.active_count() <= before)


@pytest.mark.parametrize("text", ["127.0.0.1:9876", "[::1]:1", "0.0.0.0:65535", "[::]:9876"])
def test_where_it_may_listen(text: str) -> None:
    assert KEYS["metrics.listen"].kind.read(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "9876", ":9876", "localhost:9876", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9876", "[::1]"],
)
def test_where_it_may_not(text: str) -> None:
    with pytest.raises(RefusedError):
        KEYS["metrics.listen"].kind.read(text)


@pytest.mark.parametrize("text", ["[1.2.3.4]:5", "1.2.3.4:\u0663", "1.2.3.4:+5", "[::1:5"])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_endpoint(text)


def test_a_file_that_node_exporter_would_pass_over_is_refused() -> None:
    with pytest.raises(RefusedError):
        KEYS["metrics.file"].kind.read("/var/lib/prometheus/node-exporter/pbs-fast.txt")


def test_a_log_that_is_let_go_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it counted goes to the totals; the loop's numbers would fall otherwise."""
    now = [0.0]
    watched = SimpleNamespace(patterns=True, arrived=list, is_named=lambda _: False, forget=lambda _: None)
    follower = SimpleNamespace(
        path="/var/log/a", source=SimpleNamespace(trouble=SimpleNamespace(kind="missing")), counters={}, close=list
    )
    logs = LogSet([follower], watched, clock=lambda: now[0])  # type: ignore[list-item, arg-type]
    told: list[object] = []
    monkeypatch.setattr(logs, "on_gone", told.append)
    for at in (RESCAN, RESCAN + FORGET_AFTER):
        assert told == []
        now[0] = at
        logs.scan()
    assert told == [follower]


def test_a_sigusr1_before_the_daemon_is_there_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_signals, "noted", lambda: (signal.SIGUSR1,))
    with Signals() as found:
        assert found.take_counters()
        assert not found.take_counters()
        assert (found.stop, found.take_reload()) == (None, False)
    assert signal.SIGUSR1 in early_signals._NUMBERS
