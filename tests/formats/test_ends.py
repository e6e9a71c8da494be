"""Which sessions may be counted: those whose ends are always written, and by what each end is told."""

from __future__ import annotations

from pbs_fast.formats.ends import session_ends
from pbs_fast.formats.loader import load_catalogue


def test_by_what_ends_are_told() -> None:
    ends = session_ends(load_catalogue())
    assert ends["courier-imap"] == ends["uw"] == ends["tpop3d"] == "address"
    assert ends["dovecot"] == "session"
    assert ends["popa3d"] == ends["solid-pop3d"] == ends["vm-pop3d"] == "process"


def test_what_no_line_ends_for_sure_is_not_counted() -> None:
    """Cyrus writes ends into its audit log, which is off by default; vchkpw and others write none."""
    ends = session_ends(load_catalogue())
    assert not ends.keys() & {"cyrus", "cyrus-rfc5424", "vpopmail", "cucipop", "popa3d-patched"}
