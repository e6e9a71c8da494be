"""What each login and address sent lately, in windows; bounded. Pure: no clock, not for several threads at once.

There are MOST keys, logins and addresses together. One that was silent for its longest window is forgotten first; where
all have sent within it, new ones are counted together as OTHER, so that memory is bounded and nobody goes uncounted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pbs_fast.caps.limits import Cap, Of
from pbs_fast.caps.windows import Window

#: Logins and addresses. Each takes about 1,000 bytes (three windows).
MOST: Final = 100_000
#: Seconds in which refusals are counted, and after which the same cap is an alarm again.
HOUR: Final = 3_600
#: Characters of a name by which it is known: longer ones that begin alike are counted together.
LONGEST_NAME: Final = 256
#: The key of all that are too many. No login and no address is empty.
OTHER: Final = ""

Key = tuple[Of, str]
Shape = tuple[bool, int]
"""Whether a window counts messages, and its seconds."""


class Tally:
    """One login or address."""

    __slots__ = ("alarmed", "last", "refused", "windows")

    def __init__(self) -> None:
        self.windows: dict[Shape, Window] = {}
        self.refused: Window | None = None
        """Refused recipients of an hour; they do not count against any cap."""
        self.last = 0.0
        self.alarmed: dict[str, float] = {}
        """Cap -> when there may be an alarm again."""

    def used(self, cap: Cap, now: float) -> int:
        """What counts against a cap."""
        window = self.windows.get((cap.messages, cap.rate.seconds))
        return 0 if window is None else window.used(now)

    def add(self, shapes: Iterable[Shape], now: float, *, new_message: bool) -> None:
        """Count an accepted recipient."""
        for shape in shapes:
            if new_message or not shape[0]:
                if (window := self.windows.get(shape)) is None:
                    window = self.windows[shape] = Window(shape[1])
                window.add(now)

    def refuse(self, now: float) -> int:
        """Count a refused recipient; how many there were within an hour."""
        if self.refused is None:
            self.refused = Window(HOUR)
        return self.refused.add(now)


class Kept(NamedTuple):
    """One window of a key, as a state file keeps it."""

    key: Key
    shape: Shape | None
    """None: the refused recipients."""
    parts: list[tuple[float, int]]
    """As `Window.parts`."""


class Counts:
    """The tallies by key, those that sent least lately first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._tallies: OrderedDict[Key, Tally] = OrderedDict()
        self._longest = HOUR
        self._shapes: dict[Of, tuple[Shape, ...]] = {"user": (), "address": ()}
        self.all_shapes: tuple[Shape, ...] = ()
        """Those of OTHER."""

    def __len__(self) -> int:
        return len(self._tallies)

    def shape(self, caps: Iterable[Cap]) -> None:
        """Which windows there are from now on; what was counted in these goes on."""
        shapes: dict[Of, dict[Shape, None]] = {"user": {}, "address": {}}
        for cap in caps:
            shapes[cap.of][cap.messages, cap.rate.seconds] = None
        self._shapes = {of: tuple(each) for of, each in shapes.items()}
        self.all_shapes = tuple({shape: None for each in shapes.values() for shape in each})
        self._longest = max((seconds for each in shapes.values() for _, seconds in each), default=HOUR)
        for (of, name), tally in self._tallies.items():
            for gone in tally.windows.keys() - (shapes[of].keys() if name else {*self.all_shapes}):
                del tally.windows[gone]

    def shapes(self, of: Of) -> tuple[Shape, ...]:
        """The windows of each login, or each address."""
        return self._shapes[of]

    def get(self, key: Key) -> Tally | None:
        """A tally that is there."""
        return self._tallies.get(key)

    def take(self, key: Key, now: float) -> tuple[Key, Tally]:
        """The tally of a key that sends now, made if it is new; OTHER's, with its key, if there are too many."""
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= self._most and not self._forget(now):
                key = ("address", OTHER)
                tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = Tally()
        tally.last = now
        self._tallies.move_to_end(key)
        return key, tally

    def _forget(self, now: float) -> bool:
        """Forget the key that was silent longest, if that was a whole window; else nothing."""
        key = next(iter(self._tallies))
        if now - self._tallies[key].last < max(self._longest, HOUR):
            return False
        del self._tallies[key]
        return True

    def keys(self) -> list[Key]:
        """All keys."""
        return list(self._tallies)

    def kept(self, keys: Iterable[Key], now: float) -> Iterator[Kept]:
        """What a state file keeps of some keys."""
        for key in keys:
            if (tally := self._tallies.get(key)) is None:
                continue
            windows: list[tuple[Shape | None, Window]] = [*tally.windows.items()]
            if tally.refused is not None:
                windows.append((None, tally.refused))
            for shape, window in windows:
                if window.used(now) and (parts := window.parts()):
                    yield Kept(key, shape, parts)

    def restore(self, kept: Iterable[Kept], now: float) -> None:
        """Count again what was kept; windows that no cap has any more are left out."""
        for key, shape, parts in kept:
            if shape is not None and shape not in (self._shapes[key[0]] if key[1] else self.all_shapes):
                continue
            _, tally = self.take(key, now)
            if shape is None:
                window = tally.refused = tally.refused or Window(HOUR)
            else:
                window = tally.windows.setdefault(shape, Window(shape[1]))
            for second, n in parts:
                window.add(min(second, now), n)
            tally.last = max((min(second, now) for second, _ in parts), default=now)


def key_of(of: Of, name: str) -> Key:
    """The key of a folded login, or of an address."""
    return of, name[:LONGEST_NAME]
