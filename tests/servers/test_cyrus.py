"""Cyrus with its audit log, which ends sessions by their id and names nobody; without it no line ends one."""

from __future__ import annotations

from servers.clients import deeds
from servers.held import hold
from servers.stage import PEM, USERS, Stage, stage

_IMAPD = """
configdirectory: /var/lib/cyrus
defaultpartition: default
partition-default: /var/spool/cyrus
autocreate_quota: 0
allowplaintext: yes
allowstarttls: yes
failedloginpause: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /var/lib/cyrus/sasldb2
sasl_mech_list: PLAIN LOGIN
tls_server_cert: /var/lib/cyrus/pem
tls_server_key: /var/lib/cyrus/pem
auditlog: yes
syslog_prefix: cyrus
"""
_CYRUS = """
START {
    recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
}
SERVICES {
    imap cmd="imapd" listen="143" prefork=0
    imaps cmd="imapd -s" listen="993" prefork=0
    pop3 cmd="pop3d" listen="110" prefork=0
    pop3s cmd="pop3d -s" listen="995" prefork=0
}
EVENTS {
}
"""


def start(here: Stage) -> None:
    """Start master with its four services."""
    here.account("cyrus")
    here.write("/etc/imapd.conf", _IMAPD)
    here.write("/etc/cyrus.conf", _CYRUS)
    here.sh("cd /var/lib && mkdir -p cyrus/db cyrus/socket cyrus/proc /var/spool/cyrus /run/cyrus")
    here.sh(f"cp {PEM} /var/lib/cyrus/pem")
    add = "printf %s $word | saslpasswd2 -p -c -f /var/lib/cyrus/sasldb2 -u mx.here.test $user"
    users = "".join(f"{user} {word}\n" for user, word in USERS.items())
    here.sh(f"while read -r user word; do {add}; done", text=users)
    here.sh("chown -R cyrus:mail /run/cyrus /var/lib/cyrus /var/spool/cyrus")
    here.start("/usr/lib/cyrus/bin/master")
    here.wait_for_ports(110, 143, 993, 995)


def test_cyrus() -> None:
    with stage("cyrus") as here:
        start(here)
        hold(here, deeds(), ["cyrus"], ends_name_user=False)
