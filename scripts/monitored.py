"""A daemon and a real Prometheus that scrapes it each second: for tests, and for the picture in docs/MONITORING.md.

    .venv/bin/python scripts/monitored.py [FILE.png]

runs both for a minute with logins that come and go, and draws each panel of the shipped dashboard from what Prometheus
answers. Grafana itself takes no part: the picture has its panels, their places and their data, not its looks.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "examples" / "monitoring" / "dashboard.json").read_text())
ALERTS = ROOT / "examples" / "monitoring" / "alerts.yml"
PICTURE = ROOT / "docs" / "monitoring.png"
#: Seconds in which everything must come up, on a slow machine.
PATIENCE = 60.0


@dataclass(frozen=True)
class Monitored:
    """What runs."""

    place: Path
    log: Path
    daemon_port: int
    port: int
    map: tuple[str, int, str]
    """Host, port and name of the daemon's socketmap."""

    def log_in(self, ip: str, user: str = "ann") -> None:
        """A login in the log."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        self.write(
            f"{stamp} hub dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.10, mpid=71, "
            "TLS, session=<9mVjWnQ7pQDLAHEF>"
        )

    def write(self, line: str) -> None:
        """A line in the log."""
        with self.log.open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())

    def look_up(self, ip: str) -> bytes:
        """What the socketmap says."""
        host, port, name = self.map
        with socket.create_connection((host, port), timeout=PATIENCE) as client:
            request = f"{name} {ip}"
            client.sendall(f"{len(request)}:{request},".encode())
            return client.recv(4096)

    def scrape(self) -> str:
        """What Prometheus gets."""
        with urlopen(f"http://127.0.0.1:{self.daemon_port}/metrics", timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text

    def query(self, expression: str, **span: float) -> list[dict[str, Any]]:
        """Prometheus' result, with `start`, `end` and `step` over a time."""
        kind = "query_range" if span else "query"
        asked = urlencode({"query": expression, **span})
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{kind}?{asked}", timeout=PATIENCE) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result


def expression(target: dict[str, Any], interval: str) -> str:
    """A panel's query as Grafana would send it, with a rate over `interval`."""
    text: str = target["expr"].replace("$instance", ".*").replace("$__rate_interval", interval)
    return text


@contextmanager
def monitored(place: Path) -> Iterator[Monitored]:
    """Both, ready to be asked. `place` is an empty directory."""
    log = place / "mail.log"
    log.touch()
    daemon_port, port, map_port = _free_port(), _free_port(), _free_port()
    (place / "networks").write_text("127.0.0.0/8\n")
    (place / "pbs.toml").write_text(
        f'mynetworks = ["{place}/networks"]\ndeny = "{place}/deny.toml"\n'
        f'state_directory = "{place}"\nwatchlog = "{log}"\n'
        f'dbfile = "lmdb:{place}/relay"\ntable = "socketmap:inet:127.0.0.1:{map_port}:relay"\n'
        f'logto = "{place}/own.log"\ngrace = 30\n'
        f'[control]\ndirectory = "{place}/run"\n[metrics]\nlisten = "127.0.0.1:{daemon_port}"\n'
    )
    (place / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{ALERTS}]\nscrape_configs:\n"
        f"  - job_name: pbs-fast\n    static_configs: [{{targets: ['127.0.0.1:{daemon_port}']}}]\n"
    )
    (place / "deny.toml").write_text('[[deny]]\nusers = ["mallory"]\n')
    program = str(Path(sys.executable).with_name("pbs-fast"))
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        raise SystemExit("monitored: needs prometheus (scripts/install-test-servers.sh)")
    commands = [
        [program, "run", f"--config={place}/pbs.toml"],
        [
            prometheus,
            f"--config.file={place}/prometheus.yml",
            f"--storage.tsdb.path={place}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
    ]
    running: list[subprocess.Popen[bytes]] = []
    found = Monitored(place, log, daemon_port, port, ("127.0.0.1", map_port, "relay"))
    with (place / "output").open("wb") as output:
        try:
            for command in commands:
                # Not as a list: those that were started are ended, whatever follows.
                running.append(subprocess.Popen(command, stdout=output, stderr=output))  # noqa: PERF401, S603
            await_("Prometheus to see the daemon ready", lambda: _is_ready(found), running)
            yield found
        finally:
            for each in running:
                each.terminate()
            for each in running:
                try:
                    each.wait(timeout=PATIENCE)
                except subprocess.TimeoutExpired:
                    each.kill()


def await_(what: str, probe: Callable[[], bool], running: list[subprocess.Popen[bytes]] | None = None) -> None:
    """Wait until it is so. Raises AssertionError."""
    end = time.monotonic() + PATIENCE
    while not probe():
        ended = [each.args for each in running or () if each.poll() is not None]
        assert not ended, f"ended while we waited for {what}: {ended}"  # noqa: S101
        assert time.monotonic() < end, f"waited for {what}"  # noqa: S101
        time.sleep(0.1)


def _is_ready(found: Monitored) -> bool:
    try:
        return [each["value"][1] for each in found.query("pbs_fast_ready")] == ["1"]
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def draw(found: Monitored, start: float, end: float, file: Path) -> None:
    """Each panel of the dashboard at its place, from Prometheus' data."""
    from matplotlib.figure import Figure  # make setup-full installs it

    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in DASHBOARD["panels"])
    figure = Figure(figsize=(15, bottom * 0.42), facecolor="#f4f5f5", dpi=80)
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        left, height = at["x"] / 24 + 0.035, at["h"] / bottom
        low = 1 - (at["y"] + at["h"]) / bottom
        axes = figure.add_axes((left, low + height * 0.16, at["w"] / 24 - 0.05, height * 0.66))
        is_bytes = panel["fieldConfig"]["defaults"]["unit"] == "bytes"
        axes.set_title(panel["title"] + (" (MiB)" if is_bytes else ""), loc="left", fontsize=9, fontweight="bold")
        axes.tick_params(labelsize=7)
        is_stat = panel["type"] == "stat"
        shown: list[str] = []
        for target in panel["targets"]:
            for series in found.query(expression(target, "5s"), start=start, end=end, step=1.0):
                legend = target["legendFormat"]
                for name, value in series["metric"].items():
                    legend = legend.replace("{{" + name + "}}", value.replace(str(found.place), "/var/log"))
                points = [
                    (at - start, float(value) / (1 << 20 if is_bytes else 1))
                    for at, value in series["values"]
                    if value != "NaN"
                ]
                if is_stat and points:
                    shown.append(f"{points[-1][1]:.3g}  {legend}")
                elif points:
                    axes.plot(*zip(*points, strict=True), label=legend, linewidth=1.2)
        if is_stat:
            axes.set_axis_off()
            axes.text(0.02, 0.3, "      ".join(shown), fontsize=13, color="#1a7f37")
        else:
            axes.set_xlim(0, end - start)
            # Room for the legend above the highest line.
            axes.set_ylim(0, max(axes.get_ylim()[1], 1e-9) * 1.4)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(fontsize=6.5, loc="upper left", ncols=2, frameon=False)
    figure.savefig(file)


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with TemporaryDirectory() as directory, monitored(Path(directory)) as found:
        start = time.time()
        for second in range(75):
            for number in range(1 + second % 20):
                found.log_in(f"203.0.113.{(second * 7 + number) % 250 + 1}")
                found.look_up(f"203.0.113.{number + 1}")
            if second % 5 == 0:
                found.log_in("198.51.100.7", "mallory")
                found.write(
                    f"{time.strftime('%Y-%m-%dT%H:%M:%S+00:00', time.gmtime())} hub dovecot: imap-login: Login: odd"
                )
            time.sleep(1)
        draw(found, start, time.time(), file)


if __name__ == "__main__":
    main()
