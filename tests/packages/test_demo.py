"""What `make run` shows, in a pipe."""

from __future__ import annotations

import subprocess
import sys

from packages import PACKAGING

ROOT = PACKAGING.parent


def test_the_demonstration_in_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    # What `match --missed` says of other programs' lines.
    assert [line for line in done.stderr.splitlines() if not line.startswith("pbs-fast match: of 59 lines")] == []
    lines = done.stdout.splitlines()
    assert lines[0].startswith("What the matcher sees"), "what announces the next program's lines is in front of them"
    begins = lines.index("What the daemon wrote into its own log:")
    said = lines[begins + 1 : lines.index("", begins)]
    words = ("starting up", "table", "control sockets", "read back", "ready:", "added", "removed", "caught", "counted")
    assert [line for line in said if not line[18:].startswith(words)] == [], "no warning among them"
    assert lines[-1].strip().startswith("export PATH=")
