"""Dovecot with its default login and logout lines, through syslog; and what it writes of an IMAP ID of 8 KB."""

from __future__ import annotations

import re
import time
from typing import Literal

import pytest

from mta import wait_for
from mta.dovecot import require_dovecot
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import load_backend
from servers.clients import deeds
from servers.held import hold
from servers.stage import PEM, UNNAMED, USERS, Stage, stage

_CONF = """
base_dir = /run/dovecot
log_path = {log}
protocols = imap pop3
listen = {listen}
ssl = yes
ssl_cert = <{pem}
ssl_key = <{pem}
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:/var/lib/mail/%u
first_valid_uid = 7001
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
service anvil {{
  # Failures make later clients of the same network wait for seconds.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
userdb {{
  driver = static
  args = uid=7001 gid=7001 home=/var/lib/mail/%u
}}
"""


def start(here: Stage, listen: str = "*, ::", *, log: str = "syslog", more: str = "") -> None:
    """Start Dovecot at all four ports of these addresses."""
    here.write("/etc/dovecot/dovecot.conf", _CONF.format(pem=PEM, listen=listen, log=log) + more)
    here.write("/etc/dovecot/users", "".join(f"{user}:{{PLAIN}}{word}::::::\n" for user, word in USERS.items()))
    here.sh("install -d -o 7001 -g 7001 /var/lib/mail; mkdir -p /var/lib/dovecot")
    here.start("dovecot", "-F")


def test_dovecot() -> None:
    require_dovecot()
    with stage(None) as here:
        start(here)
        here.wait_for_ports(110, 143, 993, 995)
        hold(here, deeds(), ["dovecot"])


#: A record that begins as a login of nobody's, and is none.
_WHOLE_LOGIN = re.compile(r"imap-login: (?:.*: )?Login: user=<x>.*>$", re.MULTILINE)


def _id_that_fills_records(digits: int) -> bytes:
    """An IMAP ID of which, by a process whose id has so many digits, the second block is a whole login.

    A block has 4,096 bytes with its line feed, three of head and the pid (src/lib/failures.c); keys have 30 bytes at
    most, values 80.
    """
    block = 4096 - 4 - digits
    forged = "Login: user=<x>, method=PLAIN, rip=203.0.113.66, session=<y"
    pairs = _fill(block - len("ID sent: ") - len("k="))
    pairs += [("k", forged), *_fill(block - len(forged) - len(", ") - len("kk=z>")), ("kk", "z>")]
    pairs += [("k", "z" * 40)]
    return b"a ID (" + b" ".join(f'"{key}" "{value}"'.encode() for key, value in pairs) + b")\r\n"


def _fill(length: int) -> list[tuple[str, str]]:
    """Pairs that Dovecot writes in so many bytes, with the `, ` behind each."""
    pairs: list[tuple[str, str]] = []
    while length > 200:
        pairs.append(("k" * 30, "z" * 64))
        length -= 30 + 1 + 64 + 2
    for _ in range(2):
        size = min(length, 80)
        pairs.append(("k", "z" * (size - 4)))
        length -= size
    if length:
        pairs.append(("k", "z" * (length - 4)))
    return pairs


@pytest.mark.parametrize("log", ["syslog", "own"])
def test_an_imap_id_that_fills_records_grants_nothing(log: Literal["syslog", "own"]) -> None:
    """Anyone on the Internet, without an account, where `imap_id_log` is set."""
    require_dovecot()
    with stage(None) as here:
        start(here, log="syslog" if log == "syslog" else "/run/dovecot.log", more="imap_id_log = *\n")
        here.wait_for_ports(143)
        for digits in range(1, 8):
            with here.connect(UNNAMED[0], 143) as client:
                client.settimeout(60)
                assert client.recv(1000).startswith(b"* OK")
                client.sendall(_id_that_fills_records(digits))
                assert b"ID completed" in client.recv(1000)

        def written() -> str:
            return here.logged() if log == "syslog" else here.sh("cat /run/dovecot.log")

        # A whole login, which is what must grant nothing; the logger may be behind.
        wait_for("a block that is a whole login", lambda: _WHOLE_LOGIN.search(written()))
        text = written()
    for name in ("rust", "python"):
        core = load_backend(name)
        matcher = core.Matcher(load_catalogue(), ((-(2**62), 0),))
        layout = matcher.sniff(text.encode())
        assert layout == ("syslog" if log == "syslog" else "dovecot")
        stream = core.Stream(matcher, source="", gap=0, fold=False)
        events = stream.events(matcher.scan(text.encode(), layout=layout, reference=int(time.time())))
        assert {event.reason for event in events} == {"cut-record"}, events
