"""Counts what granted clients send, and judges each recipient: what tables that count share with the daemon's loop.

Invariants
- A recipient that is refused or held counts against no cap, so a client that tries again recovers; these are counted
  apart.
- A message counts once: with its first accepted recipient.
- All times are seconds of the ledger's clock, which nobody sets; a state file translates them (`caps/state.py`).

The tables' threads and the loop share one lock, held for microseconds; long work (a state file, a search) takes it for
a part at a time.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from pbs_fast.caps.attribution import Attribution, Message
from pbs_fast.caps.counts import HOUR, MOST, OTHER, Counts, Kept, Key, Tally, key_of
from pbs_fast.caps.decision import OK, Verdict
from pbs_fast.caps.limits import Cap, Limits
from pbs_fast.util.text import fold_user

#: Keys of which the highest use of each cap is looked for; the others have used less.
_NEAR: Final = 64
#: Keys whose windows are copied under one hold of the lock.
_PART: Final = 500
#: Keys and caps that are remembered as over: a bound for an attack that uses very many logins.
_MOST_OVER: Final = 10_000
#: Alarms that wait for the loop; one that hangs for a minute of attack loses the oldest.
_WAITING: Final = 4_096


class Exceeded(NamedTuple):
    """A login or an address is over a cap: once an hour and cap, and when it is to be revoked."""

    of: str
    """`user` or `address`."""
    what: str
    """The login as its row names it, or the address; "" for all that were too many to count apart."""
    cap: str
    """The cap's name, as `user 200/1h`."""
    words: str
    """`200 of 200 recipients in an hour`."""
    used: int
    """What counts against the cap."""
    refused: int
    """Recipients that were refused, or held, within the hour."""
    address: str
    """Where the recipient came from."""
    at: float
    revoke: bool = False
    """It is refused `revoke_after` caps' worth."""


class Use(NamedTuple):
    """How much of a cap is used."""

    of: str
    what: str
    cap: Cap
    used: int
    refused: int


class CapCounter:
    """Implements `decision.Caps`. Thread-safe."""

    def __init__(self, limits: Limits, wake: Callable[[], None] = lambda: None, *, most: int = MOST) -> None:
        """`wake` is called when the loop should look at `alarms`."""
        self.alarms: deque[Exceeded] = deque(maxlen=_WAITING)
        self.wake = wake
        self.asked = False
        """A table asks about recipients; else nothing is ever counted."""
        self.exceeded: Counter[str] = Counter()
        """Cap -> recipients that were over it; all caps from the start, so that its size changes in `reload` only."""
        self._lock = threading.Lock()
        self._counts = Counts(most)
        self._attribution = Attribution()
        self._over: dict[tuple[Key, str], float] = {}
        """Key and cap -> when it was last over it; the latest last."""
        self._near: dict[str, dict[Key, float]] = {}
        """Cap -> the keys that had used most of it, each with its share."""
        self._set(limits)

    @property
    def holds(self) -> bool:
        """Whether a verdict may be `hold`."""
        return self._limits.action == "hold"

    @property
    def limits(self) -> Limits:
        """The caps in force."""
        return self._limits

    def reload(self, limits: Limits) -> None:
        """Put other caps into force. What was counted so far goes on, as far as a window of that length was there."""
        with self._lock:
            self._set(limits)

    def _set(self, limits: Limits) -> None:
        self._limits = limits
        self._counts.shape(limits.caps.values())
        self._near = {name: self._near.get(name, {}) for name in limits.caps}
        for name in limits.caps:
            self.exceeded.setdefault(name, 0)

    # -- the tables' threads ------------------------------------------------------------------------------------------

    def count(
        self, user: str | None, address: str, instance: str, queue_id: str, now: float, *, new_message: bool
    ) -> Verdict:
        """Judge one more recipient, and count it."""
        with self._lock:
            waiting = len(self.alarms)
            verdict = self._judge(user, address, now, new_message=new_message) if self._limits else OK
            if verdict.kind != "over":
                self._attribution.accepted(user, address, instance, queue_id, now)
            waits = len(self.alarms) > waiting
        if waits:
            self.wake()
        return verdict

    def queued(
        self,
        user: str | None,  # noqa: ARG002 - the message's first recipient was charged to somebody already
        address: str,
        instance: str,
        queue_id: str,
        now: float,  # noqa: ARG002
    ) -> None:
        """Note the queue id of a message."""
        with self._lock:
            self._attribution.queued(address, instance, queue_id)

    def _judge(self, user: str | None, address: str, now: float, *, new_message: bool) -> Verdict:
        counts = self._counts
        charged = self._charged(user, address, now)
        over: tuple[Key, Tally, Cap, int] | None = None
        for key, tally, some in charged:
            for cap in some:
                if (new_message or not cap.messages) and (used := tally.used(cap, now)) >= cap.rate.limit:
                    over = over or (key, tally, cap, used)
        if over is None or self._limits.action == "warn":
            for key, tally, some in charged:
                shapes = counts.shapes(key[0]) if key[1] else counts.all_shapes
                tally.add(shapes, now, new_message=new_message)
                self._note(key, tally, some, now)
        if over is None:
            return OK
        key, tally, cap, used = over
        words = cap.words(used)
        refused = tally.refuse(now)
        self._note(key, tally, [cap], now)  # after a restart nothing else does: what is refused is not counted
        self.exceeded[cap.name] += 1
        self._over.pop((key, cap.name), None)
        self._over[key, cap.name] = now
        if len(self._over) > _MOST_OVER:
            del self._over[next(iter(self._over))]
        self._alarm(key, tally, Exceeded(
            cap.of if key[1] else "address", (user or "") if cap.of == "user" and key[1] else key[1],
            cap.name, words, used, refused, address, now,
        ), cap)  # fmt: skip
        kind = {"defer": "over", "warn": "warn", "hold": "hold"}[self._limits.action]
        return Verdict(kind, words if cap.of == "user" else f"{words} from this address", cap.name)  # type: ignore[arg-type]

    def _charged(self, user: str | None, address: str, now: float) -> list[tuple[Key, Tally, tuple[Cap, ...]]]:
        """The tallies that a recipient counts in, and the caps of each."""
        limits, counts = self._limits, self._counts
        found: dict[Key, tuple[Key, Tally, tuple[Cap, ...]]] = {}
        if user and counts.shapes("user"):
            folded = fold_user(user)
            key, tally = counts.take(key_of("user", folded), now)
            found[key] = key, tally, limits.of_user(folded, address)
        if counts.shapes("address"):
            key, tally = counts.take(key_of("address", address), now)
            found[key] = key, tally, limits.of_address(address)
        if (other := found.get(("address", OTHER))) is not None:
            found[other[0]] = *other[:2], limits.of_other()
        return list(found.values())

    def _note(self, key: Key, tally: Tally, caps: Iterable[Cap], now: float) -> None:
        """Remember who has used most of each cap."""
        for cap in caps:
            near = self._near[cap.name]
            near[key] = tally.used(cap, now) / cap.rate.limit
            if len(near) > 2 * _NEAR:
                self._near[cap.name] = dict(heapq.nlargest(_NEAR, near.items(), key=lambda item: item[1]))

    def _alarm(self, key: Key, tally: Tally, what: Exceeded, cap: Cap) -> None:
        after = self._limits.revoke_after
        revokes = after > 0 and key[0] == "user" and cap.of == "user" and what.refused >= after * cap.rate.limit
        if revokes:
            # The denial lasts an hour; should the login come back, it has to be refused as much again.
            tally.refused = None
        elif what.at < tally.alarmed.get(cap.name, what.at):
            return
        tally.alarmed[cap.name] = what.at + HOUR
        self.alarms.append(what._replace(revoke=revokes))

    # -- the loop -----------------------------------------------------------------------------------------------------

    def uses(self, user: str | None, address: str, now: float) -> list[Use]:
        """How much of their caps a login and an address have used; either may be missing (None, "")."""
        found: list[Use] = []
        with self._lock:
            limits = self._limits
            asked: list[tuple[Key, str, tuple[Cap, ...]]] = []
            if user:
                folded = fold_user(user)
                asked.append((key_of("user", folded), user, limits.of_user(folded, address)))
            if address:
                asked.append((key_of("address", address), address, limits.of_address(address)))
            for key, what, caps in asked:
                tally = self._counts.get(key)
                refused = 0 if tally is None or tally.refused is None else tally.refused.used(now)
                found += [Use(key[0], what, cap, 0 if tally is None else tally.used(cap, now), refused) for cap in caps]
        return found

    def sent(self) -> list[Message]:
        """The messages that are remembered, the oldest first."""
        with self._lock:
            return self._attribution.messages()

    def over(self, now: float) -> dict[str, int]:
        """How many logins (`user`) and addresses (`address`) were over a cap within the last hour."""
        with self._lock:
            self._prune(now)
            keys = {key for key, _ in self._over}
        return {of: sum(key[0] == of for key in keys) for of in ("user", "address")}

    def shares(self, now: float) -> dict[str, tuple[int, float]]:
        """Cap -> how many are at it now, and the highest share of it that is used: 1 is all of it."""
        with self._lock:
            self._prune(now)
            at = Counter(name for key, name in self._over if self._share(key, name, now) >= 1)
            for name, near in self._near.items():
                shares = {key: self._share(key, name, now) for key in near}
                self._near[name] = {key: share for key, share in shares.items() if share}
            return {name: (at[name], max(near.values(), default=0.0)) for name, near in self._near.items()}

    def _share(self, key: Key, name: str, now: float) -> float:
        tally, cap = self._counts.get(key), self._limits.caps.get(name)
        return 0.0 if tally is None or cap is None else tally.used(cap, now) / cap.rate.limit

    def _prune(self, now: float) -> None:
        while self._over and now - self._over[oldest := next(iter(self._over))] >= HOUR:
            del self._over[oldest]

    def kept(self, now: float) -> list[Kept]:
        """All windows that count, for a state file. Holds the lock for some keys at a time."""
        with self._lock:
            keys = self._counts.keys()
        found: list[Kept] = []
        for start in range(0, len(keys), _PART):
            with self._lock:
                found += self._counts.kept(keys[start : start + _PART], now)
        return found

    def restore(self, kept: Iterable[Kept], now: float) -> None:
        """Count again what an earlier run kept."""
        with self._lock:
            self._counts.restore(kept, now)
