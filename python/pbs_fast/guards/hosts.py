"""Which hosts' lines are accepted: the list `hosts`, or a warning if it is empty and a log has lines of several hosts.

Pure. Host names are compared case-insensitively (RFC 4343). A line of a server's own log has no host and is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Set


class Hosts:
    """The allow-list, and the first host seen in each source."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed: frozenset[str] = frozenset()
        self._first: dict[str, str] = {}
        self._warned: set[str] = set()
        self.allow(allowed)

    def allow(self, allowed: Iterable[str]) -> None:
        """Replace the list; empty: any host."""
        self._allowed = frozenset(host.lower() for host in allowed)

    def asks(self, source: str) -> bool:
        """Whether it matters which hosts the lines of a source are of."""
        return bool(self._allowed) or source not in self._warned

    def strangers(self, hosts: Set[str]) -> Set[str]:
        """Those of the hosts that are not on the list."""
        if not self._allowed:
            return frozenset()
        return {host for host in hosts if host and host.lower() not in self._allowed}

    def watch(self, source: str, hosts: Set[str]) -> list[str]:
        """A warning, once per source, if it has lines of more than one host and there is no list."""
        if self._allowed or source in self._warned:
            return []
        first = self._first.get(source)
        for host in sorted(hosts):
            if not host:
                continue
            if first is None:
                first = self._first[source] = host
            elif host.lower() != first.lower():
                self._warned.add(source)
                return [
                    f"{source}: contains lines of more than one host ({first}, {host}), and anyone who can write to it "
                    "can grant relaying; set guards.hosts to the hosts that you trust"
                ]
        return []
