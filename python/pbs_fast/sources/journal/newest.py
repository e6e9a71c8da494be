"""When a mail server last wrote to this machine's journal: to notice a followed file that is written no more."""

from __future__ import annotations

from pbs_fast.errors import SourceError
from pbs_fast.sources.journal.files import machine_id, missing, options
from pbs_fast.sources.journal.journalctl import command, require_program
from pbs_fast.sources.journal.past import read_all
from pbs_fast.sources.journal.render import STORED
from pbs_fast.sources.journal.spec import JournalSpec
from pbs_fast.sources.journal.take import WANTED
from pbs_fast.sources.journal.trust import Trust, accepted_units

#: Entries looked at: programs of other accounts may write in a server's unit, and theirs do not count.
_ENTRIES = 50


def newest_entry(spec: JournalSpec | None = None) -> float | None:
    """When the newest entry was stored that `journal:` would accept, in seconds since the epoch.

    None without one, and where the journal cannot be read. It may take a minute.
    """
    spec = spec or JournalSpec()
    try:
        require_program()
        if missing(spec) is not None:
            return None
        units = [f"_SYSTEMD_UNIT={unit}" for unit in accepted_units(spec)]
        entries = read_all(command(options(spec), WANTED, f"--lines={_ENTRIES}", matches=units))
    except SourceError:
        # It is another source that we were told to follow; this one need not be readable.
        return None
    trust = Trust(spec, machine_id())
    stored = [int(entry.fields[STORED]) for entry in entries if trust.refusal(entry) is None and STORED in entry.fields]
    return max(stored) / 1e6 if stored else None
