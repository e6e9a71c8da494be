"""How long a change waits for others, where each one costs the MTA or us something.

Pure arithmetic; imports nothing of the package.
"""

from __future__ import annotations

#: The least time between two changes, so that smtpds restart at most ten times a second each (seconds).
WINDOW = 0.1
#: Each change uses up one whole second of modification time. With this slope the window is 0.25 s when the time in the
#: file runs 10 s ahead of the clock, and 1 s, at which it runs no further ahead, at 60 s.
SLOPE = 0.015
LONGEST = 1.0
#: A file that is made anew for each change may take at most this part of the time between two of them.
BUSY_SHARE = 0.2


def window(*, ahead: float, busy: float) -> float:
    """Seconds that should lie between two changes.

    `ahead`: seconds by which the file's modification time is ahead of the clock (negative: behind it). `busy`: seconds
    that one change takes, 0 for a table that is changed in place.
    """
    return max(min(LONGEST, WINDOW + SLOPE * max(0.0, ahead)), busy / BUSY_SHARE)
