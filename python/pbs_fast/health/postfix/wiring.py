"""Whether a client in our table may relay, and a stranger may not, by what an installation of Postfix is set to.

Pure: takes what `installation` read. A class of restrictions (smtpd_restriction_classes) is chosen by look-ups, so what
it does for a client is not judged. `nobody_relays` is what the daemon warns of at its start, and doctor's first checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.health.postfix.installation import Installation, Smtpd
from pbs_fast.health.postfix.naming import Names, Naming, for_postfix
from pbs_fast.health.postfix.restrictions import (
    BY_CLIENT,
    BY_POLICY,
    LATER,
    LISTS,
    MYNETWORKS,
    RECIPIENT,
    RELAY,
    Restriction,
    Walk,
    parse_list,
    split,
    walk,
)
from pbs_fast.tables.registry import TableSpec

WIRED = "postfix.wired"
_GUIDE = "docs/MTA-POSTFIX.md"
#: Debian's package with the code for a type that is not in Postfix itself.
_PACKAGES = {"lmdb": "postfix-lmdb", "cdb": "postfix-cdb"}
#: What a service does for a client that is in our table.
State = Literal["asks", "refuses", "absent", "class"]


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a list names our table."""

    parameter: str
    at: int
    restriction: Restriction
    naming: Naming


class Service:
    """One smtpd, its lists and what they do."""

    def __init__(self, smtpd: Smtpd, names: Names) -> None:
        self.smtpd = smtpd
        self.names = names
        settings = smtpd.settings
        self.lists = {name: parse_list(settings.get(name, ""), default) for name, default in LISTS.items()}
        self.later = {name: parse_list(settings.get(name, ""), "") for name in LATER}
        """Its lists that a RCPT does not pass."""
        self.classes = _classes(settings, names)
        """The classes, and whether each names our table, itself or by another class."""
        self.networks = [
            naming for word in split(settings.get("mynetworks", "")) if (naming := names.find(word)) is not None
        ]
        """Our tables in mynetworks."""
        self.uses = [
            Use(parameter, at, each, naming)
            for parameter, restrictions in self.lists.items()
            for at, each in enumerate(restrictions)
            if (naming := names.find(each.argument) or names.policy(each.argument)) is not None
        ]
        self.granted = {name: self._walk(each, ours=True) for name, each in self.lists.items()}
        """How far a client in our table comes in each list."""
        self.stranger = {name: self._walk(each, ours=False) for name, each in self.lists.items()}
        """How far one comes that is in no table."""

    @property
    def state(self) -> State:
        """What it does for a client in our table."""
        deciding = [self.granted[RELAY], self.granted[RECIPIENT]]
        if any(each.end == "class" for each in self.granted.values()):
            return "class"
        if not any(each.end == "granted" for each in deciding):
            return "absent"
        return "refuses" if any(each.end == "refused" for each in self.granted.values()) else "asks"

    @property
    def refusing(self) -> tuple[str, str]:
        """The list, and the restriction in it, that refuse a client in our table."""
        for name, each in self.granted.items():
            if each.end == "refused":
                return name, each.word
        return "", ""

    @property
    def shuts_strangers_out(self) -> bool:
        """Its lists about the client itself let in nobody from outside: it is for other programs of the site."""
        return any(
            self.granted[name].end == "refused" for name in list(LISTS)[:3] if self.granted[name].word == "reject"
        )

    def _walk(self, restrictions: Sequence[Restriction], *, ours: bool) -> Walk:
        return walk(
            restrictions,
            grants=self._grants if ours else lambda _: False,
            is_opaque=lambda each: self.classes.get(each.name, False) if ours else each.name in self.classes,
        )

    def _grants(self, each: Restriction) -> bool:
        if each.name == MYNETWORKS:
            return any(not naming.fault and not naming.composed for naming in self.networks)
        return self.names.asked(each) is not None


def _classes(settings: Mapping[str, str], names: Names) -> dict[str, bool]:
    found = [name.lower() for name in split(settings.get("smtpd_restriction_classes", ""))]
    lists = {name: parse_list(settings.get(name, ""), BY_CLIENT) for name in found}

    def holds(name: str, above: frozenset[str]) -> bool:
        return any(
            names.asked(each) is not None
            or (each.name in lists and each.name not in above and holds(each.name, above | {name}))
            for each in lists[name]
        )

    return {name: holds(name, frozenset({name})) for name in lists}


@dataclass(frozen=True, slots=True)
class Judged:
    """One installation with its services."""

    installation: Installation
    where: str
    """In front of a service's name, where there are several instances."""
    services: list[Service] = field(default_factory=list)
    """Those that clients from outside reach."""

    def title(self, service: Service) -> str:
        """The service's name in messages."""
        return f"{self.where}{service.smtpd.name}"


def judged(installations: Sequence[Installation], specs: Sequence[TableSpec]) -> list[Judged]:
    """The installations, with the services that clients from outside reach."""
    found = []
    for each in installations:
        names = Names.of(specs, each.settings)
        services = [Service(smtpd, names) for smtpd in each.smtpds if not smtpd.is_local]
        found.append(Judged(each, f"{each.directory}: " if len(installations) > 1 else "", services))
    return found


def nobody_relays(installations: Sequence[Installation], specs: Sequence[TableSpec]) -> list[Finding]:
    """Failures by which no client relays by our tables; none where one can, or where it cannot be told."""
    ours = for_postfix(specs)
    if not ours or not installations:
        return []
    found = [*unsupported(installations, ours)]
    services = [service for each in judged(installations, ours) for service in each.services]
    states = {service.state for service in services}
    if services and not states & {"asks", "class"}:
        found.append(_why_nobody(services, ours))
    return [each for each in found if each.level == "fail"]


def unsupported(installations: Sequence[Installation], specs: Sequence[TableSpec]) -> Iterator[Finding]:
    """Types that Postfix cannot read: its look-ups end in 451."""
    for spec in specs:
        if spec.type == "policy":
            continue
        lacking = [each for each in installations if each.types and spec.type not in each.types]
        if lacking:
            package = _PACKAGES.get(spec.type)
            yield Finding(
                "table.read",
                "fail",
                f"{spec}: this Postfix cannot read {spec.type} tables (postconf -m does not list it)",
                (f"install it (Debian: apt install {package}), then: postfix reload; " if package else "")
                + "or write a type that postconf -m lists",
            )


def _why_nobody(services: Sequence[Service], specs: Sequence[TableSpec]) -> Finding:
    """Why no service lets a client in our tables relay: the likeliest of all causes."""
    return next(_causes(services, specs))


def _causes(services: Sequence[Service], specs: Sequence[TableSpec]) -> Iterator[Finding]:
    """All that may be the cause, the likeliest first."""
    named = " or ".join(map(str, specs))
    if any(each for service in services for each in service.classes.values()):
        yield Finding(
            WIRED,
            "skip",
            f"{CANNOT_TELL}: {named} is named in a restriction class, which look-ups choose for a client",
            f"test it with a client that has logged in ({_GUIDE})",
        )
    for service in services:
        if service.state == "refuses":
            yield Finding(WIRED, "fail", *_refusal(service, service.smtpd.name))
    uses = [(service.smtpd.name, service, use) for service in services for use in service.uses]
    for name, _, use in uses:
        if use.naming.fault:
            yield Finding(
                WIRED,
                "fail",
                f"{name}: {use.parameter} names {use.naming.written}: {use.naming.fault}",
                f"correct main.cf, or dbfile in pbs-fast.toml, then: postfix reload ({_GUIDE})",
            )
        elif use.naming.composed:
            yield Finding(
                WIRED,
                "skip",
                f"{CANNOT_TELL}: {use.parameter} of {name} asks {use.naming.written}",
                "name the table itself",
            )
        elif use.restriction.name not in (BY_CLIENT, BY_POLICY):
            yield Finding(
                WIRED,
                "fail",
                f"{name}: {use.parameter} asks {use.naming.spec} by {use.restriction.name}, and its keys are clients' "
                "addresses",
                f"write {asking_words(use.naming.spec)} ({_GUIDE})",
            )
    for name, service, use in uses:
        if use.parameter in (RELAY, RECIPIENT):
            before = service.granted[use.parameter].word
            yield Finding(
                WIRED,
                "fail",
                f"{name}: {use.parameter} ends at {before}, before it asks {use.naming.spec}",
                f"put {asking_words(use.naming.spec)} in front of {before} ({_GUIDE})",
            )
    for name, _, use in uses:
        yield Finding(
            WIRED,
            "fail",
            f"{name}: {use.naming.spec} is only in {use.parameter}, which lets nobody relay",
            f"move it to {RELAY}, before reject_unauth_destination ({_GUIDE})",
        )
    yield Finding(
        WIRED,
        "fail",
        f"no smtpd asks {named}: neither {RELAY} nor {RECIPIENT} names it, so nobody can relay by POP before SMTP",
        f"add {asking_words(specs[0])} to {RELAY} in main.cf ({_GUIDE})",
    )


def asking_words(spec: TableSpec) -> str:
    """The restriction that asks a table."""
    if spec.type != "policy":
        return f"{BY_CLIENT} {spec}"
    action = (
        "{ default_action = 451 4.3.0 relay check is not available }" if spec.flag("alone") else "default_action=DUNNO"
    )
    return f"{BY_POLICY} {{ {spec.address}, timeout=5s, {action} }}"


def _refusal(service: Service, title: str) -> tuple[str, str]:
    name, word = service.refusing
    asked = RELAY if service.granted[RELAY].end == "granted" else RECIPIENT
    return (
        f"{title}: {asked} lets clients in our table relay, but {name} refuses them by {word}",
        f"ask our table in {name} too, before {word}, or remove {word} there: both lists must let a client through",
    )


def wired(all_judged: Sequence[Judged], specs: Sequence[TableSpec]) -> Iterator[Finding]:
    """Check `postfix.wired`: each smtpd by itself."""
    services = [(each, service) for each in all_judged for service in each.services]
    if not services:
        yield Finding(WIRED, "skip", "master.cf has no smtpd that listens to other hosts: mail comes in some other way")
        return
    asking = [(each, service) for each, service in services if service.state == "asks"]
    if not asking:
        yield _why_nobody([service for _, service in services], specs)
        return
    titles = ", ".join(each.title(service) for each, service in asking)
    lists = dict.fromkeys(name for _, service in asking for name in (RELAY, RECIPIENT) if _is_asked(service, name))
    yield Finding(WIRED, "ok", f"{titles}: {' and '.join(lists)} ask {' and '.join(_asked_tables(asking, specs))}")
    for each, service in services:
        if service.state != "asks":
            yield from _other(each, service)
    others = [use.naming for _, service in asking for use in service.uses if use.naming.fault]
    for naming in dict.fromkeys(others):
        yield Finding(
            WIRED,
            "warn",
            f"Postfix also asks {naming.written}, whose rows nobody removes: {naming.fault}",
            f"remove it from main.cf; empty a table that is not used any more with pbs-fast clear ({_GUIDE})",
        )
    asked = {
        use.naming.spec
        for _, service in asking
        for use in service.uses
        if use.restriction.name in (BY_CLIENT, BY_POLICY)
    } | {naming.spec for _, service in asking for naming in service.networks}
    for spec in specs:
        if spec not in asked:
            yield Finding(
                WIRED,
                "note",
                f"{spec} is {'served' if spec.kind.served else 'written'}, and no smtpd asks it",
                "remove it from pbs-fast.toml if no MTA reads it",
            )


def _is_asked(service: Service, name: str) -> bool:
    return service.granted[name].end == "granted"


def _asked_tables(asking: Sequence[tuple[Judged, Service]], specs: Sequence[TableSpec]) -> list[str]:
    named = {use.naming.spec for _, service in asking for use in service.uses}
    return [str(spec) for spec in specs if spec in named] or [f"{MYNETWORKS} with our table"]


def _other(each: Judged, service: Service) -> Iterator[Finding]:
    """A service that does not let clients in our table relay, where another one does."""
    title = each.title(service)
    if service.state == "class":
        yield Finding(WIRED, "skip", f"{CANNOT_TELL}: {title} chooses a restriction class with our table by a look-up")
        return
    own = [name for name in LISTS if name in service.smtpd.own]
    if service.state == "refuses" and not service.shuts_strangers_out:
        evidence, advice = _refusal(service, title)
    elif own:
        name = next((name for name in own if name in (RELAY, RECIPIENT)), own[0])
        evidence = f"{title} sets -o {name}={service.smtpd.own[name]}: clients there never reach our table"
        advice = "that may be meant; clients that use this service without AUTH are refused"
    else:
        evidence, advice = f"{title} never asks our table", f"see {_GUIDE}, the order of the restrictions"
    if service.smtpd.is_main and not (each.where and not service.uses):
        yield Finding(WIRED, "fail", evidence, advice)
    elif service.smtpd.settings.get("smtpd_sasl_auth_enable") == "yes" or service.shuts_strangers_out or each.where:
        # RFC 6409, 4.3: a submission service demands AUTH.
        yield Finding(WIRED, "note", evidence, advice)
    else:
        yield Finding(WIRED, "warn", evidence, advice)
