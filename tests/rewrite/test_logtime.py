"""`logtime`: a site's own way to write timestamps, as a strptime format or a pattern."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import ConfigError
from pbs_fast.formats.bounded import is_proved
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.rewrite import logtime
from pbs_fast.matching.rewrite.logtime import LogTime
from rewrite.wrapping import AT, LOGIN, Outcome, cri, docker, line_ends, told
from support.timing import least_seconds

Reporter = Callable[[object], None]
IP = "192.0.2.7"

NAMED = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)-(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d(?:\.\d+)?)?"

CASES = [
    ("%d/%b/%Y:%H:%M:%S %z", "04/Mar/2026:07:00:00 +0100"),
    ("[%d/%b/%Y:%H:%M:%S %z]", "[04/Mar/2026:02:00:00 -0400]"),
    ("%Y/%m/%d %H:%M:%S", "2026/03/04 07:00:00"),
    ("%y%m%d %T", "260304 07:00:00"),
    ("%F_%T", "2026-03-04_07:00:00"),
    ("%a %b %d %H:%M:%S %Y", "Wed Mar  4 07:00:00 2026"),
    ("%A, %e. %B %Y %R", "wednesday, 4. MARCH 2026 07:00"),
    ("%m/%d/%Y %I:%M:%S %p", "03/04/2026 07:00:00 AM"),
    ("%m/%d/%Y %I:%M:%S %p", "03/04/2026 7:00:00 a.m."),
    ("%a %Y-%m-%d %H:%M:%S %Z", "Wed 2026-03-04 07:00:00 CET"),
    ("%a %Y-%m-%d %H:%M:%S %Z", "Wed 2026-03-04 06:00:00 UTC"),
    ("%b %e %T.%f", "Mar  4 07:00:00.123456"),
    ("%s.%f", "1772604000.123456"),
    ("@%s", "@1772604000"),
    ("%d.%m.%Y %H:%M:%S,%f %%", "04.03.2026 07:00:00,5 %"),
    ("%Y-%m-%dT%H:%M:%S%z", "2026-03-04T06:00:00Z"),
    ("%Y-%m-%dT%H:%M:%S%z", "2026-03-04T08:30:00+02:30"),
    ("%Y-%m-%dT%H:%M:%S%z", "2026-03-04T08:00:00+02"),
    (r"mail\.[a-z]+: (\w\w\w +\d+ \d+:\d+:\d+)", "mail.info: Mar  4 7:00:00"),
    (r"(\w\w\w +\d+ \d+:\d+:\d+)", "Mar 04 07:00:00"),
    (r"\[([^\]]*)\]", "[Mar  4 07:00:00.5]"),
    (r"\[([^\]]*)\]", "[2026-03-04 07:00:00,5]"),
    (r"\[([^\]]*)\]", "[2026/03/04 07:00:00]"),
    (r"\[([^\]]*)\]", "[2026-03-04T06:00:00.5Z]"),
    (r"\[([^\]]*)\]", "[2026-03-04 07:00:00 +0100]"),
    (r"\[([^\]]*)\]", "[Wed Mar  4 07:00:00 2026]"),
    (r"\[([^\]]*)\]", "[Wed Mar  4 06:00:00 UTC 2026]"),
    (r"\[([^\]]*)\]", "[Wed, 4 Mar 2026 07:00:00 +0100]"),
    (r"\[([^\]]*)\]", "[04-Mar-2026 07:00:00]"),
    (NAMED, "20260304-070000"),
    (NAMED, "20260304-070000.75"),
    (NAMED, "20260304-0700"),
    (r"(?P<epoch>\d+)(?:\.\d+)?", "1772604000.5"),
    (r"(?P<month>\w+) (?P<day>\d+)\w*, (?P<hour>\d+):(?P<minute>\d+)(?P<half>[ap]m)", "March 4th, 7:00am"),
    (r"(?P<day>\d+)\.(?P<month>\d+)\. (?P<hour>\d+):(?P<minute>\d+)", "4.3. 7:00"),
]


@pytest.mark.parametrize(("pattern", "timestamp"), CASES)
@pytest.mark.parametrize("between", [" ", ": ", ""])
def test_a_stamp_is_read(core: Backend, pattern: str, timestamp: str, between: str) -> None:
    rest = LOGIN if between == " " else LOGIN.removeprefix("mx ")
    if between == ": ":
        pattern = pattern + ":"
    if between == "" and (pattern[-1] in "fsz+?" or timestamp[-1].isalnum()):
        between = " "
    data = f"{timestamp}{between}{rest}\n".encode()
    outcome = Outcome(core.name, b"x\n" + data, logtime=LogTime(pattern))
    assert [(event.ip, event.timestamp, event.offset) for event in outcome.events] == [(IP, AT, 2)]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("%d/%b/%Y:%H:%M:%S", "04/Mrz/2026:07:00:00 "),
        ("%H:%M:%S %d %b", " 07:00:00 04 Mar "),
        ("%b %d %T %z", "Mar  4 07:00:00 +0100 "),
        (r"\[([^\]]*)\]", "[yesterday] "),
        (r"\[([^\]]*)\]", "[] "),
        (r"(?P<day>\d+) (?P<month>\w+) (?P<hour>\w+):(?P<minute>\w+)", "4 Mar x:00 "),
        (r"(?P<day>\d+) (?P<month>\d+) (?P<hour>\d+):(?P<minute>\d+)", "4 0 7:00 "),
        (r"(?P<day>\d+) (?P<month>\d+) (?P<hour>\d+):(?P<minute>\d+)", "400 3 7:00 "),
        (r"(?P<epoch>\d+)", "9" * 30 + " "),
        ("%I:%M %p %d %m", "13:00 pm 04 03 "),
    ],
)
def test_a_line_without_such_a_stamp_is_left_as_it_is(core: Backend, pattern: str, line: str) -> None:
    timestamps = LogTime(pattern)
    assert timestamps.head((line + LOGIN).encode()) is None
    plain = f"Mar  4 07:00:00 {LOGIN}\n".encode()
    assert told(core.name, f"{line}{LOGIN}\n".encode(), plain, logtime=LogTime(pattern)) == [IP]


def test_impossible_dates_are_the_matchers_to_refuse(core: Backend) -> None:
    lines = [
        f"{timestamp} {LOGIN}\n".encode()
        for timestamp in ("30/02/2026 07:00:00", "04/03/2026 27:00:00", "04/03/1969 07:00:00")
    ]
    assert told(core.name, *lines, logtime=LogTime("%d/%m/%Y %H:%M:%S")) == ["bad-stamp"] * 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("%d/%Q", "%Q is not one of %% %A %B %D %F "),
        ("%d %", "% is not one of"),
        ("%H:%M", "it does not tell month and day"),
        ("%d %d %m %H %M", "redefinition of group name 'day'"),
        ("(\\d+", "has a '(' at byte 0 that no ')' ends"),
        (r"\d+", "it has 0 captures, not one"),
        (r"(\d+) (\d+)", "it has 2 captures, not one"),
        (r"(?P<years>\d+)", "unknown group years"),
        (r"(\d*)", "it matches empty text"),
        ("(\u00e4)", "ordinal not in range"),
    ],
)
def test_what_is_no_logtime(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LogTime(text)
    assert str(caught.value).startswith(f"logtime '{text}': ")
    assert fault in str(caught.value)
    assert "docs/FORMATS.md" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_second_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    read = logtime._timestamp

    def counted(parts: Mapping[str, str]) -> bytes | None:
        calls.append(parts)
        return read(parts)

    monkeypatch.setattr(logtime, "_timestamp", counted)
    timestamps = LogTime("%b %e %T.%f")
    for fraction in range(50):
        assert timestamps.head(f"Mar  4 07:00:00.{fraction:06} mx".encode()) == (b"Mar  4 07:00:00", 22)
    assert len(calls) == 1
    monkeypatch.setattr(logtime, "REMEMBERED", 2)
    for second in range(10):
        timestamps.head(f"Mar  4 07:00:{second:02}.1 mx".encode())
    assert len(timestamps._known) <= 2


def test_a_stamp_behind_it_is_dropped(core: Backend) -> None:
    """socklog: UTC, then syslogd's own."""
    lines = [
        f"2026-03-04_06:00:00.12345 {inner}{LOGIN}\n".encode()
        for inner in ("", "Mar  4 01:00:00 ", "<22>Mar  4 01:00:00 ", "2026-03-04T01:00:00 ")
    ]
    found = Outcome(core.name, b"".join(lines), logtime=LogTime("%F_%T.%f")).events
    assert [event.timestamp for event in found] == [AT - 3600] * 4


def test_it_is_also_looked_for_in_containers_entries(core: Backend) -> None:
    for wrap in (docker, cri):
        inner = f"04/Mar/2026 01:00:00 {LOGIN}"
        found = Outcome(core.name, wrap(inner) + wrap(LOGIN), logtime=LogTime("%d/%b/%Y %T")).events
        assert [event.timestamp for event in found] == [AT, AT]


@given(
    st.datetimes(datetime(1971, 1, 2), datetime(2068, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(
        (
            "%d/%b/%Y:%H:%M:%S %z",
            "%a, %d %b %Y %H:%M:%S %z",
            "%Y%m%d%H%M%S%z",
            "%y-%m-%d %I:%M:%S %p %z",
            "%B %d %Y %T %z",
        )
    ),
)
def test_what_strftime_writes_is_read(share: Reporter, when: datetime, offset: int, form: str) -> None:
    if "%y" in form and when.year < 1971:
        return
    moment = when.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=offset)))
    timestamp = moment.strftime(form)
    found = LogTime(form).head(f"{timestamp} mx".encode())
    assert found is not None, timestamp
    text, end = found
    assert end == len(timestamp)
    assert datetime.fromisoformat(text.decode()) == moment
    share(offset)


@given(st.integers(0, 2**33))
def test_epochs(share: Reporter, epoch: int) -> None:
    found = LogTime("%s").head(f"{epoch} x".encode())
    assert found is not None
    assert datetime.fromisoformat(found[0].decode()).astimezone(UTC).timestamp() == epoch
    share(epoch)


@given(
    st.lists(st.sampled_from([timestamp for _, timestamp in CASES]), min_size=1, max_size=8),
    st.sampled_from(CASES),
    st.data(),
)
def test_lines_stay_lines(share: Reporter, timestamps: list[str], case: tuple[str, str], data: st.DataObject) -> None:
    """Counts and offsets, whatever matches; both backends alike."""
    ends = st.sampled_from((b"\n", b"\r\n", b"\n\n"))
    log = b"".join(f"{timestamp} {LOGIN}".encode() + data.draw(ends) for timestamp in timestamps)
    log = data.draw(st.sampled_from((log, log.rstrip(b"\r\n"))))
    cuts = data.draw(st.lists(st.sampled_from(line_ends(log)), max_size=3)) if line_ends(log) else []
    outcomes = [Outcome(core, log, cuts, logtime=LogTime(case[0])) for core in ("rust", "python")]
    assert outcomes[0].events == outcomes[1].events
    assert outcomes[0].counters == outcomes[1].counters
    for event in outcomes[0].events:
        assert event.offset == 0 or log[event.offset - 1] == 10
    share(case[1] in timestamps or outcomes[0].events)


@pytest.mark.parametrize(("pattern", "timestamp"), [case for case in CASES if "%" in case[0]])
def test_strptime_formats_are_one_pass(pattern: str, timestamp: str) -> None:
    """So `re` runs them, which is quick. Numbers that run together have to be tried."""
    del timestamp
    assert is_proved(logtime._of_format(pattern)) or pattern == "%y%m%d %T"


def _by_length(took: list[float]) -> bool:
    return took[1] < 3 * took[0] + 0.01 and took[1] < 1


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:[a-z0-9-]{1,63}\.?)+ (\d+:\d+)",
        r"(?:aa?)*!(\d+)",
        r"(?:[^ ]+ ?){1,20}!(\d+)",
        r".*,.*,.*,.*,(\d+)!",
        r"(?:x+)+(!)",
    ],
)
def test_a_line_costs_its_length(pattern: str) -> None:
    timestamps = LogTime(pattern)
    for text in (b"a", b"x", b"a ", b",", b"a-b."):
        lines = [text * (size // len(text)) for size in (8_000, 16_000)]
        assert all(timestamps.head(line) is None for line in lines)
        took = least_seconds([partial(timestamps.head, line) for line in lines], _by_length)
        assert _by_length(took), took


def test_only_the_head_of_a_line_is_looked_at_where_a_stamp_has_an_end() -> None:
    timestamps = LogTime("(?P<month>[0-9]?[0-9])(?P<day>[0-9]?[0-9])(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})\\b")
    assert timestamps.head(b"03040700 " + b"x" * 16_000) == (b"Mar  4 07:00:00", 8)
    assert timestamps.head(b"03040700x") is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(?:a*)*(\d+)", "which can match nothing; leave one of the two repetitions out"),
        (r"(?=x)(\d+)", "holds (?=, whose time no engine here can bound"),
        (r"(\d++)", "holds a possessive repetition"),
    ],
)
def test_what_no_engine_bounds_is_refused_with_its_place(tmp_path: Path, pattern: str, said: str) -> None:
    file = tmp_path / "pbs.toml"
    file.write_text(f"core = 'auto'\nlogtime = '{pattern}'\n")
    done = subprocess.run(
        [sys.executable, "-m", "pbs_fast", "match", f"--config={file}", "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert f"pbs.toml:2: logtime '{pattern}': " in done.stderr
    assert said in done.stderr
