"""Each rule of sharing, broken: what `test_rules.py` must notice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from math import floor
from typing import Any

import pytest

from pbs_fast.events import Delta
from pbs_fast.ledger import origins
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.origins import Origins
from pbs_fast.share import inbox
from pbs_fast.share import message as message_
from pbs_fast.share.clock import HubClock
from pbs_fast.share.inbox import Inbox
from pbs_fast.share.message import Fields, Message, sign
from pbs_fast.share.outbox import Outbox
from pbs_fast.share.owed import Owed
from pbs_fast.share.own_rows import Own
from pbs_fast.share.reading import Stream
from pbs_fast.share.tombstones import Denied, Tombstones

Break = Callable[[pytest.MonkeyPatch], None]


def new_rows_wait(patch: pytest.MonkeyPatch) -> None:
    """New rows are collected like renewals."""
    owe = Owed.owe
    patch.setattr(Owed, "owe", lambda self, ips, now, *, urgent: owe(self, ips, now, urgent=False))  # noqa: ARG005


def nothing_is_renewed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "_look", lambda *_: None)
    send = Outbox._send

    def once(self: Outbox, rows: Sequence[Own], now: float) -> None:
        send(self, [each for each in rows if each[0] not in self._known], now)

    patch.setattr(Outbox, "_send", once)


def renewals_are_late(patch: pytest.MonkeyPatch) -> None:
    """Sent when the end that the others know has come, and not half of grace before."""
    init = Outbox.__init__

    def late(self: Outbox, **options: Any) -> None:
        init(self, **options)
        self._half = 0

    patch.setattr(Outbox, "__init__", late)


def rows_of_others_are_sent(patch: pytest.MonkeyPatch) -> None:
    """An echo."""
    patch.setattr(Origins, "own", lambda self, ip: self._rows.get(ip))


def hidden_rows_are_not_sent(patch: pytest.MonkeyPatch) -> None:
    """A login that changes nothing here, because another node's row lasts longer, is kept from the others."""
    patch.setattr(Origins, "hide", lambda *_: False)


def distrust_keeps_rows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "distrust", lambda *_: Delta())


def what_failed_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Outbox, hub: int, now: float) -> None:
        del now
        self._hubs[hub].flying = None

    patch.setattr(Outbox, "failed", forget)


def the_end_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "end_was", lambda *_: True)


def the_end_is_believed_by_its_presence(patch: pytest.MonkeyPatch) -> None:
    end_was = Outbox.end_was

    def present(self: Outbox, hub: int, last: str | None, now: float) -> bool:
        return last is not None or end_was(self, hub, last, now)

    patch.setattr(Outbox, "end_was", present)


def a_step_sends_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "stepped", lambda *_: None)


def a_step_is_not_seen(patch: pytest.MonkeyPatch) -> None:
    sample = HubClock.sample

    def unseen(self: HubClock, asked: float, hub: float, answered: float) -> float:
        sample(self, asked, hub, answered)
        return 0.0

    patch.setattr(HubClock, "sample", unseen)


def the_first_offset_is_kept(patch: pytest.MonkeyPatch) -> None:
    sample = HubClock.sample

    def first(self: HubClock, asked: float, hub: float, answered: float) -> float:
        return sample(self, asked, hub, answered) if self.offset is None else 0.0

    patch.setattr(HubClock, "sample", first)


def old_messages_are_read_by_the_new_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "spoilt", lambda *_: False)


def what_came_before_the_step_was_seen_is_lost(patch: pytest.MonkeyPatch) -> None:
    """A message whose sender knew of the step before its reader is not read again."""
    patch.setattr(Stream, "doubt", lambda *_, **__: None)


def who_is_new_is_read_by_an_old_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "wait_for_clock", lambda *_: None)


def what_was_missed_is_in_doubt(patch: pytest.MonkeyPatch) -> None:
    """What waited to be read is old for a good reason: after a step it is not read by the new clock."""
    begin, resume = Stream.begin, Stream.resume

    def begins(self: Stream, reading: int, horizon: Any, now: float) -> str:
        after = begin(self, reading, horizon, now)
        self._live = True
        return after

    def resumes(self: Stream, now: float) -> None:
        resume(self, now)
        self._live = True

    patch.setattr(Stream, "begin", begins)
    patch.setattr(Stream, "resume", resumes)


def a_step_is_not_read_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "stepped", lambda *_: None)


def what_is_left_counts_from_the_reading(patch: pytest.MonkeyPatch) -> None:
    """The time since the message is not taken off."""
    rows = Inbox._rows

    def as_sent(self: Inbox, node: str, message: Message, _: float, now: float, *more: Any) -> None:
        rows(self, node, message, now, now, *more)

    patch.setattr(Inbox, "_rows", as_sent)


def what_is_known_hides_what_lasts_longer(patch: pytest.MonkeyPatch) -> None:
    """A row is passed over wherever its node has one, whatever its end."""
    init = Inbox.__init__

    def hides(self: Inbox, **options: Any) -> None:
        known = options["known"]
        init(self, **options | {"known": lambda ip: (row := known(ip)) and row._replace(expires=1 << 53)})

    patch.setattr(Inbox, "__init__", hides)


def ends_are_rounded_down(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "ceil", floor)


def messages_from_the_future_are_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "AHEAD", 1e9)


def signatures_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hmac.compare_digest", lambda *_: True)


def signatures_leave_out_the_stream(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(message_, "sign", lambda secret, _stream, m: sign(secret, "", m))


def gaps_are_not_seen(patch: pytest.MonkeyPatch) -> None:
    sequence = Stream.sequence

    def blind(self: Stream, run: str, number: int) -> bool:
        want = self._want
        result = sequence(self, run, number)
        self._want = want
        return result

    patch.setattr(Stream, "sequence", blind)


def silence_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "look", lambda *_: None)


def nothing_is_read_again(patch: pytest.MonkeyPatch) -> None:
    """After a revocation, what was removed too much does not come back."""
    patch.setattr(Inbox, "_again", lambda *_: None)


def reading_starts_at_the_end(patch: pytest.MonkeyPatch) -> None:
    begin = Stream.begin
    patch.setattr(Stream, "begin", lambda self, reading, _horizon, now: begin(self, reading, (1 << 50, 0), now))


def revoked_rows_come_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Tombstones, "refuses", lambda *_: False)


def revocations_cover_all_logins(patch: pytest.MonkeyPatch) -> None:
    """Those after `until` too."""
    refuses = Tombstones.refuses
    patch.setattr(Tombstones, "refuses", lambda self, ip, user, node, login: refuses(self, ip, user, node, login - 1e3))


def revocations_end_with_their_time(patch: pytest.MonkeyPatch) -> None:
    """A tombstone is not kept after `until`."""
    init = Tombstones.__init__
    patch.setattr(Tombstones, "__init__", lambda self, _longest: init(self, 0))


def revocations_are_sent_once(patch: pytest.MonkeyPatch) -> None:
    revoke = Outbox.revoke

    def once(self: Outbox, denied: Denied, now: float) -> None:
        revoke(self, denied, now)
        self._revokes_at = None

    patch.setattr(Outbox, "revoke", once)


def an_undone_revocation_holds(patch: pytest.MonkeyPatch) -> None:
    """The latest `until` counts, not the highest number."""
    add = Tombstones.add

    def latest(self: Tombstones, denied: Denied, now: float) -> bool:
        before = self.get(denied.node, denied.subject)
        return add(self, denied if before is None else denied._replace(until=max(before.until, denied.until)), now)

    patch.setattr(Tombstones, "add", latest)


def the_later_row_loses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(origins, "_counts_more", lambda *_: False)


def sessions_are_sent_whole(patch: pytest.MonkeyPatch) -> None:
    """A row is sent with the end that its open session may have at most."""
    made = Outbox._made

    def whole(self: Outbox, ips: Iterable[str], now: float) -> list[Fields]:
        ends = {ip: int((own.expires - now) * 1000) for ip, own in self._rows.owns(ips)}
        return [(ip, ends[ip], *more) for ip, _, *more in made(self, ips, now)]  # type: ignore[misc]

    patch.setattr(Outbox, "_made", whole)
    rows = Inbox._rows

    def unbounded(self: Inbox, *arguments: Any) -> None:
        longest, self._longest = self._longest, 1 << 53
        rows(self, *arguments)
        self._longest = longest

    patch.setattr(Inbox, "_rows", unbounded)


BROKEN: list[Break] = [
    each
    for each in dict(globals()).values()
    if inspect.isfunction(each)
    and each.__module__ == __name__
    and list(inspect.signature(each).parameters) == ["patch"]
]
