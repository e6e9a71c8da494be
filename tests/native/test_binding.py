"""The binding itself: arguments, errors, lifetimes, threads. What comes out of lines is tested on both backends."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pbs_fast import _core
from pbs_fast.errors import FormatError
from pbs_fast.events import Batch, Event
from pbs_fast.formats import Format
from pbs_fast.matching.rust import Matcher, Stream

FORMAT = Format(
    name="alpha",
    title="",
    versions="",
    program=("alpha",),
    tls_program=(),
    success=("in: ",),
    login=(r"in: (?P<user>[^ ]*) ip=(?P<ip>[0-9a-f:.]+)",),
    logout=(),
)
UTC = [(-(2**60), 0)]
NOW = 1_772_611_200
LINE = b"Mar  4 07:59:00 mx alpha: in: lena ip=192.0.2.1\n"


@pytest.fixture
def matcher() -> Matcher:
    return Matcher([FORMAT], UTC)


def test_events_and_batches_have_the_packages_types(matcher: Matcher) -> None:
    scan = matcher.scan(LINE + b"Mar  4 07:59:01 mx alpha: in: x\n", offset=100, reference=NOW)
    stream = Stream(matcher, source="a.log", gap=1800)
    login, missed = stream.events(scan)
    assert login == Event(100, "login", "192.0.2.1", NOW - 60, "alpha", "lena", "mx", None, None, False, None)
    assert missed == Event(148, "missed", None, None, "alpha", None, "mx", None, None, False, "no-pattern")
    assert isinstance(login, Event)
    stream.add(scan)
    batch = stream.take()
    assert batch == Batch(
        "a.log", ["192.0.2.1"], [NOW - 60], [NOW - 60], [1], ["login"], ["alpha"], ["mx"], [100], [None], [False],
        [None], ["lena"], ["lena"], [1], [""],
    )  # fmt: skip
    assert len(stream.take()) == 0
    assert stream.fold_seconds > 0
    assert scan.lines == 2
    assert scan.seconds >= 0


def test_a_scan_sees_its_bounds_only_and_keeps_its_bytes(matcher: Matcher) -> None:
    data = bytes(bytearray(b"x" * 7 + LINE + b"y" * 9))
    scan = matcher.scan(data, start=7, stop=7 + len(LINE), offset=5, reference=NOW)
    del data
    gc.collect()
    stream = Stream(matcher, source="", gap=0)
    assert [event.offset for event in stream.events(scan)] == [5]
    assert [event.user for event in stream.events(scan)] == ["lena"]


@pytest.mark.parametrize(("start", "stop"), [(1, 0), (0, 49), (49, None), (50, 50), (-1, None), (0, -1), (-2, -1)])
def test_bounds_outside_the_data_are_refused(matcher: Matcher, start: int, stop: int | None) -> None:
    with pytest.raises(ValueError, match=r"not within the 48 bytes"):
        matcher.scan(LINE, start=start, stop=stop, reference=NOW)
    assert matcher.scan(LINE, start=48, reference=NOW).lines == 0


@pytest.mark.parametrize("layout", ["alpha", "beta", "", "Syslog"])
def test_a_layout_that_no_format_has_is_refused(matcher: Matcher, layout: str) -> None:
    with pytest.raises(ValueError, match="no format has a log of its own"):
        matcher.scan(LINE, layout=layout, reference=NOW)
    with pytest.raises(ValueError, match="no format has a log of its own"):
        matcher.timestamp(LINE, layout=layout, reference=NOW)


def test_bad_formats_and_zones_are_refused_in_one_line() -> None:
    with pytest.raises(FormatError, match=r"^format alpha: login pattern 2: unclosed group at byte 1; see [^\n]*$"):
        Matcher([replace(FORMAT, login=("x", "y("))], UTC)
    with pytest.raises(FormatError, match="format alpha: the name is taken"):
        Matcher([FORMAT, FORMAT], UTC)
    for zone in ([], [(0, 0), (0, 1)]):
        with pytest.raises(ValueError, match="zone"):
            Matcher([FORMAT], zone)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"session_end": ("x", "(")}, r"session\.end pattern 2: unclosed group at byte 0"),
        ({"line_login": ("(?P<timestamp>x)", "(?P<ip>x)")}, r"line_login pattern 2: it has no group 'timestamp'"),
        ({"line_logout": ("(?=x)",)}, r"line_logout pattern 1: look-around"),
    ],
)
def test_errors_name_the_list_and_the_number_of_the_pattern(bad: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(FormatError, match=rf"^format alpha: {said}[^\n]*$"):
        Matcher([replace(FORMAT, **bad)], UTC)  # type: ignore[arg-type]


def test_a_stream_takes_scans_of_its_own_matcher_only(matcher: Matcher) -> None:
    stream = Stream(matcher, source="", gap=0)
    other = Matcher([FORMAT], UTC).scan(LINE, reference=NOW)
    for use in (stream.add, stream.events):
        with pytest.raises(ValueError, match="another matcher"):
            use(other)
    with pytest.raises(ValueError, match="gap -1"):
        Stream(matcher, source="", gap=-1)


def test_a_panic_or_wrong_type_never_poisons_a_stream(matcher: Matcher) -> None:
    stream = Stream(matcher, source="", gap=0)
    with pytest.raises(TypeError):
        stream.add("no scan")  # type: ignore[arg-type]
    stream.add(matcher.scan(LINE, reference=NOW))
    assert stream.counters["login"] == 1


def test_only_a_scan_holds_its_bytes(matcher: Matcher) -> None:
    data = LINE * 3
    before = sys.getrefcount(data)
    scan = matcher.scan(data, reference=NOW)
    stream = Stream(matcher, source="", gap=0)
    stream.add(scan)
    assert sys.getrefcount(data) == before + 1
    del scan
    assert sys.getrefcount(data) == before
    assert stream.take().user_first == ["lena"]


def test_native_classes_cannot_be_changed(matcher: Matcher) -> None:
    scan = matcher.scan(LINE, reference=NOW)
    with pytest.raises(AttributeError):
        scan.lines = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        matcher.x = 3  # type: ignore[attr-defined]


def test_one_matcher_serves_many_threads(matcher: Matcher) -> None:
    data = LINE * 20_000
    with ThreadPoolExecutor(4) as pool:
        scans = list(pool.map(lambda _: matcher.scan(data, reference=NOW), range(8)))
    stream = Stream(matcher, source="", gap=1800)
    with ThreadPoolExecutor(4) as pool:
        # Not how a stream is meant to be used, but it must not lose events or deadlock.
        list(pool.map(stream.add, scans))
    assert stream.counters["login"] == 160_000
    assert sum(stream.take().n) == 160_000


def test_one_pass_tells_why_not() -> None:
    assert _core.one_pass("a(?P<ip>[0-9]+)b") is None
    reason = _core.one_pass("(?P<user>.*), ip=(?P<ip>.*)")
    assert reason is not None
    assert "one-pass" in reason
    assert "\n" not in reason
    with pytest.raises(ValueError, match="unclosed group at byte 0"):
        _core.one_pass("(")
