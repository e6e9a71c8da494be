"""What else can be wrong with how Postfix asks our table: order, policy clause, mynetworks, proxymap, chroot. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pbs_fast.errors import UsageError
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.health.postfix.restrictions import BY_POLICY, LISTS, RECIPIENT, RELAY, split
from pbs_fast.health.postfix.wiring import Judged, Service
from pbs_fast.tables.served.endpoint import parse as parse_endpoint
from pbs_fast.util.addresses import Network, parse_network

ORDER, POLICY, OTHER = "postfix.order", "postfix.policy", "postfix.other"
_OWN_FIRST = "permit_auth_destination"
#: Seconds. A policy server that hangs costs each RCPT twice its time limit and one second (tried with Postfix 3.7).
LONGEST_TIMEOUT = 10.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+)([smhdw]?)")


def order(all_judged: Sequence[Judged]) -> Iterator[Finding]:
    """Check `postfix.order`: is the relay open, and does a fault of the table stop other mail?"""
    faults = list(_order_faults(all_judged))
    yield from faults
    asking = [each.title(service) for each in all_judged for service in each.services if service.state == "asks"]
    if asking and not faults:
        yield Finding(ORDER, "ok", f"{', '.join(asking)}: {_OWN_FIRST} is before our table, and a stranger is refused")


def _order_faults(all_judged: Sequence[Judged]) -> Iterator[Finding]:
    seen = set()
    for judged in all_judged:
        for service in judged.services:
            for finding in (*_open(judged.title(service), service), *_position(service)):
                if finding not in seen:
                    seen.add(finding)
                    yield finding


def _open(title: str, service: Service) -> Iterator[Finding]:
    """Whether a stranger may relay: one of the two lists has to refuse them.

    Postfix's smtpd looks likewise (smtpd_check.c, has_required; tried with 3.7): if neither list has a refusal in
    reach, it ends at its start, and no mail comes in at all.
    """
    ends = {name: service.stranger[name] for name in (RELAY, RECIPIENT)}
    if any(each.end == "refused" for each in ends.values()):
        return
    if any(each.end == "class" for each in ends.values()):
        yield Finding(ORDER, "skip", f"{CANNOT_TELL}: {title} has restriction classes, so whether it refuses strangers")
        return
    permits = [name for name in ends if ends[name].end == "permitted"]
    what = f"{permits[0]} permits everybody" if permits else "no restriction refuses a stranger"
    yield Finding(
        ORDER,
        "fail",
        f"open relay, or no mail at all because smtpd refuses to start so: {title}: {what}",
        f"end {RELAY} with reject_unauth_destination, and reload Postfix now",
    )


def _position(service: Service) -> Iterator[Finding]:
    """Where our table is in the lists."""
    for use in service.uses:
        if use.parameter not in (RELAY, RECIPIENT):
            if use.restriction.name in LISTS[use.parameter] or not use.naming.fault:
                yield Finding(
                    ORDER,
                    "warn",
                    f"{use.parameter} asks {use.naming.spec} too: a fault of the table stops all mail, and it lets "
                    "nobody relay",
                    f"remove it there; it belongs to {RELAY}",
                )
            continue
        if service.granted[use.parameter].end != "granted":
            continue
        before = service.lists[use.parameter][: use.at]
        if not any(each.name == _OWN_FIRST for each in before):
            yield Finding(
                ORDER,
                "warn",
                f"{use.parameter}: {use.naming.spec} is asked before {_OWN_FIRST}: a fault of the table stops all mail",
                f"put {_OWN_FIRST} in front of it",
            )
    for naming in service.networks:
        if not naming.fault:
            yield Finding(
                ORDER,
                "warn",
                f"mynetworks holds {naming.written}: a fault of the table stops all mail, and programs take its "
                "clients for your own hosts",
                f"remove it; ask it in {RELAY} behind {_OWN_FIRST}",
            )


def policy(all_judged: Sequence[Judged]) -> Iterator[Finding]:
    """Check `postfix.policy`: the clause by which our policy service is asked."""
    clauses: dict[str, set[str]] = {}
    for judged in all_judged:
        for service in judged.services:
            lists = {**service.lists, **service.later}
            for parameter, restrictions in lists.items():
                for each in restrictions:
                    if each.name == BY_POLICY and is_ours(each.argument, service):
                        clauses.setdefault(each.argument, set()).add(parameter)
    for clause, parameters in clauses.items():
        faults = list(clause_faults(clause))
        yield from faults
        if not parameters & set(LISTS) and not any(other & set(LISTS) for other in clauses.values()):
            yield Finding(
                POLICY,
                "warn",
                f"{' and '.join(sorted(parameters))} ask our policy service, and no list that a RCPT passes: caps do "
                "nothing",
                f"ask it in {RELAY}, behind {_OWN_FIRST}",
            )
        elif not faults:
            yield Finding(POLICY, "ok", f"{_endpoint(clause)}: time limit and default action are as they should be")


def is_ours(clause: str, service: Service) -> bool:
    """Whether a clause asks us: a configured table `policy:`, or the socket that the documentation names."""
    return service.names.policy(clause) is not None or _endpoint(clause).endswith("pbs/policy")


def _endpoint(clause: str) -> str:
    return next(iter(split(_inner(clause))), "")


def _inner(clause: str) -> str:
    return clause[1:-1] if clause.startswith("{") and clause.endswith("}") else clause


def clause_faults(clause: str) -> Iterator[Finding]:
    """What is wrong with `{ unix:pbs/policy, timeout=5s, default_action=DUNNO }` (postconf(5), access(5))."""
    endpoint, timeout, action = _endpoint(clause), "100s", "451 4.3.5 Server configuration problem"
    for word in split(_inner(clause))[1:]:
        text = _inner(word).strip()
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            yield Finding(
                POLICY, "fail", f"{endpoint}: {word!r} is no NAME=VALUE", "see check_policy_service in postconf(5)"
            )
        elif name == "timeout":
            timeout = value
        elif name == "default_action":
            action = value
            if value.startswith("{"):
                yield Finding(
                    POLICY,
                    "fail",
                    f"{endpoint}: {word} is a syntax error that shows only when the service fails",
                    f"write {{ default_action = {value.strip('{} ')} }}",
                )
    seconds = _seconds(timeout)
    if seconds is None or seconds >= LONGEST_TIMEOUT:
        yield Finding(
            POLICY,
            "warn",
            f"{endpoint}: a service that hangs delays each recipient by twice its time limit, {timeout}",
            "write timeout=5s in its clause",
        )
    if action.split()[:1] and action.split()[0].lower() in ("ok", "permit", "relay"):
        yield Finding(
            POLICY,
            "fail",
            f"{endpoint}: default_action={action}: everybody may relay while the service is down",
            "write default_action=DUNNO if a table decides behind it, else { default_action = 451 4.3.0 try again }",
        )


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def networks(all_judged: Sequence[Judged], containers: Sequence[Network]) -> Iterator[Finding]:
    """Of `postfix.other`: does mynetworks hold everybody, or `containers`, networks where all clients look alike?"""
    texts = dict.fromkeys(
        service.smtpd.settings.get("mynetworks", "") for judged in all_judged for service in judged.services
    )
    for word in dict.fromkeys(word for text in texts for word in split(text)):
        try:
            network = parse_network(re.sub(r"[\[\]]", "", word))
        except ValueError:
            continue
        if network.prefix == 0:
            yield Finding(OTHER, "fail", f"open relay: mynetworks holds {word}, which is everybody", "remove it")
        elif held := [each for each in containers if _holds(network, each)]:
            yield Finding(
                OTHER,
                "warn",
                f"mynetworks holds {word}, a network of containers ({held[0]}): if a proxy of Docker passes clients "
                "on, all of them come from there",
                "make sure that clients' own addresses reach Postfix, or remove it",
            )


def _holds(network: Network, other: Network) -> bool:
    shift = network.width - network.prefix
    return network.width == other.width and network.value >> shift == other.value >> shift


def ways(all_judged: Sequence[Judged]) -> Iterator[Finding]:
    """Of `postfix.other`: proxymap in front of our table, and a socket's path from inside a chroot."""
    found: dict[Finding, None] = {}
    for judged in all_judged:
        for service in judged.services:
            for naming in (*(use.naming for use in service.uses), *service.networks):
                if naming.proxied and naming.spec.path is not None:
                    finding = Finding(
                        OTHER,
                        "fail",
                        f"{naming.written}: through proxymap Postfix does not notice that a file was replaced",
                        f"write {naming.spec}",
                    )
                    found[finding] = None
                elif naming.spec.type == "socketmap" and (finding_ := _socket(judged, service, naming.written)):
                    found[finding_] = None
    yield from found


def _socket(judged: Judged, service: Service, written: str) -> Finding | None:
    queue = judged.installation.settings.get("queue_directory", "")
    for spec in service.names.specs:
        if str(spec) != written:
            continue
        try:
            endpoint = parse_endpoint(spec)
        except UsageError:
            return None
        path = written.split(":")[2] if written.startswith("socketmap:unix:") else ""
        if endpoint.path is None:
            return None
        if path.startswith("/") and service.smtpd.chroot:
            return Finding(
                OTHER,
                "fail",
                f"{judged.title(service)} runs in a chroot and finds no {path} there",
                f"name the socket relative to {queue}, as in socketmap:unix:pbs/sock:pbs",
            )
        if not path.startswith("/") and str(endpoint.path) != f"{queue}/{path}":
            return Finding(
                OTHER,
                "fail",
                f"Postfix looks for the socket in {queue}/{path}, and pbs-fast makes {endpoint.path}",
                f"add the option queue={queue} to the table in pbs-fast.toml",
            )
    return None
