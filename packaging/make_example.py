"""Writes packaging/etc/pbs-fast.toml from the configuration's model: every key with its default, as a comment.

    .venv/bin/python packaging/make_example.py

A test holds the file to it.
"""

from __future__ import annotations

from pathlib import Path

from pbs_fast.config.keys import KEYS
from pbs_fast.config.show import toml_value

FILE = Path(__file__).parent / "etc" / "pbs-fast.toml"

#: Keys without a default, with an example value.
NOT_SET = {
    "caps.user": '["200/1h", "1000/1d"]',
    "caps.address": '["500/1h"]',
    "logto": '"/var/log/pbs-fast/pbs-fast.log"',
    "daemon": '"/run/pbs-fast.pid"',
    "log_timezone": '"Europe/Berlin"',
    "logtime": '"%d/%b/%Y:%H:%M:%S %z"',
    "message": '"log.original"',
    "timestamp": '"@timestamp"',
    "program": '"process.name"',
    "host": '"host.name"',
    "pid": '"process.pid"',
    "file": '"/var/lib/prometheus/node-exporter/pbs-fast.prom"',
    "listen": '"127.0.0.1:9876"',
    "node": '"pop1"',
    "ca": '"/etc/pbs-fast/hub-ca.pem"',
}
#: Set for the packages: root starts the SysV script; systemd's unit already runs as this user.
SET = {"user": '"pbs-fast"'}

_HEAD = """\
# /etc/pbs-fast/pbs-fast.toml: the configuration of pbs-fast. Commented values are the defaults, or examples if there is
# no default. To show the values in force and where they come from: pbs-fast config
# A key below a [table] belongs to it, up to the next [table], and each [table] is already in this file: set keys where
# they are commented, not at the end.
# After a change: systemctl restart pbs-fast. A reload only applies mynetworks, the guards, the caps, the deny list and
# share.from.
"""
_TAIL = """
# Logins, or networks, with caps of their own; [] is none
#[[caps.except]]
#users = ["scanner-hall3@example.org"]
#user = ["5000/1h"]

# Further syslog tags of a server; to list the servers: pbs-fast formats
#[formats.dovecot]
#program = ["dovecot-backend"]
"""


def example() -> str:
    """The file's text."""
    out = [_HEAD]
    table = ""
    for key in KEYS.values():
        prefix, _, last = key.name.rpartition(".")
        if prefix != table:
            table = prefix
            out.append(f"\n[{prefix}]\n")
        value = SET.get(key.name) or NOT_SET.get(key.name) or NOT_SET.get(last) or toml_value(key.default)
        out.append(f"\n# {key.doc}\n{'' if key.name in SET else '#'}{last} = {value}\n")
    return "".join(out) + _TAIL


if __name__ == "__main__":
    FILE.write_text(example())
