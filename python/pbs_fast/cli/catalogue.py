"""`pbs-fast formats` and `pbs-fast version`: what this installation can read, and its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbs_fast.cli import panels
from pbs_fast.cli.options import CORES, Grouped, one_of, starting
from pbs_fast.cli.render.layout import look, table
from pbs_fast.cli.replays import ConfigFile
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.formats import Format


def _names(incomplete: str) -> list[str]:
    from pbs_fast.formats.loader import load_catalogue

    return starting((each.name for each in load_catalogue()), incomplete)


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("formats", cls=Grouped, rich_help_panel=panels.LOGS)
    def formats(
        name: Annotated[
            str | None,
            typer.Argument(metavar="NAME", autocompletion=_names, help="Show this format's tags and sample lines."),
        ] = None,
        patterns: Annotated[
            bool, typer.Option("--patterns", help="Show this format's patterns instead, as its file has them.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print JSON: one format, or a list of all.")] = False,
        config: ConfigFile = None,
    ) -> None:
        """List the servers whose logs pbs-fast can read, or show one of them."""
        import json as json_module

        from pbs_fast.config import load, merge
        from pbs_fast.matching.site import site_formats

        if patterns and name is None:
            from pbs_fast.errors import UsageError

            raise UsageError("--patterns needs the name of a format; pbs-fast formats lists them")
        settings = merge(load(config), ())
        site = site_formats(settings)
        for warning in site.warnings:
            typer.echo(printable(f"pbs-fast formats: warning: {warning}"), err=True)
        catalogue = site.formats
        own: dict[object, Any] = {each.keys["name"]: each.keys for each in settings.config.format}
        if name is None:
            text = (
                json_module.dumps([_summary(each) for each in catalogue], indent=2) + "\n"
                if json
                else _table(catalogue)
            )
        else:
            found = _find(catalogue, name)
            keys = own[name] if name in own else _file(name)
            samples = keys.get("sample", [])
            if json:
                text = json_module.dumps(_details(found) | {"samples": samples}, indent=2) + "\n"
            else:
                text = _page(found, _patterns(keys) if patterns else [*_samples(samples), "", _more(found, name)])
        typer.echo(text, nl=False)

    @app.command("version", cls=Grouped, rich_help_panel=panels.SETUP)
    def version(
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        core: Annotated[
            str | None,
            typer.Option(**one_of(*CORES), help="Describe this backend.", show_default=False),
        ] = None,
    ) -> None:
        """Print the version, the backend in use and why, how it was built, and the platform."""
        import json as json_module
        import platform

        from pbs_fast import __version__
        from pbs_fast.matching import load_backend

        backend = load_backend(core)
        facts = {
            "version": __version__,
            "core": backend.name,
            "reason": backend.reason,
            "build": backend.profile,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "platform": platform.platform(),
        }
        if json:
            text = json_module.dumps(facts) + "\n"
        else:
            text = "".join(f"{key + ':':<10}{value}\n" for key, value in facts.items())
        typer.echo(text, nl=False)


def _find(catalogue: tuple[Format, ...], name: str) -> Format:
    for each in catalogue:
        if each.name == name:
            return each
    from pbs_fast.cli.errors import nearest
    from pbs_fast.errors import UsageError

    near = nearest(name, [each.name for each in catalogue])
    hint = f"nearest: {near}" if near else "see: pbs-fast formats"
    raise UsageError(f"no such format {name}; {hint}")


def _summary(found: Format) -> dict[str, Any]:
    return {
        "name": found.name,
        "title": found.title,
        "versions": found.versions,
        "program": [*found.program, *found.tls_program],
        "logout": bool(found.logout or found.session_end),
        "session": bool(found.session_address),
        "own_log": found.own_probe is not None,
    }


def _details(found: Format) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)


def _file(name: str) -> dict[str, Any]:
    from pbs_fast.formats import loader

    file = loader.DATA / f"{name}.toml"
    return loader.parse(loader.read(file), file)


def _table(catalogue: tuple[Format, ...]) -> str:
    return table(("NAME", "SERVER"), [[each.name, each.title] for each in catalogue], look()) + (
        "pbs-fast formats NAME shows versions, syslog tags and samples; with --patterns the patterns\n"
    )


def _page(found: Format, rest: list[str]) -> str:
    lines = [f"{found.name}: {', '.join(filter(None, (found.title, found.versions)))}"]
    if found.program:
        lines += [f"tags: {' '.join(found.program)}"]
    if found.tls_program:
        lines += [f"tags over TLS: {' '.join(found.tls_program)}"]
    if found.line_login:
        lines += ["tags: any, whole lines are searched"]
    if found.cut:
        lines += [f"records are cut at {found.cut} bytes"]
    return "".join(printable(line) + "\n" for line in [*lines, *rest])


def _more(found: Format, name: str) -> str:
    import shlex

    own = " and how its own log's lines begin" if found.own_probe is not None else ""
    return f"pbs-fast formats {shlex.quote(name)} --patterns shows the patterns{own}"


def _samples(samples: list[dict[str, Any]]) -> list[str]:
    lines = ["", "samples:"] if samples else []
    for sample in samples:
        messages = sample["message"] if isinstance(sample["message"], list) else [sample["message"]]
        came_out = sample.get("ip", "nothing") if sample["kind"] != "failure" else "nothing"
        lines += [f"  {sample['kind']:<8} {message}" for message in messages]
        lines += [f"           -> {came_out}"]
    return lines


#: Keys of a format's file, the last part of which holds patterns -> what these are.
_TITLES = {
    ("own_log", "probe"): "own log: its messages start with",
    ("login",): "logins",
    ("logout",): "ends of sessions",
    ("session", "address"): "sessions over several lines: address",
    ("session", "success"): "sessions over several lines: success",
    ("session", "failure"): "sessions over several lines: failure",
    ("session", "end"): "sessions over several lines: end",
    ("restart",): "starts and stops of the server, which end its sessions",
    ("killed",): "processes that end, and their sessions with them",
    ("aborted",): "logins that fail afterwards",
    ("line_login",): "logins, searched in whole lines",
    ("line_logout",): "ends of sessions, searched in whole lines",
}


def _patterns(keys: dict[str, Any]) -> list[str]:
    """With their placeholders, which docs/FORMAT-FILES.md explains, not as their regular expressions."""
    lines = []
    for path, title in _TITLES.items():
        found: Any = keys
        for key in path:
            found = found.get(key, {})
        if found:
            lines += ["", f"{title}:", *(f"  {each}" for each in ([found] if isinstance(found, str) else found))]
    return lines
