"""make audit: licences and sources of all crates, and what the advisory databases know of everything that is pinned.

    .venv/bin/python packaging/audit.py

The tools are fetched into target/audit, from crates.io and PyPI. Licences, bans and sources are read from what cargo
has; advisories are asked of RustSec (a clone of its repository), and of PyPI, or of OSV where PyPI does not tell. What
could not be asked is said at the end and is no pass: with CI=true it fails the run, as a skipped test does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target" / "audit"
MANIFESTS = (ROOT / "Cargo.toml", ROOT / "rust" / "fuzz" / "Cargo.toml")
PINNED = ROOT / "constraints.txt"
#: How cargo-deny ends when it does not understand its options.
USAGE = 2
#: Of libraries: who holds the same advisories, in the order in which they are asked.
SERVICES = ("pypi", "osv")


class Outcome(NamedTuple):
    """Of one check: what was found wrong, and why it could not be made."""

    findings: str = ""
    not_asked: str = ""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The line that says why a tool failed: the last one."""
    said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return said[-1] if said else f"ended with {done.returncode} and said nothing"


def cargo_deny() -> str | None:
    """Why there is no cargo-deny; it is built in minutes. No other one: its options move from version to version."""
    if (PLACE / "bin/cargo-deny").exists():
        return None
    done = run("cargo", "install", "--quiet", "--locked", "--root", PLACE, "--version=^0.20", "cargo-deny")
    return last_words(done) if done.returncode else None


def pip_audit() -> str | None:
    """Why there is no pip-audit."""
    if (PLACE / "venv/bin/pip-audit").exists():
        return None
    for words in (
        [sys.executable, "-m", "venv", PLACE / "venv"],
        [PLACE / "venv/bin/pip", "install", "--quiet", "pip-audit>=2.9,<3"],
    ):
        done = run(*words)
        if done.returncode:
            return last_words(done)
    return None


def deny(manifest: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(PLACE / "bin/cargo-deny", "--manifest-path", manifest, "--config", ROOT / "deny.toml", *words)


def checked(done: subprocess.CompletedProcess[str]) -> Outcome:
    return Outcome(findings=f"{done.stdout}{done.stderr}".strip() if done.returncode else "")


def crates(missing: str | None) -> dict[str, Outcome]:
    """Licences and sources, then advisories, of each workspace."""
    outcomes = {}
    database = missing
    if missing is None:
        fetched = deny(MANIFESTS[0], "fetch", "db")
        if fetched.returncode == USAGE:
            raise SystemExit(f"audit: cargo-deny was called in a way that it does not know:\n{fetched.stderr}")
        database = last_words(fetched) if fetched.returncode else None
    for manifest in MANIFESTS:
        name = manifest.relative_to(ROOT)
        outcomes[f"licences, bans and sources of the crates of {name}"] = (
            Outcome(not_asked=missing) if missing else checked(deny(manifest, "check", "licenses", "bans", "sources"))
        )
        outcomes[f"RustSec about the crates of {name}"] = (
            Outcome(not_asked=database) if database else checked(deny(manifest, "check", "advisories"))
        )
    return outcomes


def libraries(missing: str | None) -> Outcome:
    """Advisories of the pinned libraries, from the first service that knows them all."""
    reasons = [] if missing is None else [missing]
    for service in SERVICES if missing is None else ():
        tool = (PLACE / "venv/bin/pip-audit", "--vulnerability-service", service, "--format=json")
        done = run(*tool, "--requirement", PINNED, "--no-deps", "--disable-pip")
        try:
            told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except ValueError:
            reasons.append(f"{service}: {last_words(done)}")
            continue
        found = [f"{each['name']} {each['version']}: {bug['id']}" for each in told for bug in each.get("vulns", ())]
        if found:
            return Outcome(findings="\n".join(found))
        # pip-audit ends with 0 also when it could ask about nothing.
        skipped = [each for each in told if "skip_reason" in each]
        if told and not skipped:
            return Outcome()
        reasons.append(f"{service}: {len(skipped)} of {len(told)} not known there: {skipped[0]['skip_reason']}")
    return Outcome(not_asked="; ".join(reasons))


def main() -> int:
    PLACE.mkdir(parents=True, exist_ok=True)
    outcomes = crates(cargo_deny())
    outcomes[f"advisories of the libraries in {PINNED.name}"] = libraries(pip_audit())
    for what, (findings, not_asked) in outcomes.items():
        print(f"audit: {what}: {'FOUND' if findings else 'NOT ASKED' if not_asked else 'nothing found'}")
        for line in (findings or not_asked).splitlines():
            print(f"    {line}")
    open_ = [what for what, outcome in outcomes.items() if outcome.not_asked]
    if open_:
        print(f"audit: incomplete, {len(open_)} of {len(outcomes)} checks could not be made")
    in_ci = os.environ.get("CI") == "true"
    return int(any(outcome.findings for outcome in outcomes.values()) or (in_ci and bool(open_)))


if __name__ == "__main__":
    sys.exit(main())
