"""Matching: lines in, events and Batches out, by one of two backends with equal results.

`load_backend` chooses the backend; the rest of the package uses the protocols. The contract is docs/MATCHING.md. This
package knows no tables, no grace and no wall clock.
"""

from __future__ import annotations

from pbs_fast.matching.backends import Backend, load_backend
from pbs_fast.matching.protocol import SYSLOG, Matcher, Scan, Stream, Zone

__all__ = ["SYSLOG", "Backend", "Matcher", "Scan", "Stream", "Zone", "load_backend"]
