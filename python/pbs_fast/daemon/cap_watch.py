"""The loop's side of the caps: what happens if one is reached, and what status, `why` and metrics say of them.

The tables' threads count (`caps/counter.py`) and put alarms into a deque; the loop empties it each turn. A cap that is
reached is one line, one event and a standing notice, once an hour for each login or address and cap.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Final

from pbs_fast.caps.attribution import Message, sent_by
from pbs_fast.caps.counter import CapCounter, Exceeded
from pbs_fast.caps.counts import HOUR, MOST
from pbs_fast.caps.limits import Limits
from pbs_fast.errors import ConfigError, UsageError
from pbs_fast.log.records import event
from pbs_fast.tables.protocol import CountingTable
from pbs_fast.util.bell import Bell
from pbs_fast.util.text import printable, rfc3339

if TYPE_CHECKING:
    from pbs_fast.config import Settings
    from pbs_fast.control import replies, why_reply
    from pbs_fast.daemon.cap_state import CapState
    from pbs_fast.health.notices import Notices
    from pbs_fast.tables import Table
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

#: Notices about single logins; more are one notice, so that a flood of logins leaves room for other trouble.
_NOTICES: Final = 10
#: The source of that one.
_MORE: Final = "\0more"
#: Seconds of one turn after which no further alarm is handled: each searches the messages of a day, which takes up to
#: 30 ms, and a flood over many logins brings thousands at once.
_BUDGET: Final = 0.01
#: Addresses and queue ids that an event names.
_NAMED: Final = 100
#: Messages in a reply.
_MESSAGES: Final = 1_000

#: Denies a login for some seconds and removes its rows, in parts; the reason.
Deny = Callable[[str, int, str], Iterator[object]]


@dataclass(frozen=True, slots=True)
class OverCap:
    """What an event `cap` says besides its text."""

    alarm: Exceeded
    addresses: tuple[str, ...]
    """Where the messages of the last hour came from."""
    messages: int
    queue_ids: tuple[str, ...]


class CapWatch:
    """Belongs to the loop; `counter` is shared with the tables' threads."""

    def __init__(self, counter: CapCounter, clock: Clock, notices: Notices, state: CapState) -> None:
        self.counter = counter
        self._clock, self._notices, self._state = clock, notices, state
        self._standing: dict[str, float] = {}
        """Source of a notice -> when it ends, on the ledger's clock; in this order."""
        self._denying: list[Iterator[object]] = []
        self._bell = Bell()
        counter.wake = self._bell.ring

    def begin(self, tables: Iterable[Table]) -> None:
        """The tables are open: write the state from now on, if one of them counts, and say which caps are in force."""
        self.counter.asked = any(isinstance(table, CountingTable) for table in tables)
        if self.counter.asked:
            self._state.start()
        tell_caps(self.counter)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Becomes readable when a cap is reached."""
        return self._bell.fileno()

    def drain(self) -> None:
        """Forget the wake-ups."""
        self._bell.drain()

    @property
    def busy(self) -> bool:
        """The loop must not sleep."""
        return bool(self.counter.alarms or self._denying)

    def turned(self, deny: Deny) -> None:
        """Handle what is due."""
        if not (self.counter.alarms or self._denying or self._standing):
            return
        begun = time.monotonic()
        while self.counter.alarms:
            self._reached(self.counter.alarms.popleft(), deny)
            if time.monotonic() - begun >= _BUDGET:
                break
        if self._denying and next(self._denying[0], self) is self:
            del self._denying[0]
        now = self._clock.now() if self._standing else 0.0
        while self._standing and self._standing[first := next(iter(self._standing))] <= now:
            del self._standing[first]
            self._notices.clear("cap", first)

    def close(self) -> None:
        """After the tables were closed: nothing is counted any more."""
        self._state.close()
        self._bell.close()

    def _reached(self, alarm: Exceeded, deny: Deny) -> None:
        sent = self._sent(alarm, alarm.at - HOUR)
        over = OverCap(
            alarm,
            tuple(dict.fromkeys([alarm.address, *(each.address for each in reversed(sent))]))[:_NAMED],
            len(sent),
            tuple([each.queue_id for each in reversed(sent) if each.queue_id][:_NAMED]),
        )
        whom = printable(alarm.what) or f"new ones of more than {MOST:,} logins and addresses"
        text = (
            f"over a cap: {alarm.of}={whom} cap={alarm.cap.partition(' ')[2]} count={alarm.used} "
            f"refused={alarm.refused} messages={over.messages} from={','.join(over.addresses[:10])} "
            f"queue_ids={','.join(over.queue_ids[:10]) or '-'}"
        )
        log.warning(text, extra=event("cap", [over]))
        self._notice(alarm, whom)
        if alarm.revoke:
            log.warning(
                f"revoking {whom} for an hour: {alarm.refused} of its recipients were refused within an hour "
                "(caps.revoke_after)"
            )
            why = f"over the cap {alarm.cap}: {alarm.refused} recipients refused within an hour"
            self._denying.append(deny(alarm.what, HOUR, why))

    def _notice(self, alarm: Exceeded, whom: str) -> None:
        source = f"{alarm.of} {alarm.what.casefold()}"
        single = sum(each != _MORE for each in self._standing)
        text = f"{whom} reached its cap {alarm.cap.partition(' ')[2]} ({alarm.words}); see: pbs-fast why {quote(whom)}"
        if source not in self._standing and single >= _NOTICES:
            source, text = _MORE, "more logins and addresses reached a cap within the last hour; the log names them"
        elif not alarm.what:
            text = f"{whom} are counted together and reached the cap {alarm.cap.partition(' ')[2]}"
        self._standing.pop(source, None)
        self._standing[source] = alarm.at + HOUR
        self._notices.set("cap", source, text, self._clock.wall())

    # -- what commands ask --------------------------------------------------------------------------------------------

    def status(self) -> replies.Caps | None:
        """Who is over a cap; None without caps."""
        counter = self.counter
        if not counter.limits:
            return None
        over = counter.over(self._clock.now())
        return {"users_over": over["user"], "addresses_over": over["address"], "exceeded": dict(counter.exceeded)}

    def uses(self, users: dict[str, str], addresses: list[str]) -> list[why_reply.CapUse]:
        """How much of their caps some logins (login -> where it sends from) and addresses have used."""
        now = self._clock.now()
        found = [
            *(
                use
                for user, address in users.items()
                for use in self.counter.uses(user, address, now)
                if use.of == "user"
            ),
            *(use for address in addresses for use in self.counter.uses(None, address, now)),
        ]
        return [
            {
                "of": use.of,
                "what": use.what,
                "cap": use.cap.written,
                "used": use.used,
                "limit": use.cap.rate.limit,
                "refused": use.refused,
                "text": use.cap.words(use.used),
            }
            for use in found
        ]

    def mail(self, user: str | None, address: str | None) -> list[why_reply.Mail]:
        """The messages of a login, or of an address, that are remembered; the oldest first, at most 1,000."""
        shift = self._clock.to_wall(0)
        some = sent_by(self.counter.sent(), user, address, 0)[-_MESSAGES:]
        return [
            {
                "at": rfc3339(each.at + shift),
                "ip": each.address,
                "user": each.user,
                "queue_id": each.queue_id or None,
                "recipients": each.recipients,
            }
            for each in some
        ]

    def sent_lately(self, user: str) -> int:
        """Messages of a login within the last hour, as far as they are remembered."""
        return len(sent_by(self.counter.sent(), user, None, self._clock.now() - HOUR))

    def _sent(self, alarm: Exceeded, since: float) -> list[Message]:
        if not alarm.what:
            return []
        user, address = (alarm.what, None) if alarm.of == "user" else (None, alarm.what)
        return sent_by(self.counter.sent(), user, address, since)


def limits_of(settings: Settings) -> Limits:
    """The caps of a configuration. Raises ConfigError."""
    caps = settings.config.caps
    try:
        return Limits(caps.user, caps.address, caps.action, caps.revoke_after, caps.exceptions)
    except UsageError as error:
        raise ConfigError(f"{settings.origin('caps.revoke_after')}: {error}") from None


def tell_caps(counter: CapCounter) -> None:
    """Say which caps are in force, what of them is hardly meant, and if no table asks about them."""
    limits = counter.limits
    if not limits:
        return
    log.info(f"caps: {', '.join(limits.caps)}; over one: {limits.action}")
    for warning in limits.warnings():
        log.warning(warning)
    if not counter.asked:
        log.warning("[caps] has no effect without a table policy:, which Postfix asks (docs/CAPS.md)")
