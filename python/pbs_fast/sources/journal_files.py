"""Is there a journal, and may we read it? Asked of the files, because journalctl only hints at what it left out.

Imports errors, `identity` and `journal_spec`.
"""
# ruff: noqa: PTH207 - text paths, as journalctl takes them

from __future__ import annotations

import glob
import os
from pathlib import Path

from pbs_fast.errors import SourceError
from pbs_fast.sources.identity import Identity, refusal
from pbs_fast.sources.journal_spec import JournalSpec

#: Where journald keeps files across boots, and until the next boot.
PLACES = ("/var/log/journal", "/run/log/journal")


def machine_id() -> str | None:
    """This machine's id, as journald writes it; None where it has none."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def journal_files(spec: JournalSpec) -> list[str]:
    """The files that journalctl would read for `spec` and that matter, sorted; users' own journals do not."""
    if spec.file:
        patterns = list(spec.file)
    elif spec.directory:
        place = glob.escape(spec.directory[0])
        patterns = [f"{place}/*.journal", f"{place}/*/*.journal"]
    else:
        machine = machine_id() or "*"
        patterns = [f"{place}/{machine}/system*.journal" for place in PLACES]
    return sorted({name for pattern in patterns for name in glob.glob(pattern)})


def identities(spec: JournalSpec) -> frozenset[Identity]:
    """Which files the patterns of a `file=` mean now."""
    found: set[Identity] = set()
    for name in journal_files(spec):
        try:
            found.add(Identity.of(os.stat(name)))  # noqa: PTH116
        except OSError:
            continue
    return frozenset(found)


def missing(spec: JournalSpec) -> str | None:
    """Why there is nothing to read yet; None when there is. Raises SourceError for files that we may not read."""
    files = journal_files(spec)
    effective = os.access in os.supports_effective_ids
    unreadable = [name for name in files if not os.access(name, os.R_OK, effective_ids=effective)]
    if files and len(unreadable) == len(files):
        error = PermissionError(13, "Permission denied")
        raise SourceError(f"{refusal(unreadable[0], error)} (the journal's is systemd-journal, or adm)")
    if files:
        return None
    if spec.given_files:
        return f"there is no journal file in {(*spec.directory, *spec.file)[0]}; waiting for one"
    return f"there is no journal of this machine below {' or '.join(PLACES)}; waiting for one"
