"""Hubs and nodes in trouble: logged once when it begins and once when it is over; until then there is a notice.

Knows what `Share` tells it; asks nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pbs_fast.log.records import event
from pbs_fast.share.clock import HubClock
from pbs_fast.share.message import LONGEST_USER
from pbs_fast.share.reading import SILENT

if TYPE_CHECKING:
    from pbs_fast.control.replies import HubState
    from pbs_fast.health.notices import Code
    from pbs_fast.share.hub import Hub
    from pbs_fast.share.inbox import NodeState

log = logging.getLogger(__name__)

_NOT_YET: Final = "not yet connected"
#: Seconds between two warnings that logins cannot be shared.
_SAID: Final = 3600.0
#: Seconds for which a start that reads one hub waits for more of it before it reads another one too.
_FIRST_HUB: Final = 1.0
#: The same for all of what it gives: half of what a start waits for, so that the other one has the other half.
_FIRST_HUBS: Final = 5.0


class Link:
    """One hub as the loop sees it."""

    def __init__(self, number: int, hub: Hub, wall: float, now: float) -> None:
        self.number, self.hub, self._began = number, hub, now
        self.clock = HubClock()
        self.label = f"{number} {hub.url.place}"
        """In metrics."""
        self.since = wall
        """When `state` last changed."""
        self.writing: str | None = _NOT_YET
        """Why nothing can be written; None while it can."""
        self.reading: str | None = _NOT_YET
        self.fresh: set[str] = set()
        """Streams that were not read to their end yet."""
        self.waits = False
        """A start reads another hub first."""
        self.gave: float | None = None
        """When entries last came, or were asked for."""
        self.asked: float | None = None
        """When entries were first asked for."""
        self.delay: float | None = None
        """Seconds of the last round trip."""
        self.reconnects = 0
        self.told: bool | None = None
        """Whether it was last said to be up; None: nothing was said."""
        self.rests_until = float("-inf")
        """On time.monotonic's clock: after a burst of rows, further ones are collected until then."""
        self.look = float("-inf")
        self.said = float("-inf")

    @property
    def reason(self) -> str | None:
        """Why it is down; None while it is not."""
        reasons = [each for each in (self.writing, self.reading) if each is not None]
        # One thread may have failed before the other has tried.
        return next((each for each in reasons if each != _NOT_YET), reasons[0] if reasons else None)

    @property
    def is_up(self) -> bool | None:
        """None before anything came of the first attempts to connect."""
        if self.reason is None:
            return True
        return None if self.told is None and {self.writing, self.reading} <= {None, _NOT_YET} else False

    def is_second(self, links: Iterable[Link], now: float) -> bool:
        """Whether another hub is read already, for a start to wait for: one hub has what all have, and a start is over
        when one was read. Two at a time took it twice as long."""
        links = list(links)
        begun = min((each.asked for each in links if each.asked is not None), default=now)
        return (
            self.asked is None
            and now - begun < _FIRST_HUBS
            and any(
                each.fresh and each.reading is None and each.gave is not None and now - each.gave < _FIRST_HUB
                for each in links
            )
        )

    def may_give(self, now: float) -> bool:
        """Whether a start that another hub gave too little may wait for this one: for as long as for a first hub."""
        if self.is_up is None:
            return now - self._began < _FIRST_HUB
        if self.state != "catching_up" or self.gave is None or self.asked is None:
            return False
        return now - self.gave < _FIRST_HUB and now - self.asked < _FIRST_HUBS

    def ask(self, now: float) -> None:
        """Entries are asked for now."""
        self.gave = now
        if self.asked is None:
            self.asked = now

    @property
    def state(self) -> HubState:
        """Of `replies.Hub`."""
        if self.reason is not None:
            return "down"
        return "catching_up" if self.fresh or self.waits else "up"


class ShareWatch:
    """What was said of whom."""

    def __init__(self, links: Sequence[Link], wall: Callable[[], float], longest: int) -> None:
        """`longest` is share.longest."""
        self._links, self._wall, self._longest = links, wall, longest
        self._unshared, self._said_unshared = 0, float("-inf")
        self._longer: dict[str, int] = {}
        """Nodes whose rows end here sooner than there, with their grace; that was said."""
        self.silent: frozenset[str] = frozenset()
        """Trusted nodes that are not heard, but for forgotten ones."""
        self._began = wall()
        self.forgotten: frozenset[str] = frozenset()
        """Nodes that nobody waits for."""
        self.troubled: Callable[[Code, str, str], object] = lambda *_: None
        """Told of `hub_down` or `node_silent`, of which, and the text of the notice; an empty one ends it."""

    def note(self, link: Link) -> None:
        """Something of a hub may have changed."""
        url, up = link.hub.url.text, link.is_up
        if up is not None and up is not link.told:
            lasted, link.since = self._wall() - link.since, self._wall()
            before, link.told = link.told, up
            if not up:
                others = sum(each.is_up is True for each in self._links)
                rest = f"{others} of {len(self._links)} serve" if others else "no other serves: nothing is shared"
                log.warning("hub %s is down: %s; %s", url, link.reason, rest, extra=event("hub_down", [url]))
            else:
                text = "connected" if before is None else f"back after {lasted:.1f} s"
                log.info("hub %s: %s", url, text, extra=event("hub_up", [url]))
        self.troubled("hub_down", url, f"hub {url} is down: {link.reason}" if link.told is False else "")

    def look(self, nodes: Iterable[NodeState]) -> None:
        """The nodes as they are while a hub serves; while none does nobody can tell which are silent."""
        trusted = [each for each in nodes if each.trusted]
        self._compare(trusted)
        states = {each.name: each.silent for each in trusted}
        self.forgotten -= {name for name, silent in states.items() if not silent}
        silent = frozenset(name for name, silent in states.items() if silent) - self.forgotten
        if self._wall() - self._began < SILENT:
            return  # nobody had the time to be heard
        for name in sorted(silent - self.silent):
            log.warning("node %s is silent: no sign of life for 30 s", name, extra=event("node_silent", [name]))
            self.troubled("node_silent", name, f"node {name} is silent; if it is gone: pbs-fast share forget {name}")
        for name in sorted(self.silent - silent):
            if states.get(name) is False:
                log.info("node %s is heard again", name, extra=event("node_back", [name]))
            self.troubled("node_silent", name, "")
        self.silent = silent

    def _compare(self, trusted: Iterable[NodeState]) -> None:
        for each in trusted:
            if each.grace > self._longest and self._longer.get(each.name) != each.grace:
                log.warning(
                    "node %s lets an address relay for %d s, and share.longest = %d ends its rows here sooner",
                    each.name,
                    each.grace,
                    self._longest,
                )
                self._longer[each.name] = each.grace

    def unshared(self, count: int) -> None:
        """Logins that no message can carry, since the start: said when there are more, once an hour."""
        if count > self._unshared and self._wall() - self._said_unshared > _SAID:
            self._said_unshared = self._wall()
            log.warning(
                "logins of users whose names have more than %d bytes, or cannot be printed, are not shared: they relay "
                "through this node only",
                LONGEST_USER,
            )
        self._unshared = count

    def forget(self, node: str) -> None:
        """Do not wait for this node until it is heard again."""
        self.forgotten |= {node}
