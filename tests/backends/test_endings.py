"""Words of a server that end sessions without a logout: rows of their own, by example, on both backends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backends.inline import REFERENCE
from backends.running import DEFAULT, Outcome, line_starts, run
from pbs_fast.matching.backends import Backend

UNFOLDED = replace(DEFAULT, fold=False)
AT = REFERENCE - 3600
IP = "192.0.2.7"
COLUMNS = ("kind", "format", "ip", "first", "host", "process", "session", "user_last")


def line(message: str, *, tag: str = "deltad[12]", timestamp: str = "Mar  4 07:00:00") -> str:
    return f"{timestamp} mx {tag}: {message}"


def outcome(core: Backend, *lines: str, layout: str = "syslog") -> Outcome:
    """What comes of the lines, whole and cut after every line, which must be the same."""
    data = "".join(text + "\n" for text in lines).encode()
    setting = replace(UNFOLDED, layout=layout)
    whole, pieces = run(core, data, setting), run(core, data, setting, line_starts(data))
    assert whole.events == pieces.events
    assert whole.counters == pieces.counters
    assert rows(whole) == rows(pieces)
    return whole


def rows(found: Outcome) -> list[tuple[Any, ...]]:
    return [row for batch in found.batches for row in zip(*(batch[name] for name in COLUMNS), strict=True)]


@pytest.mark.parametrize(
    ("message", "kind", "process", "session", "user"),
    [
        ("up", "restart", "deltad[12]", None, None),
        ("died", "killed", "deltad[12]", None, None),
        ("died 77", "killed", "deltad[77]", None, None),
        ("died ", "killed", "deltad[12]", None, None),
        ("died 77 <s1>", "killed", "deltad[77]", "s1", None),
        ("error of lena", "aborted", "deltad[12]", None, "lena"),
    ],
)
def test_an_ending_is_a_row_and_no_event(
    core: Backend, message: str, kind: str, process: str, session: str | None, user: str | None
) -> None:
    found = outcome(core, line(message))
    assert rows(found) == [(kind, "delta", "", AT, "mx", process, session, user)]
    assert not found.events
    assert (found.counters["lines"], found.counters["other"], found.counters["logout_no_address"]) == (1, 1, 0)
    assert not rows(run(core, line(message).encode())), "a replay that folds has no use for it"


def test_an_ending_leaves_what_a_session_id_means_to_its_logout(core: Backend) -> None:
    lines = [line(f"from {IP}"), line("hello lena <s1>"), line("died 77 <s1>"), line("out <s1>")]
    assert [row[:3] for row in rows(outcome(core, *lines))] == [
        ("login", "delta", IP), ("killed", "delta", ""), ("logout", "delta", IP),
    ]  # fmt: skip


def test_a_pattern_may_name_the_process(core: Backend) -> None:
    login = f"in: Login: user=<u>, rip={IP}, lip=::1, session=<s1>"
    lines = [line(f"{login}, pid=7", tag="gamma[3]"), line(f"{login}, pid=", tag="gamma[3]"), line(login, tag="gamma")]
    found = rows(outcome(core, *lines, line("in: died 7", tag="gamma[3]"), line("in: up", tag="gamma")))
    assert [row[5] for row in found] == ["gamma[7]", "gamma[3]", "gamma", "gamma[7]", "gamma"]
    timestamp = "2026-03-04T07:00:00"
    own = outcome(core, f"{timestamp} {login}, pid=7", f"{timestamp} in: died 7", f"{timestamp} in: up", layout="gamma")
    assert [(row[0], row[5]) for row in rows(own)] == [("login", "[7]"), ("killed", "[7]"), ("restart", "")]


def test_what_is_cut_or_has_no_time_ends_nothing(core: Backend) -> None:
    long = "up ".ljust(60, "x")
    lines = [
        line(long, tag="imapd"),
        line("up", tag="imapd"),
        line("up", tag="imapd"),
        line("up", tag="imapd", timestamp="Feb 30 07:00:00"),
    ]
    found = outcome(core, *lines)
    assert [row[0] for row in rows(found)] == ["restart"]
    assert (found.counters["other"], found.events) == (4, [])


def test_another_programs_tag_ends_nothing(core: Backend) -> None:
    assert not rows(outcome(core, line("up", tag="other[12]"), line("x up"), line("up", tag="alphad")))


def test_the_stamp_of_an_ending_is_settled_as_an_events_is(core: Backend) -> None:
    """In the ambiguous hour at the end of summer time it follows the line before, and the next line follows it."""
    lines = [line("up", timestamp=f"Oct 25 02:{minute:02}:00") for minute in (10, 50, 20)]
    data = "".join(text + "\n" for text in lines).encode()
    found = run(core, data, replace(UNFOLDED, reference=1_792_900_000))
    first, second, third = (row[3] for row in rows(found))
    assert (second - first, third - second) == (2400, 1800)
