"""Logins and Postfix's lines put together: which message relied on a grant, of which login, how long after it.

A message relied on a grant when nobody authenticated, its client is not in mynetworks, a grant of that address was
alive when it came in (± 2 s), and Postfix tried to hand it to another host for at least one recipient. Messages are
kept for some hours of the log at most, so memory does not grow with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

from pbs_fast.caps.windows import Rate, Window
from pbs_fast.matching.postfix import NOQUEUE, PostfixLine
from pbs_fast.report.grants import LENIENT, LoginLine
from pbs_fast.report.logins import ADDRESS_CAP, TRIED, Login
from pbs_fast.report.remembered import REMEMBERED, Remembered

if TYPE_CHECKING:
    from pbs_fast.report.days import Days
    from pbs_fast.report.grants import Grants
    from pbs_fast.report.merge import Slice

GRANT, AUTH, MYNETWORKS = WAYS = ("grant", "auth", "mynetworks")

_LAST = 1 << 62
#: After the last fact of a slice.
_AT_LAST: tuple[PostfixLine] = ((_LAST, -1, b"", "", None, None, "", False),)
#: After the last login of a slice.
_NO_LOGIN: tuple[LoginLine] = ((_LAST, "", None),)
_SECOND = itemgetter(0)
#: Recipients of one message that are told apart.
_MOST_RECIPIENTS = 100_000


#: Way and day of a message of which nothing else is asked.
Plain = tuple[str, int]


class Message:
    """A message by a grant, or of this host, that may count."""

    __slots__ = ("certain", "ip", "login", "recipients", "second", "shared", "since", "way")

    def __init__(self, second: int, ip: str, way: str) -> None:
        self.second = second
        self.ip = ip
        self.way = way
        self.recipients: set[bytes] = set()
        self.login: Login | None = None
        """Whom it counts for; of GRANT only."""
        self.since = 0
        self.shared = self.certain = False


class Join:
    """Counts what passes. Not for several threads at once."""

    def __init__(
        self,
        grants: Grants,
        is_local: Callable[[str], bool],
        days: Days,
        *,
        since: float,
        tried: Sequence[Rate] = TRIED,
    ) -> None:
        """`is_local` tells the addresses of mynetworks. `since` is the second from which on things count; earlier
        logins only grant. `tried` are rates of recipients of a login that are tried."""
        self.tried = tried
        self.logins: dict[str, Login] = {}
        """By name, case-folded as the deny list does."""
        self.authenticated: set[str] = set()
        """Case-folded."""
        self.daily: dict[int, Counter[str]] = {}
        """Number of the day -> messages by way."""
        self.delays: Counter[int] = Counter()
        """Seconds since the login -> messages."""
        self.login_lines = 0
        self.first: int | None = None
        self.last: int | None = None
        """Least and greatest second of what was seen."""
        self._grants = grants
        self._is_local = is_local
        self.days = days
        self._since = since
        self._messages: Remembered[Message | Plain] = Remembered(REMEMBERED)
        self._behind_filter: Remembered[str] = Remembered(600)
        """Address -> who authenticated there lately, in front of a before-queue filter."""
        self._windows: Remembered[Window] = Remembered(2 * ADDRESS_CAP.seconds)

    def take(self, piece: Slice) -> None:
        """Everything of one slice, in the order of time."""
        lines = self._grants.replay(piece)
        happens, logins, since = self._grants.login, self.logins, self._since
        begin = stop = day = 0
        pending = iter(chain(lines, _NO_LOGIN))
        when, ip, user = next(pending)
        # One plain loop: a call more for each of a million logins is a quarter of a second.
        for fact in chain(piece.facts, _AT_LAST):
            second = fact[0]
            limit = second + LENIENT
            while when <= limit and ip:
                happens(when, ip, user)
                if when >= since:
                    self.login_lines += 1
                    if not begin <= when < stop:
                        begin, stop, day = self.days.around(when)
                    name = f"[{ip}]" if user is None else user.casefold()
                    login = logins.get(name)
                    if login is None:
                        logins[name] = Login(name if user is None else user, user, when, day, ip)
                    else:
                        login.seen(when, day, ip)
                when, ip, user = next(pending)
            if second != _LAST:
                _REACT[fact[1]](self, fact)
        for found in (lines, piece.facts):
            # A slice may begin before `since` and end after it.
            first = bisect_left(found, since, key=_SECOND)
            if first < len(found):
                self._span(found[first][0])
                self._span(found[-1][0])
        self._grants.ended(piece)

    def _span(self, second: int) -> None:
        if self.last is None or self.first is None:
            self.first = self.last = second
        elif second > self.last:
            self.last = second
        elif second < self.first:
            self.first = second

    def _recipient(self, line: PostfixLine) -> None:
        _, _, key, _, _, recipient, _, _ = line
        message = self._messages.get(key)
        if message is not None and recipient is not None:
            self._went(key, message, recipient)

    def _session(self, line: PostfixLine) -> None:
        second, _, _, ip, _, _, _, tls = line
        login = self._at(ip, second)
        if login is not None:
            relaying = login.relays()
            relaying.sessions += 1
            relaying.tls += tls

    def _greeting(self, line: PostfixLine) -> None:
        second, _, _, ip, _, _, helo, _ = line
        login = self._at(ip, second)
        if login is not None:
            login.relays().greets(helo)

    def _at(self, ip: str, second: int) -> Login | None:
        """Whose grant the address has."""
        held = self._grants.at(ip, second) if second >= self._since else None
        return None if held is None else self._of(held.user, ip)

    def _of(self, user: str | None, ip: str) -> Login | None:
        return self.logins.get(f"[{ip}]" if user is None else user.casefold())

    def _client(self, line: PostfixLine) -> None:
        second, _, key, ip, user, original, _, forwarded = line
        if original is not None and (before := self._messages.get(original)) is not None:
            self._messages.put(key, before, second)
            return
        if forwarded and user is None:
            user = self._behind_filter.get(ip)
        if user is not None:
            if key.endswith(NOQUEUE):
                self._behind_filter.put(ip, user, second)
                return
            self.authenticated.add(user.casefold())
            message: Message | Plain = AUTH, self.days.number(second)
        elif self._is_local(ip):
            if ip.startswith("127.") or ip == "::1":
                message = Message(second, ip, MYNETWORKS)
            else:
                message = MYNETWORKS, self.days.number(second)
        else:
            held = self._grants.at(ip, second)
            if held is None or (login := self._of(held.user, ip)) is None:
                return
            message = Message(second, ip, GRANT)
            message.login, message.since, message.shared = login, held.since, held.shared
        if second >= self._since and not key.endswith(NOQUEUE):
            self._messages.put(key, message, second)

    def _named(self, line: PostfixLine) -> None:
        _, _, key, _, user, _, helo, has_more = line
        message = self._messages.get(key)
        if not isinstance(message, Message) or message.login is None or message.recipients:
            return
        if user is None:
            return
        login = self.logins.get(user.casefold())
        if login is None:
            login = self.logins[user.casefold()] = Login(user, user, message.second)
        message.login, message.certain = login, True
        message.shared = message.shared or has_more
        login.relays().greets(helo)

    def _filtered(self, line: PostfixLine) -> None:
        """The message that the filter queued anew is the one it got."""
        second, _, key, _, _, new, _, _ = line
        if new is None:
            return
        message, anew = self._messages.get(key), self._messages.get(new)
        if message is None or not isinstance(anew, Message) or anew.login is not None or anew is message:
            return
        self._messages.put(new, message, second)
        if anew.recipients:
            # It went out before the filter's answer was logged.
            self.daily[self.days.number(anew.second)][anew.way] -= 1
            for recipient in sorted(anew.recipients):
                self._went(new, message, recipient)

    def _went(self, key: bytes, message: Message | Plain, recipient: bytes) -> None:
        """Postfix tried to hand a message to another host for this recipient."""
        if isinstance(message, tuple):
            way, day = message
            self.daily.setdefault(day, Counter())[way] += 1
            self._messages.drop(key)
            return
        recipients = message.recipients
        if recipient in recipients or len(recipients) >= _MOST_RECIPIENTS:
            return
        recipients.add(recipient)
        if len(recipients) == 1:
            self._counted(message)
        if message.login is not None:
            relaying = message.login.relays()
            relaying.recipient(message.second, len(recipients), self.tried)
            window = self._windows.get(message.ip)
            if window is None:
                window = Window(ADDRESS_CAP.seconds)
            self._windows.put(message.ip, window, message.second)
            relaying.refused_by_address += 1 - window.admit(message.second, ADDRESS_CAP.limit)

    def _counted(self, message: Message) -> None:
        day = self.days.number(message.second)
        self.daily.setdefault(day, Counter())[message.way] += 1
        if message.login is not None:
            self.delays[message.since] += 1
            message.login.relays().message(message.ip, message.since, shared=message.shared, certain=message.certain)


#: By the kinds' numbers. Not bound to a Join, which would then be part of a cycle, with all that it counted.
_REACT: tuple[Callable[[Join, PostfixLine], None], ...] = (
    Join._client,
    Join._recipient,
    Join._filtered,
    Join._named,
    Join._greeting,
    Join._session,
)
