"""Dovecot with its default login and logout lines, through syslog."""

from __future__ import annotations

from mta.dovecot import require_dovecot
from servers.clients import deeds
from servers.held import hold
from servers.stage import PEM, USERS, Stage, stage

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


def start(here: Stage, listen: str = "*, ::", *, log: str = "syslog") -> None:
    """Start Dovecot at all four ports of these addresses."""
    here.write("/etc/dovecot/dovecot.conf", _CONF.format(pem=PEM, listen=listen, log=log))
    here.write("/etc/dovecot/users", "".join(f"{user}:{{PLAIN}}{word}::::::\n" for user, word in USERS.items()))
    here.sh("install -d -o 7001 -g 7001 /var/lib/mail; mkdir -p /var/lib/dovecot")
    here.start("dovecot", "-F")


def test_dovecot() -> None:
    require_dovecot()
    with stage(None) as here:
        start(here)
        here.wait_for_ports(110, 143, 993, 995)
        hold(here, deeds(), ["dovecot"])
