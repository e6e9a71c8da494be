"""The registry of sources: which module reads which `--watchlog` spec. A new kind is one line here.

A spec is the name of a scheme (`-`), a scheme with its options (`journal:unit=dovecot.service`) or otherwise a path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pbs_fast.errors import UsageError
from pbs_fast.sources.file.replay import FileLog
from pbs_fast.sources.journal.source import JournalSource
from pbs_fast.sources.journal.spec import parse_journal
from pbs_fast.sources.protocol import Source, SourceOptions
from pbs_fast.sources.stdin import StdinSource


class Scheme(NamedTuple):
    """One kind of source."""

    make: Callable[[str, SourceOptions], Source]
    """From the spec without scheme. Raises UsageError if it is not understood, and opens nothing."""
    inherited: bool = False
    """It reads an inherited descriptor, which a process in the background has closed."""


def _not_alone(_: str, __: SourceOptions) -> Source:
    raise UsageError("--watchlog=none: follows no log; leave it out, or leave out the other logs")


#: By the part of a spec before the first colon; `-` is a whole spec.
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "-": Scheme(lambda _, source_options: StdinSource(source_options), inherited=True),
        "none": Scheme(_not_alone),
        "journal": Scheme(lambda options, source_options: JournalSource(parse_journal(options), source_options)),
    }
)
_FILE = Scheme(FileLog)


def find_scheme(spec: str) -> Scheme | None:
    """The kind of source that a spec names; None for a path."""
    name, colon, _ = spec.partition(":")
    return SCHEMES.get(name) if bool(colon) == (name != "-") else None


def make_source(spec: str, source_options: SourceOptions) -> Source:
    """A source for a spec, not yet opened. Raises UsageError for options that are not understood."""
    scheme = find_scheme(spec)
    return (scheme or _FILE).make(spec.partition(":")[2] if scheme else spec, source_options)
