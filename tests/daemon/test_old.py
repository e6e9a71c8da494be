"""`pop-before-smtp` as the start files of the Perl program call it."""

from __future__ import annotations

import subprocess
import sys

from daemon.running import Site, login
from mta import wait_for
from pbs_fast.tables import list_rows


def test_it_is_the_daemon(site: Site) -> None:
    """As a start file calls it; the row is there, SIGTERM says what the old program said."""
    site.cover()
    site.append(login("203.0.113.1"))
    command = [sys.executable, "-c", "from pbs_fast.cli.old import main; raise SystemExit(main())"]
    process = subprocess.Popen(
        [*command, f"--config={site.config}", "--wat", str(site.log), f"--dbfile={site.spec}", f"-logto={site.own}"]
    )
    try:
        wait_for("the row", lambda: site.holds("203.0.113.1"), seconds=15)
        assert list_rows(site.spec) == [("203.0.113.1", "ok")]
    finally:
        process.terminate()
    assert process.wait(timeout=15) == 0
    assert "caught SIGTERM -- exiting" in site.said()
