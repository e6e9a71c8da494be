"""What real servers write when a session's process is killed or stopped, and what both backends make of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mta import wait_for
from pbs_fast.events import Batch
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import load_backend
from servers import dovecot, test_courier, test_mailutils, test_nginx, test_perdition
from servers.clients import Client, Deed, Protocol
from servers.held import CORES
from servers.stage import UNNAMED, USERS, Stage, stage

CLIENT, USER = UNNAMED[0], "user01"


def processes(here: Stage, name: str) -> set[int]:
    """Those of the stage whose command line begins so."""
    found = set()
    for pid in here._inhabitants():
        try:
            if Path(f"/proc/{pid}/cmdline").read_text().startswith(name):
                found.add(pid)
        except OSError:  # it has ended
            continue
    return found


def rows(here: Stage, core: str) -> Batch:
    """The rows of the log, none folded."""
    made = load_backend(core)
    matcher = made.Matcher(load_catalogue(), ((-(2**62), 0),))
    data = here.log.read_bytes()
    stream = made.Stream(matcher, source="log", gap=0, fold=False)
    stream.add(matcher.scan(data, layout="syslog", reference=int(time.time())))
    return stream.take()


@pytest.mark.parametrize(
    ("package", "start", "protocol", "name", "number", "kind", "word"),
    [
        ("nginx", test_nginx.start, "pop3", "nginx: worker", signal.SIGKILL, "killed", "exited on signal 9"),
        ("nginx", test_nginx.start, "imap", "nginx: master", signal.SIGTERM, "killed", "exited with code 0"),
        (
            "perdition",
            test_perdition.start,
            "pop3",
            "perdition.pop3: connect",
            signal.SIGTERM,
            "killed",
            "on signal 15",
        ),
        ("mailutils", test_mailutils.start, "pop3", "pop3d", signal.SIGTERM, "logout", "terminating on request"),
        ("courier-imap", test_courier.start, "imap", "/usr/bin/imapd", signal.SIGTERM, "logout", "shutdown by signal"),
    ],
    ids=["nginx", "nginx-stop", "perdition", "mailutils", "courier-imap"],
)
def test_the_words_of_a_process_end_its_session(
    package: str,
    start: Callable[[Stage], None],
    protocol: Protocol,
    name: str,
    number: signal.Signals,
    kind: str,
    word: str,
) -> None:
    dovecot.version()
    with stage(package) as here:
        start(here)
        deed = Deed(protocol, CLIENT, USER, True, "drop")
        client = Client(here.connect(CLIENT, deed.port), deed)
        try:
            assert client.login(USER, USERS[USER])
            wait_for("the login's line", lambda: "login" in rows(here, CORES[0]).kind)
            # Processes change their names as they work, and one from before may still be ending.
            seen: set[int] = set()

            def found() -> bool:
                now = processes(here, name)
                seen.update(now)
                return len(now) == 1

            wait_for(f"one process {name}", found)
            os.kill(max(seen), number)
            here.wait_for_line(word)
        finally:
            client.close()
        for core in CORES:
            batch = rows(here, core)
            told = list(zip(batch.kind, batch.format, batch.process, batch.ip, strict=True))
            ((_, format_, process, ip),) = (row for row in told if row[0] == "login")
            assert ip == CLIENT
            (ending,) = (row for row in told if row[0] == kind)
            assert ending == (kind, format_, process, ip if kind == "logout" else "")


def test_nginx_says_that_it_starts() -> None:
    dovecot.version()
    with stage("nginx") as here:
        test_nginx.start(here)
        for core in CORES:
            assert rows(here, core).kind == ["restart"]
