"""The Python backend: same results as the Rust backend, with a design that suits `re` (docs/MATCHING.md).

One regex per layout runs over the whole buffer with `finditer` and stops only at lines whose tag some format knows; no
objects are created for other lines. It uses only the standard library and the package's data types.
"""

from pbs_fast.matching.python import engine_check as engine

# Before anything is compiled that a faulty engine would misread.
engine.check()

from pbs_fast.matching.python.catalogue import Matcher  # noqa: E402
from pbs_fast.matching.python.scan import Scan  # noqa: E402
from pbs_fast.matching.python.stream import Stream  # noqa: E402

__all__ = ["Matcher", "Scan", "Stream"]
