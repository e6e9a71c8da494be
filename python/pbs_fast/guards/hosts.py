"""Which hosts' lines are believed: the list of `hosts`, or a warning where there is none and a log has several.

Pure. Host names are compared without regard to case (RFC 4343); a line of a server's own log has none and is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Set


class Hosts:
    """The allow-list, and the first host that each source showed."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed: frozenset[str] = frozenset()
        self._first: dict[str, str] = {}
        self._warned: set[str] = set()
        self.allow(allowed)

    def allow(self, allowed: Iterable[str]) -> None:
        """Take over another list; empty: any host."""
        self._allowed = frozenset(host.lower() for host in allowed)

    def strangers(self, hosts: Set[str]) -> Set[str]:
        """Those of the hosts that are not on the list."""
        if not self._allowed:
            return frozenset()
        return {host for host in hosts if host and host.lower() not in self._allowed}

    def watch(self, source: str, hosts: Set[str]) -> list[str]:
        """A warning, once a source, when lines of more than one host stand in it and there is no list."""
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
                    f"{source}: holds lines of more than one host ({first}, {host}), and whoever may write to it can "
                    "grant relaying; set guards.hosts to those that are believed"
                ]
        return []
