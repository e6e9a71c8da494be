"""Checks `share.hub` and `share.nodes`: does each hub do what the nodes need of it, and who of the others is heard?

Hubs are asked as this node; nothing in them is changed: the question whether we could write another node's stream is
an XADD with NOMKSTREAM to a stream that does not exist, which does nothing if it is allowed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from typing import Any, Final

from pbs_fast.control.client import ControlError, ask, socket_of
from pbs_fast.control.protocol import Status
from pbs_fast.doctor.site import Site
from pbs_fast.errors import ConfigError
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.share.hub import WRITING
from pbs_fast.share.link import MissingLibraryError, connect, require_library, words
from pbs_fast.share.message import stream_of
from pbs_fast.share.spec import HubUrl, Secrets, parse_hub, read_secrets
from pbs_fast.util.text import plural

HUB, NODES = "share.hub", "share.nodes"
#: A node's name that no node has.
_NOBODY: Final = "doctor-asks-whether-this-could-be-written"
#: ACLs tell reading from writing (%R, %W) from this version of Redis on; every Valkey does.
_OLDEST: Final = (7, 0)
#: Seconds by which a hub's clock may differ from ours: it changes no grant, and misleads who reads the logs of both.
_CLOCK: Final = 5.0
_PATIENCE: Final = 10.0


def check_hubs(site: Site) -> Iterator[Finding]:
    """Each hub of the configuration."""
    keys = site.config.share
    if not keys.hubs:
        return
    try:
        require_library()
        secrets = read_secrets(keys.secret, site.settings.file)
    except MissingLibraryError as error:
        yield Finding(HUB, "fail", str(error), "pbs-fast does not start like this")
        return
    except ConfigError as error:
        advice = "pbs-fast does not start like this, unless its unit passes the secret as a credential"
        yield Finding(HUB, "warn", str(error), advice)
        return
    for text in keys.hubs:
        url = parse_hub(text)
        faults = list(_hub(url, secrets, site))
        yield from faults
        if not any(each.level in ("warn", "fail") for each in faults):
            yield Finding(HUB, "ok", f"{text} serves this node, and lets it write its own stream only")


def _hub(url: HubUrl, secrets: Secrets, site: Site) -> Iterator[Finding]:
    keys = site.config.share
    if not (url.tls or url.path is not None or _is_loopback(url.host)):
        advice = f"give the hub a certificate, and write valkeys://{url.place}"
        yield Finding(HUB, "warn", f"{url.text}: password and grants cross the network unencrypted", advice)
    client: Any = connect(url, secrets.password, keys.ca, WRITING, "pbs-fast-doctor")
    with closing(client):
        try:
            about = _pairs(client.execute_command("HELLO"))
            clock = client.time()
        except Exception as error:  # the library has many classes of its own, and the system's come through
            yield Finding(
                HUB, "fail", f"{url.text}: {words(error, url)}", "see docs/SHARING.md; nothing is shared by it"
            )
            return
        yield from _version(url, about)
        offset = clock[0] + clock[1] / 1e6 - time.time()
        if abs(offset) > _CLOCK:
            yield Finding(
                HUB, "warn", f"{url.text}: its clock is {offset:+.1f} s from ours", "run an NTP client on both"
            )
        yield from _rights(url, client, keys.site)
        yield from _memory(url, client)


def _version(url: HubUrl, about: dict[str, str]) -> Iterator[Finding]:
    """What HELLO tells: `server` redis or valkey, `version`."""
    version = about.get("version", "")
    if about.get("server") == "redis" and version and _number(version) < _OLDEST:
        yield Finding(
            HUB, "warn", f"{url.text} is Redis {version}; ACLs need 7.0 to keep a node to its own stream", "upgrade it"
        )


def _rights(url: HubUrl, client: Any, site: str) -> Iterator[Finding]:
    try:
        user = client.execute_command("ACL", "WHOAMI")
    except Exception as error:
        yield Finding(HUB, "note", f"{url.text}: {CANNOT_TELL} as whom it knows us: {words(error, url)}")
    else:
        if user == b"default":
            yield Finding(
                HUB,
                "warn",
                f'{url.text} answers us as the user "default"',
                "give each node a user of its own (docs/SHARING.md)",
            )
    try:
        client.execute_command("XADD", stream_of(site, _NOBODY), "NOMKSTREAM", "*", "m", "", "s", "")
    except Exception as error:
        if "NOPERM" not in words(error, url):
            yield Finding(HUB, "note", f"{url.text}: {CANNOT_TELL} whose streams we may write: {words(error, url)}")
    else:
        yield Finding(
            HUB,
            "warn",
            f"{url.text} lets us write the streams of other nodes",
            "give each node a user of its own (docs/SHARING.md)",
        )


def _memory(url: HubUrl, client: Any) -> Iterator[Finding]:
    """What happens when the hub is full, if it tells us."""
    try:
        info = client.info("memory")
    except Exception:
        return
    policy, most = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    if policy.startswith("allkeys-") and most:
        yield Finding(
            HUB,
            "fail",
            f"{url.text}: maxmemory-policy {policy} drops our streams when it is full",
            "set noeviction, or volatile-ttl: our streams have no time to live",
        )
    elif policy.startswith("volatile-") and most:
        yield Finding(HUB, "note", f"{url.text}: maxmemory-policy {policy} drops keys of other programs only")


def check_nodes(site: Site) -> Iterator[Finding]:
    """What the running daemon knows of the other nodes."""
    if not site.config.share.hubs:
        return
    request = Status()
    try:
        status = ask(socket_of(site.config.control.directory, request), request, patience=_PATIENCE)
    except ControlError as error:
        yield Finding(NODES, "skip", f"{CANNOT_TELL}: {error}")
        return
    others = status["nodes"]
    faults = []
    for node in others:
        name = node["name"]
        if node["silent"]:
            heard = "was never heard" if node["heard"] is None else f"was last heard {node['heard']}"
            faults.append(
                Finding(NODES, "warn", f"{name} {heard}", f"see its log; if it is gone: pbs-fast share forget {name}")
            )
        elif not node["trusted"]:
            faults.append(
                Finding(NODES, "note", f"{name} speaks and is not in share.from, so its grants do not count here")
            )
        elif node["version"] not in (None, status["version"]):
            faults.append(Finding(NODES, "note", f"{name} is pbs-fast {node['version']}, this is {status['version']}"))
    yield from faults
    if not any(each.level == "warn" for each in faults):
        trusted = sum(each["trusted"] for each in others)
        yield Finding(NODES, "ok", f"{plural(trusted, 'trusted node is', 'trusted nodes are')} heard")


def _pairs(answer: Any) -> dict[str, str]:
    """A map of RESP2: a list of keys and values in turn."""
    items = list(answer.items()) if isinstance(answer, dict) else list(zip(answer[::2], answer[1::2], strict=True))
    return {_text(key): _text(value) for key, value in items}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
