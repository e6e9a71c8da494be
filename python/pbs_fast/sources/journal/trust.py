"""Which journal entries are accepted: those that a mail server wrote, by the fields that no client can set.

Anybody may send the journal an entry that calls itself `dovecot` (`logger -t dovecot`, SYSLOG_IDENTIFIER=dovecot).
journald adds fields about the sender, which start with `_` (systemd.journal-fields(7), "Trusted Journal Fields"), and
removes such fields from what clients send. An entry is accepted if

- it is unambiguous: none of these fields came twice or was cut off;
- it is of this machine (`_MACHINE_ID`), of a configured machine, or in a configured journal file;
- it is a log message of a process: `_TRANSPORT` is syslog, journal or stdout. In audit records, processes control some
  of the fields;
- it was not written for a container, unless that one is configured: root in a container can write anything through
  the engine's trusted unit;
- `_SYSTEMD_UNIT` is an accepted unit, or, for a container, root's conmon wrote it in whatever unit: a quadlet's service
  has a name of the site's choice. Services of users run in `user@UID.service`, whatever their name in
  _SYSTEMD_USER_UNIT, and their logins in `session-N.scope`;
- `_UID` is root's or that of the account under which this server writes (`units.toml`): programs of mail users run in a
  server's unit too.
"""

from __future__ import annotations

import pwd
import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pbs_fast.sources.journal.export import Entry
from pbs_fast.sources.journal.spec import ANY, JournalSpec

#: Fields that the decision depends on.
UNIT, UID, TRANSPORT, MACHINE = b"_SYSTEMD_UNIT", b"_UID", b"_TRANSPORT", b"_MACHINE_ID"
WRITER = b"_EXE"
CONTAINERS = (b"CONTAINER_NAME", b"CONTAINER_ID", b"CONTAINER_ID_FULL")
TRUSTED = (UNIT, UID, TRANSPORT, MACHINE, WRITER, *CONTAINERS)

_TRANSPORTS = frozenset((b"syslog", b"journal", b"stdout"))
_ROOT = "0"
#: Decisions cached; a machine has fewer units than that.
_REMEMBERED = 4096
#: Seconds after which a wrong account is looked at again: a server, and its account, may have been installed since.
RECHECK = 10.0


class Rule(NamedTuple):
    """Entries of these units are accepted from these accounts."""

    units: re.Pattern[bytes]
    uids: frozenset[bytes] | None
    """None: of any account."""


class Trust:
    """The decisions of one source."""

    def __init__(
        self,
        spec: JournalSpec,
        machine: str | None,
        on_account: Callable[[str, str], object] = lambda _uid, _units: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`machine` is this machine's id, None if it is unknown or files of any machine are read. `on_account` gets
        the number of a server's account that was made after our start, and the units in which it is accepted now."""
        machines = spec.machine or ((machine,) if machine and not spec.given_files else ())
        self._machines = frozenset(each.encode() for each in machines) or None
        self._containers = frozenset(each.encode() for each in spec.container)
        self._spec = spec
        self._on_account = on_account
        self._clock = clock
        self._rules = _rules(spec)
        # A unit that the administrator names is the only one.
        self._writers = frozenset(
            writer.encode() for writer in _data()["containers"]["writers"] if spec.container and not spec.unit
        )
        self._recheck_at = float("-inf")
        self._known: dict[tuple[bytes | None, ...], str | None] = {}

    def refusal(self, entry: Entry) -> str | None:
        """Why an entry is rejected (`malformed`, `machine`, `transport`, `container`, `unit`, `uid`); else None."""
        fields = entry.fields
        if (entry.repeated or entry.cut) and not (entry.repeated | entry.cut).isdisjoint(TRUSTED):
            return "malformed"
        key = tuple(map(fields.get, TRUSTED))
        try:
            verdict = self._known[key]
        except KeyError:
            verdict = self._judge(fields)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = verdict
        if verdict == "uid" and self._accounts_changed():
            verdict = self._known[key] = self._judge(fields)
        return verdict

    def _accounts_changed(self) -> bool:
        """Look the accounts' numbers up again, if that was not done just now; whether they are others than before."""
        now = self._clock()
        if now < self._recheck_at:
            return False
        self._recheck_at = now + RECHECK
        before, self._rules = self._rules, _rules(self._spec)
        if before == self._rules:
            return False
        self._known.clear()
        made: dict[bytes, list[str]] = {}
        for unit, old, new in zip(accepted_units(self._spec), before, self._rules, strict=True):
            for uid in (new.uids or frozenset()) - (old.uids or frozenset()):
                made.setdefault(uid, []).append(unit)
        for uid, units in made.items():
            self._on_account(uid.decode(), ", ".join(units))
        return True

    def covers(self, unit: bytes) -> bool:
        """Is the unit accepted?"""
        return any(rule.units.fullmatch(unit) for rule in self._rules)

    def _judge(self, fields: Mapping[bytes, bytes]) -> str | None:
        if self._machines is not None and fields.get(MACHINE) not in self._machines:
            return "machine"
        if fields.get(TRANSPORT) not in _TRANSPORTS:
            return "transport"
        if self._containers:
            if fields.get(b"CONTAINER_NAME") not in self._containers:
                return "container"
        elif any(name in fields for name in CONTAINERS):
            return "container"
        unit, uid = fields.get(UNIT), fields.get(UID)
        is_engine = uid == _ROOT.encode() and fields.get(WRITER) in self._writers
        if is_engine and unit is not None and unit.endswith((b".service", b".scope")):
            return None
        rules = [rule for rule in self._rules if unit is not None and rule.units.fullmatch(unit)]
        if not rules:
            return "unit"
        if not any(rule.uids is None or uid in rule.uids for rule in rules):
            return "uid"
        return None


def accepted_units(spec: JournalSpec) -> list[str]:
    """The units of a spec, or else those of the known servers."""
    if spec.unit:
        return list(spec.unit)
    known = _data()
    if spec.container:
        return list(known["containers"]["units"])
    return [unit for server in known["server"] for unit in server["units"]]


@cache
def unit_tags() -> Mapping[bytes, bytes]:
    """Unit -> tag of its log lines, for the units of which every line has the same."""
    servers = [server for server in _data()["server"] if "tag" in server]
    return {unit.encode(): server["tag"].encode() for server in servers for unit in server["units"]}


def _rules(spec: JournalSpec) -> list[Rule]:
    known = _data()
    accounts = {unit: server["accounts"] for server in known["server"] for unit in server["units"]}
    rules: list[Rule] = []
    for unit in accepted_units(spec):
        if ANY in spec.uid:
            uids = None
        else:
            # An account that does not exist on this machine writes nothing here.
            numbers = spec.uid or [_ROOT, *_numbers(accounts.get(unit, ()))]
            uids = frozenset(number.encode() for number in numbers)
        pattern = b".*".join(re.escape(part.encode()) for part in unit.split("*"))
        rules.append(Rule(re.compile(pattern, re.DOTALL), uids))
    return rules


def _numbers(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        try:
            found.append(str(pwd.getpwnam(name).pw_uid))
        except KeyError:
            continue
    return found


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("units.toml").read_text(encoding="utf-8"))
