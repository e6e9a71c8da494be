"""up-imapproxy in front of Dovecot. Of ends it names no address, and a port stands behind an IPv6 address."""

from __future__ import annotations

from mta.netns import SERVER
from servers import dovecot
from servers.clients import deeds
from servers.held import hold
from servers.stage import Stage, stage

_BACKEND = "127.0.0.2"
_CONF = f"""
server_hostname {_BACKEND}
server_port 143
listen_address {SERVER}
listen_port 143
cache_size 64
cache_expiration_time 300
connect_retries 10
connect_delay 5
proc_username nobody
proc_groupname nogroup
stat_filename /run/pimpstats
protocol_log_filename /run/imapproxy.protocol
syslog_facility LOG_MAIL
syslog_prioritymask LOG_INFO
enable_select_cache no
enable_admin_commands no
foreground_mode yes
force_tls no
auth_sasl_mech LOGIN
"""


def start(here: Stage) -> None:
    """Start Dovecot and the proxy."""
    dovecot.start(here, _BACKEND, log="/run/dovecot.log")
    here.write("/etc/imapproxy.conf", _CONF)
    here.start("imapproxyd", "-f", "/etc/imapproxy.conf")
    here.wait_for_ports(143, v6=False)


def test_imapproxy() -> None:
    dovecot.version()
    with stage("imapproxy") as here:
        start(here)
        hold(here, deeds(["imap"], ["clear"], v6=False), ["up-imapproxy"], ends=[])
