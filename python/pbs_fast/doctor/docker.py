"""Check `guard.docker`: does a proxy of a container engine hide the clients?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pbs_fast.doctor.site import Site
from pbs_fast.guards.machine import read_machine, swapped
from pbs_fast.health.finding import Finding
from pbs_fast.util.addresses import Network

DOCKER = "guard.docker"
#: Ports of POP and IMAP (RFC 1939, 9051, 8314).
PORTS: Final = frozenset({110, 143, 993, 995})
#: Bridges of Docker and Podman on the host.
_BRIDGE = re.compile(r"docker\d+|br-[0-9a-f]{12}|podman\d+|cni-podman\d+")
#: Files by which a container shows itself.
_INSIDE = (".dockerenv", "run/.containerenv")
_HOST_PORT = re.compile(rb"-host-port\0(\d+)\0")


def check(site: Site) -> Iterator[Finding]:
    """Programs that pass connections on without the client's address, in front of the POP and IMAP ports."""
    ports = sorted(proxied_ports(Path(site.root)))
    if ports:
        yield Finding(
            DOCKER,
            "note",
            f"docker-proxy listens on port {', '.join(map(str, ports))}: the server in the container may see the "
            "gateway in place of its clients",
            'look at the addresses of `pbs-fast match LOG`; if all are one: "userland-proxy": false in daemon.json',
        )


def proxied_ports(root: Path) -> set[int]:
    """The POP and IMAP ports in front of which a docker-proxy runs."""
    found = set()
    for file in (root / "proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes()[:4096]
            if Path(words.partition(b"\0")[0].decode("utf-8", "replace")).name == "docker-proxy":
                found |= {int(port) for port in _HOST_PORT.findall(words)} & PORTS
    return found


def container_networks(root: Path) -> list[Network]:
    """Networks from which a container engine may pass clients on: bridges on a host, the gateways in a container."""
    found = list(_bridges(root / "proc/self/net/route"))
    if any((root / name).exists() for name in _INSIDE):
        found += read_machine(str(root / "proc/self/net")).gateways
    return found


def _bridges(route: Path) -> Iterator[Network]:
    """The networks of bridges, by the kernel's list: Iface, Destination, …, Mask at 7, in the machine's byte order."""
    with suppress(OSError, ValueError):
        for line in route.read_text(encoding="ascii", errors="replace").splitlines():
            columns = line.split()
            if len(columns) >= 8 and _BRIDGE.fullmatch(columns[0]):
                yield Network(32, swapped(columns[1]), int(columns[7], 16).bit_count())
