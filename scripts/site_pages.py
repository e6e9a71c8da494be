"""Hooks of MkDocs: the repository's pages as one site.

README.md, SECURITY.md and the like are at the top of the repository, where people look for them, and the pages link to
files elsewhere in it. On the site every file that a page links to has its path in the repository, without `docs/`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
#: A link or picture to somewhere in the repository, not in a block or in code.
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)((?:#[^)\s]*)?\))")


def _linked(page: Path) -> list[Path]:
    """The files that a page links to, from the top of the repository."""
    found = (os.path.normpath(page.parent / link[1]) for link in LINK.findall((ROOT / page).read_text()))
    return [Path(each) for each in found]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top, and what the pages link to outside docs/."""
    queue = [*(path.relative_to(ROOT) for path in ROOT.glob("*.md")), *(Path("docs", each.src_uri) for each in files)]
    seen = set(queue)
    while queue:
        path = queue.pop()
        if path.parts[0] != "docs":
            files.append(File.generated(config, str(path), abs_src_path=str(ROOT / path)))
        if path.suffix == ".md":
            more = [each for each in _linked(path) if each not in seen and (ROOT / each).is_file()]
            seen.update(more)
            queue += more
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links as the site needs them; one that leads nowhere stays as it is, and MkDocs names it."""
    source = page.file.src_uri
    here = Path(source if (ROOT / source).exists() else f"docs/{source}")
    site = Path(source)

    def changed(match: re.Match[str]) -> str:
        target = os.path.normpath(here.parent / match[2])
        there = target.removeprefix("docs/")
        return f"{match[1]}{os.path.relpath(there, site.parent)}{match[3]}"

    return LINK.sub(changed, markdown)
