"""What can be wrong with the clauses by which Postfix asks our policy service: check `postfix.policy`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pbs_fast.health.finding import Finding
from pbs_fast.health.postfix.naming import clause_endpoint, clause_inner
from pbs_fast.health.postfix.restrictions import BY_POLICY, LISTS, OWN_FIRST, RECIPIENT, RELAY, split
from pbs_fast.health.postfix.wiring import Judged, Service

POLICY = "postfix.policy"
#: Seconds. A policy server that hangs costs each RCPT twice its time limit and one second (tried with Postfix 3.7).
LONGEST_TIMEOUT = 10.0
#: Of `smtpd_policy_service_…`, where Postfix has none (postconf(5)).
_DEFAULTS = {"timeout": "100s", "default_action": "451 4.3.5 Server configuration problem"}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+)([smhdw]?)")
_TEMPORARY = re.compile(r"4[0-9][0-9]\b|defer", re.IGNORECASE)
_LATER = "{ default_action = 451 4.3.0 relay check is not available }"


@dataclass(slots=True)
class _Clause:
    """One way in which our service is asked, wherever."""

    settings: Mapping[str, str]
    """What holds for it."""
    parameters: set[str] = field(default_factory=set)
    decides: bool = False
    """In a list that decides about relaying, no table of ours is behind it."""
    backed: bool = False
    """In one, there is."""
    alone: bool = False
    """The table has the option `alone`."""


def policy(all_judged: Sequence[Judged]) -> Iterator[Finding]:
    """The check."""
    clauses = _clauses(all_judged)
    at_rcpt = any(clause.parameters & set(LISTS) for clause in clauses.values())
    for written, clause in clauses.items():
        faults = [*clause_faults(written, clause.settings), *_way_faults(written, clause)]
        yield from faults
        if not at_rcpt:
            yield Finding(
                POLICY,
                "warn",
                f"{' and '.join(sorted(clause.parameters))} ask our policy service, and no list that a RCPT passes: "
                "caps do nothing",
                f"ask it in {RELAY}, behind {OWN_FIRST}",
            )
        elif not faults:
            where = f"{clause_endpoint(written)} in {' and '.join(sorted(clause.parameters))}"
            yield Finding(POLICY, "ok", f"{where}: time limit and default action are as they should be")


def _clauses(all_judged: Sequence[Judged]) -> dict[str, _Clause]:
    found: dict[str, _Clause] = {}
    for service in (service for judged in all_judged for service in judged.services):
        for parameter, restrictions in {**service.lists, **service.later}.items():
            for at, each in enumerate(restrictions):
                if each.name != BY_POLICY or not is_ours(each.argument, service):
                    continue
                clause = found.setdefault(each.argument, _Clause(settings_of(each.argument, service.smtpd.settings)))
                clause.parameters.add(parameter)
                if parameter not in (RELAY, RECIPIENT):
                    continue
                naming = service.names.policy(each.argument)
                clause.alone |= naming is not None and naming.spec.flag("alone")
                behind = (service.names.asked(other) for other in restrictions[at + 1 :])
                if any(other is not None and other.spec.type != "policy" for other in behind):
                    clause.backed = True
                else:
                    clause.decides |= naming is not None
    return found


def _way_faults(written: str, clause: _Clause) -> Iterator[Finding]:
    """What is wrong between the clause, the option `alone` and a table behind."""
    endpoint, action = clause_endpoint(written), clause.settings["default_action"]
    if {RELAY, RECIPIENT} <= clause.parameters:
        yield Finding(
            POLICY,
            "warn",
            f"{endpoint}: {RELAY} and {RECIPIENT} both ask it, so each recipient is counted twice",
            f"ask it in {RELAY} only, and let {RECIPIENT} refuse no client for relaying",
        )
    if clause.decides and not clause.alone:
        yield Finding(
            POLICY,
            "warn",
            f"{endpoint}: no table of ours is behind it, so while the daemon starts users get a permanent refusal",
            "add ?alone to the table in pbs-fast.toml, or check_client_access and a table behind the clause",
        )
    if clause.decides and not _TEMPORARY.match(action) and not _is_permit(action) and action[:1] != "{":
        yield Finding(
            POLICY,
            "fail",
            f"{endpoint}: default_action={action}, and no table of ours is asked behind it: while the service is down "
            "users get a permanent refusal",
            f"write {_LATER}",
        )
    if clause.backed and not clause.decides and _TEMPORARY.match(action):
        yield Finding(
            POLICY,
            "note",
            f"{endpoint}: default_action={action}: while the service is down the table behind it is not asked",
            "write default_action=DUNNO if relaying should go on then, without caps",
        )


def is_ours(clause: str, service: Service) -> bool:
    """Whether a clause asks us: a configured table `policy:`, or the socket that the documentation names."""
    return service.names.policy(clause) is not None or clause_endpoint(clause).endswith("pbs/policy")


def clause_faults(clause: str, set_: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with `{ unix:pbs/policy, timeout=5s, default_action=DUNNO }` (postconf(5), access(5)) in itself.

    `set_` is what holds for it, by `settings_of`.
    """
    endpoint, timeout, action = clause_endpoint(clause), set_["timeout"], set_["default_action"]
    for word in split(clause_inner(clause))[1:]:
        if "=" not in word:
            yield Finding(
                POLICY, "fail", f"{endpoint}: {word!r} is no NAME=VALUE", "see check_policy_service in postconf(5)"
            )
    if action.startswith("{"):
        yield Finding(
            POLICY,
            "fail",
            f"{endpoint}: default_action={action} is a syntax error that shows only when the service fails",
            f"write {{ default_action = {action.strip('{} ')} }}",
        )
    seconds = _seconds(timeout)
    if seconds is None or seconds >= LONGEST_TIMEOUT:
        yield Finding(
            POLICY,
            "warn",
            f"{endpoint}: a service that hangs delays each recipient by twice its time limit, {timeout}",
            "write timeout=5s in its clause",
        )
    if _is_permit(action):
        yield Finding(
            POLICY,
            "fail",
            f"{endpoint}: default_action={action}: everybody may relay while the service is down",
            f"write default_action=DUNNO if a table decides behind it, else {_LATER}",
        )


def settings_of(clause: str, settings: Mapping[str, str]) -> dict[str, str]:
    """What holds for a clause: its own, and what `settings`, those of its smtpd, say for all clauses."""
    found = {name: settings.get(f"smtpd_policy_service_{name}", default) for name, default in _DEFAULTS.items()}
    for word in split(clause_inner(clause))[1:]:
        name, equals, value = (part.strip() for part in clause_inner(word).strip().partition("="))
        if equals:
            found[name] = value
    return found


def _is_permit(action: str) -> bool:
    """Whether an action lets everybody relay (access(5))."""
    return action.partition(" ")[0].lower() in ("ok", "permit", "relay")


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * _UNITS[found[2]]
