"""`pop-before-smtp`: exactly the old program's interface, so that start scripts keep working.

It has the options of `pbs-fast run` that the Perl program had, parsed like Getopt::Long: any case, one dash or two,
abbreviated as long as they are unambiguous. They mean what they mean in `run`; the table's default path is the old one.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import typer

from pbs_fast.cli import blank, execute, options
from pbs_fast.cli.run import Dumpconfig, List, Version, act
from pbs_fast.config import Config, Settings
from pbs_fast.config.model import DEFAULT_FILE
from pbs_fast.config.read import looks_like_perl
from pbs_fast.errors import PbsError, UsageError
from pbs_fast.legacy.place import MADE_FROM, default_dbfile
from pbs_fast.util.text import printable

NAME = "pop-before-smtp"
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
        if given and given[0].startswith("--config="):
            given[0] = f"--config={_converted(given[0].partition('=')[2])}"
        elif not set(given) & {"--help", "--version"}:
            given = [*_find_configuration(), *given]
    except PbsError as error:
        sys.stderr.write(printable(f"{NAME}: {error}") + "\n")
        return error.exit_status
    return execute(application, NAME, given)


def application() -> typer.Typer:
    """The typer program."""
    app = blank()

    @options.command(app, NAME, keys=_KEYS, base=Config(dbfile=_old_dbfile()))
    def pop_before_smtp(
        settings: Settings, version: Version = False, dumpconfig: Dumpconfig = False, list_: List = False
    ) -> int:
        """Watch the mail log for POP and IMAP logins, and let their addresses relay for a while.

        This is pbs-fast under the name and with the options of the Perl program it succeeds. Its configuration is
        /etc/pbs-fast/pbs-fast.toml; --config=FILE must be the first option. An old configuration is converted by
        pbs-fast import-config, and FILE may go on naming it.
        """
        return act(settings, version, dumpconfig, list_, program=NAME)

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


def _old_dbfile() -> str:
    """Where the Perl program kept its table (its `$dbfile`) when its file did not say."""
    for path in OLD_CONFIGURATIONS:
        if os.path.isfile(path):  # noqa: PTH113
            return default_dbfile(path, Path(path).read_bytes().decode("utf-8", "replace")).path
    return default_dbfile().path


def _find_configuration() -> list[str]:
    """The option for a configuration that was made of the old one, where that is not the usual file.

    Raises UsageError where only the Perl program's configuration is there: what it says must not be passed over.
    """
    if os.path.exists(DEFAULT_FILE) and not _is_as_packaged(DEFAULT_FILE):  # noqa: PTH110 - as the loader looks
        return []
    for old in OLD_CONFIGURATIONS:
        if os.path.exists(old):  # noqa: PTH110
            if made := _made_from(old):
                return [f"--config={made}"]
            made_of = " that sets anything" if os.path.exists(DEFAULT_FILE) else ""  # noqa: PTH110
            raise UsageError(
                f"found the old configuration {old} and no {DEFAULT_FILE}{made_of}; convert it once: "
                f"pbs-fast import-config {old} > {DEFAULT_FILE}"
            )
    return []


def _converted(path: str) -> str:
    """The file to read for `--config=path`: what was made of it, where it is a Perl configuration.

    Raises UsageError where none was.
    """
    if not _is_perl(path):
        return path
    if made := _made_from(path):
        return made
    target = DEFAULT_FILE
    if path not in OLD_CONFIGURATIONS:
        target = str(Path(DEFAULT_FILE).with_name(Path(path).name.removesuffix("-conf.pl").partition(".")[0] + ".toml"))
    raise UsageError(
        f"{path} is a Perl configuration; convert it once: pbs-fast import-config {path} > {target}; "
        f"--config={path} then finds it, or write --config={target}"
    )


def _is_perl(path: str) -> bool:
    """Whether a configuration is the Perl program's; one that is gone is known by its name."""
    try:
        text = Path(path).read_bytes().decode("utf-8", "replace")
    except OSError:
        return path.endswith(".pl") or path in OLD_CONFIGURATIONS
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return path.endswith(".pl") or looks_like_perl(text)
    return False


def _made_from(old: str) -> str | None:
    """The configuration that import-config made of an old one, in the directory of the usual file or in its own."""
    first = MADE_FROM.format(Path(old).absolute())
    directories = dict.fromkeys((Path(DEFAULT_FILE).parent, Path(old).absolute().parent))
    for path in [path for directory in directories for path in sorted(directory.glob("*.toml"))]:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                if file.readline().startswith(first):
                    return str(path)
        except OSError:
            continue
    return None


def _is_as_packaged(path: str) -> bool:
    """Whether a configuration is the one that came with the package: nothing set but the user."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        set_ = {key for key, value in tomllib.loads(text).items() if value != {}}  # headers of tables set nothing
        return text.startswith(f"# {DEFAULT_FILE}: the configuration of pbs-fast.") and set_ <= {"user"}
    except (OSError, ValueError):
        return False
