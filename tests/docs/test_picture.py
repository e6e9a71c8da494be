"""docs/at-work.svg is what the commands print."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from picture import PICTURE, screen, svg


def test_the_picture_shows_what_the_commands_print(tmp_path: Path) -> None:
    """After a change that is wanted: python scripts/picture.py"""
    lines = screen(tmp_path)
    text = PICTURE.read_text()
    shown = [unescape(each) for each in re.findall(r"<text [^>]*>(.*)</text>", text)]
    assert shown == [line for line in lines if line]
    assert svg(lines) == text
    assert max(map(len, lines)) < 100
    assert len(text) < 6_000
