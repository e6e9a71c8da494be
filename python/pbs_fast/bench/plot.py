"""What a replay found as a picture: lines a second, run by run, and where the time went. Needs matplotlib.

Knows results only. The same results give the same SVG, byte by byte: no date, no random ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pbs_fast.errors import PbsError, SourceError, UsageError

_INSTALL = "pip install 'pbs-fast[plot]'"


def check(path: str) -> None:
    """To be asked first. Raises UsageError for a file that is neither SVG nor PNG, PbsError without matplotlib."""
    if Path(path).suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"--plot={path}: neither .svg nor .png; name a file that ends so")
    # Not imported yet: its 40 MB would stand in the replay's peak memory.
    if find_spec("matplotlib") is None:
        raise PbsError(f"--plot needs matplotlib, which is not installed: {_INSTALL}")


def plot(path: str, records: Sequence[dict[str, Any]]) -> None:
    """Draw the records of the twins (`repeats.median_record`). Raises SourceError when the file cannot be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    rates, stages = figure.subplots(1, 2)
    for record in records:
        seconds = record["repeat"]["seconds"] if "repeat" in record else [record["seconds"]]
        runs = range(1, len(seconds) + 1)
        label = f"{record['core']}, {record['threads']} thread{'s' if record['threads'] > 1 else ''}"
        rates.plot(runs, [record["lines"] / each / 1e6 if each else 0 for each in seconds], "o-", label=label)
    rates.set(title=f"{records[0]['lines']:,} lines", xlabel="run", ylabel="million lines/s")
    rates.set_ylim(bottom=0)
    rates.xaxis.get_major_locator().set_params(integer=True)
    rates.legend()
    names = [record["core"] for record in records]
    left = [0.0] * len(records)
    for stage in records[0]["stages"]:
        width = [record["stages"][stage] for record in records]
        stages.barh(names, width, left=left, label=stage)
        left = [before + more for before, more in zip(left, width, strict=True)]
    stages.set(title="processing time by stage, all threads together", xlabel="seconds")
    stages.legend()
    try:
        with mpl.rc_context({"svg.hashsalt": "pbs-fast"}):
            figure.savefig(path, metadata={"Date": None} if path.lower().endswith(".svg") else None)
    except OSError as error:
        raise SourceError(f"--plot={path}: cannot be written: {error.strerror or error}") from error
