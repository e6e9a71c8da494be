"""Prints the table of SECURITY.md: writers that cut records, tries of strangers, and how many were granted.

    cd tests && python -m formats.attack_table [TRIES]

TRIES (by default 20) is for each login sample in each envelope that its server can have, on both backends. Exit status
1 when anything was granted.
"""

from __future__ import annotations

import sys

from formats.injecting import CORES
from formats.splitting import SPLITTERS, Splitter, envelopes, logins, samples, tries


def row(splitter: Splitter, number: int, seed: int = 1) -> tuple[str, int]:
    """The row of one writer in Markdown, and its grants."""
    made = granted = 0
    for sample, _, log in tries(splitter, number, seed):
        for core in CORES:
            made += 1
            granted += logins(core, log, sample)
    taken = samples(splitter)
    kinds = len({envelope.name for sample in taken for envelope in envelopes(sample)})
    formats = len({sample.format for sample in taken})
    return f"| {splitter.name} | {splitter.source} | {formats} | {kinds} | {made:,} | {granted} |", granted


def main(number: int) -> int:
    print("| writer | where it cuts | formats | envelopes | tries | grants |")
    print("|---|---|---|---|---|---|")
    granted = 0
    for splitter in SPLITTERS:
        text, found = row(splitter, number)
        granted += found
        print(text, flush=True)
    return 1 if granted else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 20))
