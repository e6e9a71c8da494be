"""Tables of the documents: a row that a merge put into another table has another number of cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_rows_of_a_table_have_its_cells(page: Path) -> None:
    cells = 0
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("|"):
            cells = 0
            continue
        if not cells:
            # A blank line within a table makes text of the rest.
            assert re.fullmatch(r"\|(?:-+\|)+", lines[number].strip()), f"{page.name}:{number}: rows without a head"
        # A bar in code is escaped in a table.
        here = len(re.findall(r"(?<!\\)\|", line))
        cells = cells or here
        assert here == cells, f"{page.name}:{number}"
