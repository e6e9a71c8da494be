"""A deterministic log of a mail hub, with the expected result of each line.

Written from the servers' own wording (their sources and real logs), not from the catalogue's patterns, so that the
catalogue and both backends can be checked against it. Uses only the standard library; a seed always gives the same log.
"""

from pbs_fast.bench.hublog.stream import Options, Truth, iter_lines
from pbs_fast.bench.hublog.writing import Totals, write_log

__all__ = ["Options", "Totals", "Truth", "iter_lines", "write_log"]
