"""Dovecot's login and logout lines, its own and a site's, through syslog; and what it writes of an IMAP ID of 8 KB."""

from __future__ import annotations

import re
import time
from typing import Literal

import pytest

from mta import wait_for
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import load_backend
from servers import dovecot
from servers.clients import deeds
from servers.held import hold
from servers.stage import UNNAMED, stage

#: How sites write what a login process logs, by version: the text and the elements in another order or punctuation.
_FORMATS = {
    "brackets": {"2.3": "login_log_format = %$ [%s]\n", "2.4": "login_log_format = %{message} [%{elements}]\n"},
    "dashes": {"2.3": "login_log_format = %$ -- %s --\n", "2.4": "login_log_format = %{message} -- %{elements} --\n"},
    "elements first": {"2.3": "login_log_format = %s: %$\n", "2.4": "login_log_format = %{elements}: %{message}\n"},
    "elements, a blank": {"2.3": "login_log_format = %s %$\n", "2.4": "login_log_format = %{elements} %{message}\n"},
    "other elements": {
        "2.3": "login_log_format_elements = user=<%u> rip=[%r]:%{rport} lip=[%l] %c session=<%{session}>\n",
        "2.4": "login_log_format_elements = user=<%{user}> rip=[%{remote_ip}]:%{remote_port} lip=[%{local_ip}] "
        "%{secured} session=<%{session}>\n",
    },
    "from": {
        "2.3": "login_log_format_elements = user=<%u> from=%r %c session=<%{session}>\n",
        "2.4": "login_log_format_elements = user=<%{user}> from=%{remote_ip} %{secured} session=<%{session}>\n",
    },
}
#: Services of a site's own, in place of the usual ones.
_SERVICES = "".join(
    f"""
service {name}-login {{
  inet_listener {name} {{
    port = 0
  }}
  inet_listener {name}s {{
    port = 0
  }}
}}
service {name}-login2 {{
  type = login
  protocol = {name}
  executable = {name}-login
  chroot = login
  user = dovenull
  inet_listener {name}2 {{
    port = {port}
  }}
  inet_listener {name}s2 {{
    port = {tls}
    ssl = yes
  }}
}}
"""
    for name, port, tls in (("imap", 143, 993), ("pop3", 110, 995))
)


def test_dovecot() -> None:
    dovecot.version()
    with stage(None) as here:
        dovecot.start(here)
        here.wait_for_ports(110, 143, 993, 995)
        hold(here, deeds(), ["dovecot"])


@pytest.mark.parametrize("each", _FORMATS.values(), ids=_FORMATS)
def test_dovecot_that_writes_its_logins_otherwise(each: dict[str, str]) -> None:
    dovecot.version()
    with stage(None) as here:
        dovecot.start(here, more=dovecot.settings(each))
        here.wait_for_ports(110, 143, 993, 995)
        hold(here, deeds(), ["dovecot"])


def test_dovecot_with_services_of_its_own() -> None:
    dovecot.version()
    with stage(None) as here:
        dovecot.start(here, more=_SERVICES)
        here.wait_for_ports(110, 143, 993, 995)
        hold(here, deeds(), ["dovecot"])
        assert "imap-login2: Log" in here.logged()


@pytest.mark.parametrize("each", [None, "brackets", "elements first"])
def test_a_proxy(each: str | None) -> None:
    dovecot.version()
    with stage(None) as here:
        dovecot.start_proxy(here, more=dovecot.settings(_FORMATS[each]) if each else "")
        here.wait_for_ports(110, 143, 993, 995)
        hold(here, deeds(), ["dovecot"])
        assert "tarted proxying to " in here.logged()


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
    with stage(None) as here:
        dovecot.start(here, log="syslog" if log == "syslog" else "/run/dovecot.log", more="imap_id_log = *\n")
        if dovecot.version() == "2.4":
            assert "imap_id_log: Unknown setting" in here.sh("doveconf -n 2>&1 || true")
            return
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
