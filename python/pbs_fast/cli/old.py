"""`pop-before-smtp`: exactly the old program's interface, so that start scripts keep working.

It has the options of `pbs-fast run` that the Perl program had, parsed like Getopt::Long: any case, one dash or two,
abbreviated as long as they are unambiguous. They mean what they mean in `run`; the table's default path is the old one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from pbs_fast.cli import blank, execute, options
from pbs_fast.cli.run import Dumpconfig, List, Version, act
from pbs_fast.config import Config, Settings
from pbs_fast.config.model import DEFAULT_FILE
from pbs_fast.errors import PbsError, UsageError
from pbs_fast.util.text import printable

NAME = "pop-before-smtp"
#: Where the Perl program kept its table (its `$dbfile`).
OLD_DBFILE = "/etc/postfix/pop-before-smtp"
#: Where it looked for its configuration: on Debian and Ubuntu, and as its authors shipped it.
OLD_CONFIGURATIONS = ("/etc/pop-before-smtp/pop-before-smtp.conf", "/etc/pop-before-smtp-conf.pl")

_KEYS = ("write", "debug", "flock", "reprocess", "watchlog", "dbfile", "logto", "grace", "daemon")
_WITH_VALUE = ("config", "watchlog", "logfile", "dbfile", "logto", "grace", "daemon")
_NEGATABLE = ("write", "debug", "flock")
_PLAIN = ("reprocess", "version", "dumpconfig", "list", "help")


def main(args: Sequence[str] | None = None) -> int:
    """Run the program with `args`, by default the process's own, and return its exit status."""
    try:
        given = normalise(sys.argv[1:] if args is None else list(args))
        if not any(argument.startswith("--config=") for argument in given) and not set(given) & {"--help", "--version"}:
            _find_configuration()
    except PbsError as error:
        sys.stderr.write(printable(f"{NAME}: {error}") + "\n")
        return error.exit_status
    return execute(application, NAME, given)


def application() -> typer.Typer:
    """The typer program."""
    app = blank()

    @options.command(app, NAME, keys=_KEYS, base=Config(dbfile=OLD_DBFILE))
    def pop_before_smtp(
        settings: Settings, version: Version = False, dumpconfig: Dumpconfig = False, list_: List = False
    ) -> int:
        """Watch the mail log for POP and IMAP logins, and let their addresses relay for a while.

        This is pbs-fast with the name and options of the Perl program that it succeeds. Its configuration is
        /etc/pbs-fast/pbs-fast.toml; --config=FILE must be the first option. To convert an old configuration, use
        pbs-fast import-config.
        """
        return act(settings, version, dumpconfig, list_)

    return app


def normalise(args: Sequence[str]) -> list[str]:
    """The arguments with full option names, parsed like Getopt::Long with its default settings.

    Raises UsageError for an unknown or ambiguous option, a missing value, and a `--config` that is not first.
    """
    found: list[str] = []
    rest = iter(args)
    for argument in rest:
        if argument == "--":
            break
        if not argument.startswith("-") or argument == "-":
            raise UsageError(f"unexpected argument {argument!r}; options begin with --")
        text, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        name = _full_name(text, argument)
        if name == "config" and found:
            raise UsageError("--config=FILE must be the first option.")
        if name in _WITH_VALUE:
            if not equals:
                following = next(rest, None)
                if following is None:
                    raise UsageError(f"option --{name} needs a value, as in --{name}=...")
                value = following
            found.append(f"--{name}={value}")
        elif equals:
            raise UsageError(f"option --{name} takes no value, but was given {value!r}")
        else:
            found.append(f"--{name}")
    return found


def _full_name(text: str, argument: str) -> str:
    """The full name of an abbreviated option. Raises UsageError."""
    wanted = text.lower()
    spelled = {name: name for name in (*_WITH_VALUE, *_NEGATABLE, *_PLAIN)}
    spelled |= {f"no{name}": f"no{name}" for name in _NEGATABLE} | {f"no-{name}": f"no{name}" for name in _NEGATABLE}
    if wanted in spelled:
        return spelled[wanted]
    near = sorted({name for spelling, name in spelled.items() if wanted and spelling.startswith(wanted)})
    if len(near) == 1:
        return near[0]
    if near:
        raise UsageError(f"option {argument} is ambiguous: {', '.join(f'--{name}' for name in near)}")
    raise UsageError(f"unknown option {argument}; see: {NAME} --help")


def _find_configuration() -> None:
    """Raises UsageError if only the Perl program's configuration exists: its settings must not be ignored silently."""
    if os.path.exists(DEFAULT_FILE):  # noqa: PTH110 - as the loader looks
        return
    for old in OLD_CONFIGURATIONS:
        if os.path.exists(old):  # noqa: PTH110
            raise UsageError(
                f"found the old configuration {old} and no {DEFAULT_FILE}; convert it once: pbs-fast import-config "
                f"{old} > {DEFAULT_FILE}"
            )
