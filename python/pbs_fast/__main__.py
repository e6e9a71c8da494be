"""`python -m pbs_fast` is `pbs-fast`."""

import sys

from pbs_fast.cli import main

if __name__ == "__main__":
    sys.exit(main())
