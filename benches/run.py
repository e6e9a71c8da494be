#!/usr/bin/env python3
"""Measures pbs-fast on this machine and writes benches/RESULTS.md: rivals in alternation, the suite, growth curves.

    benches/run.py                      # some 12 minutes; `make bench`
    benches/run.py --quick              # some 4 minutes; `make bench QUICK=1`
    benches/run.py --log /var/log/mail.log   # the rivals on a log of yours, printed and not written
    benches/run.py --perl /usr/sbin/pop-before-smtp

Ends with status 1 when something is over its budget; a wrong count ends the run at once. Method: benches/README.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from livemail.page import live_part
from measure import cases, growth, page, verdict
from measure.contenders import PYTHON, RUST_1, RUST_N, alternate
from measure.drawing import draw
from measure.logs import Log, forget_heads, generated
from measure.rivals import rivals
from measure.start import starts
from measure.switches import switches
from measure.written import written

PAGE = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure pbs-fast beside its rivals.")
    parser.add_argument("--quick", action="store_true", help="smaller logs and fewer rounds")
    parser.add_argument("--rounds", type=int, help="rounds of the rivals; by default 5, quick 9")
    parser.add_argument("--log", type=Path, help="rivals on a log of your own; prints, writes no page")
    parser.add_argument("--perl", type=Path, metavar="PATH", help="the Perl program pop-before-smtp")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write")
    given = parser.parse_args()
    for option, path in (("--log", given.log), ("--perl", given.perl)):
        if path is not None and not path.is_file():
            parser.error(f"{option}: {path} is no file")
    load, started = os.getloadavg()[0], time.monotonic()
    # ripgrep reads the quick log in 20 ms, of which one hiccup is a third: on a busy machine medians of three rounds
    # differ by 40 % from one run to the next, those of nine by 15 %.
    rounds = given.rounds or (9 if given.quick else 5)
    log = Log(given.log, {}, None) if given.log else generated(lines=400_000 if given.quick else 2_000_000)
    others, missing = rivals(given.perl)
    try:
        samples = alternate([RUST_1, RUST_N, PYTHON, *others], log, rounds)
    finally:
        forget_heads()
    what = "Your log" if given.log else "The generated log, 8 % logins"
    title = f"{what}: {log.path.stat().st_size / 1e6:.0f} MB, {rounds} rounds in alternation."
    rivals_text = page.rivals_part(samples, missing, title)
    if given.log:
        print(rivals_text)
        return 0
    limits = cases.limits()
    table_rounds = 3
    tables = written(log, table_rounds)
    start_rounds = 5 if given.quick else 15
    commands = starts(start_rounds)
    found = [cases.run(case, 9 if given.quick else 3) for case in cases.cases(quick=given.quick)]
    curves = growth.curves(quick=given.quick, rounds=3)
    switch_lines, switch_rounds = (100_000, 2) if given.quick else (500_000, 3)
    switched = switches(switch_lines, switch_rounds)
    budgets = [
        *verdict.start_aims(commands, limits),
        *verdict.switch_aims(switched, limits),
        *verdict.table_aims(tables, limits),
        *verdict.growth_aims(curves, limits),
    ]
    live = live_part(quick=given.quick)
    plot = given.out.with_suffix(".svg")
    drawn = draw(samples, curves, plot)
    facts = page.facts(load, "benches/run.py" + (" --quick" if given.quick else ""))
    facts.append(("took", f"{time.monotonic() - started:.0f} s"))
    text = "# What this machine does\n\nWritten by `make bench`; method and bias: [README.md](README.md).\n"
    aims = [*verdict.rival_aims(samples, limits), *verdict.other_aims(commands, live.busy, limits)]
    aims += [*verdict.further_aims(switched, limits), *budgets]
    parts = (
        rivals_text,
        page.aims_part(aims),
        "## Measured\n\n" + page.table(["", ""], [list(fact) for fact in facts]),
        page.switches_part(switched, switch_lines),
        page.tables_part(
            tables, f"The same log, Rust, everything on, writes included; {table_rounds} rounds in alternation."
        ),
        page.start_part(commands, start_rounds),
        page.suite_part(found),
        page.growth_part(curves, plot.name if drawn else None),
        live.text,
    )
    given.out.write_text(text + "".join(f"\n{part}" for part in parts))
    print(given.out.read_text())
    if over := verdict.over(found, budgets):
        print(f"over budget: {'; '.join(over)}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
