"""What a program shows on a terminal of the tests."""

from __future__ import annotations

import os


def shown(ours: int) -> bytes:
    """All that comes through our side of a pseudo-terminal until the program has closed its own; closes it."""
    text = b""
    try:
        while data := os.read(ours, 1 << 16):
            text += data
    except OSError:  # Linux says so when the last writer has closed its side
        pass
    os.close(ours)
    return text
