"""The logs that are measured: generated once, kept in benches/data, each with the truth about it."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pbs_fast.bench import hublog
from pbs_fast.bench.hublog import Options, write_log

DATA = Path(__file__).parents[1] / "data"


class Log(NamedTuple):
    """One log; no totals are known of a site's own."""

    path: Path
    totals: dict[str, Any]
    zone: str | None

    def head(self, lines: int) -> Log:
        """Its first lines as a log of its own, for contenders that would take minutes."""
        if self.totals.get("lines", lines + 1) <= lines:
            return self
        DATA.mkdir(exist_ok=True)
        head = DATA / f"{self.path.stem}-{lines}.head"
        with self.path.open("rb") as whole, head.open("wb") as part:
            part.writelines(line for line, _ in zip(whole, range(lines), strict=False))
        return Log(head, {}, self.zone)


def forget_heads() -> None:
    """Remove the first lines of logs: a site's own hold names and addresses."""
    for head in DATA.glob("*.head"):
        head.unlink()


@cache
def _generator() -> str:
    """Changes with the generator, so that no log of an earlier one is measured."""
    sha256 = hashlib.sha256()
    for module in sorted(Path(hublog.__file__).parent.glob("*.py")):
        sha256.update(module.read_bytes())
    return sha256.hexdigest()


def generated(**options: Any) -> Log:
    """The log of these `Options`, with grace 1800."""
    DATA.mkdir(exist_ok=True)
    chosen = Options(**options)
    name = hashlib.sha256((_generator() + json.dumps(asdict(chosen))).encode()).hexdigest()[:12]
    log, totals = DATA / f"hub-{name}.log", DATA / f"hub-{name}.json"
    if not totals.exists():
        print(f"generating {options} ...", file=sys.stderr)
        totals.write_text(json.dumps(write_log(log, chosen)))
    log.read_bytes()  # what follows reads from memory
    return Log(log, json.loads(totals.read_text()), "UTC")
