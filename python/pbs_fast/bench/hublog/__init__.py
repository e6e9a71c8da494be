"""A deterministic log of a mail hub, with the truth about each line.

Written from the servers' own wording (their sources and real logs), not from the catalogue's patterns, so that the
catalogue and both twins can be held against it. Imports nothing of the package and the standard library only; one seed
gives one log.
"""

from pbs_fast.bench.hublog.stream import Options, Truth, iter_lines
from pbs_fast.bench.hublog.writing import Totals, write_log

__all__ = ["Options", "Totals", "Truth", "iter_lines", "write_log"]
