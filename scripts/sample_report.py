"""Makes docs/report-sample.html, the page of a generated month, and its picture (needs Chromium).

python scripts/sample_report.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pbs_fast.matching.backends import load_backend  # noqa: E402
from pbs_fast.report.page import as_page  # noqa: E402
from report.conftest import look  # noqa: E402
from report.town import DAY, START, town, write  # noqa: E402

PAGE = ROOT / "docs" / "report-sample.html"
PICTURE = ROOT / "docs" / "report-sample.png"
#: Pixels: the header, the four pictures and the plan.
SIZE = "1200,1420"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        log = write(town(7, scale=3), Path(place) / "mail.log")
        found = look(load_backend(), [log], now=START + 30 * DAY)
        PAGE.write_text(as_page(found, made=datetime(2026, 12, 1, 8, tzinfo=UTC)), encoding="utf-8")
        browser = shutil.which("chromium")
        if browser is None:
            raise SystemExit("sample_report.py: chromium is not installed; the page is written, its picture is not")
        subprocess.run(  # noqa: S603
            [
                browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={place}/home", f"--window-size={SIZE}", f"--screenshot={PICTURE}", PAGE.as_uri(),
            ],
            check=True, timeout=120, stderr=subprocess.DEVNULL,
        )  # fmt: skip


if __name__ == "__main__":
    main()
