"""Links of all pages lead to a file and an anchor that exist, and so do names of our files; the nav has every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benches").rglob("*.md")])


def prose(page: Path) -> str:
    """Without blocks and code, whose brackets are no links."""
    text = re.sub(r"(?ms)^\s*```.*?^\s*```$", "", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    headings = (re.sub(r"`|\*|\[|\]\([^)]*\)", "", each) for each in re.findall(r"(?m)^#+ +(.*?) *$", text))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", prose(page)):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    """Those whose name has a folder: from the root, from one of the two packages, or from the page."""
    below = (ROOT, ROOT / "python" / "pbs_fast", ROOT / "rust" / "core" / "src", page.parent)
    for name in re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|rs|sh|toml))`", page.read_text(encoding="utf-8")):
        assert any((folder / name).exists() for folder in below), name


def test_the_nav_has_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    named = set(re.findall(r"(?m)^ +- (?:.*: )?(\S+\.md)$", nav))
    pages = {path.name for path in PAGES if path.parent in (ROOT, ROOT / "docs")}
    assert named == pages
    groups = re.findall(r"(?m)^  - (.*):$", nav)
    assert groups == ["Start", "MTAs", "Formats", "Operation", "Internals"]
