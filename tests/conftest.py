"""What all tests share: both backends, lanes, hypothesis profiles, real examples counted, no skips in CI."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import no_possessive  # noqa: F401  # first: it looks at every pattern that is compiled
import own_etc
from pbs_fast.matching.backends import Backend, load_backend

# `ci` is also the default: a failing example that only one run in ten sees helps nobody. `PBS_FAST_HYPOTHESIS=long`
# looks further, with new examples each time; `short` is for one more interpreter, where the same code is.
_CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=150, suppress_health_check=_CALM)
settings.register_profile("long", deadline=None, max_examples=5_000, suppress_health_check=_CALM)
settings.register_profile("short", derandomize=True, deadline=None, max_examples=40, suppress_health_check=_CALM)
PROFILE = os.environ.get("PBS_FAST_HYPOTHESIS", "ci")
settings.load_profile(PROFILE)

# A shell's `&` has SIGINT ignored, `nohup` SIGHUP; each program that a test starts would inherit that, but no handler.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda *_: None)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


#: Folders of the system lane: their tests start daemons, servers or builds. A single test elsewhere that does, or that
#: takes seconds, bears the mark `system` itself.
SYSTEM = {"daemon", "docs", "packages", "replay", "servers", "tables"}
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    # Lean environments, which run no system tests, are without the plugin.
    again = os.environ.get("CI") == "true" and config.pluginmanager.hasplugin("rerunfailures")
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in SYSTEM:
            item.add_marker(pytest.mark.system)
        if again and item.get_closest_marker("system"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    # The 10,000 collected tests stay to the end; a collection of garbage that looks at them all takes 0.12 s.
    gc.collect()
    gc.freeze()


_SEEN = own_etc.hide()


def pytest_report_header() -> list[str]:
    return [_SEEN] if _SEEN else []


@pytest.fixture(params=["rust", "python"])
def core(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    return load_backend(request.param)


#: Generators that do something in a third of their examples did so in 24 % of a run now and then.
LEAST_REAL = 0.15


class Share:
    """Counts the examples of one property test that did something real."""

    def __init__(self) -> None:
        self.examples = 0
        self.real = 0

    def __call__(self, real: object) -> None:
        self.examples += 1
        self.real += bool(real)

    def check(self, least: float) -> str:
        """The share in words; fails when it is less than `least`."""
        assert self.examples, "no example was run"
        share = self.real / self.examples
        assert share >= least, f"only {self.real} of {self.examples} examples did something real"
        return f"{share:.0%} of {self.examples} examples"


@pytest.fixture
def share(request: pytest.FixtureRequest) -> Iterator[Callable[[object], None]]:
    """Call it once an example; when the test ends, LEAST_REAL of them and more must have been real.

    Of few examples 10 %: the first that hypothesis makes are the simplest.
    """
    counter = Share()
    yield counter
    if counter.examples:
        # A property of the report, which comes to the process that prints from whichever worker ran the test.
        request.node.user_properties.append(("share", counter.check(0.1 if PROFILE == "short" else LEAST_REAL)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for kind in terminalreporter.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    shares = {report.nodeid: words for report in reports for name, words in report.user_properties if name == "share"}
    if shares:
        terminalreporter.section("examples that did something real")
        for nodeid, words in sorted(shares.items()):
            terminalreporter.write_line(f"{words}  {nodeid}")
    again = {report.nodeid: report for report in reports if report.outcome == "rerun"}
    if again:
        terminalreporter.section("needed a second try: to be mended")
        for nodeid, report in sorted(again.items()):
            terminalreporter.write_line(f"{nodeid}: {' '.join(report.longreprtext.split())[-300:]}")
    reasons = Counter(_reason(report) for report in reports if report.skipped)
    if reasons:
        terminalreporter.section("not tested here")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:4}  {reason}")
        terminalreporter.write_line("To install what they need (as root, on Debian): scripts/install-test-servers.sh")


def _reason(report: pytest.TestReport) -> str:
    place = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return place.removeprefix("Skipped: ").removesuffix(": scripts/install-test-servers.sh installs the servers")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: nothing there may be missing."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although CI=true: {report.longrepr}"
    return report
