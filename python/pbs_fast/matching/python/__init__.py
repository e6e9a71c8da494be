"""The Python twin of the matcher: same results as the native one, by a plan that suits `re` (docs/MATCHING.md).

One regex a layout runs over the whole buffer with `finditer` and stops only at lines whose tag some format
knows; everything else is never an object. Imports the standard library and the package's own data types only.
"""

from pbs_fast.matching.python.catalogue import Matcher
from pbs_fast.matching.python.scan import Scan
from pbs_fast.matching.python.stream import Stream

__all__ = ["Matcher", "Scan", "Stream"]
