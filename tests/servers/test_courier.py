"""Courier's IMAP and POP3 daemons, each in clear and over TLS, started by Courier's own scripts."""

from __future__ import annotations

from servers.clients import deeds
from servers.held import hold
from servers.stage import PEM, USERS, Stage, stage


def start(here: Stage) -> None:
    """Start the authentication daemon and the four servers."""
    here.account("courier")
    here.sh(
        f"""
        mkdir -p /run/courier/authdaemon /var/lib/courier
        install -m 0600 {PEM} /etc/courier/imapd.pem
        install -m 0600 {PEM} /etc/courier/pop3d.pem
        cd /etc/courier
        chown -R courier:courier /run/courier /var/lib/courier imapd.pem pop3d.pem
        sed -i 's/^TLS_TRUSTCERTS/#&/; s/^TLS_DHPARAMS/#&/' imapd-ssl pop3d-ssl
        """
    )
    mailbox = "maildirmake.courier $each/Maildir && chown -R $each:$each $each"
    here.sh(f"cd /var/lib/home; for each in {' '.join(USERS)}; do {mailbox}; done")
    here.start("authdaemond", "start")
    for each in ("imapd", "imapd-ssl", "pop3d", "pop3d-ssl"):
        here.start(f"/usr/lib/courier/{each}", "start")
    here.wait_for_ports(110, 143, 993, 995)


def test_courier() -> None:
    with stage("courier-imap") as here:
        start(here)
        hold(here, deeds(), ["courier-imap", "courier-pop3"])
