"""Every metric there is, in one table: what a process counts by itself, and what is read from the database.

Names and units follow Prometheus. A label has few values, all known beforehand: never a person's or a tenant's name.
docs/observability.md, the dashboard and the alert rules are tested against this table.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram"]

STEP_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
JOB_BUCKETS = (0.01, 0.05, 0.25, 1, 5, 30, 120)


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric. `shared`: read from the database when asked, and the same from every process."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    shared: bool = False
    by_tenant: bool = False
    """It gets the label ``tenant``, an id, where DESKWRIGHT_METRICS_BY_TENANT is set."""
    buckets: tuple[float, ...] = ()
    _children: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    def count(self, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        (self._children.get(labels) or self._child(labels)).inc(by)

    def observe(self, seconds: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        (self._children.get(labels) or self._child(labels)).observe(seconds)

    def _child(self, labels: tuple[str, ...]) -> Any:
        """Made when first needed: a command that counts nothing does not load the library."""
        parent = _own()[self.name]
        child = self._children[labels] = parent.labels(*labels) if self.labels else parent
        return child


METRICS: list[Metric] = []


def _add(name: str, kind: Kind, meaning: str, *labels: str, **more: Any) -> Metric:
    metric = Metric(f"deskwright_{name}", kind, meaning, labels, **more)
    METRICS.append(metric)
    return metric


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return _add(f"{name}_total", "counter", meaning, *labels)


def _shared(name: str, meaning: str, *labels: str, by_tenant: bool = False) -> Metric:
    return _add(name, "gauge", meaning, *labels, shared=True, by_tenant=by_tenant)


# --- what a process counts by itself ----------------------------------------------------------------------------

RUNS_ENDED = _counter(
    "runs_ended",
    "Runs that this process ended. outcome: succeeded, failed, stopped, or waiting for a healthy connection",
    "kind",
    "outcome",
)
RUN_FAILURES = _counter("run_failures", "Runs that failed for good, by the error of the last attempt", "kind", "code")
ATTEMPTS = _counter("attempts", "Attempts that were begun", "kind")
ATTEMPTS_FAILED = _counter("attempts_failed", "Attempts that failed, the last one of a run too", "kind", "code")
STEP_SECONDS = _add(
    "step_seconds",
    "histogram",
    "Duration of steps in seconds, waits included. outcome: succeeded, skipped, warning, failed, stopped",
    "step",
    "outcome",
    buckets=STEP_BUCKETS,
)
STEP_WAITS = _counter("step_waits", "Times that a step was put off because a provider was not done yet", "step")
PROVIDER_ERRORS = _counter(
    "provider_errors",
    "Errors that providers answered with, in steps. provider: compute, directory, management, other",
    "provider",
    "kind",
    "code",
)
LEASES_LOST = _counter("leases_lost", "Times that a run turned out to be carried by another worker by now")
JOBS_DONE = _counter("jobs_done", "Jobs that were done. outcome: done, or failed and tried again", "task", "outcome")
JOB_SECONDS = _add(
    "job_seconds", "histogram", "Duration of jobs in seconds, one look at a run each", "task", buckets=JOB_BUCKETS
)
JOBS_TAKEN_OVER = _counter("jobs_taken_over", "Jobs of silent workers that this process gave back to the queue")
JOBS_LOST = _counter("jobs_lost", "Runs, tenants and bulk actions that had no job and were given one")
NOTIFICATIONS = _counter(
    "notifications",
    "Notices and events that were tried. channel: mail, webhook; outcome: sent, failed, deadLetter",
    "channel",
    "outcome",
)
REQUESTS = _counter("http_requests", "HTTP requests by the template of their route", "method", "route", "status")
REQUEST_SECONDS = _add(
    "http_request_seconds",
    "histogram",
    "Duration of HTTP requests in seconds until the last byte, without streams of events",
    "surface",
    buckets=REQUEST_BUCKETS,
)
BUILD_INFO = _add("build_info", "gauge", "Always 1; the version is the label's value", "version")

# --- what all processes share, read from the database at each scrape ---------------------------------------------

DATABASE_UP = _shared("database_up", "1 where the database answered this scrape, else 0")
MEASURE_SECONDS = _shared("measure_seconds", "Seconds that the database was asked for this scrape")
WORKERS_ALIVE = _shared("workers_alive", "Workers that gave a sign of life within DESKWRIGHT_STALLED_SECONDS")
TENANTS = _shared("tenants", "Tenants")
CLOUD_PCS = _shared("cloud_pcs", "Cloud PCs by status, without those that are gone", "status", by_tenant=True)
CLOUD_PCS_WAITING = _shared(
    "cloud_pcs_waiting",
    "Cloud PCs that are pending, by what they wait for. reason: start, seat, connection",
    "reason",
    by_tenant=True,
)
RUNS_ACTIVE = _shared(
    "runs_active",
    "Runs under way. state: working (a worker has them, or will) or waiting for a time",
    "kind",
    "state",
    by_tenant=True,
)
JOBS = _shared("jobs", "Jobs in the queue. state: waiting or running", "task", "state")
JOB_OLDEST_SECONDS = _shared("job_oldest_seconds", "Seconds that the oldest waiting job of a kind has waited", "task")
TOUCHED_USERS = _shared("touched_users", "Changed users that reconcile has yet to look at", by_tenant=True)
RECONCILE_LAG = _shared(
    "reconcile_lag_seconds", "Seconds since the oldest change that reconcile has yet to look at", by_tenant=True
)
DEADLINES_OVERDUE = _shared(
    "deadlines_overdue", "Deadlines that have passed by more than five seconds, by table and column", "deadline"
)
DEADLINE_LATE = _shared("deadline_late_seconds", "By how many seconds the latest of them has passed", "deadline")
CONNECTIONS = _shared("connections", "Network connections by health", "health", by_tenant=True)
FREE_ADDRESSES = _shared(
    "connection_free_addresses",
    "Free IP addresses of the network connections that have the fewest, at most 50, by id; at most a minute old",
    "connection",
)
SEATS = _shared("seats", "Seats of all service plans", by_tenant=True)
SEATS_USED = _shared("seats_used", "Seats of all service plans that are taken", by_tenant=True)
PLANS_FULL = _shared("plans_full", "Service plans without a free seat for which somebody waits", by_tenant=True)
RELEASES_PENDING = _shared(
    "ledger_releases_pending", "Ledger rows whose object is to be released, now or later", by_tenant=True
)
RELEASES_OVERDUE = _shared("ledger_releases_overdue", "Those of them whose time has passed", by_tenant=True)
RELEASES_REFUSED = _shared(
    "ledger_releases_refused", "Those of them whose release a provider has refused at least once", by_tenant=True
)
STRANGERS = _shared("strangers", "Objects that sites have and Deskwright did not make", by_tenant=True)
IMAGES = _shared("device_images", "Device images by status", "status", by_tenant=True)
NOTIFICATIONS_PENDING = _shared("notifications_pending", "Notices and events that are to be sent", "channel")
NOTIFICATION_LATE = _shared("notification_late_seconds", "By how many seconds the most overdue of them is late")
DEAD_LETTERS = _shared("webhook_dead_letters", "Events that no webhook took and that nobody has dealt with yet")


@cache
def registry() -> Any:
    """prometheus_client's registry of what this process counts, with its memory, CPU time and open files."""
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

    made = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=made)
    return made


@cache
def _own() -> dict[str, Any]:
    from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

    disable_created_metrics()  # type: ignore[no-untyped-call]
    made: dict[str, Any] = {}
    for metric in METRICS:
        if metric.shared:
            continue
        given: dict[str, Any] = {"labelnames": metric.labels, "registry": registry()}
        match metric.kind:
            case "counter":
                made[metric.name] = Counter(metric.name, metric.meaning, **given)
            case "histogram":
                made[metric.name] = Histogram(metric.name, metric.meaning, buckets=metric.buckets, **given)
            case "gauge":
                made[metric.name] = Gauge(metric.name, metric.meaning, **given)
    return made


def counted() -> Any:
    """The registry with every metric of this process in it, also those that have not been counted yet."""
    _own()
    return registry()


def begin(version: str) -> None:
    """Say which program counts here."""
    _own()[BUILD_INFO.name].labels(version).set(1)
