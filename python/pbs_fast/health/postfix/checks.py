"""What else can be wrong with how Postfix asks our table: order, mynetworks, proxymap, chroot. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pbs_fast.errors import UsageError
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.health.postfix.naming import Naming, clause_endpoint
from pbs_fast.health.postfix.restrictions import LISTS, OWN_FIRST, RECIPIENT, RELAY, split
from pbs_fast.health.postfix.wiring import Judged, Service
from pbs_fast.tables.served.endpoint import parse as parse_endpoint
from pbs_fast.util.addresses import Network, parse_network

ORDER, OTHER = "postfix.order", "postfix.other"
_EXAMPLES = {"socketmap": "socketmap:unix:pbs/sock:pbs", "policy": "policy:unix:pbs/policy"}


def order(all_judged: Sequence[Judged]) -> Iterator[Finding]:
    """Check `postfix.order`: is the relay open, and does a fault of the table stop other mail?"""
    faults = list(_order_faults(all_judged))
    yield from faults
    asking = [each.title(service) for each in all_judged for service in each.services if service.state == "asks"]
    if asking and not faults:
        yield Finding(ORDER, "ok", f"{', '.join(asking)}: {OWN_FIRST} is before our table, and a stranger is refused")


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
        if not any(each.name == OWN_FIRST for each in before):
            yield Finding(
                ORDER,
                "warn",
                f"{use.parameter}: {use.naming.spec} is asked before {OWN_FIRST}: a fault of the table stops all mail",
                f"put {OWN_FIRST} in front of it",
            )
    for naming in service.networks:
        if not naming.fault:
            yield Finding(
                ORDER,
                "warn",
                f"mynetworks holds {naming.written}: a fault of the table stops all mail, and programs take its "
                "clients for your own hosts",
                f"remove it; ask it in {RELAY} behind {OWN_FIRST}",
            )


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
                elif naming.spec.kind.served and (finding_ := _socket(judged, service, naming)):
                    found[finding_] = None
    yield from found


def _socket(judged: Judged, service: Service, naming: Naming) -> Finding | None:
    """Whether smtpd finds the Unix socket where we listen."""
    queue = judged.installation.settings.get("queue_directory", "")
    kind = naming.spec.type
    endpoint = clause_endpoint(naming.written) if kind == "policy" else naming.written.removeprefix("socketmap:")
    try:
        ours = parse_endpoint(naming.spec).path
    except UsageError:
        return None
    if ours is None or not endpoint.startswith("unix:"):
        return None
    path = endpoint.split(":")[1]
    if path.startswith("/") and service.smtpd.chroot:
        return Finding(
            OTHER,
            "fail",
            f"{judged.title(service)} runs in a chroot and finds no {path} there",
            f"name the socket relative to {queue}, as in {_EXAMPLES[kind]}",
        )
    if not path.startswith("/") and str(ours) != f"{queue}/{path}":
        return Finding(
            OTHER,
            "fail",
            f"Postfix looks for the socket in {queue}/{path}, and pbs-fast makes {ours}",
            f"add the option queue={queue} to the table in pbs-fast.toml",
        )
    return None
