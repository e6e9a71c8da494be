"""What benches/run.py says of given figures: ratios, aims, budgets, and what was not measured."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from measure import page, verdict
from measure.cases import Found, Limits, limits
from measure.contenders import PYTHON, RUST_1, RUST_N, Sample, Samples
from measure.growth import FORMATS, LIVE, SHARE, SIZE, Curve, Plan, Point, curve, no_room, size_text
from measure.logs import Log
from measure.rivals import RG_JOB, RG_RARE
from measure.start import SMALL, Start, summary
from measure.switches import SWITCHES, Switched, again
from measure.switches import summary as switched
from measure.written import summary as written_summary
from mta import require_library

LIMITS = Limits(
    {
        "columns": 1.0,
        "whole": 1.4,
        "threads": 1.0,
        "python": 1e6,
        "one_s": 0.3,
        "threads_s": 0.22,
        "ledger_us": 0.6,
        "small_ms": 150,
        "live_s": 1.0,
        "share": 1.1,
        "policy": 1.1,
    },
    {"start_ms": 50, "table": 2, "line": 1.6, "memory": 1.6, "switch": 1.1},
    {"whole": "much is done", "small_ms": "typer", "share": "sent"},
)


def ours(seconds: float, ledger: float = 0.0, lines: int = 1_000_000) -> Sample:
    record = {"stages": {"ledger": ledger, "table": 0.0}, "logins": 80_000}
    return Sample(seconds, seconds, lines, "digest", record)


def other(seconds: float, found: int = 5, lines: int = 1_000_000) -> Sample:
    return Sample(seconds, seconds, lines, found, {})


SAMPLES: Samples = {
    RUST_1.name: [ours(0.3, 0.1), ours(0.2, 0.1), ours(0.9, 0.1)],
    RUST_N.name: [ours(0.15)] * 3,
    PYTHON.name: [ours(0.8)] * 3,
    RG_RARE: [other(0.2), other(0.1), other(0.2)],
    RG_JOB: [other(0.4, 7)] * 3,
    "fail2ban-regex": [other(1.0, 4, 50_000)] * 3,
}


def cells(text: str) -> dict[str, list[str]]:
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_ratios_are_of_time_a_line_to_both_references() -> None:
    text = page.rivals_part(SAMPLES, ["wc", "grep"], "title")
    rows = cells(text)
    assert rows[RUST_1.name] == ["1,000,000", "80,000", "0.300", "233%", "3.33 M", "1.50", "0.75"]
    assert rows["of that, reading to folded columns"] == ["", "", "0.200", "", "5 M", "1.00", "0.50"]
    assert rows[RG_JOB] == ["1,000,000", "7", "0.400", "0%", "2.5 M", "2.00", "1.00"]
    # A twentieth of the lines in a second is a hundred times ripgrep's 0.2 s for all.
    assert rows["fail2ban-regex"][-2:] == ["100.00", "50.00"]
    assert "Not installed, so not measured: wc, grep." in text


def test_without_ripgrep_there_are_no_ratios() -> None:
    samples = {name: runs for name, runs in SAMPLES.items() if not name.startswith("rg")}
    assert cells(page.rivals_part(samples, ["ripgrep"], "title"))[RUST_1.name][-2:] == ["-", "-"]
    aims = [aim.what for aim in verdict.rival_aims(samples, LIMITS)]
    assert not any("rg" in what for what in aims)
    assert aims[-1] == "Python backend, all"


def test_aims_that_are_missed_stand_out() -> None:
    aims = verdict.rival_aims(SAMPLES, LIMITS)
    assert [(round(aim.found, 3), aim.limit, aim.met) for aim in aims] == [
        *[(1.0, 1.0, True), (1.5, 1.4, False), (0.75, 1.0, True)],
        *[(0.5, 1.0, True), (0.75, 1.4, True), (0.375, 1.0, True)],
        *[(0.6, 0.3, False), (0.3, 0.22, False), (1.25, 0.6, False)],
        (1_250_000, 1e6, True),
    ]
    text = page.aims_part(aims)
    rows = cells(text)
    assert rows["all, 1 thread: times rg, rare literal"] == ["at most 1.40", "**1.50**"]
    assert rows["Python backend, all"] == ["at least 1 M", "1.25 M"]
    missed = [line for line in text.splitlines() if line.startswith("- ")]
    assert missed == [
        "- all, 1 thread: times rg, rare literal: 1.50, and it should be at most 1.40: much is done.",
        "- 2 M lines, pbs-fast, Rust, everything on, 1 thread: 0.60 s, and it should be at most 0.30 s.",
        "- 2 M lines, pbs-fast, Rust, everything on, default threads: 0.30 s, and it should be at most 0.22 s.",
        "- guards and ledger, a login: 1.25 us, and it should be at most 0.60 us.",
    ]
    assert page.aims_part([aim for aim in aims if aim.met]).startswith("## Aims that are missed\n\nNone.\n")


def test_the_page_opens_with_how_a_line_compares() -> None:
    text = page.rivals_part(SAMPLES, [], "title")
    assert text.index("on one thread") < text.index("title")
    assert f"- 1.5 times as long as `{RG_RARE}`\n" in text
    assert f"- 1/1 of the time of `{RG_JOB}`\n" in text
    assert "- 1/67 of the time of `fail2ban-regex`\n" in text
    assert text.count(" as long as ") + text.count(" of the time of ") == 3


def test_the_start_with_a_small_log_and_the_daemon_are_held_against_their_aims() -> None:
    found = summary({"bare": [0.1], SMALL: [0.2]})
    assert [each.over_ms for each in found] == [None, None]
    aims = verdict.other_aims(found, 0.9, LIMITS)
    assert [(aim.found, aim.met, aim.reason) for aim in aims] == [(200, False, "typer"), (0.9, True, "")]
    assert [aim.unit for aim in verdict.other_aims(found, None, LIMITS)] == ["ms"]


def test_parts_that_are_switched_on_are_held_against_the_daemon_alone() -> None:
    rows = switched({"alone": [1.0, 2.0, 1.0], "dear": [1.2, 2.4, 1.1], "cheap": [1.0, 2.0, 3.0]})
    aims = verdict.switch_aims(rows, LIMITS)
    assert [(aim.what, aim.found, aim.met) for aim in aims] == [
        ("with dear: times without", pytest.approx(1.2), False),
        ("with cheap: times without", pytest.approx(1.0), True),
    ]
    shared = [*rows, Switched(SWITCHES[-1].name, 1.0, 0.0, 1.5), Switched("none", 0.0, 0.0, None, "no hub")]
    assert verdict.switch_aims(shared, LIMITS) == aims, "sharing has an aim, which fails no run"
    assert [(aim.found, aim.limit, aim.reason) for aim in verdict.further_aims(shared, LIMITS)] == [(1.5, 1.1, "sent")]
    assert cells(page.switches_part(shared, 1000))["none"] == ["not measured: no hub", "", ""]
    assert cells(page.switches_part(rows, 1000))["dear"] == ["1.20", "108%", "1.20"]
    assert cells(page.switches_part(rows, 1000))["alone"] == ["1.00", "100%", ""]


def test_starts_are_held_against_the_bare_program_before_them() -> None:
    runs = {
        "bare": [0.1, 0.2, 0.12],
        "`pbs-fast version`": [0.19, 0.15, 0.18],
        "bare --help": [0.2],
        "`pbs-fast x`": [0.1],
    }
    found = summary(runs)
    assert [each.over_ms and round(each.over_ms) for each in found] == [None, 60, None, -100]
    aims = verdict.start_aims(found, LIMITS)
    assert [aim.met for aim in aims] == [False, True]
    rows = cells(page.start_part(found, 3))
    assert rows["`pbs-fast version`"] == ["180", "22%", "+60"]
    assert rows["bare"] == ["120", "83%", ""]
    assert verdict.over([], aims) == ["`pbs-fast version`: more than a bare typer program: 60 ms of 50"]


def test_tables_are_held_against_the_same_threads() -> None:
    samples = {
        "none, 1 thread": [ours(0.2)],
        "none, default threads": [ours(0.1)],
        "lmdb, 1 thread": [ours(0.3)],
        "lmdb, default threads": [ours(0.3)],
    }
    rows = written_summary(samples)
    aims = verdict.table_aims(rows, LIMITS)
    assert [(aim.what.partition(":")[0], aim.found, aim.met) for aim in aims] == [
        ("with lmdb, 1 thread", pytest.approx(1.5), True),
        ("with lmdb, default threads", pytest.approx(3.0), False),
    ]
    text = page.tables_part(rows, "title")
    why = "not measured: berkeleydb is not installed: pip install 'pbs-fast[bdb]'"
    assert f"| hash | 1 thread | {why} |" in text
    assert "| lmdb | default threads | 0.300 | 0% | 3.00 |" in text


def point(x: float, ns: float, memory: float) -> Point:
    return Point(size_text(x), x, ns, ns / 100, memory)


def test_what_must_be_constant_as_logs_grow() -> None:
    points = [point(1e6, 100, 20), point(333e6, 150, 60), Point("3 GB", 3e9, None, None, None, "no room")]
    aims = verdict.growth_aims([Curve(SIZE, "ns a line", points)], LIMITS)
    assert [(aim.found, aim.met) for aim in aims] == [(1.5, True)]
    points.append(point(10e9, 170, 120))
    aims = verdict.growth_aims([Curve(SIZE, "ns a line", points)], LIMITS)
    assert [(aim.found, aim.met) for aim in aims] == [(1.7, False), (2.0, False)]
    text = page.growth_part([Curve(SIZE, "ns a line", points)], "x.svg")
    assert "| 3 GB | not measured: no room |" in text
    assert "| 10 GB | 170 | 1.70 | 120 |" in text
    assert "![growth](x.svg)" in text


def test_the_median_and_the_greatest_memory_make_a_point(tmp_path: Path) -> None:
    def run(seconds: float, memory: float) -> dict[str, object]:
        return {"seconds": seconds, "lines": 10**9, "peak_rss_mb": memory, "logins": 1, "stages": {"ledger": 0}}

    plans = [Plan(name, 1.0, Log(tmp_path, {}, None)) for name in ("a", "b")]
    runs = [[run(3, 7), run(1, 9), run(2, 8)], [run(4, 1)]]
    found = curve(SIZE, "ns a line", list(zip(plans, runs, strict=True)))
    assert [(each.ns, each.ratio, each.peak_rss_mb) for each in found.points] == [(2, 1, 9), (4, 2, 1)]


def test_logs_for_which_there_is_no_room() -> None:
    gb = 10**9
    assert no_room(10 * gb, 3 * gb, 10 * gb, 13 * gb) is None
    assert no_room(10 * gb, 0, 10 * gb, 13 * gb) == "needs 12 GB more of disk, 10 GB are free"
    assert no_room(10 * gb, 3 * gb, 10 * gb, 9 * gb) == (
        "does not fit into the 9 GB of free memory, so the disk would be measured"
    )


def test_what_is_over_its_budget() -> None:
    fine = Found("fine", "", 1, 1.0, {"scan": 0.1}, {"scan": 1.0}, {"scan": 1.0})
    dear = fine._replace(name="dear", ratios={"scan": 1.1})
    assert (fine.over, dear.over) == ([], ["scan"])
    assert verdict.over([fine, dear], []) == ["dear: scan"]
    assert "**1.10 / 1**" in page.suite_part([fine, dear])


def test_the_suite_names_every_limit() -> None:
    found = limits()
    assert (set(found.aims), set(found.budget)) == (set(LIMITS.aims), set(LIMITS.budget))


DRAW = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from measure.drawing import draw
assert draw(*pickle.load(sys.stdin.buffer), __import__("pathlib").Path(sys.argv[2]))
"""


@pytest.mark.system
def test_the_picture(tmp_path: Path) -> None:
    require_library("matplotlib")
    points = [point(1e6, 100, 20), point(1e9, 150, 60), Point("3 GB", 3e9, None, None, None, "no room")]
    curves = [Curve(title, "ns a line", points) for title in (SIZE, LIVE, FORMATS, SHARE)]
    given = pickle.dumps((SAMPLES, curves))
    benches = Path(__file__).parents[2] / "benches"
    drawn = []
    for name in ("a.svg", "b.svg"):
        # A process of its own: here each warning of matplotlib's import would be an error.
        subprocess.run([sys.executable, "-c", DRAW, str(benches), str(tmp_path / name)], input=given, check=True)
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert f"<!-- {RG_JOB} -->".encode() in drawn[0]


def test_a_start_without_base_has_no_excess() -> None:
    assert Start("x", 0.1, 0.0, None).over_ms is None


def test_a_command_that_fails_meanwhile_is_an_error() -> None:
    with again([]) as nothing, again(["true"]) as process:
        assert nothing is None
        assert process is not None
    assert process.returncode < 0
    meanwhile = again(["false"])
    process = meanwhile.__enter__()
    assert process is not None
    process.wait()
    with pytest.raises(AssertionError, match="failed"):
        meanwhile.__exit__(None, None, None)
