"""Dovecot on a stage, of the version that is installed: 2.3 (Debian 12) or 2.4 (Debian 13), whose settings differ."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache

from mta import require, unavailable, wait_for
from mta.netns import SERVER, SERVER6
from servers.stage import PEM, USERS, Stage

#: What an administrator sets, by version.
_CONF = {
    "2.3": f"""
base_dir = {{base}}
log_path = {{log}}
protocols = imap pop3
listen = {{listen}}
ssl = yes
ssl_cert = <{PEM}
ssl_key = <{PEM}
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:/var/lib/mail/%u
first_valid_uid = 7001
{{passdb}}
userdb {{{{
  driver = static
  args = uid=7001 gid=7001 home=/var/lib/mail/%u
}}}}
""",
    "2.4": f"""
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {{base}}
log_path = {{log}}
protocols = imap pop3
listen = {{listen}}
ssl = yes
ssl_server_cert_file = {PEM}
ssl_server_key_file = {PEM}
auth_allow_cleartext = yes
auth_failure_delay = 0
mail_driver = maildir
mail_path = /var/lib/mail/%{{{{user}}}}
first_valid_uid = 7001
{{passdb}}
userdb static {{{{
  fields {{{{
    uid = 7001
    gid = 7001
    home = /var/lib/mail/%{{{{user}}}}
  }}}}
}}}}
""",
}
#: Failures make later clients of the same network wait for seconds.
_NO_PENALTY = """
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
_USERS = {
    "2.3": "passdb {\n  driver = passwd-file\n  args = /etc/dovecot/users\n}\n",
    "2.4": "passdb passwd-file {\n  passwd_file_path = /etc/dovecot/users\n}\n",
}
_PROXY = {
    "2.3": "protocol {protocol} {{\n  passdb {{\n    driver = static\n"
    "    args = nopassword=y proxy=y host=127.0.0.2 port={port}\n  }}\n}}\n",
    "2.4": "protocol {protocol} {{\n  passdb static {{\n    fields {{\n      nopassword = yes\n      proxy = yes\n"
    "      host = 127.0.0.2\n      port = {port}\n    }}\n  }}\n}}\n",
}


@cache
def version() -> str:
    """The version of the installed Dovecot, like `2.4`. A skip where there is none that these settings fit."""
    program = require("dovecot", "Dovecot")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = ".".join(said.split(".")[:2])
    if found not in _CONF:
        unavailable(f"this Dovecot is {said.strip()}; these tests configure {' and '.join(_CONF)}")
    return found


def start(here: Stage, listen: str = "*, ::", *, log: str = "syslog", more: str = "") -> None:
    """Start Dovecot at all four ports of these addresses."""
    _users(here)
    conf = _CONF[version()].format(base="/run/dovecot", listen=listen, log=log, passdb=_USERS[version()])
    here.write("/etc/dovecot/dovecot.conf", conf + _NO_PENALTY + more)
    here.start("dovecot", "-F")
    _wait(here, log)


def start_proxy(here: Stage, *, more: str = "") -> None:
    """Start a Dovecot at all four ports that passes each session on to a second one, whose log is its own."""
    _users(here)
    ports = {"imap": 2143, "pop3": 2110}
    listeners = "".join(
        f"service {name}-login {{\n  inet_listener {name} {{\n    port = {port}\n  }}\n"
        f"  inet_listener {name}s {{\n    port = 0\n  }}\n}}\n"
        for name, port in ports.items()
    )
    made = _CONF[version()]
    back = made.format(base="/run/back", listen="127.0.0.2", log="/run/back.log", passdb=_USERS[version()])
    here.write("/etc/dovecot/back.conf", back + _NO_PENALTY + listeners)
    # The auth process wants a passdb of every protocol's as well; nobody is in this one.
    here.write("/etc/dovecot/nobody", "")
    nobody = _USERS[version()].replace("/etc/dovecot/users", "/etc/dovecot/nobody")
    proxies = nobody + "".join(_PROXY[version()].format(protocol=name, port=port) for name, port in ports.items())
    front = made.format(base="/run/dovecot", listen=f"{SERVER}, {SERVER6}", log="syslog", passdb=proxies)
    here.write("/etc/dovecot/dovecot.conf", front + _NO_PENALTY + more)
    here.start("dovecot", "-F", "-c", "/etc/dovecot/back.conf")
    _wait(here, "/run/back.log")
    here.start("dovecot", "-F")


def _wait(here: Stage, log: str) -> None:
    """Until it listens, for it may be behind a proxy whose ports say nothing about it: its first line comes then."""
    said = here.logged if log == "syslog" else lambda: here.sh(f"cat {log} 2>/dev/null || true")
    wait_for(
        "Dovecot to start", lambda: " starting up for " in said() or "Unknown setting" in _errors(here), seconds=60
    )


def _errors(here: Stage) -> str:
    file = here.directory / "stderr"
    return file.read_text() if file.exists() else ""


def settings(of: Mapping[str, str]) -> str:
    """Those of the installed version."""
    return of[version()]


def _users(here: Stage) -> None:
    here.write("/etc/dovecot/users", "".join(f"{user}:{{PLAIN}}{word}::::::\n" for user, word in USERS.items()))
    here.sh("install -d -o 7001 -g 7001 /var/lib/mail; mkdir -p /var/lib/dovecot")
