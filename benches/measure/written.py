"""What table writes cost: the whole pipeline with `bench --table`, beside the same without, in alternation."""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from typing import NamedTuple

from measure.contenders import Contender, Samples, alternate, bench, median, spread
from measure.logs import DATA, Log

#: Table types and what each needs.
_NEEDS = {"lmdb": ("lmdb", "pip install lmdb"), "hash": ("berkeleydb", "pip install 'pbs-fast[bdb]'")}

_THREADS = {"1 thread": ("--threads=1",), "default threads": ()}


class Written(NamedTuple):
    """One table type with one choice of threads; without figures where it was not measured."""

    table: str
    threads: str
    seconds: float | None
    spread: float | None
    ratio: float | None
    """To the pipeline without table, same threads."""
    why: str | None = None
    """Why it was not measured."""


def written(log: Log, rounds: int) -> list[Written]:
    """lmdb and hash, with one thread and with the default. Counts and digest are asserted in every run."""
    print("table writes", file=sys.stderr)
    # On the log's own disk: /tmp is memory on some machines.
    with tempfile.TemporaryDirectory(prefix="tables-", dir=DATA) as place:

        def contender(kind: str, threads: str) -> Contender:
            table = (f"--table={kind}:{place}/{kind}",) if kind != "none" else ()
            options = ("--core=rust", *_THREADS[threads], *table)
            return Contender(f"{kind}, {threads}", lambda log: bench(log, *options))

        kinds = ["none", *(kind for kind, (module, _) in _NEEDS.items() if find_spec(module))]
        samples = alternate([contender(kind, threads) for kind in kinds for threads in _THREADS], log, rounds)
    return summary(samples)


def summary(samples: Samples) -> list[Written]:
    """A row each, also of what has no samples."""
    rows = []
    for kind in ("none", *_NEEDS):
        for threads in _THREADS:
            runs = samples.get(f"{kind}, {threads}")
            if runs is None:
                module, remedy = _NEEDS[kind]
                rows.append(Written(kind, threads, None, None, None, f"{module} is not installed: {remedy}"))
                continue
            seconds = median(runs)
            rows.append(Written(kind, threads, seconds, spread(runs), seconds / median(samples[f"none, {threads}"])))
    return rows
