"""Turns journalctl's entries into lines of the accepted ones; each entry ends in exactly one counter.

The counters `entries` = lines handed out + each `refused_...` + `too_long` + `notes` of journald itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from pbs_fast.formats.tags import KnownTags
from pbs_fast.sources.file.position import display
from pbs_fast.sources.journal.export import Entry
from pbs_fast.sources.journal.parts import PARTS, Parts
from pbs_fast.sources.journal.render import COMMAND, FIELDS, IDENTIFIER, MESSAGE, Renderer
from pbs_fast.sources.journal.trust import TRANSPORT, TRUSTED, UID, UNIT, Trust
from pbs_fast.sources.protocol import Notice

#: journald's note when a service logs more than RateLimitBurst= (systemd.messages, SD_MESSAGE_JOURNAL_DROPPED).
DROPPED = "a596d6fe7bfa4994828e72309e95d61e"
_MESSAGE_ID = b"MESSAGE_ID"
_SUPPRESSED = re.compile(rb"Suppressed ([0-9]{1,18}) messages from ([^\s]{1,255})")
#: Most distinct rejections that are logged; otherwise anybody who may log could fill our log.
_MOST = 20

#: The fields that journalctl must write.
WANTED = tuple(dict.fromkeys((*FIELDS, *TRUSTED, *PARTS, _MESSAGE_ID)))


class Take:
    """Filters and renders the entries of one journal source, live and past."""

    def __init__(
        self, name: str, trust: Trust, counters: Counter[str], tags: Sequence[str], say: Callable[[Notice], object]
    ) -> None:
        self.dropped = 0
        """Messages of accepted units that journald dropped, by its own notes."""
        self._name = name
        self._trust = trust
        self._counters = counters
        self._tags = KnownTags(tags)
        self._say = say
        self._said: set[tuple[str, bytes, bytes]] = set()
        self._renderer = Renderer()

    def lines(self, entries: Sequence[Entry], parts: Parts) -> list[bytes]:
        """The lines of the accepted entries, in order; `parts` belongs to this reading of the journal."""
        found: list[bytes] = []
        for entry in entries:
            refusal = self._trust.refusal(entry)
            if refusal is None and parts.is_part(entry):
                self._counters["refused_part"] += 1
            elif refusal is None:
                line = self._renderer.render(entry)
                if isinstance(line, bytes):
                    found.append(line)
                    continue
                self._counters[line if line == "too_long" else f"refused_{line}"] += 1
            elif not self._noted(entry):
                self._counters[f"refused_{refusal}"] += 1
                self._complain(entry, refusal)
        self._counters["entries"] += len(entries)
        return found

    def _noted(self, entry: Entry) -> bool:
        """Is it journald's note that it dropped messages?"""
        fields = entry.fields
        if fields.get(_MESSAGE_ID) != DROPPED.encode() or fields.get(TRANSPORT) != b"driver" or entry.repeated:
            return False
        self._counters["notes"] += 1
        match = _SUPPRESSED.match(fields.get(MESSAGE, b""))
        if match and self._trust.covers(match[2]):
            self.dropped += int(match[1])
            self._counters["dropped_by_journald"] += int(match[1])
            self._once(
                ("dropped", match[2], b""),
                "lost",
                f"{self._name}: journald dropped messages of {_text(match[2])}, logins perhaps, because there were too"
                " many; set LogRateLimitIntervalSec=0 in that unit",
            )
        return True

    def _complain(self, entry: Entry, refusal: str) -> None:
        """Log it if the entry claims to be of a known server: a forgery, or a unit that should be configured."""
        fields = entry.fields
        tag = fields.get(IDENTIFIER) or fields.get(COMMAND, b"")
        if tag in self._tags:
            unit, uid = fields.get(UNIT, b"no unit"), fields.get(UID, b"none")
            if len(self._said) >= _MOST:
                return
            self._once(
                (refusal, unit, uid),
                "refused",
                f"{self._name}: entries tagged {_text(tag)} of {_text(unit)}, uid {_text(uid)}, are rejected"
                f" ({refusal}); if they are a mail server's, name them in --watchlog=journal: (docs/JOURNAL.md)",
            )

    def _once(self, key: tuple[str, bytes, bytes], kind: Literal["lost", "refused"], text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._say(Notice(kind, self._name, text))


def _text(value: bytes) -> str:
    return display(value.decode("utf-8", "surrogateescape"))[:200]
