"""Which entries are believed, what a spec asks for, and what line an entry becomes: without any journal."""

from __future__ import annotations

import pwd
from collections import Counter
from collections.abc import Callable, Set
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import UsageError
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import Backend
from pbs_fast.sources.journal.export import Entry
from pbs_fast.sources.journal.parts import REMEMBERED, Parts
from pbs_fast.sources.journal.render import Renderer
from pbs_fast.sources.journal.source import selected
from pbs_fast.sources.journal.spec import JournalSpec, parse_journal
from pbs_fast.sources.journal.take import Take
from pbs_fast.sources.journal.trust import RECHECK, Trust, accepted_units
from pbs_fast.sources.lines import MAX_LINE
from pbs_fast.sources.protocol import Notice
from sources.journals import MACHINE, fields, message
from support.matchers import catalogue_matcher

NONE: frozenset[bytes] = frozenset()
UTC = ((-(2**40), 0),)


def entry(text: str | bytes = "hello", *, repeated: Set[bytes] = NONE, cut: Set[bytes] = NONE, **other: Any) -> Entry:
    values = fields(text, 1_763_806_500.25, **other)
    plain = {name.encode(): value.encode() if isinstance(value, str) else value for name, value in values.items()}
    return Entry(plain, frozenset(repeated), frozenset(cut))


def refusal(spec: str, machine: str | None = MACHINE, **other: Any) -> str | None:
    return Trust(parse_journal(spec), machine).refusal(entry(**other))


# -- trust ----------------------------------------------------------------------------------------------------------


def test_the_servers_own_entries_are_believed() -> None:
    assert refusal("") is None
    assert refusal("unit=dovecot") is None
    assert refusal("", _TRANSPORT="stdout") is None
    assert refusal("", _SYSTEMD_UNIT="courier-pop-ssl.service", _UID=str(pwd.getpwnam("daemon").pw_uid)) is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"_SYSTEMD_UNIT": None}, "unit"),
        ({"_SYSTEMD_UNIT": "session-3.scope"}, "unit"),
        ({"_SYSTEMD_UNIT": "user@1000.service", "_UID": "1000"}, "unit"),
        ({"_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "dovecot.service"}, "unit"),
        ({"_SYSTEMD_UNIT": "dovecot.service.evil.service"}, "unit"),
        ({"_SYSTEMD_UNIT": "xdovecot.service"}, "unit"),
        ({"_SYSTEMD_UNIT": "dovecot.service\n"}, "unit"),
        (
            {"_SYSTEMD_UNIT": "a.service", "UNIT": "dovecot.service", "OBJECT_SYSTEMD_UNIT": "dovecot.service"},
            "unit",
        ),
        ({"_UID": "1000"}, "uid"),
        ({"_UID": None}, "uid"),
        ({"_UID": "00"}, "uid"),
        ({"_UID": "1"}, "uid"),  # daemon may write for Courier, not for Dovecot
        ({"_TRANSPORT": "audit"}, "transport"),
        ({"_TRANSPORT": None}, "transport"),
        ({"_MACHINE_ID": "f" * 32}, "machine"),
        ({"_MACHINE_ID": None}, "machine"),
        ({"CONTAINER_NAME": "mail"}, "container"),
        ({"CONTAINER_ID": "0123"}, "container"),
        ({"repeated": {b"_UID"}}, "malformed"),
        ({"repeated": {b"_SYSTEMD_UNIT"}}, "malformed"),
        ({"cut": {b"CONTAINER_NAME"}}, "malformed"),
    ],
)
def test_forged_entries_are_refused(other: dict[str, Any], reason: str) -> None:
    assert refusal("", **other) == reason


def test_a_spec_changes_who_is_believed() -> None:
    assert refusal("unit=mail", _SYSTEMD_UNIT="mail.service") is None
    assert refusal("unit=mail") == "unit"
    assert refusal("unit=mail,unit=dovecot") is None
    assert refusal("unit=mail,dovecot.service") is None
    assert refusal("unit=dovecot@*", _SYSTEMD_UNIT="dovecot@b.service") is None
    assert refusal("unit=dovecot@*", _SYSTEMD_UNIT="dovecot.service") == "unit"
    assert refusal("uid=1000", _UID="1000") is None
    assert refusal("uid=1000") == "uid"  # what is named is all
    assert refusal("uid=any", _UID="4711") is None
    assert refusal("uid=root") is None
    assert refusal(f"machine={'e' * 32}", _MACHINE_ID="e" * 32) is None
    assert refusal(f"machine={'e' * 32}") == "machine"
    assert refusal("directory=/journal", _MACHINE_ID="e" * 32) is None


def test_an_account_that_is_made_later_is_found_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is installed after our start: its package makes the account, whose number nobody knew before."""
    numbers: dict[str, int] = {}

    def account(name: str) -> SimpleNamespace:
        return SimpleNamespace(pw_uid=numbers[name])  # KeyError, as pwd's, for one that there is not

    monkeypatch.setattr(pwd, "getpwnam", account)
    now = 0.0
    said: list[tuple[str, str]] = []
    trust = Trust(JournalSpec(), MACHINE, lambda uid, units: said.append((uid, units)), lambda: now)
    cyrus = entry(_SYSTEMD_UNIT="cyrus-imapd.service", _UID="117", SYSLOG_IDENTIFIER="cyrus/imap")
    other = entry(_SYSTEMD_UNIT="cyrus-imapd.service", _UID="1000", SYSLOG_IDENTIFIER="cyrus/imap")
    assert trust.refusal(cyrus) == "uid"
    numbers["cyrus"] = 117
    assert trust.refusal(cyrus) == "uid", "accounts are not looked up for each entry"
    now += RECHECK
    assert trust.refusal(other) == "uid"
    assert trust.refusal(cyrus) is None
    assert said.pop() == ("117", "cyrus-imapd.service, cyrus-master.service, cyrus.service, cyrus-imap.service")
    numbers["cyrus"] = 118
    now += RECHECK
    assert trust.refusal(cyrus) is None
    assert trust.refusal(other) == "uid"
    assert trust.refusal(cyrus) == "uid", "a number that is another's now is believed no more once that shows"
    assert said.pop()[0] == "118"
    now += RECHECK
    assert trust.refusal(entry(_SYSTEMD_UNIT="cyrus-imapd.service", _UID="118")) is None
    numbers["courier"] = 119
    assert trust.refusal(entry(_SYSTEMD_UNIT="courier-imap.service", _UID="119")) is None
    assert [uid for uid, _ in said] == ["119"]


def test_accounts_are_looked_up_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def account(name: str) -> SimpleNamespace:
        asked.append(name)
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", account)
    trust = Trust(JournalSpec(), MACHINE, clock=lambda: 1.0)
    before = len(asked)
    for uid in range(1, 1_000):
        assert trust.refusal(entry(_UID=str(uid))) == "uid"
    assert len(asked) == 2 * before


def test_a_container_is_believed_by_name_and_through_its_engine_alone() -> None:
    docker = {"CONTAINER_NAME": "mail", "_SYSTEMD_UNIT": "docker.service"}
    assert refusal("container=mail", **docker) is None
    assert refusal("container=mail", **{**docker, "_SYSTEMD_UNIT": "libpod-conmon-4f2a.scope"}) is None
    assert refusal("container=mail", **{**docker, "CONTAINER_NAME": "web"}) == "container"
    assert refusal("container=mail") == "container"
    assert refusal("container=mail", **{**docker, "_SYSTEMD_UNIT": "user@1000.service"}) == "unit"
    assert refusal("container=mail", **{**docker, "_UID": "1000"}) == "uid"
    assert refusal("unit=docker.service", **docker) == "container"


def test_a_quadlets_unit_has_any_name_but_root_and_conmon_write_it() -> None:
    podman = {
        "CONTAINER_NAME": "mail",
        "CONTAINER_ID": "4f2a",
        "_TRANSPORT": "journal",
        "_UID": "0",
        "_COMM": "conmon",
        "_EXE": "/usr/bin/conmon",
        "_SYSTEMD_UNIT": "mail.service",
        "SYSLOG_IDENTIFIER": "mail",
    }
    assert refusal("container=mail", **podman) is None
    assert refusal("container=mail", **{**podman, "CONTAINER_NAME": "web"}) == "container"
    assert refusal("container=mail", **{**podman, "_EXE": "/usr/bin/logger"}) == "unit"
    assert refusal("container=mail", **{**podman, "_EXE": None}) == "unit"
    assert refusal("container=mail", **{**podman, "_UID": "1000"}) == "unit"
    assert refusal("container=mail", **{**podman, "_SYSTEMD_UNIT": None}) == "unit"
    # A unit that is named is the only one.
    assert refusal("container=mail,unit=web.service", **podman) == "unit"
    assert refusal("", **podman) == "container"


def test_servers_with_units_of_their_own_have_theirs() -> None:
    units = accepted_units(JournalSpec())
    names = {each.name.partition("-")[0] for each in load_catalogue()}
    for name in ("dovecot", "courier", "cyrus"):
        assert name in names
        assert any(unit.startswith(name) for unit in units), name


def test_the_spec_has_every_key() -> None:
    spec = parse_journal(f"unit=a,b.scope,unit=c@*,uid=0,daemon,any,machine={'A' * 32},container=x,directory=/j")
    assert spec.unit == ("a.service", "b.scope", "c@*")
    assert spec.uid == ("0", "1", "any")
    assert spec.machine == ("a" * 32,)
    assert (spec.container, spec.directory, spec.file) == (("x",), ("/j",), ())
    assert parse_journal("") == JournalSpec()
    assert parse_journal("file=/a,/b").file == ("/a", "/b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("units=a", 'nearest: "unit="'),
        ("dovecot.service", "is none of unit="),
        ("unit=", "unit= has no value"),
        ("unit=a,,b", "unit= has no value"),
        ("uid=no-such-account", "no such account"),
        ("machine=12", "no machine id"),
        ("directory=/a,directory=/b", "one directory"),
        ("directory=/a,file=/b", "one directory"),
        ("directory=relative", "no absolute path"),
    ],
)
def test_a_spec_that_is_not_understood_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_journal(text)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


# -- lines ----------------------------------------------------------------------------------------------------------


def line(**other: Any) -> bytes | str:
    return Renderer().render(entry(**other))


def rendered(**other: Any) -> bytes:
    found = line(**other)
    assert isinstance(found, bytes)
    return found


def test_blanks_that_journald_stripped_are_part_of_the_message() -> None:
    raw = "<22>Nov 22 10:15:00 dovecot[71]: hello"
    assert rendered(SYSLOG_RAW=f"{raw}  \t ").endswith(b": hello  #011 \n")
    assert rendered(SYSLOG_RAW=f"{raw} \n\x00").endswith(b": hello \n")
    assert rendered(SYSLOG_RAW=raw) == rendered(SYSLOG_RAW=f"{raw}\n") == line()
    assert line(SYSLOG_RAW=raw + " " * 16_384) == "too_long"


def test_a_line() -> None:
    assert line() == b"2025-11-22T10:15:00.250000+00:00 hub dovecot[71]: hello\n"
    assert rendered(_SOURCE_REALTIME_TIMESTAMP="1763806499999999").startswith(b"2025-11-22T10:14:59.999999+00:00 ")
    assert rendered(_SOURCE_REALTIME_TIMESTAMP="soon").startswith(b"2025-11-22T10:15:00.250000")
    assert rendered(_SOURCE_REALTIME_TIMESTAMP=None, _PID=None, SYSLOG_PID="9").endswith(b" hub dovecot[9]: hello\n")
    assert rendered(SYSLOG_IDENTIFIER=None, _PID="x").endswith(b" hub log: hello\n")
    assert rendered(_HOSTNAME="a b").endswith(b" - dovecot[71]: hello\n")
    assert rendered(_HOSTNAME="imap-login:").endswith(b" - dovecot[71]: hello\n")


def test_a_message_stays_within_its_line() -> None:
    assert rendered(text="a\nb\0c\td\r\n\n").endswith(b": a#012b#000c#011d\n")
    assert rendered(text=b"caf\xe9 \xff").endswith(b": caf\xe9 \xff\n")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"MESSAGE": None}, "malformed"),
        ({"SYSLOG_IDENTIFIER": "a b"}, "malformed"),
        ({"SYSLOG_IDENTIFIER": "dovecot: imap-login"}, "malformed"),
        ({"SYSLOG_IDENTIFIER": "a[1]"}, "malformed"),
        ({"SYSLOG_IDENTIFIER": "a\nb"}, "malformed"),
        ({"SYSLOG_IDENTIFIER": None, "_COMM": None}, "malformed"),
        ({"__REALTIME_TIMESTAMP": "x"}, "malformed"),
        ({"repeated": {b"MESSAGE"}}, "malformed"),
        ({"repeated": {b"SYSLOG_IDENTIFIER"}}, "malformed"),
        ({"cut": {b"_HOSTNAME"}}, "malformed"),
        ({"cut": {b"MESSAGE"}}, "too_long"),
        ({"MESSAGE": "x" * MAX_LINE}, "too_long"),
        ({"MESSAGE": "\n" * (MAX_LINE // 3) + "x"}, "too_long"),
    ],
)
def test_what_cannot_be_a_line_is_none(other: dict[str, Any], reason: str) -> None:
    assert line(**other) == reason


HOSTILE = st.one_of(
    st.sampled_from(["\n", "\r", " ", ": ", "]", "<", "dovecot: ", message("203.0.113.66"), "2026-11-22T10:15:00Z h "]),
    st.characters(codec="utf-8"),
)


@given(
    parts=st.lists(HOSTILE, max_size=6),
    host=st.one_of(st.just("hub"), st.lists(HOSTILE, max_size=3).map("".join)),
    tag=st.one_of(st.just("dovecot"), st.lists(HOSTILE, max_size=3).map("".join)),
    honest=st.booleans(),
)
def test_no_content_makes_an_event_that_the_server_did_not_write(
    core: Backend, parts: list[str], host: str, tag: str, honest: bool, share: Callable[[object], None]
) -> None:
    text = "".join(parts)
    if honest:
        text = message("203.0.113.5", user="ann") + "\n" + text
    elif text.startswith("imap-login: Login: "):
        text = f"x{text}"
    made = line(text=text, _HOSTNAME=host, SYSLOG_IDENTIFIER=tag)
    if isinstance(made, str):
        share(False)
        return
    assert made.count(b"\n") == 1
    assert made.endswith(b"\n")
    matcher = catalogue_matcher(core.name)
    events = core.Stream(matcher, source="", gap=1, fold=False).events(matcher.scan(made, reference=1_763_806_500))
    logins = [(event.ip, event.user) for event in events if event.kind == "login"]
    plain = honest and text.rstrip("\r\n") == message("203.0.113.5") and tag == "dovecot"
    assert logins == ([("203.0.113.5", "ann")] if plain else [])
    share(logins or "imap-login" in text)


# -- parts of lines --------------------------------------------------------------------------------------------------

STDOUT = {"_TRANSPORT": "stdout", "_STREAM_ID": "a"}
DOCKER = {
    "CONTAINER_NAME": "mail",
    "CONTAINER_ID": "0123",
    "_SYSTEMD_UNIT": "docker.service",
    "PRIORITY": "6",
    "_COMM": "dockerd",
}
PARTIAL = {**DOCKER, "CONTAINER_PARTIAL_MESSAGE": "true", "CONTAINER_PARTIAL_ID": "9", "CONTAINER_PARTIAL_ORDINAL": "1"}


@pytest.mark.parametrize(
    ("entries", "kept"),
    [
        ([{"_LINE_BREAK": "line-max"}, {}, {}], [2]),
        ([{"_LINE_BREAK": "line-max"}, {"_LINE_BREAK": "line-max"}, {}, {}], [3]),
        ([{"_LINE_BREAK": "line-max"}, {"_STREAM_ID": "b"}, {}, {}], [1, 3]),
        # A NUL in a name ends an entry; another process's line may stand between the parts of one.
        ([{"_LINE_BREAK": "nul"}, {}, {}], [2]),
        ([{"_LINE_BREAK": "pid-change"}, {"_PID": "72"}, {}, {}], [1, 3]),
        ([{"_LINE_BREAK": "line-max"}, {"_LINE_BREAK": "pid-change"}, {"_PID": "72"}, {}, {}], [2, 4]),
        # The writer went away within its line: it is none, and nothing continues it.
        ([{"_LINE_BREAK": "eof"}, {}], [1]),
        ([{"_LINE_BREAK": "of a later journald"}, {}, {}], [2]),
        ([{**STDOUT, **PARTIAL}, {**STDOUT, **DOCKER}, {**STDOUT, **DOCKER}], [2]),
        ([PARTIAL, PARTIAL, {**PARTIAL, "CONTAINER_PARTIAL_MESSAGE": None}, DOCKER], [3]),
        ([PARTIAL, {**DOCKER, "PRIORITY": "3"}, {**DOCKER, "CONTAINER_ID": "4567"}, DOCKER, DOCKER], [1, 2, 4]),
        ([{**DOCKER, "CONTAINER_PARTIAL_LAST": "true", "CONTAINER_PARTIAL_ID": "9"}, DOCKER], [1]),
        # What is not believed opens nothing.
        ([{"_LINE_BREAK": "line-max", "_UID": "1000"}, {}], [1]),
    ],
)
def test_parts_of_a_line_are_refused_and_counted(entries: list[dict[str, Any]], kept: list[int]) -> None:
    made = [entry(f"text {n}", **{**STDOUT, **other}) for n, other in enumerate(entries)]
    lines, counters, _ = taken(*made, spec="container=mail" if "CONTAINER_NAME" in entries[-1] else "")
    assert [int(line.split()[-1]) for line in lines] == kept
    refused = counters["refused_part"] + counters["refused_uid"]
    assert counters["entries"] == len(lines) + refused == len(entries)


def test_few_streams_are_remembered() -> None:
    parts = Parts()
    opened = [entry(_STREAM_ID=str(n), _LINE_BREAK="line-max") for n in range(REMEMBERED + 1)]
    assert all(map(parts.is_part, opened))
    assert [parts.is_part(entry(_STREAM_ID=str(n))) for n in (0, 1, 1)] == [False, True, False]


# -- counters and complaints ----------------------------------------------------------------------------------------


def taken(*entries: Entry, spec: str = "") -> tuple[list[bytes], Counter[str], list[Notice]]:
    counters: Counter[str] = Counter()
    said: list[Notice] = []
    take = Take("journal", Trust(parse_journal(spec), MACHINE), counters, ["dovecot", "*/imap"], said.append)
    return take.lines(entries, Parts()), counters, said


def test_every_entry_ends_in_one_counter() -> None:
    lines, counters, _ = taken(
        entry(),
        entry(_UID="5"),
        entry(_SYSTEMD_UNIT="a.service"),
        entry(_SYSTEMD_UNIT="a.service"),
        entry(cut={b"MESSAGE"}),
        entry(repeated={b"MESSAGE"}),
        entry(CONTAINER_ID="1"),
    )
    assert len(lines) == 1
    assert counters == {
        "entries": 7,
        "refused_uid": 1,
        "refused_unit": 2,
        "too_long": 1,
        "refused_malformed": 1,
        "refused_container": 1,
    }
    assert counters.total() - 7 + len(lines) == 7


def test_who_poses_as_a_server_is_named_once() -> None:
    forged = entry(_SYSTEMD_UNIT="session-3.scope", _UID="1000")
    _, _, said = taken(forged, forged, entry(_SYSTEMD_UNIT="cron.service", SYSLOG_IDENTIFIER="cron"))
    assert [notice.kind for notice in said] == ["refused"]
    assert "tagged dovecot of session-3.scope, uid 1000, are rejected (unit)" in said[0].text


def test_debians_tags_of_cyrus_are_asked_for_and_named() -> None:
    assert {"SYSLOG_IDENTIFIER=cyrus/imap", "SYSLOG_IDENTIFIER=dovecot"} <= set(selected((), ["dovecot", "*/imap"]))
    _, _, said = taken(entry(_SYSTEMD_UNIT="mycyrus.service", SYSLOG_IDENTIFIER="cyrus/imap"))
    assert "tagged cyrus/imap of mycyrus.service, uid 0, are rejected (unit)" in said[0].text


def test_complaints_are_bounded_and_printable() -> None:
    _, _, said = taken(*(entry(_SYSTEMD_UNIT=f"x\n\x1b[2J{n}.service") for n in range(1_000)))
    assert len(said) == 20
    assert all(notice.text.isprintable() for notice in said)


def test_dropped_messages_are_said_and_counted() -> None:
    dropped: dict[str, Any] = {
        "MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e",
        "_TRANSPORT": "driver",
        "_SYSTEMD_UNIT": "systemd-journald.service",
        "SYSLOG_IDENTIFIER": "systemd-journald",
    }
    _, counters, said = taken(
        entry("Suppressed 12 messages from dovecot.service", **dropped),
        entry("Suppressed 30 messages from dovecot.service", **dropped),
        entry("Suppressed 7 messages from cron.service", **dropped),
        entry("Suppressed 999 messages from dovecot.service", **{**dropped, "_TRANSPORT": "journal"}),
    )
    assert counters == {"entries": 4, "notes": 3, "dropped_by_journald": 42, "refused_unit": 1}
    assert [notice.kind for notice in said] == ["lost"]
    assert "LogRateLimitIntervalSec=0" in said[0].text
