"""Logins that the end of a refused one may look like: refused where their server marks its logins, or a site says so.

Courier's POP3 server over UDP: courierlogger cuts a refused name at 505 bytes, the record before the last is lost.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from backends.running import DEFAULT, line_starts, run
from pbs_fast.formats import Format
from pbs_fast.formats.loader import load_catalogue, only_marked
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend

ZONE = ((-(2**62), 0),)
REFERENCE = 1_772_604_800
TOY = Format(
    name="toy",
    title="",
    versions="",
    program=("toyd", "*/toys"),
    tls_program=(),
    success=("in ",),
    login=(r"in (?P<ip>[0-9a-f:.]+)", r"in (?P<ip>[0-9a-f:.]+), marked", r"in (?P<ip>[0-9a-f:.]+), plain"),
    logout=(),
    marked=(2,),
    unmarked=(1,),
)


def told(core: Backend, *records: str) -> list[str | None]:
    lines = [f"Mar  4 07:12:09 {host} {tag}: {text}" for host, tag, text in (each.split(" ", 2) for each in records)]
    data = "".join(f"{line}\n" for line in lines).encode()
    setting = replace(DEFAULT, formats=(TOY,))
    whole = run(core, data, setting)
    assert run(core, data, setting, line_starts(data)).events == whole.events
    folded = sum(sum(batch["n"]) for batch in whole.batches)
    assert folded == whole.counters["login"] == sum(event.kind == "login" for event in whole.events)
    assert {event.kind for event in whole.events} <= {"login", "missed"}
    return [event.reason or event.ip for event in whole.events]


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        (["mx toyd in ::1"], ["::1"]),
        (["mx toyd in ::1", "mx toyd in ::2, marked", "mx toyd in ::3"], ["::1", "::2", "no-pattern"]),
        (["mx toyd in ::2, plain", "mx toyd in ::3"], ["::2", "::3"]),
        (["mx toyd in ::2, marked", "mx toyd in ::3, plain"], ["::2", "::3"]),
        (["mx toyd in ::2, marked", "m2 toyd in ::3", "mx a/toys in ::4"], ["::2", "::3", "::4"]),
        (["mx toyd in x:, marked", "mx toyd in ::3"], ["no-pattern", "::3"]),
        (["mx toyd in 1:2, marked", "mx toyd in ::3"], ["bad-address", "::3"]),
        (["mx toyd " + "x" * 700, "mx toyd in ::2, marked", "mx toyd in ::3"], ["continuation", "::3"]),
    ],
)
def test_a_writer_that_marks_its_logins_is_held_to_it(core: Backend, records: list[str], outcome: list[str]) -> None:
    assert told(core, *records) == outcome


def test_a_site_may_refuse_what_is_not_marked() -> None:
    catalogue = only_marked((*load_catalogue(), TOY), {"toy", "dovecot"})
    left = catalogue[-1]
    assert (left.login, left.marked, left.unmarked) == (TOY.login[1:], (1,), ())
    assert catalogue[:-1] == load_catalogue()


# -- a lossy network ------------------------------------------------------------------------------------------------


def refused_logins(number: int, seed: int, *, before: str = "") -> bytes:
    """Refused POP3 logins whose names fill courierlogger's record, over UDP that loses 0.1 % of the datagrams."""
    random, lines = Random(seed), [before] if before else []
    for attempt in range(number):
        ip, port = f"198.51.100.{attempt % 250}", random.randrange(1024, 65536)
        head, forged = "LOGIN FAILED, user=", f"LOGIN, user=otto, ip=[::ffff:{ip}], port=[{port}]"
        records = (f"Connection, ip=[::ffff:{ip}], port=[{port}]", head.ljust(505, "x"), forged)
        lines += [f"Mar  4 06:12:09 mx pop3d: {record}" for record in records if random.random() >= 0.001]
    return "".join(f"{line}\n" for line in lines).encode()


def granted(core: Backend, formats: tuple[Format, ...], data: bytes) -> int:
    matcher: Matcher = core.Matcher(formats, ZONE)
    stream = core.Stream(matcher, source="udp", gap=0, fold=False)
    return sum(event.kind == "login" for event in stream.events(matcher.scan(data, reference=REFERENCE)))


@pytest.mark.system
def test_a_lost_datagram_grants_nothing(core: Backend) -> None:
    marked = "Mar  4 06:12:09 mx pop3d: LOGIN, user=lena, ip=[203.0.113.5], port=[40122], protocol=POP3"
    for seed in range(3):
        assert granted(core, load_catalogue(), refused_logins(20_000, seed, before=marked)) == 1  # lena
        strict = only_marked(load_catalogue(), {"courier-pop3"})
        assert granted(core, strict, refused_logins(20_000, seed)) == 0
    # What the setting is for: a server that never marks its logins.
    assert granted(core, load_catalogue(), refused_logins(20_000, 0)) > 5


def test_what_courier_5_2_writes_is_read(core: Backend) -> None:
    """Debian 13: no protocol at POP3 logins, `stls=1` over TLS; that much is left where a site asks for marks."""
    lines = [
        f"2026-03-04T06:12:09+00:00 mx pop3d[5174]: LOGIN, user=otto, ip=[::ffff:192.0.2.{n}], port=[33143]{end}\n"
        for n, end in enumerate(("", ", stls=1", "", ", protocol=IMAP", ", stls=1, x"))
    ]
    data = "".join(lines).encode()
    assert granted(core, load_catalogue(), data) == 3
    assert granted(core, only_marked(load_catalogue(), {"courier-pop3"}), data) == 1
