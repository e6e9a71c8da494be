"""`status`, `why`, `list`, `watch`, `revoke`, `grant`, `queue` and `reload` against answers of a daemon, and none."""

from __future__ import annotations

import grp
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli import replies
from cli.fake_daemon import Answers, FakeDaemon
from daemon.running import require_nobody
from pbs_fast.cli import main, rows
from pbs_fast.cli.alarms import PAUSE, Runner
from pbs_fast.control import client
from pbs_fast.control.protocol import EVENTS, IN_ORDER
from pbs_fast.util.text import rfc3339

Output = pytest.CaptureFixture[str]
Start = Callable[[Answers], FakeDaemon]

A = "203.0.113.5"


@pytest.fixture
def place() -> Iterator[Path]:
    # Short: a socket's path has 107 bytes at most.
    made = Path(tempfile.mkdtemp(prefix="pbs-"))
    (made / "mail.log").touch()
    (made / "pbs.toml").write_text(
        f'watchlog = "{made}/mail.log"\ndbfile = "lmdb:{made}/relay"\ndeny = "{made}/deny.toml"\n'
        f'mynetworks = ["127.0.0.0/8"]\n[control]\ndirectory = "{made}/run"\n'
    )
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    made: list[FakeDaemon] = []

    def start_one(answers: Answers) -> FakeDaemon:
        made.append(FakeDaemon(place / "run", answers))
        return made[-1]

    yield start_one
    for each in made:
        each.close()


@pytest.fixture
def call(place: Path, capfd: Output) -> Callable[..., tuple[int, str, str]]:
    """Runs a command with the configuration; its status, output and errors."""

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        code = main([command, f"--config={place}/pbs.toml", *arguments])
        return (code, *capfd.readouterr())

    return run


Call = Callable[..., tuple[int, str, str]]


def ok(value: Any) -> list[dict[str, Any]]:
    return [{"ok": value}]


# -- each command without a daemon, without rights, with an older one, with a hung one --------------------------------

#: Command, its arguments.
COMMANDS = [
    ("status",), ("reload",), ("list", "--table=socketmap:unix:/x"), ("watch",), ("revoke", A), ("revoke", "--undo", A),
    ("grant", A, "--for=2h"), ("why", A),
]  # fmt: skip
CHANGES = {"reload", "revoke", "grant"}


def lines_of(name: str, text: str) -> list[str]:
    """What a command said on standard error."""
    assert all(line.startswith(f"pbs-fast {name}: ") for line in text.splitlines()), text
    return text.splitlines()


@pytest.mark.parametrize("words", COMMANDS)
def test_without_a_daemon(words: tuple[str, ...], call: Call, place: Path) -> None:
    (place / "pbs.toml").write_text((place / "pbs.toml").read_text().replace("lmdb:", "socketmap:unix:"))
    code, out, err = call(*words)
    (line,) = lines_of(words[0], err)
    assert f"no daemon listens on {place}/run/{'control' if words[0] in CHANGES else 'status'}; start pbs-fast" in line
    assert code == 1
    assert (out != "") is (words[0] == "why"), "what the logs say alone"


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        ("denied", "revoke needs root or the account pbs-fast; you are uid 1000", "you are uid 1000"),
        ("bad_request", '"do": x is not known here', "another version than this command; restart pbs-fast"),
        ("busy", "too many requests", "too many requests"),
        ("internal", "a bug", "a bug"),
    ],
)
def test_errors_of_the_daemon_are_one_line(
    words: tuple[str, ...], code: str, text: str, shown: str, call: Call, start: Start, place: Path
) -> None:
    (place / "pbs.toml").write_text((place / "pbs.toml").read_text().replace("lmdb:", "socketmap:unix:"))
    answer = [{"error": {"code": code, "text": text}}]
    start(dict.fromkeys(("status", "reload", "list", "watch", "revoke", "undo", "grant", "why"), answer))
    status, _, err = call(*words)
    (line,) = lines_of(words[0], err)
    assert shown in line
    assert status == 1


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be an account without rights")
@pytest.mark.parametrize("words", COMMANDS)
def test_without_rights(words: tuple[str, ...], call: Call, start: Start, place: Path) -> None:
    require_nobody()  # it must be able to import what the command needs
    (place / "pbs.toml").write_text((place / "pbs.toml").read_text().replace("lmdb:", "socketmap:unix:"))
    start({})
    for path in (place, place / "run"):
        path.chmod(0o755)
    for name in ("control", "status"):
        (place / "run" / name).chmod(0o600)
    os.seteuid(65_534)
    try:
        status, _, err = call(*words)
    finally:
        os.seteuid(0)
    (line,) = lines_of(words[0], err)
    assert "permission denied; run this as root" in line
    group = grp.getgrgid((place / "run" / "status").stat().st_gid).gr_name
    assert (f"a member of the socket's group ({group})" in line) is (words[0] not in CHANGES)
    assert status == 1


def test_a_silent_daemon(call: Call, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop hangs, but the thread of the sockets answers ping; or nothing does."""
    monkeypatch.setattr(client.ask, "__kwdefaults__", {"patience": 0.3})
    ping: list[list[dict[str, Any]]] = [ok({"version": "0.2.0", "pid": 812, "ready": True, "turned_s": 300.0})]

    def never(_: object) -> list[dict[str, Any]]:
        time.sleep(1.0)
        return []

    start({"status": never, "ping": lambda _: ping[0]})
    assert call("status") == (
        4,
        "",
        "pbs-fast status: the loop of the daemon (pid 812) hangs: it last turned 5 min ago\n",
    )


def test_something_else_listens(call: Call, start: Start) -> None:
    start({"status": [{"hello": "x"}]})
    code, _, err = call("status")
    assert (code, err.count("\n")) == (1, 1)


# -- what they ask and show ------------------------------------------------------------------------------------------


def test_status(call: Call, start: Start) -> None:
    failing = [{**replies.STATUS["tables"][0], "failing": "disk full", "failing_s": 3.0}]
    answers = [replies.status(), replies.status(tables=failing)]
    start({"status": lambda _: ok(answers[0])})
    code, out, err = call("status")
    assert (code, err) == (0, "")
    assert out.startswith("pbs-fast 0.2.0, pid 812")
    assert json.loads(call("status", "--json")[1]) == replies.STATUS
    answers.pop(0)
    assert call("status")[0] == 3
    assert call("status", "--json")[0] == 3


def test_reload(call: Call, start: Start) -> None:
    text = "reloaded mynetworks, guards, caps and deny list"
    answers = {"reloaded": True, "text": text, "warnings": []}
    daemon = start({"reload": lambda _: ok(answers)})
    assert call("reload") == (0, f"{text}\n", "")
    answers["reloaded"] = False
    assert call("reload")[0] == 1
    assert daemon.asked[0] == {"v": 1, "id": 1, "do": "reload"}


def login(second: float, ip: str = A, user: str = "anna@example.org") -> str:
    head = datetime.fromtimestamp(second, UTC).isoformat(timespec="milliseconds")
    return f"{head} mx1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, TLS\n"


def test_why(call: Call, start: Start, place: Path) -> None:
    second = int(time.time()) - 60
    (place / "mail.log").write_text(login(second - 100, user="scan@example.org") + login(second))
    row = replies.row(since=rfc3339(second), until=rfc3339(second + 1800))
    reply = replies.why(rows=[row], logs=[f"{place}/mail.log"], now=rfc3339(time.time()))
    daemon = start({"why": lambda request: ok(reply if request.get("ip") == A else {**reply, "rows": []})})
    code, out, err = call("why", "::FFFF:203.0.113.5")
    assert (code, err) == (0, "")
    assert f"{place}/mail.log:2\n" in out
    assert "1 login by scan@example.org" in out
    assert daemon.asked[0] == {"v": 1, "id": 1, "do": "why", "ip": A}
    code, out, _ = call("why", "192.0.2.77")
    assert code == 3
    assert "192.0.2.77 may not relay: no row, no refusal, and no login in the logs since" in out
    code, out, _ = call("why", A, "--json")
    found = json.loads(out)
    assert found["daemon"] == reply
    assert [each["user"] for each in found["logs"]["logins"]] == ["scan@example.org", "anna@example.org"]
    assert [each["at"] for each in found["logs"]["logins"]] == [rfc3339(second - 100), rfc3339(second)]
    times = [found["logs"]["since"], found["logs"]["now"], *found["logs"]["ends"].values()]
    assert all(datetime.fromisoformat(each) for each in times)
    assert call("why", "192.0.2.0/24")[0] == 2
    assert call("why", "192.0.2.1/24")[0] == 2
    assert call("why", "")[0] == 2


def test_the_logs_that_the_daemon_follows_count_and_options_win(call: Call, start: Start, place: Path) -> None:
    second = int(time.time()) - 60
    (place / "other.log").write_text(login(second))
    reply = replies.why(rows=[], logs=[f"{place}/other.log"], now=rfc3339(time.time()))
    start({"why": ok(reply)})
    assert json.loads(call("why", A, "--json")[1])["logs"]["logs"][0]["name"] == f"{place}/other.log"
    found = json.loads(call("why", A, "--json", f"--watchlog={place}/mail.log")[1])
    assert [log["name"] for log in found["logs"]["logs"]] == [f"{place}/mail.log"]


def test_why_without_the_daemon_takes_the_options(call: Call, place: Path) -> None:
    (place / "mail.log").write_text(login(time.time() - 100))
    code, out, err = call("why", A)
    assert code == 1
    assert out.startswith(f"{A}: by the logs alone it may relay (the daemon was not asked)\n")
    assert err.count("\n") == 1
    assert "it may not relay" in call("why", A, "--grace=1m")[1]


def test_list(call: Call, start: Start) -> None:
    some = [replies.row(), replies.row(ip="192.0.2.1", user="bert")]
    pages = [{"ok": {"rows": some[:1], "more": True}}, {"ok": {"rows": some[1:], "more": False}}]
    daemon = start({"list": pages})
    code, out, err = call("list")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["ADDRESS", "192.0.2.1", A]
    assert [json.loads(line)["user"] for line in call("list", "--json", "--sort=user")[1].splitlines()] == [
        "anna@example.org", "bert"
    ]  # fmt: skip
    assert daemon.asked[0] == {"v": 1, "id": 1, "do": "list"}
    assert call("list", "--sort=usr") == (2, "", "pbs-fast list: --sort=usr: no such order; nearest: user\n")


def test_list_reads_the_tables_of_another_configuration(
    call: Call, start: Start, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon on the socket that does not write this table must not answer for it."""
    from pbs_fast.tables import open_table

    open_table(f"lmdb:{place}/relay").close()
    monkeypatch.setattr(rows, "DEFAULT", f"{place}/pbs.toml:6")  # where the directory is set, as if it were the default
    daemon = start({"list": [{"error": {"code": "unknown", "text": "this daemon does not write it"}}]})
    code, out, err = call("list")
    assert (code, out) == (0, "The database holds 0 IPs.\n")
    assert err == "pbs-fast list: this daemon does not write it; reading the tables, which hold addresses only\n"
    assert daemon.asked[0] == {"v": 1, "id": 1, "do": "list", "table": f"lmdb:{place}/relay"}
    assert call("list", f"--dbfile=lmdb:{place}/relay") == (0, "The database holds 0 IPs.\n", ""), "not asked at all"


def test_revoke_grant_and_undo(call: Call, start: Start) -> None:
    until = "2026-12-01T10:31:40.000Z"
    daemon = start(
        {
            "revoke": ok({"what": "m@x", "kind": "user", "revoked": 1, "addresses": [A], "until": until}),
            "grant": ok({"ip": A, "until": until}),
            "undo": ok({"what": "m@x", "kind": "user", "undone": ["denial"]}),
        }
    )
    code, out, _ = call("revoke", "m@x", "--for=24h", "--reason=stolen password")
    assert code == 0
    assert out.startswith(f"revoked 1 address of m@x: {A}\n")
    assert call("revoke", "192.0.2.0/24")[0] == 0
    assert call("revoke", "--undo", "m@x") == (0, "m@x is no longer denied; its next login counts again\n", "")
    assert call("grant", A, "--for", "2h")[1].startswith(f"{A} may relay until ")
    asked = [{key: value for key, value in each.items() if key not in ("v", "id")} for each in daemon.asked]
    assert asked == [
        {"do": "revoke", "user": "m@x", "for": 86_400, "reason": "stolen password"},
        {"do": "revoke", "network": "192.0.2.0/24"},
        {"do": "undo", "user": "m@x"},
        {"do": "grant", "ip": A, "for": 7200},
    ]


def test_revoke_warns_of_a_user_whom_nobody_knows(call: Call, start: Start) -> None:
    """The denial holds all the same; one who is known by a row or a refusal is no reason to warn."""
    reply = {"what": "x", "kind": "user", "revoked": 0, "addresses": [], "until": "2026-12-01T10:31:40.000Z"}
    refusal = {"user": "Otto@example.org"}
    start(
        {
            "revoke": ok(reply),
            "list": [{"ok": {"rows": [replies.row()], "more": False}}],
            "refusals": [{"ok": {"refusals": [refusal], "more": False}}],
        }
    )
    said = "pbs-fast revoke: the daemon knows no login of {}; the denial holds all the same{}\n"
    for user, near in (("anna", "anna@example.org"), ("ana@example.org", "anna@example.org"), ("zz", "")):
        code, _, err = call("revoke", user)
        assert (code, err) == (0, said.format(user, f"; nearest: {near}" if near else ""))
    for user in ("anna@example.org", "otto@example.org"):
        assert call("revoke", user)[2] == ""
    reply["revoked"] = 1
    reply["warning"] = "disk full; the denial ends with this daemon"
    assert call("revoke", "zz")[2] == "pbs-fast revoke: disk full; the denial ends with this daemon\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("grant", "m@x", "--for=2h"), "m@x: is not an IP address; only a single address can be granted"),
        (("grant", A), "--for is missing; see: pbs-fast grant --help"),
        (("grant", A, "--for=31d"), "--for: must be seconds or a duration like 30m, 24h, 7d or 1h30m, from 1s to 30d"),
        (("revoke", A, "--for=x"), "--for: must be seconds or a duration"),
        (("revoke", A, "--undo", "--for=1h"), "--undo and --for do not go together; leave out --for"),
        (("revoke", "192.0.2.1/24"), "192.0.2.1/24: "),
        (("queue", "192.0.2.0/24"), "192.0.2.0/24: is a network; name a login name or one address"),
        (("watch", "grantd"), "grantd: no such kind of event; nearest: granted"),
        (("watch", "hub_donw"), "hub_donw: no such kind of event; nearest: hub_down"),
        (("watch", "granted", "--alarms"), "--alarms leaves out all the kinds that were named; leave out --alarms"),
        (("watch", "--run=/nowhere"), "--run=/nowhere: no such program; give the path of one that may be executed"),
    ],
)
def test_bad_use(words: tuple[str, ...], line: str, call: Call) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"pbs-fast {words[0]}: {line}")
    assert err.count("\n") == 1


# -- watch -----------------------------------------------------------------------------------------------------------


def event(kind: str, n: int = 1, **more: Any) -> dict[str, Any]:
    return {"event": {"n": n, "at": "2026-11-30T10:12:17.204Z", "kind": kind, **more}}


def test_watch(call: Call, start: Start) -> None:
    messages = [{"ok": {"watching": []}}, event("granted", ip=A), {"lost": 12}, event("warning", 14, text="x")]
    daemon = start({"watch": messages})
    code, out, err = call("watch")
    assert code == 1
    assert [line.split(maxsplit=1)[1] for line in out.splitlines()] == [f"granted      ip={A}", "warning      x"]
    assert err.splitlines() == [
        "pbs-fast watch: 12 events lost: this command was too slow to take them",
        "pbs-fast watch: the daemon has ended",
    ]
    assert [json.loads(line)["n"] for line in call("watch", "--json")[1].splitlines()] == [1, 14]
    call("watch", "--alarms")
    assert set(daemon.asked[-1]["kinds"]) == set(EVENTS) - IN_ORDER
    call("watch", "refused", "warning")
    assert daemon.asked[-1]["kinds"] == ["refused", "warning"]


def program(place: Path, text: str) -> str:
    file = place / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_watch_runs_a_program(call: Call, start: Start, place: Path) -> None:
    more = [event("warning", 1, text="a"), event("warning", 2, text="b"), event("log_gone", 3)]
    start({"watch": [{"ok": {"watching": []}}, *more]})
    code, out, _ = call("watch", "--alarms", f"--run={program(place, f'cat >> {place}/heard')}")
    assert (code, out) == (1, "")
    heard = [json.loads(line) for line in (place / "heard").read_text().splitlines()]
    assert [(each["n"], each["kind"]) for each in heard] == [(1, "warning"), (3, "log_gone")]


def test_at_most_one_run_a_minute_and_kind(place: Path) -> None:
    now = [0.0]
    said: list[str] = []
    runner = Runner([program(place, f"cat >> {place}/heard; exit 3")], said.append, lambda: now[0])
    ran = []
    for second, kind in [(0.0, "warning"), (1, "warning"), (1, "drift"), (PAUSE - 0.1, "warning"), (PAUSE, "warning")]:
        now[0] = second
        ran.append(runner.take({"n": 1, "at": "", "kind": kind}))
    assert ran == [True, False, True, False, True]
    assert [json.loads(line)["left_out"] for line in (place / "heard").read_text().splitlines()] == [0, 0, 2]
    assert said[0] == f"{place}/program ended with status 3 for an event (warning)"


def test_a_program_that_hangs_or_is_gone(place: Path) -> None:
    said: list[str] = []
    slow = program(place, "exec sleep 60")
    Runner([slow], said.append, limit=0.3).take({"n": 1, "at": "", "kind": "warning"})
    Runner([f"{place}/none"], said.append).take({"n": 1, "at": "", "kind": "warning"})
    assert said == [
        f"{slow} took more than 0.3 s for an event (warning) and was killed",
        f"{place}/none cannot be run: No such file or directory",
    ]


# -- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [*COMMANDS, ("queue", A)])
def test_each_command_takes_a_configuration_and_names_its_faults(
    words: tuple[str, ...], place: Path, capfd: Output
) -> None:
    (place / "pbs.toml").write_text("grace = 0\n")
    assert main([words[0], f"--config={place}/pbs.toml", *words[1:]]) == 2
    assert capfd.readouterr().err.startswith(f"pbs-fast {words[0]}: {place}/pbs.toml:1: grace must be ")


def test_a_path_that_is_too_long_for_a_socket(call: Call, place: Path) -> None:
    (place / "pbs.toml").write_text(f'[control]\ndirectory = "/{"x" * 200}"\n')
    code, _, err = call("status")
    assert (code, err.count("\n")) == (1, 1)
