"""The stamps that the matcher reads, as regular expressions that both dialects read alike (docs/MATCHING.md, 2).

For what meets a stamp elsewhere than in an envelope: whole-line patterns, and lines that are rewritten before the scan.
Texts only; imports nothing.
"""

from __future__ import annotations

_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
BSD = rf"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9]?[0-9] (?:[0-9]{{4}} )?{_TIME}"
ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"
ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_TIME}{ZONE}?"
ISO_WITH_ZONE = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}{ZONE}"
"""What a container's runtime writes."""
