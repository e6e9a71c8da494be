"""Reads what an installation of Postfix is set to, each smtpd of master.cf with its own settings, by `postconf`.

Raises ConfigError (NoPostfixError where there is no Postfix), as `util.postconf` does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pbs_fast.util.postconf import Postconf

#: The columns of master.cf before the command (master(5)): service, type, private, unpriv, chroot, wakeup, maxproc.
_CHROOT, _COMMAND = 4, 7
_LOOPBACK = re.compile(r"(?:127\.[0-9.]+|localhost|\[::1\]|::1):[^:]+")
_LOOPBACK_INTERFACES = frozenset({"loopback-only", "localhost", "127.0.0.1", "[::1]", "::1", ""})
#: Instances that are looked at.
_MOST_INSTANCES = 32


@dataclass(frozen=True, slots=True)
class Smtpd:
    """One smtpd of master.cf."""

    name: str
    """`submission/inet`."""
    chroot: bool
    settings: Mapping[str, str]
    """The settings in force: those of main.cf, and its own instead."""
    own: Mapping[str, str]
    """What it sets by `-o`, variables expanded."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine's programs reach it: it listens on loopback, or on a Unix socket of its own.

        Not if a proxy there passes the clients' addresses on (PROXY protocol).
        """
        service, _, kind = self.name.rpartition("/")
        if kind != "inet":
            return kind != "pass"
        if self.settings.get("smtpd_upstream_proxy_protocol"):
            return False
        interfaces = set(re.split(r"[,\s]+", self.settings.get("inet_interfaces", "all")))
        return bool(_LOOPBACK.fullmatch(service)) or (":" not in service and interfaces <= _LOOPBACK_INTERFACES)

    @property
    def is_main(self) -> bool:
        """Whether it takes the mail of port 25, from clients or from postscreen."""
        service, _, kind = self.name.rpartition("/")
        return kind == "pass" or service.rpartition(":")[2] in ("smtp", "25")


@dataclass(frozen=True, slots=True)
class Installation:
    """One instance of Postfix."""

    directory: str
    """Its configuration directory."""
    settings: Mapping[str, str]
    """Of main.cf and Postfix's defaults, variables expanded."""
    smtpds: tuple[Smtpd, ...]
    types: frozenset[str]
    """The table types that it can read (`postconf -m`)."""


def read_installations(command: str) -> list[Installation]:
    """Postfix as `command` (postconf and its options) finds it, and the instances that it names (postmulti(1))."""
    first = _read(command)
    found = [first]
    # What postmulti itself goes by, and it needs no root.
    for directory in re.split(r"[,\s]+", first.settings.get("multi_instance_directories", ""))[:_MOST_INSTANCES]:
        if directory and all(Path(directory) != Path(each.directory) for each in found):
            program = shlex.split(command)[0]
            found.append(_read(f"{shlex.quote(program)} -c {shlex.quote(directory)}"))
    return found


def _read(command: str) -> Installation:
    postconf = Postconf(command)
    settings = _settings(postconf.ask("-x") or "")
    types = frozenset((postconf.ask("-m") or "").split())
    own = _own_settings(postconf.ask("-x", "-P") or "")
    smtpds = []
    for line in _unfolded(postconf.ask("-M") or ""):
        columns = line.split()
        if len(columns) <= _COMMAND or Path(columns[_COMMAND]).name != "smtpd":
            continue
        name = f"{columns[0]}/{columns[1]}"
        # postconf prints a tab or blanks; since compatibility level 1 a service without a choice has no chroot.
        chroot = columns[_CHROOT] == "y" or (columns[_CHROOT] == "-" and _is_old(settings))
        smtpds.append(Smtpd(name, chroot, {**settings, **own.get(name, {})}, own.get(name, {})))
    return Installation(settings.get("config_directory", ""), settings, tuple(smtpds), types)


def _is_old(settings: Mapping[str, str]) -> bool:
    level = settings.get("compatibility_level", "0").partition(".")[0]
    return not level.isdigit() or int(level) < 1


def _unfolded(text: str) -> list[str]:
    """Lines; a long value is continued on lines that start with a blank."""
    return re.sub(r"\n[ \t]+", " ", text).splitlines()


def _settings(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in _unfolded(text))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _own_settings(text: str) -> dict[str, dict[str, str]]:
    """Service -> what it sets, of lines `service/type/name = value`."""
    found: dict[str, dict[str, str]] = {}
    for name, value in _settings(text).items():
        service, _, parameter = name.rpartition("/")
        found.setdefault(service, {})[parameter] = value
    return found
