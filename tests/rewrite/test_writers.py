"""The real programs write the layouts: s6-log, multilog, svlogd, socklog and each style of journalctl."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mta import unavailable, wait_for
from pbs_fast.events import Event
from pbs_fast.matching.backends import Backend
from rewrite.test_layout_rules import login, own, reader
from sources.journals import fields, store

pytestmark = pytest.mark.system
LOGGERS = {
    "s6-log t": ["s6-log", "t", "n3"],
    "s6-log T": ["s6-log", "T", "n3"],
    "multilog": ["multilog", "t"],
    "svlogd": ["svlogd"],
    "svlogd -t": ["svlogd", "-t"],
    "svlogd -tt": ["svlogd", "-tt"],
    "svlogd -ttt": ["svlogd", "-ttt"],
}
#: Of s6-log's `t`, which counts leap seconds, and a slow machine.
SLACK = 27 + 60
STYLES = ("short", "short-full", "short-iso", "short-iso-precise", "short-precise", "short-unix", "with-unit")
RECORDS = ("json", "json-sse", "json-seq")


def events(core: Backend, data: bytes) -> list[Event]:
    now = int(time.time())
    return reader(core).events(data, 0, len(data), offset=0, reference=now)


@pytest.mark.parametrize("logger", LOGGERS)
def test_loggers_of_supervisors(core: Backend, tmp_path: Path, logger: str) -> None:
    command = LOGGERS[logger]
    if shutil.which(command[0]) is None:
        unavailable(f"{command[0]} is not installed")
    # The line's own timestamp is of another day, so that it shows which one was read.
    lines = "".join(f"{own(n)}\n" for n in (1, 2))
    subprocess.run([*command, str(tmp_path)], input=lines.encode(), check=True, timeout=60, env={"TZ": "CET-1"})
    found = events(core, (tmp_path / "current").read_bytes())
    assert [event.ip for event in found] == ["203.0.113.1", "203.0.113.2"]
    if logger != "svlogd":
        assert all(abs((event.timestamp or 0) - time.time()) < SLACK for event in found)


def test_socklog(core: Backend, tmp_path: Path) -> None:
    """As its package sets it up: socklog unix, whose output svlogd or a file gets."""
    if shutil.which("socklog") is None:
        unavailable("socklog is not installed")
    path, log = tmp_path / "log", tmp_path / "out"
    with log.open("wb") as out:
        child = subprocess.Popen(["socklog", "unix", str(path)], stdout=out, stderr=subprocess.DEVNULL)
    try:
        wait_for("socklog's socket", path.exists)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect(str(path))
            to.send(b"<22>Mar 12 10:00:00 cron[1]: x")
            to.send(f"<22>Mar 12 10:00:00 dovecot: {login(1)}".encode())
            to.send(f"<22>Mar 12 10:00:00 postfix/smtpd[1]: Mar 12 10:00:00 dovecot: {login(2)}".encode())
        wait_for("three lines", lambda: log.read_bytes().count(b"\n") >= 3, seconds=60)
    finally:
        child.terminate()
        child.wait(60)
    assert [event.ip for event in events(core, log.read_bytes())] == ["203.0.113.1"]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("journal") / "x.journal"
    forged = {"_SYSTEMD_UNIT": "web.service", "SYSLOG_IDENTIFIER": "web", "_COMM": "web"}
    store(
        file,
        fields(login(1)),
        fields(f"x\nMar 12 10:00:00 hub dovecot: {login(2)}\n1773306000.123456 hub dovecot: {login(3)}", **forged),
        fields(own(4)),
    )
    return file


@pytest.mark.parametrize("style", [*STYLES, *RECORDS])
def test_styles_of_journalctl(core: Backend, journal: Path, style: str) -> None:
    found = events(core, _output(journal, style))
    assert [event.ip for event in found] == ["203.0.113.1", "203.0.113.4"]
    assert all(abs((event.timestamp or 0) - time.time()) < 600 for event in found)


def test_a_style_without_dates(core: Backend, journal: Path) -> None:
    data, now = _output(journal, "short-monotonic"), int(time.time())
    assert [event.reason for event in events(core, data)] == ["bad-stamp"] * 2
    one = reader(core, live=True)
    one.feed(data, 0, len(data), offset=0, reference=now, arrived=True)
    batch = one.take()
    assert list(zip(batch.ip, batch.first, strict=True)) == [("203.0.113.1", now), ("203.0.113.4", now)]


@pytest.mark.parametrize("style", ["export", "verbose", "json-pretty"])
def test_a_style_of_several_lines_an_entry_grants_nothing(core: Backend, journal: Path, style: str) -> None:
    """In `export` a line feed in a message is one."""
    assert events(core, _output(journal, style)) == []


def _output(journal: Path, style: str) -> bytes:
    command = ["journalctl", f"--file={journal}", "-o", style, "--no-pager"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60, env={"TZ": "CET-1"}).stdout


def test_a_containers_journal_by_the_daemon(tmp_path: Path) -> None:
    """What Docker's driver writes: any identifier, and a header of the program's own in the text."""
    file, table, now = tmp_path / "x.journal", tmp_path / "relay", time.time()
    docker = {
        "_SYSTEMD_UNIT": "docker.service",
        "_COMM": "dockerd",
        "_EXE": "/usr/bin/dockerd",
        "_TRANSPORT": "journal",
        "CONTAINER_NAME": "mail",
        "CONTAINER_ID": "5fda83a7192b",
        "SYSLOG_IDENTIFIER": "5fda83a7192b",
        "PRIORITY": "3",
    }
    texts = (own(1), f"Mar 12 10:00:00 6f4d dovecot: {login(2)}", f"2026-03-12T10:00:00Z mail dovecot: {login(3)}")
    entries = [fields(text, now - 60 + n, **docker) for n, text in enumerate((*texts, login(4, "Info: ")))]
    entries.append(fields(own(9), now - 50, **{**docker, "CONTAINER_NAME": "web"}))
    entries.append(fields(login(5), now - 40, **{**docker, "SYSLOG_IDENTIFIER": "dovecot"}))
    part = {**docker, "CONTAINER_PARTIAL_ID": "7"}
    entries.append(fields("x" * 99, now - 30, **part, CONTAINER_PARTIAL_MESSAGE="true"))
    entries.append(fields(own(8), now - 30, **part))
    store(file, *entries)
    configuration = tmp_path / "pbs.toml"
    configuration.write_text('core = "auto"\n')
    command = [sys.executable, "-m", "pbs_fast", "run", f"--config={configuration}", "--reprocess", "--once", "--debug"]
    command += [f"--watchlog=journal:container=mail,file={file}", f"--dbfile=text:{table}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    granted = re.findall(r"added 203\.0\.113\.([0-9]+) to DB", done.stdout)
    assert (granted, done.returncode) == (["1", "2", "3", "4", "5"], 0), done.stdout + done.stderr
    assert "the layout of the lines is syslog (journal of containers)" in done.stdout
