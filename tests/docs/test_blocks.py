"""Every command block of README and docs is run, or says why not.

Its mark is on the line before the fence: `<!-- test: NAME -->` (a test runs it), `<!-- root: NAME -->`
(packaging/docs-proof.sh does, in a fresh root) or `<!-- not run: REASON -->`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
#: Blocks to paste, and those that only show something.
LANGUAGES = {"sh", "text", "ini", "toml", "yaml"}
#: Page -> the tests that run its blocks marked `test`.
RUN_BY = {
    "README.md": ["docs/test_readme.py"],
    "docs/BLOCKING.md": ["daemon/test_blocking.py"],
    "docs/MIGRATION.md": ["docs/test_migration.py", "packages/test_migration_boot.py"],
    "docs/MTA-COURIER.md": ["tables/test_courier.py"],
    "docs/MTA-EXIM.md": ["tables/test_exim.py"],
    "docs/MTA-POSTFIX.md": ["tables/test_guide.py", "tables/test_several.py", "tables/test_guide_lists.py"],
    "docs/MTA-QMAIL.md": ["tables/test_tcprules.py"],
    "docs/MTA-SENDMAIL.md": ["tables/test_sendmail.py"],
    "docs/OPERATION.md": ["docs/test_readme.py"],
    "docs/SHARING.md": ["share/test_guide.py"],
}
PROOF = (ROOT / "packaging/docs-proof.sh").read_text()
MARK = re.compile(r"<!-- (test|root|not run): (\S.*?) -->")


class Block(NamedTuple):
    """A fenced block: its page, line, language, text and the mark before it."""

    page: str
    line: int
    language: str
    text: str
    kind: str
    name: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str, text: str) -> list[Block]:
    found = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = re.fullmatch(r"\s*(`{3,}|~{3,})(.*)", lines[number])
        if fence:
            end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == fence[1])
            # One blank line may separate a mark from its fence.
            before = next((line for line in reversed(lines[max(0, number - 2) : number]) if line), "")
            mark = MARK.fullmatch(before)
            kind, name = (mark[1], mark[2]) if mark else ("", "")
            found.append(Block(page, number + 1, fence[2], "\n".join(lines[number + 1 : end]), kind, name))
            number = end
        number += 1
    return found


BLOCKS = [each for path in PAGES for each in read(str(path.relative_to(ROOT)), path.read_text())]


def faults(blocks: list[Block]) -> list[str]:
    """What is wrong with marks and languages, by place."""
    found = []
    for each in blocks:
        if each.language not in LANGUAGES:
            found.append(f"{each.place}: a block is of one of {', '.join(sorted(LANGUAGES))}, not {each.language!r}")
        if each.language == "sh" and not each.kind:
            found.append(f"{each.place}: a block of commands needs a mark: test, root or not run")
        if each.language != "sh" and re.search(r"(?m)^(sudo|apt|make|pbs-fast|systemctl|postfix|postconf) ", each.text):
            found.append(f"{each.place}: commands are a block of sh")
    return found


def test_every_block_is_run_or_says_why_not() -> None:
    assert faults(BLOCKS) == []
    assert sum(each.language == "sh" for each in BLOCKS) > 40


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```sh\nls\n```", "needs a mark"),
        ("<!-- run: it -->\n```sh\nls\n```", "needs a mark"),
        ("<!-- not run: -->\n```sh\nls\n```", "needs a mark"),
        ("```\nls\n```", "not ''"),
        ("~~~console\nls\n~~~", "not 'console'"),
        ("```text\npbs-fast run\n```", "a block of sh"),
    ],
)
def test_a_block_without_its_mark_is_seen(text: str, fault: str) -> None:
    (found,) = faults(read("page.md", f"{text}\n"))
    assert fault in found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_commands_by_indentation(path: Path) -> None:
    """Such a block has no language and no mark."""
    text = re.sub(r"(?ms)^(```|~~~).*?^\1$", "", path.read_text())
    assert re.findall(r"(?m)(?:^|\n)\n    (?! *[-*0-9]).*", text) == []


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.kind == "test"], ids=lambda each: each.place)
def test_a_test_runs_it(block: Block) -> None:
    word, _, last = block.name.partition(" ")
    takes = re.compile(rf'\["{re.escape(block.name)}"\]' + (rf'|\[f"{re.escape(word)} {{' if last else ""))
    texts = [(ROOT / "tests" / test).read_text() for test in RUN_BY[block.page]]
    assert any(takes.search(text) for text in texts), f"{block.place}: no test takes the block {block.name!r}"


def test_the_root_runs_each_of_its_blocks() -> None:
    wanted = {(each.page, each.name) for each in BLOCKS if each.kind == "root"}
    found = re.findall(r'(?m)^[^#\n]*\bblock (\S+\.md) ("[^"]+"|\S+)', PROOF)
    assert {(page, name.strip('"')) for page, name in found} == wanted
    assert len(wanted) == sum(each.kind == "root" for each in BLOCKS), "two blocks of a page have one name"
    assert all(each.language == "sh" for each in BLOCKS if each.kind in ("root", "not run"))
