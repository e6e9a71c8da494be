"""Is there a journal, and may we read it? The files are checked, because journalctl only hints at what it left out."""
# ruff: noqa: PTH116, PTH120, PTH207 - text paths, as journalctl takes them

from __future__ import annotations

import glob
import os
from pathlib import Path

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.position import Identity, refusal
from pbs_fast.sources.journal.spec import JournalSpec

#: Where journald keeps files across boots, and until the next boot.
PLACES = ("/var/log/journal", "/run/log/journal")
#: The services' journals in such a directory; users' are kept apart.
_SYSTEM = "system*.journal"


def machine_id() -> str | None:
    """This machine's id, as journald writes it; None if it has none."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def options(spec: JournalSpec) -> list[str]:
    """The options that tell journalctl which files to read; none, and then it must not run, without a journal.

    The directory is always given: a container may write others below PLACES, trusted fields included.
    """
    if spec.file:
        return [f"--file={name}" for name in spec.file]
    directory = _directory(spec)
    return [] if directory is None else [f"--directory={directory}"]


def journal_files(spec: JournalSpec) -> list[str]:
    """The files that journalctl would read for `spec`, sorted, without those of single users."""
    directory = _directory(spec)
    if spec.file:
        patterns = list(spec.file)
    elif directory is None:
        patterns = []
    elif spec.directory:
        patterns = [f"{glob.escape(directory)}/{below}" for below in ("*.journal", "*/*.journal")]
    else:
        patterns = [f"{glob.escape(directory)}/{_SYSTEM}"]
    return sorted({name for pattern in patterns for name in glob.glob(pattern)})


def identities(spec: JournalSpec) -> frozenset[Identity]:
    """The files that journalctl's arguments name now; it opens them only at its start."""
    directory = _directory(spec)
    names = journal_files(spec) if spec.file else [directory] if directory is not None else []
    found: set[Identity] = set()
    for name in names:
        try:
            found.add(Identity.of(os.stat(name)))
        except OSError:
            continue
    return frozenset(found)


def _directory(spec: JournalSpec) -> str | None:
    """The directory to read: the given one or, of this machine's, the one whose journal was written last.

    During boot, and if the journal is not persistent, that is the one in /run.
    """
    if spec.directory:
        return spec.directory[0]
    written: dict[str, int] = {}
    for place in PLACES:
        for name in glob.glob(f"{place}/{machine_id() or '*'}/{_SYSTEM}"):
            try:
                directory, changed = os.path.dirname(name), os.stat(name).st_mtime_ns
            except OSError:
                continue
            written[directory] = max(changed, written.get(directory, 0))
    return max(written, key=lambda directory: written[directory], default=None)


def missing(spec: JournalSpec) -> str | None:
    """Why there is nothing to read yet; None if there is. Raises SourceError for unreadable files."""
    files = journal_files(spec)
    effective = os.access in os.supports_effective_ids
    unreadable = [name for name in files if not os.access(name, os.R_OK, effective_ids=effective)]
    if files and len(unreadable) == len(files):
        error = PermissionError(13, "Permission denied")
        raise SourceError(f"{refusal(unreadable[0], error)} (the group that may read the journal is systemd-journal)")
    if files:
        return None
    if spec.given_files:
        return f"there is no journal file in {(*spec.directory, *spec.file)[0]}; waiting for one"
    return f"there is no journal of this machine below {' or '.join(PLACES)}; waiting for one"
