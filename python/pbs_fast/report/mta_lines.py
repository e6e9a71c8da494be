"""Which of Postfix's lines matter to a report, and when they were written.

What a line says is the backends' matter (docs/MATCHING.md, 9); here it is decided which of their clients are looked at
any further: nearly none on a hub.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pbs_fast.guards.netblocks import Netblocks
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.postfix import PostfixLine
    from pbs_fast.matching.protocol import PostfixScan
    from pbs_fast.matching.reader import Ready

#: Size of the cache that says whether a client is in mynetworks.
_MOST_CLIENTS = 200_000


class MtaLines:
    """Finds the facts in the lines of some logs, which share it."""

    def __init__(self, backend: Backend, matcher: Matcher, live: Container[str], networks: Netblocks) -> None:
        """`live` are the addresses with a grant, apart from logins that are only in `fresh`; `networks` are mynetworks.
        Nearly no client of a hub is one of them, and the lines of others are not read any further."""
        self.fresh: set[str] = set()
        self._postfix = backend.PostfixLines(matcher)
        self._live = live
        self._networks = networks
        self._begins = tuple(f"{first}." for first, may in enumerate(networks.begins(32)) if may)
        """How an IPv4 address may begin that is in mynetworks: a test of all that takes a tenth of a look-up."""
        self._local: dict[str, bool] = {}

    def is_local(self, ip: str) -> bool:
        """Whether an address is in mynetworks."""
        local = self._local.get(ip)
        if local is None:
            if len(self._local) >= _MOST_CLIENTS:
                self._local.clear()
            local = self._local[ip] = self._networks.local(ip)
        return local

    def hold(self, ready: Ready, reference: int) -> PostfixScan:
        """The lines that may matter. Pure; may be called from several threads at once."""
        data, start, stop, _, layout = ready
        return self._postfix.lines(data, start=start, stop=stop, layout=layout, reference=reference)

    def facts(self, held: PostfixScan, *, every: bool) -> list[PostfixLine]:
        """What the lines say that matter, in their order. `every`: also of clients that are not wanted."""
        live, fresh, begins, is_local = self._live, self.fresh, self._begins, self.is_local

        def matters(ip: str) -> bool:
            return ip in live or ip in fresh or ((ip.startswith(begins) or ":" in ip) and is_local(ip))

        return held.said(_always if every else matters)


def _always(_: str) -> bool:
    return True
