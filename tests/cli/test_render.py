"""What `status`, `why`, `list`, `watch`, `revoke` and `grant` show, to the letter, and on a terminal of 80 columns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import replies
from pbs_fast.cli.render import layout, status, why
from pbs_fast.cli.render import replies as short
from pbs_fast.cli.render.layout import Cell, Look, listed, paragraph, plural, table
from pbs_fast.control.protocol import EVENTS
from pbs_fast.control.why.findings import Findings, Line, Login, LogPart, Message, Missed

NARROW = Look(80)
#: Colours as marks, so that a test sees where they begin and end.
MARKED = Look(80, lambda text, colour: f"<{colour}>{text}</{colour}>")


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(clock: str) -> int:
    return int(datetime.fromisoformat(f"2026-11-30T{clock}+00:00").timestamp())


def login(clock: str, user: str = "anna@example.org", number: int = 7, **more: Any) -> Login:
    text = f"2026-11-30T{clock}.204+00:00 mx1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip=203.0.113.5"
    values = {"ip": "203.0.113.5", "host": "mx1", "format": "dovecot", "guard": ""} | more
    return Login(at=at(clock), user=user, line=Line("/var/log/mail.log", number * 100, text, number), **values)


def found(*logins: Login, **more: Any) -> Findings:
    values: dict[str, Any] = {"logs": [LogPart("/var/log/mail.log", True, "read back to 08:15")]} | more
    return Findings(at("09:50:02"), at("10:21:13"), 1800, logins=list(logins), **values)


# -- status ---------------------------------------------------------------------------------------------------------


def test_status_of_a_daemon_that_is_well() -> None:
    reply = replies.status()
    assert status.as_text(reply) == (
        "pbs-fast 0.2.0, pid 812, up 3 d 4 h, rust backend: ready\n"
        "4,812 addresses may relay: 3,970 by our logs, 842 by other nodes; 61 new in the last minute (limit 10,000)\n"
        "LOG                LINES/S  LAST LOGIN  BEHIND  FORMATS\n"
        "/var/log/mail.log    1,204  0.4 s ago      0 B  dovecot 98.2 %, courier-imap 1.8 %\n"
        "TABLE                          ROWS  LAST WRITE  WAITING\n"
        "lmdb:/var/lib/pbs-fast/relay  4,812  0.4 s ago         0\n"
        "policy:unix:pbs/policy        4,812  never             0  37 smtpds, 2.1 RCPT/s\n"
        "refused in 3 d 4 h: deny 41, gateway 12, max_users_per_address 3\n"
    )
    assert status.exit_status(reply) == 0


LOG, TABLE = replies.STATUS["logs"][0], replies.STATUS["tables"][0]
HUB: dict[str, Any] = {
    "url": "valkeys://10.0.0.12:6380", "state": "up", "since": "2026-11-30T10:09:13.000Z", "reason": None,
    "delay_ms": 0.6, "offset_s": 0.0, "waiting": 0, "refused": {},
}  # fmt: skip
NODE: dict[str, Any] = {
    "name": "pop2",
    "trusted": True,
    "heard": "2026-11-30T10:21:10.000Z",
    "rows": 842,
    "version": "0.2.0",
    "gaps": 0,
    "silent": False,
    "confirmed": 0,
    "grace": 1800,
}

#: What is wrong -> exit status, and a text of the output.
FAULTS: list[tuple[dict[str, Any], int, str]] = [
    ({"ready": False}, 3, "STARTING"),
    ({"logs": [{**LOG, "state": "missing"}]}, 3, "MISSING; dovecot 98.2 %"),
    ({"logs": [{**LOG, "state": "unreadable"}]}, 3, "UNREADABLE; "),
    ({"logs": [{**LOG, "drift": "37 lines were missed"}]}, 3, "! 37 lines were missed"),
    ({"tables": [{**TABLE, "failing": "disk full", "failing_s": 720.0}]}, 3, "FAILING for 12 min: disk full"),
    ({"hubs": [{**HUB, "state": "down", "reason": "refused"}]}, 3, "DOWN 12 min"),
    ({"nodes": [{**NODE, "heard": "2026-11-30T10:17:13.000Z", "silent": True}]}, 3, "SILENT, 4 min ago"),
    ({"nodes": [{**NODE, "heard": None, "silent": True}]}, 3, "SILENT, never"),
    ({"notices": [{"code": "x", "text": "no log was read", "since": replies.NOW}]}, 3, "! no log was read"),
    ({"turned_s": 50.0}, 4, "loop turned 50 s ago"),
    ({"hubs": [HUB], "nodes": [NODE]}, 0, "up 12 min"),
    ({"logs": [{**LOG, "state": "replaying"}]}, 0, "replaying; dovecot"),
    (
        {"logs": [{**LOG, "logins": {}, "last_login": None, "behind_bytes": None}]},
        0,
        "never            -  no login yet",
    ),
    ({"logs": [{**LOG, "logins": {"a": 4, "b": 3, "c": 2, "d": 1}}]}, 0, "a 40.0 %, b 30.0 %, c 20.0 % and 1 more"),
    ({"sessions_open": 1}, 0, "; 1 session open"),
    ({"sessions_open": 12}, 0, "; 12 sessions open"),
    ({"rows": {**replies.STATUS["rows"], "total": 1_000_000}}, 0, "FULL: guards.max_rows is 1,000,000"),
    (
        {"denials": [{"what": "m@x", "until": "2026-12-01T10:00:00.000Z", "by": "uid=0", "reason": "stolen"}]},
        0,
        "denied by hand: m@x until 2026-12-01 10:00:00 (uid=0): stolen",
    ),
    ({"denials": [{"what": "m@x", "until": None, "by": "deny.toml", "reason": ""}]}, 0, "pbs-fast 0.2.0"),
    (
        {"caps": {"users_over": 1, "addresses_over": 2, "exceeded": {}}},
        0,
        "over a cap in the last hour: 1 login and 2 addresses",
    ),
]


@pytest.mark.parametrize(("changed", "code", "text"), FAULTS)
def test_status_says_what_is_wrong(changed: dict[str, Any], code: int, text: str) -> None:
    reply = replies.status(**changed)
    assert text in status.as_text(reply)
    assert status.exit_status(reply) == code
    assert "m@x" not in status.as_text(reply) or "uid=0" in status.as_text(reply)


@pytest.mark.parametrize("changed", [fault for fault, _, _ in FAULTS])
def test_nothing_is_broken_in_mid_word_at_80_columns(changed: dict[str, Any]) -> None:
    fits(status.as_text(replies.status(**changed), NARROW))


def fits(text: str) -> None:
    """No line is longer than 80, but one of a single word."""
    for line in text.splitlines():
        assert len(line) <= 80 or len(line.split()) == 1, line


def test_what_is_wrong_is_red_on_a_terminal_only() -> None:
    reply = replies.status(notices=[{"code": "x", "text": "trouble", "since": replies.NOW}])
    assert "<red>! trouble</red>" in status.as_text(reply, MARKED)
    assert "<red>" not in status.as_text(reply, NARROW)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12 kB"), (3_140_000, "3.1 MB"), (10**13, "10 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert status.size(count) == text


# -- why ------------------------------------------------------------------------------------------------------------


def test_why_it_may_relay() -> None:
    logins = [login(f"09:5{minute}:02", number=minute) for minute in range(3)]
    logins += [login("10:03:40", "scan@example.org", 11), login("10:12:17", number=1_204_331)]
    messages = [
        Message(at(clock), "203.0.113.5", name) for clock, name in [("10:00:00", "4ZpX0"), ("10:13:00", "4ZpX1")]
    ]
    text = why.as_text("203.0.113.5", replies.why(), found(*logins, messages=messages))
    assert text == (
        "203.0.113.5 may relay until 10:42:17, for 21 min 4 s more\n"
        "  because   anna@example.org logged in at 10:12:17, host mx1, format dovecot\n"
        "            /var/log/mail.log:1204331\n"
        "            2026-11-30T10:12:17.204+00:00 mx1 dovecot: imap-login: Login: user=<anna@example.org>,"
        " method=PLAIN, rip=203.0.113.5\n"
        "  before    3 logins since 09:50:02 by anna@example.org; 1 by scan@example.org (10:03:40)\n"
        '  tables    lmdb:/var/lib/pbs-fast/relay "ok"; policy:unix:pbs/policy "ok"\n'
        "  mail      1 message since 10:12:17: 4ZpX1\n"
    )
    assert why.exit_status(replies.why(), found()) == 0
    fits(why.as_text("203.0.113.5", replies.why(), found(*logins, messages=messages), NARROW))


def refusal(clock: str, user: str) -> dict[str, Any]:
    return {
        "at": f"2026-11-30T{clock}.000Z", "ip": "172.18.0.1", "user": user, "host": "mx1", "guard": "gateway",
        "log": "/var/log/mail.log", "logins": 1,
    }  # fmt: skip


def test_why_it_may_not_relay_because_of_a_guard() -> None:
    reply = replies.why(
        ip="172.18.0.1",
        rows=[],
        tables=[],
        guard="gateway",
        refused={"gateway": 41},
        refusals=[refusal("10:31:02", "lena@example.com"), refusal("09:31:07", "otto@example.com")],
    )
    assert why.as_text("172.18.0.1", reply, found()) == (
        "172.18.0.1 may not relay\n"
        "  refused   41 logins by the guard gateway since 09:31:07, the last at 10:31:02 (lena@example.com, host mx1)\n"
        "            it is this machine's default gateway: a container's proxy hides the clients behind it\n"
        "  to do     let the proxy pass the client's address on (PROXY protocol; Dovecot: haproxy_trusted_networks), or"
        " list it in guards.proxies to silence this\n"
    )
    assert why.exit_status(reply, found()) == 3
    fits(why.as_text("172.18.0.1", reply, found(), NARROW))


def test_why_nothing_is_known() -> None:
    line = Line(
        "/var/log/mail.log", 5, "… dovecot: imap-login: Login (new wording): user=<otto@example.org>", 1_200_187
    )
    reply = replies.why(ip="198.51.100.9", rows=[], tables=[])
    text = why.as_text("198.51.100.9", reply, found(missed=[Missed("no-pattern", line)] * 2))
    assert text == (
        "198.51.100.9 may not relay: no row, no refusal, and no login in the logs since 09:50:02\n"
        "  missed    2 lines with this address look like a login but did not count (no-pattern):\n"
        "            /var/log/mail.log:1200187 … dovecot: imap-login: Login (new wording): user=<otto@example.org>\n"
        "            /var/log/mail.log:1200187 … dovecot: imap-login: Login (new wording): user=<otto@example.org>\n"
    )
    one = why.as_text("198.51.100.9", reply, found(missed=[Missed("no-pattern", line)]))
    assert "1 line with this address looks like a login" in one


def test_why_of_a_user() -> None:
    reply = replies.why(
        ip=None,
        user="anna@example.org",
        rows=[replies.row(), replies.row(ip="2001:db8::7", since=None, until=None, node="pop2", origin="hub")],
        tables=[],
    )
    logins = [login("10:12:17"), login("10:01:00", ip="192.0.2.9", guard="deny", number=3)]
    assert why.as_text("anna@example.org", reply, found(*logins)) == (
        "anna@example.org may relay from 2 addresses\n"
        "  addresses 2001:db8::7 while its session is open, node pop2\n"
        "            203.0.113.5 until 10:42:17, for 21 min 4 s more; login at 10:12:17 (/var/log/mail.log:7)\n"
        "  refused   192.0.2.9: last login at 10:01:00, refused by the guard deny (/var/log/mail.log:3)\n"
    )


def test_why_without_the_daemon() -> None:
    ends = {"203.0.113.5": at("10:42:17")}
    text = why.as_text("203.0.113.5", None, found(login("10:12:17"), ends=ends))
    assert text.startswith(
        "203.0.113.5: by the logs alone it may relay (the daemon was not asked)\n"
        "  because   until 10:42:17: anna@example.org logged in at 10:12:17, host mx1, format dovecot\n"
        "            /var/log/mail.log:7\n"
    )
    assert why.exit_status(None, found()) == 1
    ended = why.as_text("203.0.113.5", None, found(ends={}))
    assert ended == (
        "203.0.113.5: by the logs alone it may not relay (the daemon was not asked)\n"
        "  logins    none in the logs since 09:50:02\n"
    )


#: A reply, what the logs say, and what the text must hold.
NOTICE = {"code": "not_understood", "text": "the log is not understood", "since": replies.NOW}
ANSWERS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"rows": [replies.row(origin="manual")]}, {}, "  because   an administrator granted it at 10:12:17\n"),
    (
        {"rows": [replies.row(origin="manual", by="uid=0", reason="scanner")]},
        {},
        "  because   an administrator granted it at 10:12:17 (uid=0): scanner\n",
    ),
    ({"rows": [], "notices": [NOTICE]}, {}, "  trouble   the log is not understood\n"),
    ({"rows": [], "user": "a@b", "notices": [NOTICE]}, {}, "  trouble   the log is not understood\n"),
    ({"rows": [], "guard": "multicast"}, {}, "set guards.multicast = false if clients have them\n"),
    (
        {"rows": [], "refused": {"gateway": 7}, "refusals": [refusal("10:31:02", "lena")]},
        {},
        "  refused   7 logins by the guard gateway, the last at 10:31:02 (lena, host mx1)\n",
    ),
    (
        {"rows": [], "refused": {"deny": 1}},
        {},
        "  refused   1 login by the guard deny\n            nothing denies it any more; the next login counts again\n",
    ),
    (
        {"rows": [replies.row(origin="hub", node="pop2")]},
        {},
        "at the node pop2, host mx1; ask there for the log line\n",
    ),
    ({"rows": [replies.row(origin="recovered", since=None)]}, {}, "no log explains it; it ends by itself\n"),
    ({}, {}, "its line is not in the logs that could be read since 09:50:02\n"),
    ({"rows": [], "guard": "local"}, {}, "203.0.113.5 may relay: it is in mynetworks and needs no row\n"),
    ({"rows": [], "ready": False}, {}, "  starting  the daemon still replays the logs; ask again in a moment\n"),
    ({"rows": [], "guard": "own"}, {}, "  guard     own would refuse a login\n"),
    (
        {"rows": [], "denials": [{"what": "203.0.113.0/24", "until": None, "by": "deny.toml", "reason": "spam"}]},
        {},
        "  denied    203.0.113.0/24 until deny.toml changes, by deny.toml: spam\n",
    ),
    (
        {
            "rows": [],
            "denials": [{"what": "a@b", "until": "2026-11-30T11:00:00.000Z", "by": "uid=0", "reason": ""}],
        },
        {},
        "  denied    a@b until 11:00:00, by uid=0; to end it: pbs-fast revoke --undo a@b\n",
    ),
    (
        {"tables": [{"spec": "lmdb:/x", "value": None, "waiting": True, "failing": "disk full"}]},
        {},
        "  tables    lmdb:/x no row, a change waits, FAILING: disk full\n",
    ),
    (
        {"rows": []},
        {"logs": [LogPart("/var/log/mail.log", False, "/var/log/mail.log: not readable for uid 1000")]},
        "  coverage  /var/log/mail.log: not readable for uid 1000\n",
    ),
]


@pytest.mark.parametrize(("reply", "logs", "text"), ANSWERS)
def test_each_part_of_an_answer(reply: dict[str, Any], logs: dict[str, Any], text: str) -> None:
    asked = replies.why(**reply)
    assert text in why.as_text("203.0.113.5", asked, found(**logs))
    fits(why.as_text("203.0.113.5", asked, found(**logs), NARROW))


STUCK = {"spec": "lmdb:/x", "value": "ok", "waiting": True, "failing": "disk full"}


@pytest.mark.parametrize("user", [None, "anna@example.org"])
def test_a_grant_that_cannot_be_written_is_no_right_to_relay(user: str | None) -> None:
    reply = replies.why(user=user, tables=[STUCK])
    text = why.as_text("anna@example.org", reply, found(login("10:12:17")))
    assert "but the MTA may not know: lmdb:/x cannot be written\n" in text.splitlines(keepends=True)[0]
    assert "FAILING: disk full" in text
    assert why.exit_status(reply, found()) == 3
    for told in ({"waiting": False}, {"failing": None}):
        written = replies.why(user=user, tables=[{**STUCK, **told}])
        assert why.exit_status(written, found()) == 0
        assert "may not know" not in why.as_text("anna@example.org", written, found(login("10:12:17")))


DENIAL = {"what": "anna@example.org", "until": "2026-11-30T11:00:00.000Z", "by": "uid=0", "reason": ""}
LOCAL = login("10:12:17", guard="local", ip="10.0.0.7")


@pytest.mark.parametrize(
    ("reply", "logins", "label", "status"),
    [
        ({}, [login("09:50:05")], "ended", 3),
        ({"denials": [DENIAL]}, [login("10:12:17")], "revoked", 3),
        ({"denials": [DENIAL]}, [login("09:50:05")], "ended", 3),
        ({}, [login("10:12:17")], "no row", 3),
        ({}, [login("10:12:17", guard="deny")], "refused", 3),
        ({}, [LOCAL], "local", 0),
    ],
)
def test_what_became_of_a_users_login(reply: Any, logins: list[Login], label: str, status: int) -> None:
    asked = replies.why(ip=None, user="anna@example.org", rows=[], tables=[], **reply)
    text = why.as_text("anna@example.org", asked, found(*logins))
    labels = {line[2:11].strip() for line in text.splitlines()[1:] if line[2] != " "}
    assert labels - {"denied"} == {label}, text
    assert why.exit_status(asked, found(*logins)) == status
    assert text.startswith(f"anna@example.org may {'' if status == 0 else 'not '}relay from ")


def test_a_refused_login_is_told_once() -> None:
    refused = {"refused": {"deny": 1}, "refusals": [], "denials": [DENIAL]}
    asked = replies.why(ip=None, user="anna@example.org", rows=[], tables=[], **refused)
    text = why.as_text("anna@example.org", asked, found(login("10:12:17", guard="deny")))
    assert text.count("refused") == 1, text


def test_commands_to_be_typed_keep_the_configuration() -> None:
    given = Look(config="/etc/my mail.toml")
    option = "'--config=/etc/my mail.toml'"
    denied = replies.why(rows=[], denials=[DENIAL])
    assert f"pbs-fast revoke {option} --undo anna@" in why.as_text("a", denied, found(), given)
    rows = [replies.row(ip=f"192.0.2.{n}") for n in range(21)]
    assert f"see: pbs-fast list {option}\n" in why.as_text("a", replies.why(user="a", rows=rows), found(), given)
    missed = [Missed("no-pattern", Line("/x", 5, "x", 1))] * 6
    assert f"see: pbs-fast match {option} --missed LOG" in why.as_text(
        "a", replies.why(rows=[]), found(missed=missed), given
    )
    assert f"pbs-fast queue {option} anna@example.org | postsuper" in revoked(given, what="anna@example.org")
    denials = [{**DENIAL, "what": f"u{n}"} for n in range(11)]
    assert f"pbs-fast status {option} --json lists all" in status.as_text(replies.status(denials=denials), given)


# -- list, changes, events -------------------------------------------------------------------------------------------


def test_rows_in_columns() -> None:
    some = [
        replies.row(),
        replies.row(ip="2001:db8::77", user=None, since=None, format=None, origin="recovered"),
        replies.row(ip="192.0.2.1", until=None, since="2026-11-29T23:00:00.000Z"),
    ]
    assert short.rows(sorted(some, key=short.ORDERS["address"]), replies.NOW) == (
        "ADDRESS       USER              SINCE                UNTIL         FORMAT\n"
        "192.0.2.1     anna@example.org  2026-11-29 23:00:00  session open  dovecot\n"
        "203.0.113.5   anna@example.org  10:12:17             10:42:17      dovecot\n"
        "2001:db8::77  -                 -                    10:42:17      -        found at the start\n"
    )
    assert short.rows([], replies.NOW) == "no address may relay\n"
    fits(short.rows(some, replies.NOW, NARROW))


@pytest.mark.parametrize("order", short.ORDERS)
def test_each_order_takes_what_is_not_known(order: str) -> None:
    some = [replies.row(ip=f"192.0.2.{n}", **{order: None} if n and order != "address" else {}) for n in range(3)]
    assert len(sorted(some, key=short.ORDERS[order])) == 3


def in_force(*nodes: dict[str, Any], look: Look = layout.PLAIN) -> str:
    """What is said of a revocation with the number 77; the nodes are NODE with changes."""
    reply: Any = {
        "what": "203.0.113.77", "kind": "ip", "revoked": 1, "addresses": [], "until": "2026-12-01T10:31:40.000Z",
        "revocation": 77,
    }  # fmt: skip
    found: Any = [{**NODE, "name": f"n{number}", **node} for number, node in enumerate(nodes, 1)]
    return short.revoked(reply, replies.NOW, look, found, 3600).split("\n", 2)[2]


def test_a_cap_is_no_reason_for_a_missing_row() -> None:
    notices = [NOTICE | {"code": "cap", "text": "anna reached its cap"}, NOTICE]
    text = why.as_text("203.0.113.5", replies.why(rows=[], notices=notices), found())
    assert "trouble   the log is not understood" in text
    assert "reached" not in text


def test_a_revocation_says_on_which_nodes_it_is_in_force() -> None:
    late = {"confirmed": 76, "heard": "2026-11-30T10:20:33.000Z", "silent": True}
    assert in_force({"confirmed": 77}, {"confirmed": 78}) == "in force on 3 of 3 nodes\n"
    assert in_force({"confirmed": 77}, late) == (
        "in force on 2 of 3 nodes; not confirmed by n2 (silent for 40 s): rows there end within 1 h at the latest\n"
    )
    assert in_force({"heard": None}) == (
        "in force on 1 of 2 nodes; not confirmed by n1 (never heard): rows there end within 1 h at the latest\n"
    )
    many = in_force(*[{}] * 12)
    assert "n10 (heard " in many
    assert " and 2 more: rows there" in many
    fits(in_force(*[{}] * 12, look=NARROW))


def revoked(look: Look = layout.PLAIN, **more: Any) -> str:
    reply: Any = {
        "what": "mallory@example.org", "kind": "user", "revoked": 3, "until": "2026-12-01T10:31:40.000Z",
        "addresses": ["203.0.113.77", "198.51.100.4", "2001:db8::77"],
    } | more  # fmt: skip
    return short.revoked(reply, replies.NOW, look)


def test_what_revoke_says() -> None:
    assert revoked() == (
        "revoked 3 addresses of mallory@example.org: 203.0.113.77 198.51.100.4 2001:db8::77\n"
        "no new grant for this user until 2026-12-01 10:31:40\n"
        "its mail may still be queued: pbs-fast queue mallory@example.org | postsuper -h -\n"
        "still to do: change the password; end its sessions (Dovecot: doveadm kick mallory@example.org)\n"
    )
    assert revoked(revoked=1, addresses=["203.0.113.77"]).startswith("revoked 1 address of mallory@example.org: 203.")
    assert revoked(revoked=250).splitlines()[0].endswith("2001:db8::77 and 247 more")
    assert revoked(kind="ip", what="192.0.2.1", revoked=0, addresses=[]).startswith("192.0.2.1 had no row to revoke\n")
    assert revoked(kind="network", what="192.0.2.0/24").startswith("revoked 3 addresses in 192.0.2.0/24: ")
    assert "'a b; c'" in revoked(what="a b; c"), "what is to be typed is quoted"


def test_what_the_other_changes_say() -> None:
    granted: Any = {"ip": "203.0.113.9", "until": "2026-11-30T12:31:40.000Z"}
    assert short.granted(granted, replies.NOW) == (
        "203.0.113.9 may relay until 12:31:40 (granted by hand); guards hold for it too\n"
    )
    undone: Any = {"what": "a@b", "kind": "user", "undone": ["denial", "grant"]}
    assert short.undone(undone) == (
        "a@b is no longer denied; its next login counts again\nthe manual grant of a@b has ended\n"
    )
    reloaded: Any = {"reloaded": True, "text": "reloaded mynetworks", "warnings": ["x is not set"]}
    assert short.reloaded(reloaded) == "x is not set\nreloaded mynetworks\n"
    failed: Any = {"reloaded": False, "text": "", "warnings": ["reload failed"]}
    assert short.reloaded(failed) == "reload failed\n"


def test_an_event_is_one_line() -> None:
    event: Any = {"n": 1, "at": "2026-11-30T10:12:17.204Z", "kind": "granted", "ip": "203.0.113.5", "user": "a\nb"}
    assert short.event(event) == "10:12:17  granted      ip=203.0.113.5 user=a\\x0ab\n"
    ending: Any = {**event, "user": None, "until": "2026-11-30T10:42:17.000Z"}
    assert short.event(ending) == "10:12:17  granted      ip=203.0.113.5 until=10:42:17\n"
    told: Any = {**event, "text": "granted it"}
    assert short.event(told) == "10:12:17  granted      granted it\n"
    assert short.event(event, MARKED).startswith("10:12:17  <green>granted    </green>  ip=")
    assert max(len(kind) for kind in EVENTS) <= 11
    assert short.lost(1).startswith("1 event lost")


# -- layout ----------------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(st.just("x"), WORDS, WORDS), max_size=5), st.sampled_from([None, 40, 80]))
def test_tables_hold_everything_printable_and_fit(cells: list[tuple[str, str, str]], width: int | None) -> None:
    text = table(("A", "B", "C"), cells, Look(width), right=(1,))
    assert all(char.isprintable() or char == "\n" for char in text)
    if width is None:
        assert text.count("\n") == 1 + len(cells)


@given(st.text(st.sampled_from("ab -\n"), max_size=200), st.integers(30, 100))
def test_paragraphs_break_between_words_only(text: str, width: int) -> None:
    shown = paragraph(text, Look(width), indent="    ")
    plain = text.replace("\n", "\\x0a")
    assert shown.split() == plain.split()
    assert all(len(line) <= width or len(line.split()) == 1 for line in shown.splitlines())


def test_columns_align_by_what_a_terminal_shows() -> None:
    text = table(("A", "B"), [["日本", "x"], ["ab", Cell("y", "red")]], MARKED)
    assert text == "A     B\n日本  x\nab    <red>y</red>\n"


@pytest.mark.parametrize(
    ("variables", "terminal", "colour"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, True, False), ({}, False, False)],
)
def test_colour_only_on_a_terminal_that_wants_it(
    variables: dict[str, str], terminal: bool, colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream: Any = type("Stream", (), {"isatty": lambda _: terminal})()
    found = layout.look(stream)
    assert (found.paint("x", "red") != "x") is colour
    assert (found.width is not None) is terminal


def test_words() -> None:
    assert [plural(count, "row") for count in (0, 1, 2, 4812)] == ["0 rows", "1 row", "2 rows", "4,812 rows"]
    assert [listed(list("abcdefg")[:count]) for count in (0, 1, 2, 3, 7)] == [
        "", "a", "a and b", "a, b and c", "a, b, c, d, e and 2 more"
    ]  # fmt: skip
