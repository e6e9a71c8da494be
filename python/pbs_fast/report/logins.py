"""What is known of each login: its addresses, how it relays, and what caps would have refused. Bounded per login."""

from __future__ import annotations

from collections.abc import Sequence

from pbs_fast.caps.limits import ADDRESS_RATE, USER_RATES
from pbs_fast.caps.windows import Rate, Window
from pbs_fast.util.addresses import Network, parse

#: The recommended caps; over one of them a login is suspect.
USER_CAPS = USER_RATES
ADDRESS_CAP = ADDRESS_RATE
#: What is tried besides, for the table of `--caps`.
TRIED = (Rate(50, 3_600), Rate(100, 3_600), USER_CAPS[0], Rate(500, 3_600), USER_CAPS[1])


def with_tried(rates: Sequence[Rate]) -> tuple[Rate, ...]:
    """TRIED, then those of the rates that are not in it."""
    return tuple(dict.fromkeys((*TRIED, *rates)))


#: Different things of one login that are kept; a login with more is no device and is in no fixed network.
_MOST_NAMES = 16
_MOST_ADDRESSES = 64


class Spread:
    """In how small a network some addresses lie, each family apart."""

    __slots__ = ("_families", "_only")

    def __init__(self) -> None:
        self._only: str | None = None
        """The first address, as long as it is the only one; most logins have no other, and it is not parsed then."""
        self._families: dict[int, tuple[int, int]] | None = None
        """Width -> one address, and the bits in which others differ from it."""

    def add(self, ip: str) -> None:
        """One more address."""
        if self._only is None and self._families is None:
            self._only = ip
        elif ip != self._only:
            self._parse(ip)

    def _parse(self, ip: str | None) -> dict[int, tuple[int, int]]:
        if self._families is None:
            self._families = {}
        for text in (self._only, ip):
            if text is not None and (address := parse(text)) is not None:
                width, value = address
                first, differing = self._families.get(width, (value, 0))
                self._families[width] = first, differing | (value ^ first)
        self._only = None
        return self._families

    def networks(self) -> list[Network]:
        """The smallest network of each family that holds all its addresses."""
        found = []
        for width, (value, differing) in sorted(self._parse(None).items()):
            bits = differing.bit_length()
            found.append(Network(width, value >> bits << bits, width - bits))
        return found

    def fixed(self) -> list[Network] | None:
        """The networks as a site has them: an address or up to a /29, with IPv6 a /64; None for others."""
        found = []
        for network in self.networks():
            if network.width == 128:
                # Privacy addresses change within the /64 (RFC 8981).
                if network.prefix < 64:
                    return None
                network = Network(128, network.value >> 64 << 64, 64)
            elif network.prefix < 29:
                return None
            found.append(network)
        return found


class Relaying:
    """What a login sent by its grants."""

    __slots__ = (
        "addresses", "certain", "helos", "max_recipients", "max_since", "messages", "most_an_hour",
        "recipients", "refused", "refused_by_address", "sessions", "shared", "spread", "tls", "windows",
    )  # fmt: skip

    def __init__(self) -> None:
        self.messages = 0
        self.certain = 0
        """Messages whose login the policy service named."""
        self.recipients = 0
        self.max_recipients = 0
        """Most of one message."""
        self.max_since = 0
        """The longest time between a login and a message, in seconds."""
        self.shared = 0
        """Messages from an address with several users."""
        self.addresses: dict[str, int] = {}
        """Messages by address."""
        self.spread = Spread()
        self.helos: set[str] = set()
        self.sessions = 0
        self.tls = 0
        """Sessions, and those of them with TLS."""
        self.windows: list[Window] = []
        """One for what is sent in an hour, and one for each rate that is tried; none before the first recipient."""
        self.most_an_hour = 0
        self.refused: list[int] = []
        """Recipients that each rate that is tried would have refused; empty before the first."""
        self.refused_by_address = 0

    def message(self, ip: str, since: int, *, shared: bool, certain: bool) -> None:
        """One more message."""
        self.messages += 1
        self.certain += certain
        self.shared += shared
        self.max_since = max(self.max_since, since)
        if ip in self.addresses or len(self.addresses) < _MOST_ADDRESSES:
            self.addresses[ip] = self.addresses.get(ip, 0) + 1
        self.spread.add(ip)

    def recipient(self, second: int, of_message: int, tried: Sequence[Rate] = TRIED) -> None:
        """One more recipient; with it the message has this many. `tried` is the same each time."""
        self.recipients += 1
        self.max_recipients = max(self.max_recipients, of_message)
        if not self.windows:
            self.windows = [Window(3_600), *(Window(rate.seconds) for rate in tried)]
            self.refused = [0] * len(tried)
        hour, *windows = self.windows
        self.most_an_hour = max(self.most_an_hour, hour.add(second))
        for index, (window, rate) in enumerate(zip(windows, tried, strict=True)):
            self.refused[index] += 1 - window.admit(second, rate.limit)

    def greets(self, helo: str) -> None:
        """The client called itself so."""
        if len(self.helos) < _MOST_NAMES:
            self.helos.add(helo)


class Login:
    """One login: a user, or an address whose server logs no user."""

    __slots__ = (
        "_addresses", "_day", "_last_ip", "_spread", "first", "last", "logins", "most_addresses", "name", "relaying",
        "user",
    )  # fmt: skip

    def __init__(self, name: str, user: str | None, second: int, day: int = -1, ip: str = "") -> None:
        """`day` and `ip` are those of its first login (as for `seen`); none where it is only named so far."""
        self.name = name
        self.user = user
        """None where the server logs none; `name` is the address then."""
        self.logins = 1 if ip else 0
        self.first = self.last = second
        """Seconds since the epoch."""
        self.most_addresses = 1
        """Most addresses (IPv6: /64) on one day."""
        self.relaying: Relaying | None = None
        # Most logins have one address, on a day or at all: sets and spreads are made for the second one.
        self._last_ip = ip
        self._spread: Spread | None = None
        self._day = day
        self._addresses: set[str] | None = None
        """Those of that day, where there are several."""

    def seen(self, second: int, day: int, ip: str) -> None:
        """It logs in; `day` is any number that goes up at midnight."""
        self.logins += 1
        if second > self.last:
            self.last = second
        before = self._last_ip
        if ip == before and day == self._day:
            return
        if day != self._day:
            self._day, self._addresses = day, None
        elif ip != before:
            if self._addresses is None:
                self._addresses = {_site(before)}
            self._addresses.add(_site(ip))
            self.most_addresses = max(self.most_addresses, len(self._addresses))
        if ip != before:
            if before:
                if self._spread is None:
                    self._spread = Spread()
                    self._spread.add(before)
                self._spread.add(ip)
            self._last_ip = ip

    @property
    def spread(self) -> Spread:
        """Where it logs in from."""
        if self._spread is not None:
            return self._spread
        only = Spread()
        if self._last_ip:
            only.add(self._last_ip)
        return only

    def relays(self) -> Relaying:
        """What it sends, from its first message on."""
        if self.relaying is None:
            self.relaying = Relaying()
        return self.relaying


def _site(ip: str) -> str:
    """The address, or the /64 of an IPv6 address, as text that serves as a key."""
    if ":" not in ip:
        return ip
    address = parse(ip)
    return ip if address is None else f"{address[1] >> 64:x}"
