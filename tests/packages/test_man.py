"""The manual pages are those that packaging/make_man.py writes, man reads them, and they hold what they must."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import make_man
import pytest
from man_texts import EXAMPLES, JOURNAL, SOURCES
from typer.main import get_command

from mta import unavailable
from pbs_fast.cli import application
from pbs_fast.cli.old import normalise
from pbs_fast.config import KEYS
from pbs_fast.config.read import read_file
from pbs_fast.formats.loader import TABLE_KEYS
from pbs_fast.tables.registry import TYPES

PACKAGING = Path(__file__).parents[2] / "packaging"
PAGES = ("pbs-fast.8", "pbs-fast.toml.5", "pop-before-smtp.8")


def test_the_pages_are_up_to_date() -> None:
    pages = make_man.pages()
    assert set(pages) == set(PAGES) == {file.name for file in (PACKAGING / "man").iterdir()}
    for name, text in pages.items():
        assert (PACKAGING / "man" / name).read_text() == text, "run: .venv/bin/python packaging/make_man.py"


def shown(page: str) -> str:
    """The page as man shows it, on lines that are long enough for any word."""
    if shutil.which("man") is None or shutil.which("groff") is None:
        unavailable("needs man and groff")
    environment = {**os.environ, "MANWIDTH": "500", "LC_ALL": "C.UTF-8", "MANROFFOPT": "-c", "PAGER": "cat"}
    done = subprocess.run(
        ["man", "--warnings", "-l", PACKAGING / "man" / page],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(r".\x08", "", done.stdout)


@pytest.mark.parametrize("page", PAGES)
def test_man_reads_it_without_a_warning(page: str) -> None:
    text = shown(page)
    assert text.count("\n") > 30
    assert "Bennett Todd" in text
    assert "Wayne Davison" in text
    assert "\\" not in text.replace(r"\[", "").replace(r"\]", ""), "nothing of the page's own markup shows"


def test_every_command_and_option_is_in_the_page() -> None:
    text = shown("pbs-fast.8")
    group: Any = get_command(application())
    for name, command in group.commands.items():
        assert re.search(rf"(?m)^   {name}$", text), name
        for each in command.params:
            assert all(option in text for option in (*each.opts, *each.secondary_opts) if option.startswith("--"))
    assert "so its code runs" in text
    assert "A note on standard error reports, with its line, each setting without a counterpart" in text


def test_the_synopsis_has_each_commands_arguments() -> None:
    lines = shown("pbs-fast.8").partition("SYNOPSIS\n")[2].partition("\n\n")[0].splitlines()
    group: Any = get_command(application())
    assert len(lines) == len(group.commands)
    for line in (
        "status [options]",
        "why [options] ADDRESS|USER",
        "revoke [options] [ADDRESS|NETWORK|USER]",
        "grant [options] ADDRESS --for=DURATION",
        "share [options] forget NODE",
        "report [options] [LOG]...",
        "match [options] [FILE]...",
    ):
        assert f"       pbs-fast {line}" in lines


def test_every_command_has_an_example_or_needs_none() -> None:
    shown_by_example = {shlex.split(text)[1] for text, _ in EXAMPLES["pbs-fast.8"]}
    group: Any = get_command(application())
    assert set(group.commands) - shown_by_example == {"reap", "formats", "version"}


def test_every_key_is_in_the_page() -> None:
    text = shown("pbs-fast.toml.5")
    for key in (*(name.rpartition(".")[2] for name in KEYS), *TABLE_KEYS):
        assert re.search(rf"(?m)^       {key}(?:$| )", text), key
    assert "login = ['user {user} logged in from {ip}']" in text


def test_every_form_of_log_and_table_is_in_the_page() -> None:
    text = shown("pbs-fast.8")
    for name in (*SOURCES, *(f"{key}=" for key in JOURNAL), *(f"{name}:" for name in TYPES)):
        assert re.search(rf"(?m)^       {re.escape(name)}(?:$| )", text), name


def test_the_examples_are_true(tmp_path: Path) -> None:
    """Each command of an EXAMPLES section has a command and options that exist, each file is a configuration."""
    group: Any = get_command(application())
    assert set(EXAMPLES) == set(PAGES)
    for page in PAGES:
        assert ".SH EXAMPLES" in (PACKAGING / "man" / page).read_text()
    for text, _ in EXAMPLES["pbs-fast.8"]:
        program, name, *words = shlex.split(text.partition("|")[0])
        assert program == "pbs-fast"
        with group.commands[name].make_context(name, words):
            pass
    for text, _ in EXAMPLES["pop-before-smtp.8"]:
        assert normalise(shlex.split(text)[1:])
    for text, _ in EXAMPLES["pbs-fast.toml.5"]:
        (tmp_path / "example.toml").write_text(text)
        assert read_file(str(tmp_path / "example.toml")).values
