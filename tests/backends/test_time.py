"""Timestamps against plain models: zones with ambiguous hours and gaps, years around new year and 29 February."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from backends import models
from backends.inline import FORMATS, IP, LIP
from backends.running import DEFAULT, matcher, run
from pbs_fast.formats import Format
from pbs_fast.matching.backends import Backend

Reporter = Callable[[object], None]
YEAR = 31_556_952
NEW_YEAR = 1767225600
LEAP_DAY = 1709164800


@st.composite
def zones(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """Rows at least two days apart, with offsets of up to 14 hours, also of odd seconds."""
    offset = st.sampled_from((0, 3600, 7200, -18000, 19800, 50400, -43200)) | st.integers(-50_400, 50_400)
    start = draw(st.integers(0, 2_000_000_000))
    rows = [(-(1 << 40), draw(offset))]
    for _ in range(draw(st.integers(0, 4))):
        rows.append((start, draw(offset)))
        start += draw(st.integers(2 * 86_400, YEAR))
    return tuple(rows)


@given(zones(), st.data())
def test_local_time(share: Reporter, core: Backend, zone: tuple[tuple[int, int], ...], data: st.DataObject) -> None:
    m = matcher(core.name, FORMATS, zone)
    offsets = st.sampled_from([offset for _, offset in zone])
    hard = False
    for _ in range(5):
        start = data.draw(st.sampled_from([start for start, _ in zone[1:]] or [1_000_000_000]))
        local = start + data.draw(offsets) + data.draw(st.integers(-4_000, 4_000) | st.integers(-100_000, 100_000))
        wanted = models.readings(local, zone)
        in_gap = wanted[0] + [offset for s, offset in zone if s <= wanted[0]][-1] != local
        hard = hard or in_gap or len(wanted) > 1
        text = datetime.fromtimestamp(local, UTC).strftime("%Y-%m-%d %H:%M:%S")
        if not text.startswith("19"):
            assert m.timestamp(f"{text} mx x: y".encode(), reference=0) == wanted[0], text
    share(hard)


@given(
    st.integers(0, 366), st.integers(0, 86_399), st.sampled_from((NEW_YEAR, LEAP_DAY, 4102444800, 951782400)), st.data()
)
def test_years(share: Reporter, core: Backend, day: int, seconds: int, near: int, data: st.DataObject) -> None:
    zone = data.draw(zones())
    reference = near + data.draw(st.integers(-3 * 86_400, 3 * 86_400))
    date = datetime.fromtimestamp(LEAP_DAY - 59 * 86_400 + day * 86_400, UTC)  # days of 2024, a leap year
    if data.draw(st.booleans()):
        date = datetime.fromtimestamp(reference + data.draw(st.integers(-2 * 86_400, 2 * 86_400)), UTC)
    elif data.draw(st.booleans()):
        date = date.replace(month=2, day=29, year=2024)
    hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
    text = f"{date:%b} {date.day:2} {hour:02}:{minute:02}:{second:02}"
    wanted = models.yearless(date.month, date.day, seconds, reference, zone)
    m = matcher(core.name, FORMATS, zone)
    assert m.timestamp(f"{text} mx x: y".encode(), reference=reference) == wanted
    share(wanted is not None)


@given(st.data(), st.booleans())
def test_order_in_the_ambiguous_hour(share: Reporter, core: Backend, data: st.DataObject, live: bool) -> None:
    """A stream reads each ambiguous timestamp as the page says, event by event."""
    back = 1792890000
    zone = ((-(1 << 40), 7200), (back, 3600))
    reference = back + data.draw(st.integers(-4000, 4000))
    locals_ = data.draw(st.lists(st.integers(back - 1800, back + 7200 + 1800), min_size=1, max_size=8))
    lines, wanted = [], []
    before: int | None = None
    for local in locals_:
        text = datetime.fromtimestamp(local, UTC).strftime("%b %d %H:%M:%S")
        lines.append(f"{text} mx alphad: LOGIN, user=u, ip=[192.0.2.7]\n")
        options = models.readings(local, zone)
        if live:
            chosen = min(options, key=lambda utc: (abs(utc - reference), utc))
        else:
            chosen = options[-1] if before is not None and options[0] < before - 300 else options[0]
        before = chosen
        wanted.append(chosen)
    log = "".join(lines).encode()
    setting = replace(DEFAULT, zone=zone, reference=reference, live=live)
    cuts = [len("".join(lines[:i]).encode()) for i in range(1, len(lines))]
    assert [e.timestamp for e in run(core, log, setting, cuts).events] == wanted
    share(any(len(models.readings(local, zone)) > 1 for local in locals_))


#: How a line's local time may be written, what follows the seconds, and what stands around the tag.
_FORMS = (
    ("%b %e %H:%M:", "", " mx alphad: "), ("%b %e %H:%M:", ".5", " alphad[7]: "),
    ("<22>%b %d %Y %H:%M:", "", " mx alphad: "),
    ("%Y-%m-%d %H:%M:", ",25", " mx alphad: "), ("%Y-%m-%dT%H:%M:", "", " mx alphad: "),
    ("%Y-%m-%dT%H:%M:", ".5Z", " mx alphad[7]: "), ("%Y-%m-%dT%H:%M:", "+05:45", " mx alphad: "),
    ("%Y-%m-%dT%H:%M:", "-23:59", " mx alphad: "), ("%Y-%m-%dT%H:%M:", "+24:00", " mx alphad: "),
    ("<22>1 %Y-%m-%dT%H:%M:", ".123456+0130", " mx alphad 7 - - "), ("<22>1 %Y-%m-%dT%H:%M:", "", " mx alphad - - - "),
)  # fmt: skip


@given(zones(), st.sampled_from((NEW_YEAR, LEAP_DAY, 0)), st.data())
def test_what_is_remembered_of_a_time_is_no_others(
    share: Reporter, zone: tuple[tuple[int, int], ...], near: int, data: st.DataObject
) -> None:
    """Many lines about a few hours, in every form, read from several references in turn by one matcher."""
    near = data.draw(st.sampled_from([start for start, _ in zone[1:]] or [near])) if near == 0 else near
    random = data.draw(st.randoms(use_true_random=False))
    lines = []
    for _ in range(40):
        form, behind, tag = random.choice(_FORMS)
        local = near + random.choice((-86_400, 0, 0, 0, 86_400)) + random.randint(-9_000, 9_000)
        head = datetime.fromtimestamp(local, UTC).strftime(form)
        if random.random() < 0.05:
            head = head[:-3] + random.choice(("60:", "99:"))
        second = random.choice(("60", "99", "59", "00", *[f"{random.randint(0, 59):02}"] * 8))
        lines.append(f"{head}{second}{behind}{tag}LOGIN, user=u, ip=[192.0.2.7]\n")
    log = "".join(lines).encode()
    first = near + random.choice((0, 300, 26 * 3600, -26 * 3600, 360 * 86_400))
    for reference in (first, first + 366 * 86_400, first + 60, first):
        setting = replace(DEFAULT, zone=zone, reference=reference)
        events = run("python", log, setting).events
        assert events == run("rust", log, setting).events
    share(sum(event.timestamp is not None for event in events) > len(lines) // 3)


_hex = st.sampled_from(("0", "0", "0", "1", "ffff", "a0", "00b", "G", "12345"))
_number = st.sampled_from(("0", "1", "192", "255", "256", "01", ""))
_dotted = st.lists(_number, min_size=3, max_size=5).map(".".join) | st.just("192.0.2.7") | st.just("0.0.1.0")


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Something like an address, more often one than not."""
    if draw(st.integers(0, 5)) == 0:
        return draw(_dotted)
    good = draw(st.integers(0, 3)) > 0
    pieces = st.sampled_from(("0", "0", "0", "1", "FFFF", "a0", "00b")) if good else _hex
    groups = draw(st.lists(pieces, min_size=8, max_size=8))
    if draw(st.booleans()):
        groups = [*groups[:6], draw(st.just("192.0.2.7") | _dotted)]
    if draw(st.booleans()):
        groups = ["0"] * 5 + groups[5:]
    if draw(st.booleans()):
        a = draw(st.integers(0, len(groups)))
        b = draw(st.integers(a, len(groups)))
        return ":".join(groups[:a]) + "::" + ":".join(groups[b:])
    return ":".join(groups)


@given(addresses())
def test_addresses(share: Reporter, core: Backend, text: str) -> None:
    any_text = Format("a", "", "", ("a",), (), (), (rf"x {IP.replace('[0-9A-Fa-f:.]', '[^ ]')} {LIP}",), ())
    log = f"Mar  4 01:00:00 a: x {text} 192.0.2.7\n".encode()
    events = run(core, log, replace(DEFAULT, formats=(any_text,))).events
    wanted = models.address(text)
    assert [e.ip for e in events] == ([wanted] if text else [])
    if events:
        assert events[0].loop == (wanted == "192.0.2.7")
    share(wanted)
