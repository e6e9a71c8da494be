"""Perdition in front of Dovecot: in clear, over TLS and after STARTTLS. Dovecot logs elsewhere."""

from __future__ import annotations

from mta.netns import SERVER, SERVER6
from servers import dovecot
from servers.clients import Client, deeds
from servers.held import CORES, hold, said
from servers.stage import PEM, Stage, stage

_BACKEND = "127.0.0.2"
#: Its name here -> how it offers TLS, and the port that it asks Dovecot at, in clear.
_SERVICES = {
    "pop3": ("tls_listen", "110"),
    "imap4": ("tls_listen", "143"),
    "pop3s": ("ssl_listen", "110"),
    "imap4s": ("ssl_listen", "143"),
}


def start(here: Stage) -> None:
    """Start Dovecot and four Perditions."""
    dovecot.start(here, _BACKEND, log="/run/dovecot.log")
    # Addresses of both families by name: in an IPv6 address it would look for a port.
    here.sh(f"printf '%s four\\n%s six\\n' {SERVER} {SERVER6} >>/etc/hosts")
    words = f"--no_daemon -b four,six -s {_BACKEND} -u nobody -g nogroup --ssl_cert_file {PEM} --ssl_key_file {PEM}"
    for name, (mode, port) in _SERVICES.items():
        more = ["-M", "", "--ssl_mode", mode, "-p", port, "--pid_file", f"/run/{name}.pid"]
        here.start(f"perdition.{name}", *words.split(), *more)
    here.wait_for_ports(110, 143, 993, 995)


def test_perdition() -> None:
    dovecot.version()
    with stage("perdition") as here:
        start(here)
        hold(here, deeds(v6=False), ["perdition"])


def test_ipv6_is_missed() -> None:
    """The port stands behind the address with nothing to tell them apart by: no event, and a line of `--missed`."""
    dovecot.version()
    with stage("perdition") as here:
        start(here)
        done = [deed for deed in deeds(["pop3"]) if ":" in deed.client and deed.taken]
        for deed in done:
            Client.play(here, deed)
            here.wait_for_line(f"Auth: {deed.client}:")
        for core in CORES:
            events, missed = said(here.log, core)
            assert not events
            assert len(missed) == len(done)
