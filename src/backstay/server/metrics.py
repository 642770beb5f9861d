"""Metrics for Prometheus. Every label has few values, none of which comes from a user."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LABELED_METHODS = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")
_BUCKET_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The metrics of one server, in a registry of its own, so that several servers in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "backstay_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._durations = Histogram(
            "backstay_http_request_seconds", "Time from the head of a request to the end of its response.", ("route",),
            buckets=_BUCKET_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._jobs = Gauge("backstay_jobs_worked", "Jobs that this server is working on.", registry=self._registry)
        self._listeners = Gauge("backstay_event_listeners", "Open event streams.", registry=self._registry)
        self._transfers = Gauge(
            "backstay_transfers", "Uploads and downloads in progress.", ("kind",), registry=self._registry
        )
        self._runs = Counter("backstay_job_runs", "Runs of jobs that ended.", ("ending",), registry=self._registry)
        self._cleanups = Counter(
            "backstay_backup_cleanups", "Cleanups of backups.", ("result",), registry=self._registry
        )

    def record_response(self, method: str, route: str, status: int | None, seconds: float) -> None:
        method_label = method if method in _LABELED_METHODS else "other"
        self._requests.labels(method_label, route, str(status) if status is not None else "none").inc()
        self._durations.labels(route).observe(seconds)

    def record_run_end(self, ending: str) -> None:
        self._runs.labels(ending).inc()

    def record_cleanup(self, result: str) -> None:
        self._cleanups.labels(result).inc()

    def watch(
        self,
        *,
        jobs: Callable[[], int],
        listeners: Callable[[], int],
        downloads: Callable[[], int],
        uploads: Callable[[], int],
    ) -> None:
        """Set the functions that return the current gauges."""
        self._jobs.set_function(jobs)
        self._listeners.set_function(listeners)
        self._transfers.labels("download").set_function(downloads)
        self._transfers.labels("upload").set_function(uploads)

    def render(self) -> bytes:
        return generate_latest(self._registry)
