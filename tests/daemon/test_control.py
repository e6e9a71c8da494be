"""The control sockets of the real daemon: what commands see and change, over restarts and kills."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.conftest import a_place
from daemon.controlled import asked, granted, listed, revoked, status, why
from daemon.running import NOBODY, PATIENCE, Site, lines_with, login, noise, readable_to_all, require_nobody
from daemon.test_relay import hub_of, postfix_of
from mta import wait_for
from mta.postfix import require_postfix
from pbs_fast.control.client import (
    AnsweredError,
    ControlError,
    Lost,
    NoRightError,
    NotRunningError,
    OlderDaemonError,
    SilentError,
    ask,
    stream,
    watch,
)
from pbs_fast.control.protocol import List, Ping, Refusals, Reload, Status, Undo, Watch, Why
from pbs_fast.control.replies import Event

A, B, C, D = "203.0.113.1", "203.0.113.2", "2001:db8::3", "203.0.113.4"


def manual(site: Site) -> dict[str, list[dict[str, object]]]:
    found = json.loads((site.place / "manual.json").read_text())
    assert isinstance(found, dict)
    return found


# -- the main job -----------------------------------------------------------------------------------------------------


def test_revoke_and_grant_with_postfix() -> None:
    """In one SMTP session each: the very next command is answered by what was just done."""
    require_postfix("lmdb")
    with a_place("lmdb") as site, postfix_of(site) as postfix, hub_of(site, postfix) as hub:
        site.cover()
        site.append(login(A, "mallory", at=site.now()), login(B, at=site.now()))
        hub.wait(A, True)
        hub.wait(B, True)
        with postfix.session(A) as thief:
            assert postfix.rcpt(A, session=thief).relayed
            assert revoked(site, user="Mallory")["addresses"] == [A]
            assert postfix.rcpt(A, session=thief).denied, "at the next command"
            site.append(login(A, "mallory", at=site.now()), login(D, "mallory", at=site.now()))
            wait_for("the refusals", lambda: status(site)["refused"] == {"deny": 2}, seconds=PATIENCE)
            assert postfix.rcpt(A, session=thief).denied
        with postfix.session(C) as scanner:
            assert postfix.rcpt(C, session=scanner).denied
            granted(site, C, 600)
            assert postfix.rcpt(C, session=scanner).relayed
        assert hub.relays(B), "nobody else is touched"
        hub.daemon.kill()
        hub.daemon = site.start()
        assert hub.relays(C), "a restart keeps the grant"
        assert not hub.relays(A), "and the denial, though the log explains the row"
        assert hub.relays(B)
        granted(site, D, 60)
        hub.wait(D, True)
        hub.advance(61)
        hub.wait(D, False)
        assert hub.relays(C), "not a minute, but ten"
        asked(site, Undo(user="mallory"))
        site.append(login(A, "mallory", at=site.now()))
        hub.wait(A, True)


def test_what_was_done_is_in_the_log_with_who_and_why(site: Site) -> None:
    site.cover()
    site.start()
    site.append(login(A, "mallory"))
    site.wait_rows(A)
    granted(site, B, 600, 'scanner "3"')
    revoked(site, user="mallory", seconds=86_400)
    revoked(site, network="198.51.100.0/24")
    asked(site, Undo(user="mallory", reason="password changed"))
    asked(site, Undo(ip=B))
    site.wait_rows()
    who = rf"manual: uid={os.geteuid()} pid={os.getpid()}"
    said = site.said()
    for words in (
        rf'added {B} to DB user=- format=- host=- until=\S+Z \({who} "scanner \\"3\\""\)$',
        rf'denied mallory until=\S+Z \({who} "stolen password"\)$',
        rf'removed {A} from DB user=mallory format=dovecot host=hub until=\S+Z \({who} "stolen password"\)$',
        rf'denied 198\.51\.100\.0/24 until=\S+Z \({who} "stolen password"\)$',
        rf'denial of mallory undone \({who} "password changed"\)$',
        rf"removed {B} from DB user=- format=- host=- until=\S+Z \(undone; {who}\)$",
    ):
        assert len(re.findall(words, said, re.MULTILINE)) == 1, f"{words}\n{said}"


def test_guards_hold_for_manual_grants(site: Site) -> None:
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\nreason = "long ago"\n')
    site.configure("guards.max_rows = 1\n")
    site.cover()
    site.start()
    for ip, guard in ((A, "deny"), ("127.0.0.5", "local"), ("169.254.1.1", "link_local"), ("224.0.0.1", "multicast")):
        with pytest.raises(AnsweredError) as raised:
            granted(site, ip)
        assert (raised.value.code, raised.value.guard) == ("refused", guard)
    granted(site, B)
    granted(site, B, 900)
    with pytest.raises(AnsweredError) as raised:
        granted(site, D)
    assert raised.value.guard == "max_rows"
    site.wait_rows(B)
    assert status(site)["denials"] == [{"what": A, "until": None, "by": "deny.toml", "reason": "long ago"}]


def test_a_guard_that_comes_later_ends_a_manual_grant_for_good(site: Site) -> None:
    site.cover()
    daemon = site.start()
    granted(site, A)
    site.wait_rows(A)
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    assert asked(site, Reload())["reloaded"]
    site.wait_rows()
    site.deny.unlink()
    daemon.stop()
    site.start()
    assert site.rows() == []
    assert manual(site)["grants"] == []


def test_a_grant_that_a_guard_refuses_at_the_start_is_none(site: Site) -> None:
    site.cover()
    daemon = site.start()
    granted(site, A)
    daemon.stop()
    site.networks.write_text("127.0.0.0/8\n203.0.113.0/24\n")
    site.start()
    assert site.rows() == []
    assert f"no manual grant of {A} any more: it may relay anyway" in site.said()


# -- restarts and kills -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("counted", [False, True])
def test_a_restart_keeps_both(how: signal.Signals, counted: bool, site: Site) -> None:
    """With and without a checkpoint, which must neither cut a manual grant nor bring back what was removed."""
    if counted:
        site.configure(f'count_sessions = true\ncheckpoint = "{site.place}/sessions"\n')
    site.cover()
    daemon = site.start()
    site.append(login(A, "mallory"), login(B, "ann"), login(C, "mallory"))
    site.wait_rows(A, B, C)
    granted(site, D, 7200)
    granted(site, B, 7200)
    revoked(site, user="mallory", seconds=7200)
    revoked(site, ip="198.51.100.9", seconds=7200)
    site.wait_rows(B, D)
    before = {ip: row["origin"] for ip, row in listed(site).items()}
    daemon.stop(how)
    site.start()
    assert site.rows() == sorted([B, D])
    assert {ip: row["origin"] for ip, row in listed(site).items()} == before == {B: "manual", D: "manual"}
    assert why(site, "198.51.100.9")["guard"] == "deny"
    assert status(site)["rows"]["manual"] == 2
    site.append(login(A, "mallory"), login("198.51.100.9"))
    wait_for("the refusals", lambda: status(site)["refused"].get("deny", 0) >= 2, seconds=PATIENCE)
    assert site.rows() == sorted([B, D])


@pytest.mark.parametrize("counted", [False, True])
def test_a_restart_does_not_bring_back_what_a_short_denial_removed(counted: bool, site: Site) -> None:
    site.configure(f"count_sessions = {str(counted).lower()}\n")
    daemon = site.start()
    site.append(login(A, "mallory"), login(B), login(C), login(D))
    site.wait_rows(A, B, C, D)
    for whom in ({"user": "mallory"}, {"ip": B}, {"network": "2001:db8::/32"}):
        revoked(site, **whom, seconds=1)
    site.wait_rows(D)
    time.sleep(2.1)
    assert daemon.stop() == 0
    site.start()
    assert site.rows() == [D]
    assert status(site)["denials"] == []
    with pytest.raises(AnsweredError):
        asked(site, Undo(user="mallory"))
    site.append(login(A, "mallory"))
    site.wait_rows(A, D)


def test_a_kill_between_the_state_file_and_the_table() -> None:
    """A reader's lock keeps the table from being written; the file is there before, so the next start knows."""
    with a_place("hash") as site:
        site.cover()
        daemon = site.start()
        site.append(login(A, "mallory"), login(B, "ann"))
        site.wait_rows(A, B)
        with site.file.open("rb") as reader:
            fcntl.flock(reader, fcntl.LOCK_SH)
            asking = threading.Thread(target=revoke_unheard, args=(site,))
            asking.start()
            wait_for("the state file", lambda: (site.place / "manual.json").exists(), seconds=PATIENCE)
            wait_for("the denial", lambda: bool(manual(site)["denials"]), seconds=PATIENCE)
            daemon.kill()
            asking.join(PATIENCE)
        assert site.rows() == sorted([A, B]), "killed before the table was written"
        site.start()
        assert site.rows() == [B]


def revoke_unheard(site: Site) -> None:
    with suppress(ControlError):  # killed before, or after, the answer
        revoked(site, user="mallory", seconds=7200)


def test_manual_grants_hold_while_a_start_replays_and_are_not_unexplained(site: Site) -> None:
    """The log is the database, and this row is none of its rows: reconcile with a complete log must keep it."""
    site.cover()
    daemon = site.start()
    site.append(login(A))
    granted(site, D, 7200)
    site.wait_rows(A, D)
    daemon.stop()
    site.log.write_text("")
    site.cover()
    site.start()
    assert site.rows() == [D]
    assert f"removed {A} from DB (stale:" in site.said()


def test_a_clock_that_was_set_back_grants_nothing(site: Site) -> None:
    now = int(time.time())
    entry = {"ip": A, "made": now + 3600, "until": now + 7200, "uid": 0, "reason": ""}
    fine = {"ip": B, "made": now - 60, "until": now + 3600, "uid": 0, "reason": ""}
    over = {"ip": C, "made": now - 7200, "until": now - 60, "uid": 0, "reason": ""}
    state = {"version": 1, "grants": [entry, fine, over], "denials": []}
    (site.place / "manual.json").write_text(json.dumps(state))
    site.cover()
    site.start()
    assert site.rows() == [B]
    assert "1 manual grants were made in the future" in site.said()


def test_a_damaged_state_file_is_kept_and_said(site: Site) -> None:
    site.cover()
    daemon = site.start()
    granted(site, B, 7200)
    revoked(site, user="mallory", seconds=7200)
    daemon.stop()
    file, kept = site.place / "manual.json", site.place / "manual.json.damaged"
    state = manual(site)
    state["denials"].append({"kind": "user"})
    file.write_text(json.dumps(state))
    daemon = site.start()
    assert "1 of its entries cannot be used; 1 of its denials are in force, and no grant" in site.said()
    assert site.rows() == []
    assert kept.exists()
    site.append(login(A, "mallory"))
    wait_for("the refusal", lambda: status(site)["refused"] == {"deny": 1}, seconds=PATIENCE)
    assert [notice["code"] for notice in status(site)["notices"]] == ["manual_damaged"]
    daemon.stop()
    file.write_bytes(b"\0" * 100)
    daemon = site.start()
    assert [notice["code"] for notice in status(site)["notices"]] == ["manual_damaged"]
    granted(site, B)
    daemon.stop()
    kept.unlink()
    site.start()
    assert status(site)["notices"] == []
    assert site.rows() == sorted([A, B]), "what nobody could read is in force no more, which was said"


def test_what_cannot_be_saved_is_denied_and_not_granted(site: Site) -> None:
    site.cover()
    daemon = site.start()
    site.append(login(A, "mallory"))
    site.wait_rows(A)
    (site.place / "manual.json").mkdir()
    with pytest.raises(AnsweredError, match=r"cannot write .*manual\.json: .*; nothing was granted"):
        granted(site, B)
    reply = revoked(site, user="mallory")
    assert "the denial ends with this daemon" in reply["warning"]
    assert reply["addresses"] == [A]
    site.wait_rows()
    site.append(login(A, "mallory"))
    wait_for("the refusal", lambda: status(site)["refused"] == {"deny": 1}, seconds=PATIENCE)
    assert daemon.running


# -- what is asked ----------------------------------------------------------------------------------------------------


def test_status_adds_up(site: Site) -> None:
    """Every login is in exactly one outcome, those of the replay too, and every refusal at one guard."""
    site.deny.write_text('[[deny]]\nusers = ["mallory"]\n')
    site.configure('guards.hosts = ["hub"]\n')
    site.cover()
    now = time.time()
    lines = [
        login(A),
        login(A, at=now - 1),
        login(A, at=now - 5000),
        login(B, at=now + 4000),
        login("127.0.0.1"),
        login("169.254.7.7"),
        login(C, "mallory"),
        login(D, host="elsewhere"),
        login("192.0.2.10"),  # the server itself, by the line's own local address
        noise(),
    ]
    site.append(*lines)
    daemon = site.start()
    before = status(site)
    assert before["outcomes"]["refused_ahead"] == 1
    site.append(*lines)
    wait_for("all lines", lambda: status(site)["logs"][0]["lines"] == 2 * len(lines) + 1, seconds=PATIENCE)
    found = status(site)
    assert sum(found["outcomes"].values()) == found["logins"] == sum(found["logs"][0]["logins"].values())
    assert sum(found["refused"].values()) == found["outcomes"]["refused"]
    assert found["logins"] == 18
    assert {name for name, n in found["outcomes"].items() if not n} == set(), "each outcome was there"
    assert set(found["refused"]) == {"deny", "hosts", "link_local", "loop"}
    assert found["rows"]["total"] == found["rows"]["own"] == len(site.rows())
    daemon.stop()


def test_why_says_which_row_which_refusals_and_which_tables(site: Site) -> None:
    site.deny.write_text('[[deny]]\nusers = ["mallory"]\nreason = "stolen"\n')
    site.configure('value = "ok {user}"\n')
    site.cover()
    site.append(login(B, "mallory", at=time.time() - 60))
    site.start()
    site.append(login(A), login(B, "mallory"), login(B, "Mallory"))
    site.wait_rows(A)
    wait_for("the refusals", lambda: status(site)["refused"] == {"deny": 3}, seconds=PATIENCE)
    granted_ = why(site, A)
    (row,) = granted_["rows"]
    assert (row["user"], row["format"], row["host"], row["origin"]) == ("ann", "dovecot", "hub", "own")
    assert granted_["tables"] == [{"spec": site.spec, "value": "ok ann", "waiting": False, "failing": None}]
    assert granted_["guard"] is None
    refused = why(site, B)
    assert refused["rows"] == []
    assert refused["refused"] == {"deny": 3}
    assert [(each["ip"], each["guard"], each["user"], each["log"]) for each in refused["refusals"]] == [
        (B, "deny", "Mallory", str(site.log)),
        (B, "deny", "mallory", str(site.log)),
        (B, "deny", "mallory", str(site.log)),
    ], "those of the replay too, the newest first"
    of_user = asked(site, Why(user="MALLORY"))
    assert of_user["guard"] == "deny"
    assert of_user["denials"] == [{"what": "mallory", "until": None, "by": "deny.toml", "reason": "stolen"}]
    assert of_user["refused"] == {"deny": 3}
    assert [row["ip"] for row in asked(site, Why(user="ANN"))["rows"]] == [A]
    assert why(site, "127.0.0.9")["guard"] == "local"
    (page,) = stream(site.place / "run" / "status", Refusals(ip=B))
    assert page == {"refusals": refused["refusals"], "more": False}


def test_list_in_pages_and_of_a_table_in_memory(site: Site) -> None:
    served = f"socketmap:unix:{site.place}/map:pbs"
    site.cover()
    site.append(*(login(f"10.{n >> 8}.{n & 255}.1", f"u{n}") for n in range(2_500)))
    site.start(f"--table={served}")
    pages = [*stream(site.place / "run" / "status", List(table=served))]
    assert [(len(page["rows"]), page["more"]) for page in pages] == [(1000, True), (1000, True), (500, False)]
    assert sorted(listed(site)) == sorted(site.rows())
    with pytest.raises(AnsweredError, match="the daemon writes no table lmdb:/elsewhere"):
        [*stream(site.place / "run" / "status", List(table="lmdb:/elsewhere"))]
    assert [table["served"] for table in status(site)["tables"]] == [
        None,
        {"clients": 0, "requests": 0, "recipients_per_s": None},
    ]


def test_revoking_a_network_and_an_address(site: Site) -> None:
    site.cover()
    site.start()
    site.append(login(A), login(B), login(C), login(D))
    site.wait_rows(A, B, C, D)
    reply = revoked(site, network="203.0.113.0/30")
    assert (reply["revoked"], sorted(reply["addresses"])) == (2, [A, B])
    site.wait_rows(C, D)
    assert revoked(site, ip=C)["revoked"] == 1
    site.wait_rows(D)
    site.append(login(A), login(C))
    wait_for("the refusals", lambda: status(site)["refused"] == {"deny": 2}, seconds=PATIENCE)
    assert site.rows() == [D]
    with pytest.raises(AnsweredError, match=r"there is no manual denial or grant of 203\.0\.113\.0/29"):
        asked(site, Undo(network="203.0.113.0/29"))
    assert asked(site, Undo(network="203.0.113.0/30"))["undone"] == ["denial"]
    site.append(login(A))
    site.wait_rows(A, D)


def test_what_is_in_trouble_is_noticed(site: Site) -> None:
    site.cover()
    site.start()
    assert status(site)["notices"] == []
    site.log.rename(site.place / "gone")
    wait_for("the notice", lambda: bool(status(site)["notices"]), seconds=PATIENCE)
    (notice,) = status(site)["notices"]
    assert notice["code"] == "log_missing"
    assert str(site.log) in notice["text"]
    assert status(site)["logs"][0]["state"] == "missing"


def test_watchers_see_what_happens(site: Site) -> None:
    """What the audit lines say, and what the log says only in debugging, as it happens."""
    site.deny.write_text('[[deny]]\nusers = ["mallory"]\n')
    site.grace = 600
    clocks = site.set_clocks()
    site.cover()
    site.start()
    events: list[Event | Lost] = []
    wanted = Watch(("granted", "renewed", "expired", "revoked", "refused", "warning", "log_gone", "reloaded"))
    reading = threading.Thread(target=read_events, args=(site, wanted, events))
    reading.start()

    def of(kind: str) -> list[Event]:
        return [each for each in events if not isinstance(each, Lost) and each["kind"] == kind]

    def seen(kind: str) -> Event:
        wait_for(kind, lambda: of(kind), seconds=PATIENCE)
        return of(kind)[0]

    wait_for("the watcher", lambda: watched(site, A, of), seconds=PATIENCE)
    assert seen("renewed")["ip"] == A
    site.append(login(C))
    wait_for("the grant", lambda: [each for each in of("granted") if each["ip"] == C], seconds=PATIENCE)
    event = of("granted")[-1]
    assert (event["ip"], event["user"], event["format"], event["host"]) == (C, "ann", "dovecot", "hub")
    site.append(login(B, "mallory"))
    refused = seen("refused")
    assert (refused["ip"], refused["user"], refused["guard"], refused["log"]) == (B, "mallory", "deny", str(site.log))
    granted(site, D, 600)
    wait_for("the manual grant", lambda: [each for each in of("granted") if each["ip"] == D], seconds=PATIENCE)
    revoked(site, ip=D)
    assert "pid=" in seen("revoked")["why"]
    clocks.advance(site.grace + 1)
    assert seen("expired")["ip"] in (A, C)
    reply = asked(site, Reload())
    assert (reply["text"], reply["warnings"]) == (seen("reloaded")["text"], [])
    site.deny.write_text("x = 1")
    reply = asked(site, Reload())
    assert not reply["reloaded"]
    assert [seen("warning")["text"]] == reply["warnings"]
    assert "the previous settings stay in force" in reply["warnings"][0]
    site.log.rename(site.place / "gone")
    assert seen("log_gone")["log"] == str(site.log)
    site.close()
    reading.join(PATIENCE)
    numbers = [each["n"] for each in events if not isinstance(each, Lost)]
    assert numbers == sorted(set(numbers))
    assert "renewed" not in site.said(), "a watcher makes our own log no longer"


def watched(site: Site, ip: str, of: Callable[[str], list[Event]]) -> bool:
    """Whether events come: a login again and again until its renewal was seen."""
    site.append(login(ip))
    time.sleep(0.3)
    return bool(of("renewed"))


def read_events(site: Site, request: Watch, events: list[Event | Lost]) -> None:
    with suppress(ControlError):
        events.extend(watch(site.place / "run" / "status", request))


# -- the sockets ------------------------------------------------------------------------------------------------------


def test_modes_and_the_end(site: Site) -> None:
    daemon = site.start()
    run = site.place / "run"
    assert stat.S_IMODE((run / "control").stat().st_mode) == 0o600
    assert stat.S_IMODE((run / "status").stat().st_mode) == 0o660
    daemon.stop()
    assert not (run / "control").exists()
    assert not (run / "status").exists()
    with pytest.raises(NotRunningError, match="no daemon listens on"):
        status(site)


def test_a_killed_daemons_sockets_are_replaced(site: Site) -> None:
    site.start().kill()
    with pytest.raises(NotRunningError):
        status(site)
    site.start()
    assert status(site)["ready"]


def test_two_daemons_do_not_take_each_others_sockets(site: Site) -> None:
    first = site.start()
    second = site.start(f"--dbfile=lmdb:{site.place}/other")
    assert asked(site, Ping())["pid"] == first.pid
    assert "another daemon uses it; set control.directory to one of its own" in site.said()
    second.stop()
    assert asked(site, Ping())["pid"] == first.pid


def test_a_dry_run_leaves_the_sockets_alone(site: Site) -> None:
    first = site.start()
    site.start("--nowrite").stop()
    assert asked(site, Ping())["pid"] == first.pid
    assert site.said().count("control sockets") == 1


def test_without_a_directory_it_goes_on_and_says_so(site: Site) -> None:
    """A warning, because the administrator set it."""
    blocked = site.place / "file"
    blocked.write_text("")
    site.config.write_text(site.config.read_text().replace(f"{site.place}/run", f"{blocked}/run"))
    site.log_to_file = False
    daemon = site.spawn()
    site.append(login(A))
    site.wait_rows(A)
    daemon.kill()
    (line,) = lines_with(daemon.output, "no control sockets")
    assert f"no control sockets in {blocked}/run, so status, why, revoke and the like do not reach this daemon" in line


def test_an_ordinary_user_without_configuration(site: Site) -> None:
    """Neither /run/pbs-fast nor /var/lib/pbs-fast is theirs: no trouble, and no word of warning."""
    require_nobody()
    table = site.place / "table"
    table.mkdir()
    os.chown(table, 65534, 65534)
    site.config.write_text(f'mynetworks = ["{site.networks}"]\ndeny = "{site.deny}"\n')
    site.own.touch()
    os.chown(site.own, 65534, 65534)
    site.spec = f"lmdb:{table}/relay"
    daemon = site.start(prefix=[*readable_to_all(), *NOBODY])
    assert "no control sockets in /run/pbs-fast" in site.said() or Path("/run/pbs-fast").exists()
    site.append(login(A))
    site.wait_rows(A)
    daemon.stop()


# -- the client -------------------------------------------------------------------------------------------------------


def test_the_client_says_in_one_line_what_is_wrong(site: Site, tmp_path: Path) -> None:
    daemon = site.start()
    run = site.place / "run"
    with pytest.raises(NoRightError, match="reload is not allowed on the socket status"):
        ask(run / "status", Reload())
    daemon.send(signal.SIGSTOP)
    with pytest.raises(SilentError, match="does not answer"):
        ask(run / "status", Status(), patience=0.3)
    daemon.send(signal.SIGCONT)
    assert ask(run / "status", Status())["ready"]
    with pytest.raises(ControlError, match="cannot connect to"):
        ask(tmp_path / ("x" * 200), Ping())
    older = older_daemon(tmp_path / "status")
    with pytest.raises(OlderDaemonError, match="restart pbs-fast"):
        ask(tmp_path / "status", Why(ip=A))
    older.join(PATIENCE)


def older_daemon(path: Path) -> threading.Thread:
    """One that knows no request."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(
                    b'{"v":1,"id":1,"error":{"code":"bad_request","text":"\\"do\\": why is not known here"}}\n'
                )

    thread = threading.Thread(target=serve)
    thread.start()
    return thread
