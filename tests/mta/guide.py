"""The lines of our guides, for the tests that execute them.

A block to paste stands behind a line `<!-- test: NAME -->`. The only thing that a test changes is the directory.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
#: The directory of the tables in all guides.
DIRECTORY = "/var/lib/pbs-fast"


def blocks(guide: str, directory: Path | None = None) -> dict[str, list[str]]:
    """The blocks of docs/GUIDE by name, as lines; with `directory` in place of the guide's."""
    text = (DOCS / guide).read_text()
    found: dict[str, list[str]] = {}
    for name, block in re.findall(r"(?ms)^<!-- test: ([a-z0-9 .-]+) -->\n+```[a-z]*\n(.*?)^```$", text):
        assert name not in found, f"{guide}: two blocks are named {name}"
        lines = block.splitlines()
        found[name] = [line.replace(DIRECTORY, str(directory)) for line in lines] if directory else lines
    assert found, f"{guide} has no block to test"
    return found
