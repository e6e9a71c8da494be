"""`why` in the logs: the same lines with and without passing over what cannot matter; the very places; guards."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from pbs_fast.bench.hublog.stream import START, Options, iter_lines
from pbs_fast.config import Given, load, merge
from pbs_fast.control.why import judge
from pbs_fast.control.why.findings import Findings
from pbs_fast.control.why.judge import Investigation
from pbs_fast.control.why.needles import MOST, Needles, for_addresses, for_user
from pbs_fast.control.why.queue import queued, sent_by
from pbs_fast.control.why.search import numbered
from pbs_fast.errors import PbsError
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.match.lines import Run
from pbs_fast.matching import Backend
from sources.journals import fields, message, store
from support.matchers import catalogue_matcher

A, B, V6 = "203.0.113.5", "198.51.100.9", "2001:db8::77"


def investigation(place: Path, log: Path | str, core: str = "rust", text: str = "") -> Investigation:
    config = place / "why.toml"
    config.write_text(f'mynetworks = ["127.0.0.0/8"]\ndeny = "{place}/deny.toml"\nwatchlog = "{log}"\n{text}')
    return Investigation(merge(load(str(config)), [Given("--core", "core", core)]))


def stamp(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="milliseconds")


def dovecot(second: float, ip: str = A, user: str = "anna@example.org") -> str:
    return (
        f"{stamp(second)} mx1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, TLS\n"
    )


def popa3d(second: float, pid: int, ip: str, user: str) -> list[str]:
    """A login in two lines, with others between them."""
    head = f"{stamp(second)} mx1 popa3d[{pid}]: "
    return [f"{head}Session from {ip}\n", f"{head}Authentication passed for {user}\n"]


#: A hub's log of 4 MB, read in 16 pieces, with servers that log a login in one line, or in several far from each other.
@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = tmp_path_factory.mktemp("hub") / "mail.log"
    lines: list[bytes] = []
    later: list[tuple[int, bytes]] = []
    for number, (line, _) in enumerate(iter_lines(Options(lines=25_500))):
        lines.append(line + b"\n")
        if number % 997 == 0:
            user = f"user{number % 7}@example.org"
            first, last = popa3d(START + number / 23, number % 5, [A, B, V6][number % 3], user)
            lines.append(first.encode())
            # Up to 600 s later, which are 13,800 lines; many pieces.
            later.append((number + 2500, last.encode()))
        if number % 5000 == 17:
            form = f"<22>1 {stamp(START + number / 23)} mx1 popa3d 77 - - "
            lines += [f"{form}Session from 192.0.2.55\n".encode(), f"{form}Authentication passed for carl\n".encode()]
            lines.append(dovecot(START + number / 23).encode())
            lines.append(f"{stamp(START + number / 23)} mx1 dovecot: imap-login: Login: rip={A}, x\n".encode())
        if number % 1000 == 3:
            lines += [line.encode() for line in popa3d(START + number / 23, 10_000 + number, "192.0.2.99", "dora")]
        while later and later[0][0] <= number:
            lines.append(later.pop(0)[1])
    log.write_bytes(b"".join(lines))
    os.utime(log, (START + 3600, START + 3600))
    return log


@cache
def of_hub(hub: Path, core: str) -> Investigation:
    return investigation(hub.parent, hub, core)


def everything(found: Findings) -> object:
    return found.logins, found.missed, found.messages, found.ends, found.logs


@pytest.mark.parametrize(
    ("addresses", "user", "logins"),
    [
        ([A], None, 12), ([B], None, 6), ([V6], None, 6), ([A, B, V6], None, 24), (["192.0.2.55"], None, 5),
        (["192.0.2.99"], None, 25), ([], "USER0@example.org", 3), ([], "anna@example.org", 5), ([], "carl", 5),
    ],
)  # fmt: skip
def test_what_is_passed_over_changes_nothing(
    hub: Path, core: Backend, addresses: list[str], user: str | None, logins: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    since, now = START - 60, START + 3600
    site = of_hub(hub, core.name)
    found = site.about(addresses, user, since=since, now=now)
    monkeypatch.setattr(judge, "for_addresses", lambda *_: None)
    monkeypatch.setattr(judge, "for_user", lambda *_: None)
    whole = site.about(addresses, user, since=since, now=now)
    assert len(whole.logins) >= logins
    assert everything(found) == everything(whole)


def test_most_of_a_log_is_passed_over(hub: Path) -> None:
    data = hub.read_bytes()
    needles = for_addresses([A], ())
    assert needles is not None
    windows = needles.windows(data, 0, len(data))
    assert A.encode() in data
    assert sum(end - begin for begin, end in windows) < len(data) / 3
    assert all(begin == 0 or data[begin - 1 : begin] == b"\n" for begin, _ in windows)
    assert all(data[end - 1 : end] == b"\n" for _, end in windows)
    assert all(one[1] < other[0] for one, other in pairwise(windows))


@pytest.mark.parametrize(
    ("address", "texts", "found"),
    [
        (A, [b"rip=203.0.113.5,", b"::ffff:203.0.113.5", b"::ffff:cb00:7105", b"::FFFF:CB00:7105"], True),
        (V6, [b"2001:db8::77", b"2001:0DB8:0:0::0077", b"2001:DB8::0.0.0.119"], True),
        (A, [b"203.0.113.6", b"2001:db8::5"], False),
        (V6, [b"2001:4860::77"], False),
    ],
)
def test_each_way_to_write_an_address_is_found(address: str, texts: list[bytes], found: bool) -> None:
    needles = for_addresses([address], ())
    assert needles is not None
    for text in texts:
        assert bool(needles.hits(text, 0, len(text))) is found, text


def test_what_cannot_be_found_by_a_text_is_not_looked_for_by_one() -> None:
    assert for_addresses(["::1"], ()) is None
    assert for_addresses([A] * 200, ()) is None
    assert for_user("a b", ()) is None
    assert for_user("änna", ()) is None
    found = for_user("Anna@Example.org", ())
    assert found is not None
    assert found.hits(b"x user=<ANNA@example.ORG>", 0, 25)


@pytest.mark.parametrize(
    ("lines", "incomplete"),
    [
        (["popa3d[1]: Session from A", "popa3d[1]: x"], False),
        ([f"popa3d[{pid}]: Session from A" for pid in range(MOST + 1)], True),
        (["popa3d 77 - - Session from A"], True),
        (["dovecot: rip=A", "not-popa3d[1]: A"], False),
    ],
)
def test_sessions_that_no_text_finds_have_everything_read(lines: list[str], incomplete: bool) -> None:
    needles = for_addresses([A], load_catalogue())
    assert needles is not None
    data = "".join(f"mx1 {line.replace('A', A)}\n" for line in lines).encode()
    assert needles.windows(data, 0, len(data))
    assert needles.incomplete is incomplete
    assert bool(needles.windows(data, 0, len(data))) is not incomplete


def test_a_line_is_found_once_and_whole() -> None:
    line = b"a 203.0.113.5 203.0.113.5 b\n"
    data = b"x" * 40_000 + b"\n" + line * 3 + b"y\n" * 40_000
    needles = Needles([A.encode()])
    assert len(needles.hits(data, 0, len(data))) == 3
    ((begin, end),) = needles.windows(data, 0, len(data))
    assert data[begin:end].endswith(line * 3)


# -- places ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def rotated(tmp_path: Path) -> tuple[Path, float]:
    """A log, its rotated and its compressed file; a login of A in each, the newest first."""
    now = time.time()
    log = tmp_path / "mail.log"
    noise = f"{stamp(now - 9000)} mx1 postfix/qmgr[1]: removed\n"
    (tmp_path / "mail.log.2.gz").write_bytes(
        gzip.compress((noise * 3 + dovecot(now - 1500) + noise.replace(stamp(now - 9000), stamp(now - 1400))).encode())
    )
    (tmp_path / "mail.log.1").write_text(dovecot(now - 1000) + dovecot(now - 900, user="scan@example.org"))
    log.write_text(noise.replace(stamp(now - 9000), stamp(now - 500)) * 5 + dovecot(now - 100) + dovecot(now - 50, B))
    for age, name in [(1400, "mail.log.2.gz"), (800, "mail.log.1")]:
        os.utime(tmp_path / name, (now - age, now - age))
    return log, now


def test_the_very_lines_through_rotated_and_compressed_logs(rotated: tuple[Path, float], tmp_path: Path) -> None:
    log, now = rotated
    found = investigation(tmp_path, log).about([A], since=int(now) - 1800, now=int(now))
    found.replace_lines(numbered(login.line for login in found.logins))
    assert [login.line.place for login in found.logins] == [f"{log}.2.gz:4", f"{log}.1:1", f"{log}.1:2", f"{log}:6"]
    assert found.logins[-1].line.text == log.read_text().splitlines()[5]
    assert [login.user for login in found.logins][2] == "scan@example.org"
    assert found.ends == {A: int(now - 100) + 1800}
    assert [part.complete for part in found.logs] == [True]


def test_a_line_that_is_not_there_any_more_has_no_number(rotated: tuple[Path, float], tmp_path: Path) -> None:
    log, now = rotated
    found = investigation(tmp_path, log).about([A], since=int(now) - 1800, now=int(now))
    log.write_text("another\n" * 9)
    (tmp_path / "mail.log.1").unlink()
    found.replace_lines(numbered(login.line for login in found.logins))
    assert [login.line.number for login in found.logins] == [4, None, None, None]


def test_the_window_and_the_name_decide(rotated: tuple[Path, float], tmp_path: Path) -> None:
    log, now = rotated
    site = investigation(tmp_path, log)
    assert len(site.about(user="ANNA@EXAMPLE.ORG", since=int(now) - 1200, now=int(now)).logins) == 3
    assert [login.ip for login in site.about([B], since=int(now) - 1200, now=int(now)).logins] == [B]
    assert site.about(["203.0.113.50"], since=int(now) - 1200, now=int(now)).logins == []


def test_missed_lines_that_name_the_address(tmp_path: Path) -> None:
    now = time.time()
    log = tmp_path / "mail.log"
    text = f"{stamp(now - 60)} mx1 dovecot: imap-login: Login: user=<u>, rhost=IP, lip=192.0.2.1\n"
    log.write_text(text.replace("IP", "203.0.113.50") + text.replace("IP", A) + text.replace("IP", B))
    found = investigation(tmp_path, log).about([A], since=int(now) - 1800, now=int(now))
    assert [(each.reason, each.line.offset) for each in found.missed] == [("no-pattern", len(text) + 10)]


@pytest.mark.parametrize("user", [None, "anna@example.org"])
def test_the_entries_of_a_container(user: str | None, core: Backend, tmp_path: Path) -> None:
    """Docker's json-file: the line that is shown is that of the file, with its number."""
    now = time.time()
    log = tmp_path / "c-json.log"
    when = datetime.fromtimestamp(now - 60, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    other = json.dumps({"log": f"{stamp(now - 99)} mx1 postfix/qmgr[1]: removed\n", "stream": "stdout", "time": when})
    entry = json.dumps({"log": dovecot(now - 60), "stream": "stdout", "time": when})
    # More than one piece, so that most of it is passed over.
    log.write_text(f"{other}\n" * 4000 + f"{entry}\n" + f"{other}\n" * 4000 + f"{entry}\n")
    site = investigation(tmp_path, log, core.name)
    found = site.about([] if user else [A], user, since=int(now) - 1800, now=int(now))
    found.replace_lines(numbered(login.line for login in found.logins))
    assert [login.line.number for login in found.logins] == [4001, 8002]
    assert found.logins[0].line.text == entry


@pytest.mark.system
def test_the_journal(tmp_path: Path) -> None:
    now = time.time()
    journal = tmp_path / "journal" / "system.journal"
    store(journal, *[fields("nothing of interest", now - 200 + n / 100) for n in range(50)])
    store(journal, fields(message(A, user="anna"), now - 60), fields(message(B), now - 50))
    site = investigation(tmp_path, f"journal:directory={tmp_path}/journal")
    found = site.about([A], since=int(now) - 1800, now=int(now))
    found.replace_lines(numbered(login.line for login in found.logins))
    (login,) = found.logins
    assert (login.at, login.user, login.line.place) == (int(now - 60), "anna", f"journal in {tmp_path}/journal")
    assert f"rip={A}" in login.line.text
    assert [part.name for part in found.logs] == [f"journal in {tmp_path}/journal"]


def test_what_guards_refuse_is_named(tmp_path: Path) -> None:
    now = time.time()
    log = tmp_path / "mail.log"
    log.write_text(dovecot(now - 60) + dovecot(now - 50, user="Mallory@example.org") + dovecot(now - 40, "127.0.0.1"))
    (tmp_path / "deny.toml").write_text('[[deny]]\nusers = ["mallory@example.org"]\n')
    text = '[guards]\nproxies = ["198.51.100.0/24"]\n'
    site = investigation(tmp_path, log, text=text)
    found = site.about([A], since=int(now) - 1800, now=int(now))
    assert [login.guard for login in found.logins] == ["", "deny"]
    assert found.ends == {A: int(now - 60) + 1800}
    (local,) = site.about(["127.0.0.1"], since=int(now) - 1800, now=int(now)).logins
    assert local.guard == "local"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    now = int(time.time())
    missing = investigation(tmp_path, tmp_path / "none.log").about([A], since=now - 1800, now=now)
    assert [part.complete for part in missing.logs] == [False]
    assert missing.logs[0].reason == f"{tmp_path}/none.log does not exist"
    stdin = investigation(tmp_path, "-").about([A], since=now - 1800, now=now)
    assert stdin.logs[0].reason == "standard input has no past: earlier lines cannot be read again"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be an account without rights")
def test_without_the_right_to_read_a_log(tmp_path: Path) -> None:
    now = time.time()
    log = tmp_path / "mail.log"
    log.write_text(dovecot(now - 60))
    log.chmod(0o600)
    site = investigation(tmp_path, log)
    os.seteuid(65_534)
    try:
        found = site.about([A], since=int(now) - 1800, now=int(now))
    finally:
        os.seteuid(0)
    assert found.logins == []
    assert "ermission" in found.logs[0].reason or "not readable" in found.logs[0].reason


def test_it_sees_what_match_sees(hub: Path, core: Backend) -> None:
    found = of_hub(hub, core.name).about([A], since=START - 60, now=START + 3600)
    matcher = catalogue_matcher(core.name)
    seen: list[tuple[int, str]] = []

    class Render:
        def prepare(self, *_: object) -> None: ...

        def event(self, file: str, line: int, event: object, source: object) -> str:  # noqa: ARG002
            if event.kind == "login" and event.ip == A:  # type: ignore[attr-defined]
                seen.append((event.offset, event.user))  # type: ignore[attr-defined]
            return ""

        def missed(self, *_: object) -> str:
            return ""

    Run(core, matcher, now=START + 3600, render=Render(), write=lambda _: None, complain=lambda _: None,
        show_missed=False)([str(hub)])  # fmt: skip
    assert [(login.line.offset, login.user) for login in found.logins] == seen


# -- the queue ------------------------------------------------------------------------------------------------------


def client(second: float, queue_id: str, ip: str = A, more: str = "") -> str:
    return f"{stamp(second)} mx1 postfix/smtpd[77]: {queue_id}: client=unknown[{ip}]{more}\n"


@pytest.fixture
def postqueue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a postqueue in front of PATH that runs a line of shell."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    def make(line: str) -> None:
        (place / "postqueue").write_text(f"#!/bin/sh\n{line}\n")
        (place / "postqueue").chmod(0o755)

    return make


def test_the_messages_of_a_user(tmp_path: Path, postqueue: Callable[[str], None]) -> None:
    now = time.time()
    log = tmp_path / "mail.log"
    log.write_text(
        client(now - 3000, "BEFORE1") + dovecot(now - 900) + client(now - 890, "4ZpXfirst")
        + client(now - 880, "4ZpXother", B) + client(now - 870, "4ZpXsasl", A, ", sasl_method=PLAIN, sasl_username=x")
        + dovecot(now - 800, user="scan@example.org") + client(now - 790, "4ZpXscan")
        + dovecot(now - 700, user="ANNA@example.org") + client(now - 690, "4ZpXlast", A, ", orig_client=x")
    )  # fmt: skip
    site = investigation(tmp_path, log)
    ids, gaps = sent_by(site, "anna@example.org", None, since=int(now) - 3600, now=int(now))
    assert ids == ["4ZpXfirst", "4ZpXlast"]
    assert len(gaps) == 1, "the log begins within the time that was asked for"
    assert sent_by(site, None, B, since=int(now) - 3600, now=int(now))[0] == ["4ZpXother"]
    assert sent_by(site, "nobody", None, since=int(now) - 3600, now=int(now))[0] == []
    postqueue("""echo '{"queue_name": "deferred", "queue_id": "4ZpXlast"}'; echo 'no json'; echo 3""")
    assert queued(ids) == ["4ZpXlast"]
    postqueue("echo 'postqueue: fatal: no right' >&2; exit 69")
    with pytest.raises(PbsError, match=r"postqueue -j failed with 69: postqueue: fatal: no right$"):
        queued(ids)
    assert queued([]) == []
    postqueue("""echo "{\\"queue_id\\": \\"$*\\"}" """)
    assert queued(["-j", "-c /etc/out -j"], "/usr/sbin/postconf -v -c /etc/out -h") == ["-c /etc/out -j"]
    with pytest.raises(PbsError, match="give a command and its options"):
        queued(ids, "postconf -c '")
