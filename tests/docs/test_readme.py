"""README.md is run: each block of commands on a scratch place, each command and guide that it names is there."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.running import NOBODY, PROGRAM, Site, login, require_nobody
from mta import unavailable, wait_for
from mta.guide import blocks
from pbs_fast.cli import main
from pbs_fast.tables import list_rows

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
A = "203.0.113.5"


def words(line: str, site: Site) -> list[str]:
    """A line of the README as a command of this checkout, with the site's log and configuration."""
    line = line.partition(" #")[0].replace("/var/log/mail.log", str(site.log))
    found = shlex.split(line)
    assert found[0] == "pbs-fast"
    more = [f"--config={site.config}"] if found[1] in ("run", "match") else []
    return [PROGRAM, *found[1:], *more]


@pytest.fixture
def place(new_site: Callable[[str], Site]) -> Site:
    return new_site("lmdb")


def test_make_targets() -> None:
    """What they do takes minutes and is done by CI; here that they are there."""
    for line in blocks("../README.md")["make"]:
        command = shlex.split(line.partition(" #")[0])
        done = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, cwd=TOP, check=False)
        assert done.returncode == 0, done.stderr


def test_trying_a_log(place: Site) -> None:
    place.append(
        login(A, at=time.time() - 30), login("198.51.100.7", at=time.time() - 20).replace("PLAIN", "ANONYMOUS")
    )
    said = []
    for line in blocks("../README.md")["try"]:
        done = subprocess.run(words(line, place), capture_output=True, text=True, timeout=60, check=False)
        said.append((done.returncode, done.stdout, done.stderr))
    (plain, missed, dry) = said
    assert plain[0] == 0
    assert f"{place.log}:1  login   {A} " in plain[1]
    assert missed[0] == 3, "there was a line that looks like a login"
    assert "198.51.100.7" in missed[1]
    assert dry[0] == 0, dry
    assert re.search(rf"would add {re.escape(A)} to DB user=ann", dry[1])
    assert not place.file.exists()


def test_the_daemon(place: Site) -> None:
    (line,) = blocks("../README.md", place.place)["run"]
    place.cover()
    process = subprocess.Popen(words(line, place))
    try:
        wait_for("the table", place.file.exists)
        place.append(login(A))
        wait_for("the row", lambda: place.holds(A))
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert list_rows(place.spec) == [(A, "ok")]


def test_the_daemon_of_an_ordinary_user(place: Site) -> None:
    require_nobody()
    home = place.place
    home.chmod(0o777)
    place.log.chmod(0o644)
    place.cover()
    *prepare, start = blocks("OPERATION.md")["user"]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    made = [*NOBODY, "sh", "-c", "\n".join(prepare)]
    subprocess.run(made, check=True, env=environment, cwd=home)
    command = [*NOBODY, *words(start.replace("$HOME", str(home)), place)[:-1]]
    process = subprocess.Popen(command, env=environment, cwd=home)
    config = f"--config={home}/pbs-fast/pbs-fast.toml"

    def asked(*command: str) -> str:
        asking = [*NOBODY, PROGRAM, *command, config]
        return subprocess.run(asking, capture_output=True, text=True, env=environment, check=False).stdout

    try:
        wait_for("the daemon", lambda: "ready" in asked("status"))
        place.append(login(A))
        wait_for("the row", lambda: A in asked("list"))
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert list_rows(f"lmdb:{home}/pbs-fast/table/relay") == [(A, "ok")]


def test_main_cf_is_that_of_the_guide() -> None:
    """Whose lines the tests of tests/tables run against a real Postfix."""

    def restrictions(lines: list[str]) -> list[str]:
        text = " ".join(" ".join(lines).partition("smtpd_relay_restrictions")[2].split())
        return re.split(r",\s*", text.lstrip("= "))

    wanted = restrictions(blocks("../README.md")["main.cf"])
    assert wanted.index("permit_auth_destination") < next(i for i, each in enumerate(wanted) if "lmdb:" in each)
    assert wanted == restrictions(blocks("MTA-POSTFIX.md")["main.cf lmdb"])


def test_service_files_are_where_the_lines_say(tmp_path: Path) -> None:
    """The copying is done below a scratch root; tests/packages starts what was copied under a real systemd."""
    for line in blocks("../README.md")["service"]:
        assert line.startswith("install ")
        copy = line.partition(" && ")[0].replace(" /etc", f" {tmp_path}/etc")
        for directory in re.findall(r" (\S*/)$", copy):
            Path(directory).mkdir(parents=True)
        subprocess.run(["sh", "-c", copy], check=True, cwd=TOP)  # the shell is for its `*`
    copied = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"pbs-fast.service", "pbs-fast-reap.service", "pbs-fast-reap.timer", "pbs-fast.toml", "deny.toml"} <= copied


def test_every_command_is_in_the_table(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    commands = re.findall(r"(?m)^  ([a-z][a-z-]+)  +[A-Z]", capfd.readouterr().out)
    assert len(commands) >= 10
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    for command in commands:
        assert re.search(rf"`(?:pbs-fast )?{command}[ `]", table), command


def test_completion() -> None:
    (line,) = re.findall(r'`eval "\$\((_PBS_FAST_COMPLETE=\S+) pbs-fast\)"`', README)
    name, _, value = line.partition("=")
    if shutil.which("bash") is None:
        unavailable("needs bash")
    script = subprocess.run(
        [PROGRAM], capture_output=True, text=True, env={name: value, "PATH": "/usr/bin"}, check=False
    )
    assert "complete " in script.stdout
    subprocess.run(["bash", "-n"], input=script.stdout, text=True, check=True)
