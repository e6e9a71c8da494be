"""Writes packaging/etc/pbs-fast.toml from the configuration's model: every key with its default, as a comment.

    .venv/bin/python packaging/make_example.py

A test holds the file to it.
"""

from __future__ import annotations

from pathlib import Path

from pbs_fast.config.model import KEYS
from pbs_fast.config.show import toml_value

FILE = Path(__file__).parent / "etc" / "pbs-fast.toml"

#: Keys that are not set by default, with what one would write.
NOT_SET = {
    "logto": '"/var/log/pbs-fast/pbs-fast.log"',
    "daemon": '"/run/pbs-fast.pid"',
    "log_timezone": '"Europe/Berlin"',
    "logtime": '"%d/%b/%Y:%H:%M:%S %z"',
}
#: What the packages need: root starts the SysV script, and systemd's unit is that user already.
SET = {"user": '"pbs-fast"'}

_HEAD = """\
# /etc/pbs-fast/pbs-fast.toml: the configuration of pbs-fast. What is commented out is the default, or an example where
# nothing is the default. What is in force, and why, is shown by: pbs-fast config
# After a change: systemctl restart pbs-fast. A reload reads mynetworks, the guards and the deny list again.
"""
_TAIL = """
# Further syslog tags of a server; the servers are listed by: pbs-fast formats
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
        value = SET.get(last) or NOT_SET.get(last) or toml_value(key.default)
        out.append(f"\n# {key.doc}\n{'' if last in SET else '#'}{last} = {value}\n")
    return "".join(out) + _TAIL


if __name__ == "__main__":
    FILE.write_text(example())
