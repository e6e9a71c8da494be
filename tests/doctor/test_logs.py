"""What doctor says of logs: lines of known tags, logins, hosts, timestamps, addresses; and of their next rotation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.running import login, noise, timestamp
from pbs_fast.config.model import Config, Guards
from pbs_fast.config.settings import Settings, merge
from pbs_fast.doctor.logs import DOCKER, HOSTS, MOST_LOGS, READ, TAGS, TIME, look
from pbs_fast.doctor.recent import Recent, Tags, read_recent
from pbs_fast.doctor.rotation import rotation_of
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.guards.machine import Machine
from pbs_fast.health.finding import Finding
from pbs_fast.matching import Backend
from pbs_fast.matching.zones import zone_table
from pbs_fast.util.addresses import parse_network


def _settings(log: Path, **changes: object) -> Settings:
    settings = merge(None, ())
    config: Config = replace(settings.config, watchlog=(str(log),), **changes)  # type: ignore[arg-type]
    return replace(settings, config=config)


def _findings(settings: Settings, root: Path) -> list[Finding]:
    return list(look(settings, root))


def _levels(found: Sequence[Finding], code: str) -> list[str]:
    return [each.level for each in found if each.code == code]


def _logins(count: int, *, users: int = 7, addresses: int = 30, hosts: Sequence[str] = ("hub",)) -> list[str]:
    now = time.time()
    return [
        login(f"203.0.113.{i % addresses + 1}", f"user{i % users}", at=now - count + i, host=hosts[i % len(hosts)])
        for i in range(count)
    ]


def _new_wording(count: int) -> list[str]:
    """Lines of Dovecot that its patterns do not take, and that hold no word of a success."""
    now = time.time()
    return [f"{timestamp(now - count + i)} hub dovecot: imap-login: Hello ann from 203.0.113.5" for i in range(count)]


def _refused(count: int) -> list[str]:
    now = time.time()
    return [
        f"{timestamp(now - count + i)} hub dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip=nowhere, lip=x"
        for i in range(count)
    ]


_LOGS: dict[str, tuple[Callable[[], list[str]], dict[str, list[str]]]] = {
    "logins": (lambda: _logins(60), {TAGS: ["ok"], HOSTS: ["ok"], TIME: ["ok"], DOCKER: []}),
    "a new wording, and nothing else": (lambda: _new_wording(250), {TAGS: ["fail"], HOSTS: []}),
    "a new wording with words of a success": (lambda: _refused(250), {TAGS: ["fail"], HOSTS: []}),
    "a quiet server": (lambda: [noise(), *_new_wording(3)], {TAGS: ["note"]}),
    "no known server": (lambda: [noise(text=f"cron[{i}]: job") for i in range(250)], {TAGS: ["fail"]}),
    "hardly anything": (lambda: [noise()], {TAGS: ["skip"]}),
    "empty": (list, {TAGS: ["skip"], TIME: []}),
    "another server without logins": (
        lambda: _logins(60) + [f"{timestamp()} hub nginx: GET {i}" for i in range(250)],
        {TAGS: ["note", "ok"]},
    ),
    "some missed": (lambda: _logins(60) + _refused(40), {TAGS: ["warn"]}),
    "few missed of few": (lambda: _logins(5) + _refused(3), {TAGS: ["ok"]}),
    "few missed": (lambda: _logins(60) + _refused(3), {TAGS: ["ok"]}),
    "several hosts": (lambda: _logins(60, hosts=("pop1", "pop2")), {HOSTS: ["warn"]}),
    "an hour behind": (lambda: [login("203.0.113.9", at=time.time() - 3600)], {TIME: ["fail"]}),
    "an hour ahead": (lambda: [login("203.0.113.9", at=time.time() + 3600)], {TIME: ["fail"]}),
    "a minute behind": (lambda: [login("203.0.113.9", at=time.time() - 60)], {TIME: ["warn"]}),
    "all from a private address": (
        lambda: [login("10.1.2.3", f"user{i % 5}") for i in range(30)],
        {DOCKER: ["fail"]},
    ),
    "one user at home": (lambda: [login("192.168.1.7", "ann") for _ in range(30)], {DOCKER: []}),
    "one user on the road": (lambda: [login("203.0.113.9", f"user{i % 5}") for i in range(30)], {DOCKER: []}),
}


@pytest.mark.parametrize("name", _LOGS)
def test_a_log(name: str, tmp_path: Path) -> None:
    lines, expected = _LOGS[name]
    log = tmp_path / "mail.log"
    log.write_text("".join(f"{line}\n" for line in lines()))
    found = _findings(_settings(log), tmp_path)
    assert _levels(found, READ) == ["ok"]
    for code, levels in expected.items():
        assert sorted(_levels(found, code)) == sorted(levels), [each for each in found if each.code == code]
    for each in found:
        assert each.advice or each.level not in ("warn", "fail"), each


def test_a_site_that_names_its_hosts(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("".join(f"{line}\n" for line in _logins(20, hosts=("pop1", "pop2"))))
    guards = Guards(hosts=("pop1", "pop2"))
    assert _levels(_findings(_settings(log, guards=guards), tmp_path), HOSTS) == ["ok"]


def test_the_gateway_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user is enough: a gateway never logs in."""
    log = tmp_path / "mail.log"
    log.write_text("".join(f"{login('198.51.100.1', 'ann')}\n" for _ in range(30)))
    machine = Machine(gateways=(parse_network("198.51.100.1"),))
    monkeypatch.setattr("pbs_fast.doctor.logs.read_machine", lambda: machine)
    found = [each for each in _findings(_settings(log), tmp_path) if each.code == DOCKER]
    assert [each.level for each in found] == ["fail"]
    assert "default gateway" in found[0].evidence


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert _levels(_findings(_settings(tmp_path / "none.log"), tmp_path), READ) == ["fail"]
    assert _levels(_findings(_settings(tmp_path / "*.log"), tmp_path), READ) == ["fail"]


def test_a_fifo_is_left_to_the_daemon(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mail.pipe")
    assert _levels(_findings(_settings(tmp_path / "mail.pipe"), tmp_path), READ) == ["skip"]


def test_of_very_many_logs_some_are_looked_at(tmp_path: Path) -> None:
    for number in range(MOST_LOGS + 3):
        (tmp_path / f"{number}.log").write_text(f"{login('203.0.113.9')}\n")
    found = _findings(_settings(tmp_path / "*.log"), tmp_path)
    assert _levels(found, READ) == ["ok"] * MOST_LOGS + ["note"]


def test_a_large_log_is_read_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, core: Backend) -> None:
    """What is new decides; and of a log that is larger than it should be, a part is read."""
    log, now, formats = tmp_path / "mail.log", time.time(), load_catalogue()
    old = [login("203.0.113.1", at=now - 80_000 + i / 100) for i in range(8_000)]
    log.write_text("".join(f"{line}\n" for line in [*old, *(login("203.0.113.2", at=now) for _ in range(50))]))
    matcher = core.Matcher(formats, zone_table(None))
    whole = read_recent(str(log), core, matcher, formats, None)
    assert (whole.addresses["203.0.113.1"], whole.addresses["203.0.113.2"], whole.is_cut) == (8_000, 50, False)
    monkeypatch.setattr("pbs_fast.doctor.recent.MOST_BYTES", 50 * 150)
    part = read_recent(str(log), core, matcher, formats, None)
    assert part.addresses["203.0.113.2"] == 50
    assert part.addresses["203.0.113.1"] < 8_000


def test_lines_in_rotated_files_of_the_day_count(tmp_path: Path, core: Backend) -> None:
    (tmp_path / "mail.log.1").write_text("".join(f"{line}\n" for line in _logins(30)))
    os.utime(tmp_path / "mail.log.1", (time.time() - 5, time.time() - 5))
    (tmp_path / "mail.log").write_text(f"{noise()}\n")
    formats = load_catalogue()
    recent = read_recent(str(tmp_path / "mail.log"), core, core.Matcher(formats, zone_table(None)), formats, None)
    assert (recent.logins["dovecot"], recent.tags["dovecot"], recent.lines) == (30, 30, 31)
    assert recent.last_login is not None
    assert recent.last_line is not None


def test_tags_are_those_of_headers() -> None:
    """Another program's text counts for nothing, wherever a tag is in it."""
    tags = Tags(load_catalogue())
    lines = [
        login("203.0.113.9"),
        noise(text="sshd[7]: dovecot: imap-login: Login: user=<eve>"),
        "<22>1 2026-03-04T07:12:09Z hub dovecot 12 - - imap-login: Aborted",
        "Mar  4 07:12:09 hub dovecot[12]: x dovecot: y",
    ]
    data = "".join(f"{line}\n" for line in lines).encode()
    found = Recent().tags
    tags.count(data, 0, len(data), "syslog", found)
    assert found == {"dovecot": 3}


_LOGROTATE = """\
weekly
create
include /etc/logrotate.d
"""
_RULES = {
    "create 0640 root adm": ("create", "0640 root adm"),
    "create 640 root adm": ("create", "0640 root adm"),
    "create root adm": ("create", "root adm"),
    "create": ("create", ""),
    "copytruncate\n    create 0600 root root": ("copytruncate", ""),
    "nocreate": ("nocreate", ""),
    "": ("create", ""),
}


@pytest.mark.parametrize("rule", _RULES)
@pytest.mark.parametrize(
    "head", ["/var/log/mail.log {", "/var/log/mail.log\n/var/log/mail.info\n{", '"/var/log/*.log" {']
)
def test_what_logrotate_will_do(rule: str, head: str, tmp_path: Path) -> None:
    (tmp_path / "etc/logrotate.d").mkdir(parents=True)
    (tmp_path / "etc/logrotate.conf").write_text(_LOGROTATE)
    (tmp_path / "etc/logrotate.d/a").write_text("/var/log/other { \n create 0600 root root\n}\n")
    (tmp_path / "etc/logrotate.d/rsyslog").write_text(
        f"{head}\n    rotate 4\n    {rule}\n    postrotate\n        create 0777 nobody nogroup\n    endscript\n}}\n"
    )
    found = rotation_of("/var/log/mail.log", tmp_path)
    assert found is not None
    assert (found.way, found.words, found.file) == (*_RULES[rule], "/etc/logrotate.d/rsyslog")
    assert rotation_of("/srv/mail.log", tmp_path) is None


@pytest.mark.parametrize(
    ("rule", "level"),
    [("create 0640 root root", "fail"), ("create 0644 root root", "ok"), ("create", "ok"), ("copytruncate", "ok")],
)
def test_a_file_that_nobody_may_read_after_its_rotation(
    rule: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "mail.log"
    log.write_text(f"{login('203.0.113.9')}\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/logrotate.conf").write_text(f"{log} {{\n{rule}\n}}\n")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getegid", lambda: 54321)
    monkeypatch.setattr(os, "getgroups", lambda: [54321])
    assert _levels(_findings(_settings(log), tmp_path), READ) == [level]
