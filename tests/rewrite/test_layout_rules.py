"""Wrappers found, kept and announced; lines without a date; streams of containers; JSON's shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pbs_fast.errors import ConfigError
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.reader import Reader
from pbs_fast.matching.rewrite import Shape, read_shape
from pbs_fast.matching.rewrite.months import MONTHS
from pbs_fast.matching.rewrite.streams import REMEMBERED, Streams
from pbs_fast.matching.rewrite.wrapper import Entry
from pbs_fast.sources.journal.spec import JournalSpec
from pbs_fast.sources.journal.trust import accepted_units, unit_tags

ZONE = ((-(2**62), 3600),)
CATALOGUE = load_catalogue()
NOW = 1_773_306_000  # 2026-03-12 09:00:00 UTC
_MATCHERS: dict[str, Matcher] = {}


def login(n: int = 41, level: str = "") -> str:
    return f"imap-login: {level}Login: user=<u>, method=PLAIN, rip=203.0.113.{n}, lip=192.0.2.1, mpid=12, TLS"


def own(n: int = 41) -> str:
    return f"Mar 12 10:00:00 {login(n, 'Info: ')}"


def reader(core: Backend, said: list[str] | None = None, **more: Any) -> Reader:
    if core.name not in _MATCHERS:
        _MATCHERS[core.name] = core.Matcher(CATALOGUE, ZONE)
    on_layout = None if said is None else said.append
    kind = {"live": False, "fold": False, **more}
    return Reader(core, _MATCHERS[core.name], source="s", gap=0, on_layout=on_layout, **kind)


def ips(core: Backend, *lines: str, **more: Any) -> list[int]:
    """The last number of each login's address."""
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    found = reader(core, **more).events(data, 0, len(data), offset=0, reference=NOW)
    return [int(event.ip.rpartition(".")[2]) for event in found if event.kind == "login" and event.ip]


def fed(of: Reader, line: str, *, reference: int = NOW, arrived: bool = False) -> list[tuple[str, int]]:
    data = f"{line}\n".encode()
    of.feed(data, 0, len(data), offset=0, reference=reference, arrived=arrived)
    batch = of.take()
    return list(zip(batch.ip, batch.first, strict=True))


def test_a_layout_is_announced_once_and_kept(core: Backend) -> None:
    said: list[str] = []
    one = reader(core, said)
    lines = (
        f"mail-1  | Mar 12 10:00:00 mx dovecot: {login(1)}",
        f"Mar 12 10:00:00 mx dovecot: {login(2)}",
        f"Thu Mar 12 10:00:00 2026 mail.info dovecot: {login(3)}",
        f"web-1  | Mar 12 10:00:00 mx dovecot: {login(4)}",
        f"mail-2  | Mar 12 10:00:00 mx dovecot: {login(5)}",
        f"mail-1  | Mar 12 10:00:00 mx dovecot: {login(6)}",
    )
    found = [ip for line in lines for ip, _ in fed(one, line)]
    # A line of another kind may be the rest of one, so the next entry of each stream grants nothing.
    assert found == ["203.0.113.1"]
    assert [ip for ip, _ in fed(one, lines[0])] == ["203.0.113.1"]
    assert said == ["syslog (docker compose logs, of mail only)"]
    one.begin_file()
    assert [ip for ip, _ in fed(one, lines[1])] == ["203.0.113.2"]
    assert said[1:] == ["syslog"]


def test_other_services_do_not_disturb(core: Backend) -> None:
    lines = [f"{name}  | Mar 12 10:00:00 mx dovecot: {login(n)}" for n, name in enumerate(("mail-1", "web-1") * 3)]
    assert ips(core, *lines) == [0, 2, 4]


@pytest.mark.parametrize("line", ["[pod/mail-{}/mail] {}", "mail-{}  | {}", "\x1b[3{0}mmail_{0}  |\x1b[0m {1}"])
@pytest.mark.parametrize("between", [0, 1, 3])
def test_the_rest_of_a_line_is_known_by_its_pod_or_container(core: Backend, line: str, between: int) -> None:
    others = [line.format(2, own(2))] * between
    lines = [line.format(1, own(1)), line.format(1, "z" * 700), *others, line.format(1, own(3)), line.format(1, own(4))]
    assert ips(core, *lines) == [1, *[2] * between, 4]


@pytest.mark.parametrize("service", ["imap-login", "imap-login2", "pop3-login-int", "pop3-login_x"])
@pytest.mark.parametrize("before", ["", "Mar  4 03:00:00 mx dovecot: ", "2026-03-12T09:00:00.1Z "])
def test_services_of_a_sites_own_show_an_own_log(core: Backend, before: str, service: str) -> None:
    """First in a file, they decide how all of it is read."""
    lines = [f"{before}{own(n)}" for n in (0, 1)]
    assert ips(core, lines[0].replace("imap-login", service), lines[1]) == [0, 1]


@pytest.mark.parametrize("name", ["mail", "ma\xefl", "mail\u2028", "\0mail", "\udcff", "m" * 300])
@pytest.mark.parametrize("line", ["{}-1  | {}", "[pod/{}/mail] {}", "[pod/mail-0/{}] {}", "\x1b[36m{} |\x1b[0m {}"])
def test_any_bytes_may_be_in_a_services_place(core: Backend, line: str, name: str) -> None:
    """What shows such a layout first may be a stranger's."""
    one = reader(core)
    text = line.format(name, f"Mar 12 10:00:00 mx dovecot: {login()}").encode("utf-8", "surrogateescape") + b"\n"
    for at in range(2):
        found = one.events(text, 0, len(text), offset=at * len(text), reference=NOW)
        assert name != "mail" or [event.ip for event in found] == ["203.0.113.41"]


@pytest.mark.parametrize(
    "line",
    [
        "[ 1234.567890] mx dovecot[9]: {}",
        "[ 1234.567890                ] mx dovecot[9]: {}",
        "[    0.000001 <    0.5 >] mx dovecot: {}",
    ],
)
def test_undated_lines_count_as_of_their_arrival_and_in_a_replay_not_at_all(core: Backend, line: str) -> None:
    said: list[str] = []
    one = reader(core, said, live=True)
    assert fed(one, line.format(login()), arrived=True) == [("203.0.113.41", NOW)]
    assert fed(one, line.format(login()), reference=NOW + 7, arrived=True) == [("203.0.113.41", NOW + 7)]
    assert fed(one, line.format(login())) == []
    assert one.counters["missed_bad_stamp"] == 1
    assert "no dates: live lines count as of their arrival, in a replay they grant nothing" in said[0]
    assert one.timestamp(line.format(login()).encode(), NOW) is None


def test_month_names_are_found_late_and_announced(core: Backend) -> None:
    said: list[str] = []
    one = reader(core, said)
    april = NOW + 50 * 86_400
    assert len(fed(one, f"Apr 30 10:00:00 mx dovecot[9]: {login()}", reference=april)) == 1
    ((_, timestamp),) = fed(one, f"Mai  1 10:00:00 mx dovecot[9]: {login()}", reference=april)
    assert datetime.fromtimestamp(timestamp, UTC).isoformat() == "2026-05-01T09:00:00+00:00"
    # June's name is English, too.
    assert len(fed(one, f"Jun  1 10:00:00 mx dovecot[9]: {login()}", reference=april + 32 * 86_400)) == 1
    assert said == ["syslog", "syslog (month names of another language)"]


def test_month_names_are_found_within_a_piece(core: Backend) -> None:
    for lines in (["Apr 30", "Mai  1"], ["Apr 30", *["Mai 12"] * 40, "Jun  1"], ["Apr 30"] * 400 + ["Mai  1"] * 40):
        log = [f"{day} 10:00:00 mx dovecot[9]: {login(n % 200)}" for n, day in enumerate(lines)]
        assert len(ips(core, *log)) == len(lines)


def test_a_months_name_means_one_month() -> None:
    assert {MONTHS[name.encode()] for name in ("Dez", "déc.", "дек", "gru", "Ara")} == {b"Dec"}
    assert MONTHS["Mär".encode("latin-1")] == MONTHS["Mär".encode()] == b"Mar"
    assert not {b"lis", b"srp", b"lip", b"Kas"} & set(MONTHS)
    assert not {b"Jan", b"Apr", b"May"} & set(MONTHS)
    assert len(MONTHS) > 200


def test_nul_bytes_are_no_line(core: Backend) -> None:
    """The cutter drops them; a wrapper that they hide is found all the same."""
    from pbs_fast.sources.lines import cut

    data = b"\0" * 4096 + f"2026-03-12T09:00:00.1Z {own(1)}\n2026-03-12T09:00:01.1Z {own(2)}\n".encode()
    one, found = reader(core), []
    for piece in cut(data, 0, 0, False).pieces:
        found += one.events(piece.data, piece.start, piece.stop, offset=piece.offset, reference=NOW)
    assert [event.ip for event in found] == ["203.0.113.1", "203.0.113.2"]


# -- containers -----------------------------------------------------------------------------------------------------


def docker(n: int, second: int, stream: str = "stdout", end: str = "\n", **more: str) -> str:
    time = datetime.fromtimestamp(NOW + second, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    return json.dumps({"log": own(n) + end, "stream": stream, "attrs": {"tag": "mail"}, "time": time, **more})


def test_a_stream_that_was_silent_for_a_minute_is_at_the_start_of_a_line(core: Backend) -> None:
    out = [docker(n, n) for n in range(0, 100, 20)]
    assert ips(core, *out, docker(101, 60, "stderr"), docker(102, 61, "stderr")) == [20, 40, 60, 80, 102]
    assert ips(core, *out, docker(101, 61, "stderr"), docker(102, 61, "stderr")) == [20, 40, 60, 80, 101, 102]
    # Not while one of its lines is known to go on.
    cut = docker(100, 1, "stderr", end="")
    assert ips(core, docker(0, 0), cut, docker(101, 200, "stderr"), docker(102, 201, "stderr")) == [102]


def test_the_first_entry_of_a_file_is_shown_where_nothing_is_granted(core: Backend) -> None:
    assert ips(core, docker(1, 0)) == []
    assert ips(core, docker(1, 0), starts_whole=True) == [1]
    assert ips(core, docker(1, 0, end=""), docker(2, 0), docker(3, 0), starts_whole=True) == [3]


def test_a_container_with_an_own_log_and_a_syslog(core: Backend) -> None:
    time = "2026-03-12T09:00:00.1Z"
    texts = (
        own(1),
        f"Mar 12 10:00:00 6f4d dovecot: {login(2)}",
        login(3, "Info: "),
        f"2026-03-12T01:00:00Z mx dovecot: {login(4)}",
    )
    assert ips(core, f"{time} {texts[0]}", *(f"{time} {text}" for text in texts)) == [1, 1, 2, 3, 4]


def test_the_journal_of_containers(core: Backend) -> None:
    texts = {
        "5fda83a7192b[812]": (own(1), f"Mar 12 10:00:00 6f4d dovecot: {login(2)}", login(3, "Info: ")),
        "dovecot[812]": (login(4), own(5), f"2026-03-12T01:00:00Z mail dovecot: {login(6)}"),
    }
    lines = [f"2026-03-12T09:00:00.1+00:00 hub {tag}: {text}" for tag, found in texts.items() for text in found]
    assert ips(core, *lines, of_containers=True) == [1, 2, 3, 4, 5, 6]
    assert ips(core, *lines) == [4, 5, 6]
    others = (
        "x " + own(),
        login(),
        f"Mar 12 10:00:00 6f4d postfix/smtpd[1]: {login()}",
        f"imap(x dovecot: {login()}",
        f"x dovecot: {login()}",
    )
    assert (
        ips(core, *(f"2026-03-12T09:00:00.1+00:00 hub web[812]: {text}" for text in others), of_containers=True) == []
    )


_CUT_IN_A_CONTAINER = {
    "docker": lambda text, name: json.dumps({"log": f"{text}\n", "stream": name, "time": "2026-03-12T09:00:00.1Z"}),
    "cri": lambda text, name: f"2026-03-12T09:00:00.1Z {name} F {text}",
    "journal": lambda text, name: f"2026-03-12T09:00:00.1+00:00 hub {name}[812]: {text}",
}


@pytest.mark.parametrize("engine", _CUT_IN_A_CONTAINER)
def test_a_program_in_a_container_may_cut_too(core: Backend, engine: str) -> None:
    """Such as `s6-log -l 1000`: what follows is an entry of its own, of any host and tag."""
    entry, more = _CUT_IN_A_CONTAINER[engine], {"of_containers": engine == "journal"}
    forged = f"Mar 12 10:00:00 other dovecot: {login(9)}"
    for text, found in (("z" * 700, [1, 2, 4]), ("z" * 600, [1, 2, 9, 4])):
        long = f"Mar 12 10:00:00 mx imapd: LOGIN FAILED, user={text}"
        lines = [entry(own(0), "stdout"), entry(own(1), "stdout"), entry(own(0), "stderr")]
        lines += [entry(long, "stdout"), entry(own(2), "stderr"), entry(forged, "stdout"), entry(own(4), "stdout")]
        assert [n for n in ips(core, *lines, **more) if n] == found


def test_units_are_in_one_list() -> None:
    assert "dovecot2.service" in accepted_units(JournalSpec())
    assert unit_tags()[b"dovecot2.service"] == b"dovecot"
    assert b"cyrus-imapd.service" not in unit_tags()
    assert set(unit_tags()) < {unit.encode() for unit in accepted_units(JournalSpec())}


def test_a_units_name_is_its_tag_and_no_other_units(core: Backend) -> None:
    def line(unit: str, n: int) -> str:
        return f"Thu 2026-03-12 10:00:00 CET mx {unit}[9]: {login(n)}"

    units = (
        "dovecot.service",
        "dovecot2.service",
        "user@1000.service/dovecot.service",
        "xdovecot.service",
        "dovecot.scope",
        "courier-imap.service",
    )
    assert ips(core, line("cron.service", 9), *(line(unit, n) for n, unit in enumerate(units))) == [0, 1]


# -- JSON -----------------------------------------------------------------------------------------------------------


def test_a_key_that_comes_twice_is_refused(core: Backend) -> None:
    good = {"timestamp": "2026-03-12T09:00:00Z", "host": "mx", "program": "cron", "message": "x"}
    forged = json.dumps({**good, "program": "postfix"}).replace(
        '"message": "x"', f'"message": "x", "program": "dovecot", "message": "{login()}"'
    )
    honest = json.dumps({**good, "program": "dovecot", "message": login(2)})
    assert ips(core, json.dumps(good), forged, json.dumps(good), honest) == [2]
    assert ips(core, forged) == []


@pytest.mark.parametrize("program", ["", "-", None, 5, "a b", "dovecot: x", "x\ndovecot", "[dovecot]", "postfix/smtpd"])
def test_what_is_no_program_is_nobody(core: Backend, program: object) -> None:
    record = {"timestamp": "2026-03-12T09:00:00Z", "host": "mx", "program": "cron", "message": "x"}
    assert ips(core, json.dumps(record), json.dumps({**record, "program": program, "message": login()})) == []


def test_a_host_is_a_name(core: Backend) -> None:
    record = {"timestamp": "2026-03-12T09:00:00Z", "program": "cron", "message": login()}
    for host in ("mx dovecot: x", "dovecot:", "x\n", ["mx"], {"name": "mx"}):
        assert ips(core, json.dumps({**record, "host": host})) == []
        assert ips(core, json.dumps({**record, "program": "dovecot", "host": host})) == [41]


def test_control_bytes_in_a_message_end_no_line(core: Backend) -> None:
    record = {
        "timestamp": "2026-03-12T09:00:00Z",
        "program": "cron",
        "message": f"x\nMar 12 10:00:00 mx dovecot: {login()}",
    }
    assert ips(core, json.dumps(record)) == []
    assert ips(core, json.dumps({**record, "program": "dovecot", "message": f"{login()}\r\n"})) == [41]


def test_parts_of_the_journals_lines(core: Backend) -> None:
    record = {
        "__REALTIME_TIMESTAMP": str(NOW * 1_000_000),
        "SYSLOG_IDENTIFIER": "dovecot",
        "_STREAM_ID": "1",
        "MESSAGE": login(1),
    }
    part = {**record, "_LINE_BREAK": "line-max", "MESSAGE": "x"}
    # journald reads a priority (`<3>`) at the start of each part.
    urgent = {**record, "PRIORITY": "3", "MESSAGE": login(2)}
    logs = ([record], [part, {**record, "MESSAGE": login(2)}, {**record, "MESSAGE": login(3)}], [part, urgent, record])
    assert [ips(core, *map(json.dumps, log)) for log in logs] == [[1], [3], [1]]
    as_bytes = {**record, "MESSAGE": list(login(4).replace("<u>", "<\xff>").encode("latin-1"))}
    assert ips(core, json.dumps(as_bytes)) == [4]


@pytest.mark.parametrize(
    "names",
    [
        ({"container_id": "1"}, {"container_id": "2"}),
        ({"source": "stderr", "container_name": "/mail"}, {"source": "stdout", "container_name": "/mail"}),
        ({"kubernetes": {"pod_name": "mail-0"}}, {"kubernetes": {"pod_name": "web-0"}}),
        ({"container": {"id": "1"}}, {"container": {"id": "2"}}),
        ({"file": "/1.log"}, {"file": "/2.log"}),
    ],
)
def test_the_rest_of_a_containers_line_is_known_by_its_container(core: Backend, names: tuple[Any, Any]) -> None:
    """Whatever other containers write in between."""
    mine, other = names

    def said(names: object, text: str, **more: str) -> str:
        return json.dumps({"@timestamp": "2026-03-12T09:00:00Z", "log": text, **more} | dict(cast("Any", names)))

    for part in (said(mine, "z" * 700), said(mine, "z", partial_message="true", partial_last="false")):
        for between in ([], [said(other, "x")], [said(other, "x")] * 3):
            lines = [said(other, "x"), part, *between, said(mine, own(1), partial_message="true", partial_last="true")]
            assert ips(core, *lines, said(mine, own(2)), said(other, own(3))) == [2, 3]


@pytest.mark.parametrize("layout", ["%s", "data: %s", "mail: [1773306000.5, %s]"])
def test_json_that_is_not_utf8(core: Backend, layout: str) -> None:
    """rsyslog writes such bytes as they are: they hide neither their own login nor the next."""
    record = {"timestamp": "2026-03-12T09:00:00Z", "host": "mx", "program": "dovecot", "pid": "7"}
    failed = "imap-login: Disconnected (auth failed, 1 attempts): user=<x\udcff>, rip=192.0.2.9, lip=192.0.2.1"
    messages = (login(1), failed, login(2), login(3).replace("<u>", "<\udce9\udced\udca0\udc80>"), login(4))
    lines = [json.dumps({**record, "message": each}, ensure_ascii=False) for each in messages]
    assert ips(core, *(layout % line for line in lines)) == [1, 2, 3, 4]
    tagged = [line.replace('"pid": "7"', '"container_id": "\udcff"') for line in lines]
    assert ips(core, *(layout % line for line in tagged)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-03-12T09:00:00Z",
        "2026-03-12 10:00:00",
        "Mar 12 10:00:00",
        NOW,
        NOW + 0.5,
        NOW * 1000,
        NOW * 10**6,
        str(NOW * 10**9),
        "20260312100000",
    ],
)
def test_timestamps(core: Backend, timestamp: object) -> None:
    data = json.dumps({"time": timestamp, "program": "dovecot", "message": login()}).encode()
    (event,) = reader(core).events(data, 0, len(data), offset=0, reference=NOW)
    assert event.timestamp == NOW


def test_a_sites_own_keys(core: Backend) -> None:
    shape = read_shape(
        {"message": "log.original", "timestamp": "@t", "program": "process.name", "host": None, "pid": None}
    )
    assert shape == Shape("of [json]", ("log.original",), ("@t",), ("process.name",))
    record = {
        "@t": "2026-03-12T09:00:00Z",
        "log": {"original": login()},
        "process": {"name": "dovecot"},
        "message": "x",
    }
    assert ips(core, json.dumps(record), shape=shape) == [41]
    assert ips(core, json.dumps(record)) == []
    assert read_shape(dict.fromkeys(("message", "timestamp", "program", "host", "pid"))) is None
    with pytest.raises(ConfigError, match=r"f.toml: \[json\] does not name the key of the timestamp"):
        read_shape({"message": "m", "timestamp": None}, "f.toml: ")


def test_streams_that_are_remembered_are_bounded() -> None:
    streams = Streams()
    for n in range(3 * REMEMBERED):
        entry = Entry(b"", b"x", stream=str(n))
        assert streams.is_whole(entry, proves_starts=False)
    assert not streams._within
    for n in range(3 * REMEMBERED):
        streams.is_whole(Entry(b"", b"x", stream=str(n), is_part=True), proves_starts=False)
        assert len(streams._within) <= REMEMBERED
    # Some that go on were forgotten, so an unknown one may.
    assert not streams.is_whole(Entry(b"", b"x", stream="0"), proves_starts=False)
    assert streams.is_whole(Entry(b"", b"x", stream="0"), proves_starts=False)
