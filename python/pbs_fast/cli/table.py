"""`pbs-fast reap` and `clear`: empty the tables that no daemon uses any more, or all of them now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pbs_fast.cli import options, panels
from pbs_fast.config import Config, Settings
from pbs_fast.errors import PbsError
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from pbs_fast.tables import TableOptions, TableSpec
    from pbs_fast.tables.leftover import Leftover

Named = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TYPE:PATH",
        help="Tables to empty instead of those of the configuration.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @options.command(app, "reap", keys=("dbfile", "table", "grace", "flock"), panel=panels.WORK)
    def reap_(settings: Settings) -> int:
        """Empty each table that no daemon has maintained for one grace period.

        Run it from a timer, so that rows end even if the daemon was stopped for good. It also empties tables that an
        earlier configuration left in the same directories.
        """
        from pbs_fast.tables.leftover import directories

        specs = chosen(settings.config)
        return each_account(
            "reap",
            settings.config,
            specs,
            directories(specs),
            lambda some, places: _reap(settings.config, specs, some, places),
        )

    @options.command(app, "clear", keys=("dbfile", "table", "flock"), panel=panels.WORK)
    def clear_(settings: Settings, tables: Named = None) -> int:
        """Empty the tables now. The daemon must be stopped first.

        It also empties tables that an earlier configuration left in the same directories. To empty one of those while
        the daemon runs, name it.
        """
        from pbs_fast.tables import parse
        from pbs_fast.tables.leftover import directories

        specs = [parse(text) for text in tables] if tables else chosen(settings.config)
        return each_account(
            "clear",
            settings.config,
            specs,
            [] if tables else directories(specs),
            lambda some, places: _clear(settings.config, specs, some, places),
        )


def chosen(config: Config) -> list[TableSpec]:
    """The tables of a configuration, those without a type resolved. Raises UsageError."""
    from pbs_fast.tables.untyped import choose

    return [choose(text, config.postconf).spec for text in config.tables]


def table_options(config: Config) -> TableOptions:
    """How the configuration wants tables written."""
    from pbs_fast.tables import TableOptions

    return TableOptions(value=config.value, flock=config.flock, adopt=config.adopt)


def listing(addresses: list[str]) -> str:
    """The old program's words: `The database holds 2 IPs:` and one address per line."""
    count = len(addresses)
    if not count:
        return "The database holds 0 IPs.\n"
    return f"The database holds {count} IP{'s' if count > 1 else ''}:\n" + "".join(
        f"\t{printable(each)}\n" for each in addresses
    )


def account_of(config: Config, spec: TableSpec) -> str | None:
    """The account as which root works on this table; None for root itself. Raises PbsError.

    A table whose program or signal needs root's rights stays root's; its own code makes its files
    (tables/file/foreign.py).
    """
    from pbs_fast.daemon.privileges import account_for
    from pbs_fast.tables.leftover import runs_programs

    if spec.file is None or runs_programs(spec):
        return None
    return account_for([spec.file, spec.file.with_name(f"{spec.file.name}.tmp")], config.user)


class _Share(NamedTuple):
    """What one account does."""

    specs: list[TableSpec]
    places: list[Path]


def each_account(
    command: str,
    config: Config,
    specs: Sequence[TableSpec],
    places: Iterable[Path],
    work: Callable[[Sequence[TableSpec], Sequence[Path]], Iterable[Callable[[], None]]],
) -> int:
    """Do the steps that `work` gives for tables and directories, each as the account that controls it.

    A step that fails is reported, and the others are done all the same. The exit status.
    """
    from pbs_fast.daemon.privileges import account_for, apart

    shares: dict[str | None, _Share] = {}
    failed = _Failures(command)

    def share(account: Callable[[], str | None]) -> _Share | None:
        with failed:
            return shares.setdefault(account() if os.geteuid() == 0 else None, _Share([], []))
        return None

    for spec in specs:
        if (part := share(lambda spec=spec: account_of(config, spec))) is not None:  # type: ignore[misc]
            part.specs.append(spec)
    for place in places:
        if (part := share(lambda place=place: account_for([place / "x.tmp"], config.user))) is not None:  # type: ignore[misc]
            part.places.append(place)
    for account, part in shares.items():

        def act(part: _Share = part) -> int:
            own = _Failures(command)
            for step in work(part.specs, part.places):
                with own:
                    step()
            return own.status

        failed.status = max(failed.status, apart(account, act))
    return failed.status


class _Failures:
    """Reports a PbsError raised within `with` and goes on."""

    def __init__(self, command: str) -> None:
        self._command = command
        self.status = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> bool:
        if not isinstance(error, PbsError):
            return False
        _print(printable(f"pbs-fast {self._command}: {error}"), error=True)
        self.status = max(self.status, error.exit_status)
        return True


def _reap(
    config: Config, configured: Sequence[TableSpec], specs: Sequence[TableSpec], places: Sequence[Path]
) -> Iterable[Callable[[], None]]:
    from pbs_fast.tables.leftover import leftovers
    from pbs_fast.tables.reap import reap, reap_leftover

    def one(spec: TableSpec) -> None:
        done = reap(spec, table_options(config), grace=config.grace)
        said = {
            "absent": f"{spec}: no such table",
            "owned": f"{spec}: in use by the running daemon",
            "waiting": f"{spec}: no daemon is running; {done.due}",
            "emptied": f"{spec}: emptied, {done.removed} rows removed",
        }[done.state]
        _print(said, notable=bool(done.removed))

    def other(left: Leftover) -> None:
        done = reap_leftover(left, table_options(config), grace=config.grace)
        if done.state == "waiting":
            _print_left(left, done.due)
        elif done.state == "asks":
            from shlex import quote

            _print_left(left, f"to empty it: pbs-fast clear {quote(left.spec.full)}")
        elif done.removed:
            _print_left(left, f"emptied, {done.removed} rows removed", notable=True)

    yield from [lambda spec=spec: one(spec) for spec in specs]
    yield from [lambda left=left: other(left) for left in leftovers(places, configured)]


def _clear(
    config: Config, configured: Sequence[TableSpec], specs: Sequence[TableSpec], places: Sequence[Path]
) -> Iterable[Callable[[], None]]:
    from pbs_fast.tables.leftover import leftovers, runs_programs
    from pbs_fast.tables.reap import clear, clear_leftover

    def one(spec: TableSpec) -> None:
        typer.echo(f"{spec}: emptied, {clear(spec, table_options(config))} rows removed")

    def other(left: Leftover) -> None:
        if runs_programs(left.spec):
            from shlex import quote

            _print_left(left, f"to empty it: pbs-fast clear {quote(left.spec.full)}")
            return
        removed = clear_leftover(left, table_options(config))
        if removed is None:
            _print_left(left, "in use by another daemon")
        elif removed:
            _print_left(left, f"emptied, {removed} rows removed")

    yield from [lambda spec=spec: one(spec) for spec in specs]
    yield from [lambda left=left: other(left) for left in leftovers(places, configured)]


def _print_left(left: Leftover, what: str, *, notable: bool = False) -> None:
    # Its name comes from a file that others may write.
    _print(printable(f"{left.spec}: not in this configuration; {what}"), notable=notable)


def _print(text: str, *, notable: bool = False, error: bool = False) -> None:
    """A line of output; in the journal its level is in front, because pbs-fast-reap.service keeps notable ones only."""
    from pbs_fast.log.targets import journal_reads

    level = "<4>" if error else "<5>" if notable else "<6>"
    typer.echo(level + text if journal_reads(2 if error else 1) else text, err=error)
