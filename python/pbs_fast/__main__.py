"""The programs `pbs-fast` and `pop-before-smtp`: what the installed commands call; `python -m pbs_fast` is `pbs-fast`.

A daemon notes signals from its first line on (`early_signals`), so nothing else is imported before.
"""

import sys

from pbs_fast.util import early_signals


def main() -> int:
    """`pbs-fast` with the process's arguments; the exit status."""
    if sys.argv[1:2] == ["run"]:
        early_signals.hold()
    from pbs_fast.util.gc import rare_collections

    with rare_collections():
        from pbs_fast.cli import main as program

        return program()


def pop_before_smtp() -> int:
    """`pop-before-smtp` with the process's arguments; the exit status."""
    early_signals.hold()
    from pbs_fast.util.gc import rare_collections

    with rare_collections():
        from pbs_fast.cli.old import main as program

        return program()


if __name__ == "__main__":
    sys.exit(main())
