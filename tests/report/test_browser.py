"""The page in a real browser: no request leaves it, no error, nothing wider than telephone or paper."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mta import unavailable
from pbs_fast.matching.backends import load_backend
from pbs_fast.report.page import as_page
from report.conftest import look

pytestmark = pytest.mark.system

#: The page in a frame as wide as a telephone or a screen; what is wider than the frame would be scrolled sideways.
_FRAME = """<!DOCTYPE html><title>frame</title>
<iframe src="{source}" style="width:{width}px;height:900px;border:0"></iframe>
<script>onload = () => {{ const d = document.querySelector("iframe").contentDocument;
document.title = [d.documentElement.scrollWidth,
[...d.querySelectorAll("section")].filter(s => s.scrollWidth > s.clientWidth).length, d.querySelectorAll("svg").length,
Math.min(...[...d.querySelectorAll("svg text")].map(t => parseFloat(getComputedStyle(t).fontSize)
* t.ownerSVGElement.getBoundingClientRect().width / 400)).toFixed(1),
getComputedStyle(d.body).backgroundColor].join(" ") }}</script>"""


class Site:
    """A web server that is also the browser's proxy: every request comes here."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                body = pages.get(self.path.removeprefix("http://report.test"), "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_CONNECT(self) -> None:
                site.asked.append(self.path)
                self.send_error(403)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def visit(self, path: str, home: Path) -> tuple[str, str]:
        """The DOM, and what the browser logged of the page."""
        browser = shutil.which("chromium")
        if browser is None:
            unavailable("Chromium is not installed")
        done = subprocess.run(
            [
                browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-default-apps", "--disable-extensions", "--metrics-recording-only", "--disable-dev-shm-usage",
                f"--user-data-dir={home}", f"--proxy-server=127.0.0.1:{self.server.server_port}",
                "--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom", f"http://report.test{path}",
            ],
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    def of_page(self) -> set[str]:
        """What was asked for; the browser's own questions (updates, variations) are not the page's."""
        return {each for each in self.asked if ".google" not in each and "gvt1" not in each}


@pytest.fixture
def site(town_log: Path) -> Iterator[Site]:
    page = as_page(look(load_backend(), [town_log]), made=datetime(2026, 12, 1, tzinfo=UTC))
    bad = "<!DOCTYPE html><title>x</title><img src='http://elsewhere.test/x.png'><script>missing()</script>"
    frames = {f"/{width}": _FRAME.format(width=width, source="/report") for width in (340, 1280)}
    # What is for paper, on a screen as wide as A4 between its margins.
    frames["/700"] = _FRAME.format(width=700, source="/paper")
    found = Site({"/report": page, "/paper": page.replace("@media print", "@media screen"), "/bad": bad, **frames})
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.mark.timeout(300)
def test_the_page(site: Site, tmp_path: Path) -> None:
    dom, errors = site.visit("/report", tmp_path / "home")
    assert "Who still uses POP-before-SMTP" in dom
    assert not errors
    assert site.of_page() <= {"http://report.test/report", "http://report.test/favicon.ico"}
    for width in (340, 700, 1280):
        dom, errors = site.visit(f"/{width}", tmp_path / "home")
        assert not errors
        wide, cut, pictures, text, ground = dom.partition("<title>")[2].partition("</title>")[0].split(" ", 4)
        assert cut == "0", f"a section of the page is cut off at {width}"
        assert int(wide) <= width
        assert pictures == "4"
        assert float(text) >= 8.5, "pixels"
        assert ground in ("rgb(245, 246, 248)", "rgb(18, 22, 27)", "rgb(255, 255, 255)")
    # What would be noticed.
    _, errors = site.visit("/bad", tmp_path / "home")
    assert "missing is not defined" in errors
    assert "http://elsewhere.test/x.png" in site.of_page()
