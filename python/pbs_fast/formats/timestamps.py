"""Timestamps as regular expressions that both dialects interpret the same way (docs/MATCHING.md, 2).

For timestamps outside envelopes: in whole-line patterns, and in lines that are rewritten before the scan.
"""

from __future__ import annotations

_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
BSD = rf"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9]?[0-9] (?:[0-9]{{4}} )?{_TIME}"
ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"
ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_TIME}{ZONE}?"
ISO_WITH_ZONE = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}{ZONE}"
"""What a container's runtime writes."""
