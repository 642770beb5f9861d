"""Numbers for Prometheus. Every label has few values, and none is of a user's making."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_METHODS = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The metrics of one server: a registry of its own, so that several in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "backstay_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "backstay_http_request_seconds", "From the head of a request to the end of its answer.", ("route",),
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._jobs = Gauge("backstay_jobs_worked", "Jobs that this server works on.", registry=self._registry)
        self._listeners = Gauge("backstay_event_listeners", "Open streams of events.", registry=self._registry)
        self._transfers = Gauge(
            "backstay_transfers", "Uploads and downloads under way.", ("kind",), registry=self._registry
        )
        self._runs = Counter("backstay_job_runs", "Runs of jobs that ended.", ("ending",), registry=self._registry)
        self._cleanups = Counter(
            "backstay_backup_cleanups", "Cleanups of backups.", ("result",), registry=self._registry
        )

    def record_response(self, method: str, route: str, status: int | None, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status) if status is not None else "none").inc()
        self._seconds.labels(route).observe(seconds)

    def record_run_end(self, ending: str) -> None:
        self._runs.labels(ending).inc()

    def record_cleanup(self, result: str) -> None:
        self._cleanups.labels(result).inc()

    def watch(self, *, jobs: Callable[[], int], listeners: Callable[[], int]) -> None:
        """Say where the numbers are that change by themselves."""
        self._jobs.set_function(jobs)
        self._listeners.set_function(listeners)

    def watch_transfers(self, kind: str, under_way: Callable[[], int]) -> None:
        self._transfers.labels(kind).set_function(under_way)

    def render(self) -> bytes:
        return generate_latest(self._registry)
