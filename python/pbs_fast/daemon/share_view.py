"""Hubs and other nodes as data: their part of `status` and of the metrics. Cheap: no row is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pbs_fast.control import replies
from pbs_fast.metrics.families import READS, SENDS, UNACCEPTED
from pbs_fast.metrics.snapshot import LogLabels
from pbs_fast.util.text import rfc3339

if TYPE_CHECKING:
    from collections import Counter

    from pbs_fast.daemon.share import Share
    from pbs_fast.daemon.share_watch import Link
    from pbs_fast.metrics.snapshot import Draft
    from pbs_fast.share.inbox import NodeState
    from pbs_fast.util.clock import Clock

_REFUSED: Final = "refused_"
_FULL: Final = "full_"


class ShareView:
    """Makes them, in the loop."""

    def __init__(self, share: Share, clock: Clock) -> None:
        self._share, self._clock = share, clock
        self._labels = LogLabels()

    @property
    def node(self) -> str | None:
        """The name of this node; None where nothing is shared."""
        return self._share.node if self._share.links else None

    def hubs(self) -> list[replies.Hub]:
        """Each hub."""
        return [self._hub(link) for link in self._share.links]

    def nodes(self) -> list[replies.Node]:
        """Each other node that is known."""
        return [self._node(each) for each in self._share.nodes()]

    def graces(self) -> dict[str, int]:
        """For how many seconds each node lets an address relay after a login, and so do we."""
        return {each.name: min(each.grace, self._share.longest) for each in self._share.nodes() if each.grace}

    def _hub(self, link: Link) -> replies.Hub:
        number = link.number - 1
        offset = link.clock.offset
        counters = self._share.inbox.counters[number]
        return {
            "url": link.hub.url.text,
            "state": link.state,
            "since": rfc3339(link.since),
            "reason": link.reason,
            "delay_ms": None if link.delay is None else round(link.delay * 1000, 3),
            "offset_s": None if offset is None else round(offset + self._clock.shift(), 3),
            "waiting": self._share.outbox.waiting(number),
            "refused": {name: n for name in UNACCEPTED if (n := counters[_REFUSED + name])},
        }

    def _node(self, each: NodeState) -> replies.Node:
        return {
            "name": each.name,
            "trusted": each.trusted,
            "heard": None if each.heard is None else rfc3339(self._wall(each.heard)),
            "rows": each.rows,
            "version": each.version,
            "gaps": each.gaps,
            "silent": each.name in self._share.watch.silent,
            "confirmed": each.seen.get(self._share.node, 0),
            "grace": each.grace or None,
        }

    def _wall(self, seconds: float) -> float:
        return seconds - self._clock.shift()

    def put(self, draft: Draft) -> None:
        """The families of hubs and nodes; no series where nothing is shared."""
        share = self._share
        if not share.links:
            return
        for link in share.links:
            self._put_hub(draft, link)
        for each in share.nodes():
            label = self._labels.of(each.name)
            draft.put("node_up", not each.silent, label)
            heard = 0.0 if each.heard is None else round(self._wall(each.heard), 3)
            draft.put("node_last_beat_timestamp_seconds", heard, label)
            draft.put("node_rows", each.rows, label)
            draft.put("node_rows_received_total", each.received, label)
            draft.put("node_gaps_total", each.gaps, label)
        draft.put("share_delay_seconds", share.delays.frozen())

    def _put_hub(self, draft: Draft, link: Link) -> None:
        number, label = link.number - 1, link.label
        received, sent = self._share.inbox.counters[number], self._share.outbox.counters[number]
        draft.put("hub_up", link.reason is None, label)
        if link.delay is not None:
            draft.put("hub_delay_seconds", round(link.delay, 6), label)
        if (offset := link.clock.offset) is not None:
            draft.put("hub_clock_offset_seconds", round(offset + self._clock.shift(), 6), label)
        draft.put("hub_waiting_rows", self._share.outbox.waiting(number), label)
        draft.put("hub_reconnects_total", link.reconnects, label)
        draft.put("hub_rows_sent_total", sent["rows_sent"], label)
        draft.put_all("hub_full_sends_total", SENDS, _named(sent, _FULL), label)
        draft.put_all("hub_full_reads_total", READS, _named(received, _FULL), label)
        draft.put_all("hub_messages_refused_total", UNACCEPTED, _named(received, _REFUSED), label)


def _named(counters: Counter[str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in counters.items() if name.startswith(prefix)}
