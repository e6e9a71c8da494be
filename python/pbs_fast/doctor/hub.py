"""What one hub does for this node: can it be reached, does it take and give what is needed, and may we do more there?

It is asked as this node, and nothing in it is changed. A command that would write is given arguments that the hub
refuses after it has looked at our rights and at its own state (rights, memory, replication, disk): an entry with the id
0-0 may not exist, and with NOMKSTREAM an entry of a stream that does not exist is not written.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.share.hub import WRITING
from pbs_fast.share.link import CONNECT, OLDEST_USABLE, About, about, connect, words
from pbs_fast.share.message import nodes_of, stream_of
from pbs_fast.share.spec import HubUrl, Secrets

if TYPE_CHECKING:
    from pbs_fast.config.model import Share as ShareKeys

HUB: Final = "share.hub"
#: A node's name that no node has.
_NOBODY: Final = "doctor-asks-whether-this-could-be-written"
#: ACLs tell reading from writing (%R, %W) from this version of Redis on; every Valkey does.
_OLDEST: Final = (7, 0)
#: Seconds by which a hub's clock may differ from ours: it changes no grant, and misleads who reads the logs of both.
_CLOCK: Final = 5.0
#: Streams of other nodes that are looked at, as far as share.from names them.
_MOST_STREAMS: Final = 100
#: What a hub says of an entry with the id 0-0, when it would take another one.
_NO_ID: Final = "must be greater than 0-0"
_ADVICE: Final = "see docs/SHARING.md; nothing is shared by it"


def look(url: HubUrl, secrets: Secrets, keys: ShareKeys, node: str) -> Iterator[Finding]:
    """What is wrong with it, or worth a note."""
    if not (url.tls or url.path is not None or _is_loopback(url.host)):
        advice = f"give the hub a certificate, and write valkeys://{url.place}"
        yield Finding(HUB, "warn", f"{url.text}: password and grants cross the network unencrypted", advice)
    client: Any = connect(url, secrets.password, keys.ca, WRITING, "pbs-fast-doctor")
    with closing(client):
        try:
            client.ping()
        except Exception as error:  # the library has many classes of its own, and the system's come through
            yield Finding(HUB, "fail", f"{url.text}: {words(error, url)}", _other_scheme(url) or _ADVICE)
            return
        found = list(_about(url, client))
        yield from found
        if any(each.level == "fail" for each in found):
            return
        yield from _use(url, client, keys, node)
        yield from _rights(url, client, keys.site)
        yield from _memory(url, client)


def _about(url: HubUrl, client: Any) -> Iterator[Finding]:
    try:
        found: About = about(client)
    except Exception as error:
        yield Finding(HUB, "note", f"{url.text}: {CANNOT_TELL} its version: {words(error, url)}")
        return
    if found.mode == "sentinel":
        yield Finding(
            HUB,
            "fail",
            f"{url.text} is a Sentinel, which only knows where servers are",
            "name the servers themselves in share.hubs: each is a hub, and none needs to be promoted",
        )
    if found.number is None or found.number >= _OLDEST:
        return
    old = f"{url.text} is Redis {found.version}, and 7.0 is needed"
    if found.number < OLDEST_USABLE:
        yield Finding(HUB, "fail", f"{old}: its streams cannot be trimmed by time", "upgrade it")
    else:
        yield Finding(HUB, "warn", f"{old} for ACLs that keep a node to its own stream", "upgrade it")


def _use(url: HubUrl, client: Any, keys: ShareKeys, node: str) -> Iterator[Finding]:
    """What the daemon does all the time."""
    own, others = stream_of(keys.site, node), [each for each in keys.from_ if each not in ("*", node)]
    streams = [stream_of(keys.site, each) for each in (others or [_NOBODY])[:_MOST_STREAMS]]
    nodes = nodes_of(keys.site)
    try:
        clock = client.time()
        client.execute_command("XREVRANGE", own, "+", "-", "COUNT", 1)
        client.execute_command("XREAD", "COUNT", 1, "STREAMS", *streams, *["$"] * len(streams))
        if node.encode() in client.execute_command("SMEMBERS", nodes):
            client.execute_command("SADD", nodes, node)  # which changes nothing now
    except Exception as error:
        yield Finding(HUB, "fail", f"{url.text}: {words(error, url)}", _ADVICE)
        return
    offset = clock[0] + clock[1] / 1e6 - time.time()
    if abs(offset) > _CLOCK:
        yield Finding(HUB, "warn", f"{url.text}: its clock is {offset:+.1f} s from ours", "run an NTP client on both")
    if why := _refusal(url, client, ("XADD", own, "0-0", "m", "")):
        yield Finding(HUB, "fail", f"{url.text} takes nothing from us: {why}", _ADVICE)


def _refusal(url: HubUrl, client: Any, command: Sequence[str]) -> str | None:
    """Why an entry with the id 0-0 is refused, unless it is only because of that id."""
    try:
        client.execute_command(*command)
    except Exception as error:
        why = words(error, url)
        return None if _NO_ID in why else why
    return None


def _rights(url: HubUrl, client: Any, site: str) -> Iterator[Finding]:
    """Whether we may do more than we need."""
    advice = "give each node a user of its own (docs/SHARING.md)"
    try:
        user = client.execute_command("ACL", "WHOAMI")
    except Exception as error:
        yield Finding(HUB, "note", f"{url.text}: {CANNOT_TELL} as whom it knows us: {words(error, url)}")
    else:
        if user == b"default":
            yield Finding(HUB, "warn", f'{url.text} answers us as the user "default"', advice)
    try:
        client.execute_command("XADD", stream_of(site, _NOBODY), "NOMKSTREAM", "*", "m", "", "s", "")
    except Exception as error:
        if "NOPERM" not in (why := words(error, url)):
            yield Finding(HUB, "note", f"{url.text}: {CANNOT_TELL} whose streams we may write: {why}")
    else:
        yield Finding(HUB, "warn", f"{url.text} lets us write the streams of other nodes", advice)


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


def _other_scheme(url: HubUrl) -> str:
    """What to write instead, if TLS is spoken where we do not, or is not where we do. No password is sent."""
    if url.path is not None:
        return ""
    with suppress(OSError), closing(socket.create_connection((url.host, url.port), CONNECT)) as plain:
        if url.tls:
            plain.sendall(b"PING\r\n")
            return (
                f"{url.place} does not speak TLS: give the hub a certificate" if plain.recv(1) in (b"+", b"-") else ""
            )
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is only asked whether it is TLS
        with context.wrap_socket(plain):
            return f"{url.place} speaks TLS: write valkeys:// in share.hubs"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
