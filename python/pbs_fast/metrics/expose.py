"""The ways out: text, a file for node_exporter, HTTP. All read the last Snapshot, so no scrape meets the loop's data.

prometheus-client (the extra `metrics`) writes the formats and serves them; it is imported only where one of the ways
out is used. Invariants: the file is complete at any moment (renamed into place); a way out that fails is logged once
and ends nothing.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbs_fast.errors import ConfigError, PbsError
from pbs_fast.metrics.families import FAMILIES, PREFIX, Family
from pbs_fast.metrics.snapshot import Distribution, Labels, Latest, Value
from pbs_fast.util.addresses import parse_endpoint
from pbs_fast.util.admin_files import replace_file

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

log = logging.getLogger(__name__)

#: Seconds between two writings of the file: node_exporter is scraped each 15 s as a rule.
EVERY = 15.0
#: Scrapes at a time, and seconds after which a silent one is dropped.
MOST, PATIENCE = 8, 10.0


class MissingLibraryError(PbsError):
    """prometheus-client is not installed."""


class Registry:
    """What prometheus-client collects from: the newest snapshot, and `process_*` of this process."""

    def __init__(self, latest: Latest) -> None:
        """Raises MissingLibraryError."""
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector
        except ImportError:
            raise MissingLibraryError(
                "metrics need the library prometheus-client: pip install 'pbs-fast[metrics]'"
            ) from None
        self._latest = latest
        self.library: CollectorRegistry = CollectorRegistry()
        self.library.register(self)
        ProcessCollector(registry=self.library)

    def collect(self) -> Iterator[Metric]:
        """Each family of the newest snapshot."""
        if (snapshot := self._latest.snapshot) is not None:
            for name, samples in snapshot.families.items():
                yield _metric(FAMILIES[name], samples)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.library)


class Text:
    """All metrics as text, for who asks now and then: the library is imported at the first call."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest
        self._registry: Registry | None = None

    def __call__(self) -> bytes:
        """The text. Raises MissingLibraryError."""
        if self._registry is None:
            self._registry = Registry(self._latest)
        return self._registry.text()


class Ways:
    """The file and the listener, until `close`; both by daemon threads."""

    def __init__(self, latest: Latest, file: str | None, listen: str | None) -> None:
        """Raises MissingLibraryError, ConfigError for an address that nothing can listen on."""
        self._latest = latest
        self._registry = Registry(latest)
        self._end = threading.Event()
        self._failed = ""
        self._file = None if file is None else Path(file)
        self.server: Server | None = None
        """Where `listen` is set."""
        if listen is not None:
            from prometheus_client import MetricsHandler

            self.server = Server(listen, MetricsHandler.factory(self._registry.library))
            threading.Thread(target=self.server.serve_forever, name="metrics", daemon=True).start()
        self._writer = threading.Thread(target=self._write_often, name="metrics-file", daemon=True)
        if self._file is not None:
            self._writer.start()

    def close(self) -> None:
        """Listen and write no more. The file stays: its time of the last turn says how old it is."""
        self._end.set()
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
        if self._file is not None:
            self._writer.join(timeout=2.0)  # a disk that hangs must not keep us from ending

    def _write_often(self) -> None:
        while self._latest.snapshot is None:
            if self._end.wait(0.1):
                return
        self._write()
        while not self._end.wait(EVERY):
            self._write()
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            replace_file(self._file, self._registry.text(), mode=0o644)
        except OSError as error:
            if self._failed != str(error):
                self._failed = str(error)
                log.warning(
                    "metrics.file: cannot write %s: %s; its directory must be writable for this account "
                    "(in the unit: ReadWritePaths=)",
                    self._file,
                    error.strerror,
                )
        else:
            if self._failed:
                log.info("metrics.file: %s is written again", self._file)
            self._failed = ""


class Server(ThreadingHTTPServer):
    """Answers scrapes, each in a thread; those beyond MOST at a time are turned away."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listen: str, handler: type[BaseHTTPRequestHandler]) -> None:
        """Raises ConfigError."""
        host, port = parse_endpoint(listen)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._room = threading.Semaphore(MOST)
        try:
            super().__init__((host, port), type("Handler", (handler,), {"timeout": PATIENCE}))
        except OSError as error:
            raise ConfigError(f"metrics.listen: cannot listen on {listen}: {error.strerror}") from None

    def server_bind(self) -> None:
        """Bind, without asking DNS for our own name as HTTPServer does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand it to a thread if there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One scrape."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or sends anything, is none of our log's business."""


def _metric(family: Family, samples: Mapping[Labels, Value]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name = PREFIX + family.name
    if family.type == "histogram":
        histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
        for labels, value in samples.items():
            if isinstance(value, Distribution):
                histogram.add_metric(labels, _buckets(family.bounds, value), value.sum)
        return histogram
    make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    metric = make(name, family.help, labels=family.labels)
    for labels, value in samples.items():
        if not isinstance(value, Distribution):
            metric.add_metric(labels, value)
    return metric


def _buckets(bounds: tuple[float, ...], value: Distribution) -> list[tuple[str, float]]:
    """Upper bound -> how many values were at most that."""
    buckets, below = [], 0
    for bound, n in zip((*map(_spelled, bounds), "+Inf"), value.counts, strict=True):
        below += n
        buckets.append((bound, float(below)))
    return buckets


def _spelled(bound: float) -> str:
    """As Go, and so Prometheus, writes it."""
    from prometheus_client.utils import floatToGoString

    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]
