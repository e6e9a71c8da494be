"""A deterministic log of a mail hub, with the truth about each line.

Written from the servers' own wording (their sources and real logs), not from the catalogue's patterns, so that the
catalogue and both twins can be held against it. Needs nothing but the standard library; one seed gives one log.
"""

from hublog.stream import Options, Truth, iter_lines

__all__ = ["Options", "Truth", "iter_lines"]
