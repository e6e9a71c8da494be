"""Which servers log a refused name with its line feed: those, and only those, are the catalogue's `raw_names`.

SECURITY.md names them; `matching.distrust` believes nothing behind their lines, within the longest record they write.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType

import pytest

from mta import wait_for
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.distrust import LONGEST_RECORD
from servers import dovecot, test_courier, test_cyrus, test_imapproxy, test_mailutils, test_nginx, test_perdition
from servers.stage import UNNAMED, Stage, stage

_RAW = {tag for each in load_catalogue() for tag in each.raw_names}
_NAME = b"first\nsecond"
_LONG = b"L" * 40_000
#: Server -> its package (None where it is installed), and the tags under which names come out raw.
SERVERS: dict[str, tuple[ModuleType, str | None, set[str]]] = {
    "nginx": (test_nginx, "nginx", {"nginx"}),
    "up-imapproxy": (test_imapproxy, "imapproxy", {"in.imapproxyd"}),
    "perdition": (test_perdition, "perdition", {"perdition.imap4"}),
    "mailutils": (test_mailutils, "mailutils", {"imap4d"}),
    "courier": (test_courier, "courier-imap", set()),
    "cyrus": (test_cyrus, "cyrus", set()),
    "dovecot": (dovecot, None, set()),
}


def _literal(name: bytes) -> Sequence[bytes]:
    return [b"a LOGIN {%d}\r\n" % len(name), name + b" {5}\r\n", b"wrong\r\n"]


def _imap_plain(name: bytes) -> Sequence[bytes]:
    return [b"a AUTHENTICATE PLAIN\r\n", base64.b64encode(b"\0" + name + b"\0wrong") + b"\r\n"]


def _pop_plain(name: bytes) -> Sequence[bytes]:
    return [b"AUTH PLAIN\r\n", base64.b64encode(b"\0" + name + b"\0wrong") + b"\r\n"]


#: How a name with a line feed is sent, and at which port.
_WAYS: Sequence[tuple[int, Callable[[bytes], Sequence[bytes]]]] = (
    (143, _literal),
    (143, _imap_plain),
    (110, _pop_plain),
)


def _send(here: Stage, port: int, parts: Sequence[bytes]) -> None:
    with suppress(OSError), here.connect(UNNAMED[0], port) as client:
        client.settimeout(5)
        client.recv(4096)
        for part in parts:
            client.sendall(part)
            client.recv(4096)


def _raw_names(log: str) -> set[str]:
    """The programs that write a name raw; the stage's logging daemon writes a line feed as rsyslog does."""
    return set(re.findall(r"^.{15} hub ([^\s\[:]+)(?:\[\d+\])?: .*first#012second", log, re.MULTILINE))


@pytest.mark.parametrize("server", SERVERS)
def test_which_names_come_out_raw(server: str) -> None:
    module, package, expected = SERVERS[server]
    dovecot.version()
    with stage(package) as here:
        module.start(here)
        here.wait_for_ports(143, v6=False)
        tries = [
            (port, way(name))
            for port, way in _WAYS
            if server != "up-imapproxy" or port != 110
            for name in (_NAME, _LONG)
        ]
        # At the same time: most servers let a refused client wait for seconds.
        with ThreadPoolExecutor(len(tries)) as senders:
            list(senders.map(lambda one: _send(here, *one), tries))
        here.wait_for_line("first")  # Perdition writes a refusal three seconds late, Dovecot two.
        with suppress(AssertionError):
            wait_for("all raw names", lambda: _raw_names(here.logged()) == expected)
        time.sleep(1)  # in which no others may come
        log = here.logged()
    raw = _raw_names(log)
    assert raw == expected
    assert raw <= _RAW
    longest = max(len(line) for line in log.splitlines())
    assert longest <= LONGEST_RECORD if expected else True
