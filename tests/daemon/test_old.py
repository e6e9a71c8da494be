"""`pop-before-smtp` as the start files of the Perl program call it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from daemon.running import Site, login
from mta import wait_for
from pbs_fast.cli import main, old
from pbs_fast.log.handlers import OwnLog, own_log
from pbs_fast.log.targets import Level, SyslogTarget
from pbs_fast.tables import list_rows


def test_it_is_the_daemon(site: Site) -> None:
    """As a start file calls it; the row is there, SIGTERM says what the old program said."""
    site.cover()
    site.append(login("203.0.113.1"))
    command = [sys.executable, "-c", "from pbs_fast.cli.old import main; raise SystemExit(main())"]
    process = subprocess.Popen(
        [*command, f"--config={site.config}", "--wat", str(site.log), f"--dbfile={site.spec}", f"-logto={site.own}"]
    )
    try:
        wait_for("the row", lambda: site.holds("203.0.113.1"))
        assert list_rows(site.spec) == [("203.0.113.1", "ok")]
    finally:
        process.terminate()
    assert process.wait(60) == 0
    assert "caught SIGTERM -- exiting" in site.said()


COMMAND = [sys.executable, "-c", "from pbs_fast.cli.old import main; raise SystemExit(main())"]


def reprocessed(tmp_path: Path, *options: str) -> str:
    """What it says of an old log, replayed once."""
    log = tmp_path / "mail.log"
    lines = ("03:04:05", "203.0.113.1"), ("03:10:00", "192.0.2.9"), ("04:00:00", "203.0.113.2")
    head = "mx dovecot: imap-login: Login: user=<ann>, method=PLAIN,"
    log.write_text("".join(f"Nov  2 {time} {head} rip={ip}, lip=198.51.100.1\n" for time, ip in lines))
    config = tmp_path / "pbs.toml"
    config.write_text('once = true\nmynetworks = ["192.0.2.0/24", "2001:db8::/32"]\n')
    done = subprocess.run(
        [*COMMAND, f"--config={config}", "--nowrite", "--reprocess", f"--watchlog={log}", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("debug", [True, False])
def test_reprocess_writes_the_time_of_each_event(debug: bool, tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    reprocessed(tmp_path, *["--debug"][:debug], f"--logto={own}")
    said = own.read_text()
    assert re.search(r"(?m)^Nov  2 03:04:05 would add 203\.0\.113\.1 to DB", said), said
    assert re.search(r"(?m)^Nov  2 04:00:00 would remove 203\.0\.113\.1 from DB", said), said
    assert re.search(r"(?m)^Nov  2 04:00:00 would add 203\.0\.113\.2 to DB", said), said
    assert not re.search(r"(?m)^Nov  2 .* (?:starting up|ready)", said), "of now"
    assert re.search(r"(?m)^Nov  2 03:10:00 ignoring local-net ip=192\.0\.2\.9", said)


def test_debug_lists_the_networks_in_use(tmp_path: Path) -> None:
    said = reprocessed(tmp_path, "--debug")
    assert " Using 2 values for pre-authorized networks: `192.0.2.0/24', `2001:db8::/32'\n" in said


def test_its_errors_and_its_syslog_bear_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pbs.toml"
    config.write_text("")
    done = subprocess.run(
        [*COMMAND, f"--config={config}", f"--watchlog={tmp_path}/none", f"--dbfile=lmdb:{tmp_path}/no/where/relay"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"pop-before-smtp: .*\n", done.stderr.splitlines(keepends=True)[-1]), done.stderr
    path = tmp_path / "syslog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        with closing(SyslogTarget(str(path), ident="pop-before-smtp")) as target:
            target.put(Level.INFO, ["x"])
        assert re.fullmatch(rb"<22>.{15} pop-before-smtp\[\d+\]: x", listener.recv(500))
    seen: list[str] = []

    def noted(_: str | None, *, ident: str, **more: bool) -> AbstractContextManager[OwnLog]:
        seen.append(ident)
        return own_log(None, **more)

    monkeypatch.setattr("pbs_fast.daemon.assemble.run", lambda *_, **__: 0)
    monkeypatch.setattr("pbs_fast.log.handlers.own_log", noted)
    old.main([f"--config={config}", "--logto=syslog"])
    main(["run", f"--config={config}", "--logto=syslog"])
    assert seen == ["pop-before-smtp", "pbs-fast"]
