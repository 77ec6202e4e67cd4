"""OpenTelemetry: a trace for each run and a span for each HTTP request, where OTEL_EXPORTER_OTLP_ENDPOINT is set.

Elsewhere nothing of it is loaded. A run's spans are made when it ends, from its rows: the trace's id is the run's, a
span's id follows from what it is. So a run that several processes carried, one after the other, is one trace.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

from deskwright import __version__
from deskwright.telemetry import correlation

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SCOPE = "deskwright"


@dataclass(frozen=True)
class StepTimes:
    """A step as its row tells it."""

    attempt: int
    step: str
    title: str
    stage: str
    started: datetime
    ended: datetime
    outcome: str
    code: str | None


@dataclass(frozen=True)
class RunTimes:
    """A run that has ended, as its rows tell it."""

    id: UUID
    tenant: UUID
    cloud_pc: UUID
    number: int
    kind: str
    state: str
    code: str | None
    started: datetime
    ended: datetime
    ahead: timedelta
    """How far the tenant's clock is ahead of real time."""
    steps: tuple[StepTimes, ...]


@cache
def enabled() -> bool:
    """Whether anything is exported; decided once in a process's life."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(os.environ.get(name) for name in _ENDPOINTS)


def flush(seconds: float = 5.0) -> None:
    """Send what has not been sent yet."""
    if enabled():
        _provider().force_flush(int(seconds * 1000))


def run_ended(run: RunTimes) -> None:
    """Export the run's trace: the run, below it its attempts, below them their steps."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    provider = _provider()
    processor = provider._active_span_processor

    def context(*what: object) -> Any:
        return SpanContext(run.id.int, span_id(run.id, *what), is_remote=False, trace_flags=TraceFlags(1))

    def export(
        name: str, own: Any, parent: Any, started: datetime, ended: datetime, failed: str | None, **more: Any
    ) -> None:
        attributes = {f"deskwright.{key}": value for key, value in more.items() if value is not None}
        span = ReadableSpan(
            name=name,
            context=own,
            parent=parent,
            resource=provider.resource,
            attributes=attributes,
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, failed) if failed else Status(StatusCode.OK),
            start_time=_nanoseconds(started - run.ahead),
            end_time=_nanoseconds(max(started, ended) - run.ahead),
            instrumentation_scope=InstrumentationScope(_SCOPE, __version__),
        )
        processor.on_end(span)

    root = context()
    whose = {"tenant": str(run.tenant), "cloud_pc": str(run.cloud_pc), "run": str(run.id)}
    for number in sorted({step.attempt for step in run.steps}):
        mine = [step for step in run.steps if step.attempt == number]
        around, last = context(number), mine[-1]
        failed = last.code if last.outcome in ("failed", "stopped") else None
        for step in mine:
            bad = step.code if step.outcome in ("failed", "stopped", "warning") else None
            about = {"attempt": number, "step": step.step, "stage": step.stage, "outcome": step.outcome}
            own = context(number, step.step)
            export(
                f"{step.step} {step.title}",
                own,
                around,
                step.started,
                step.ended,
                bad,
                **about,
                code=step.code,
                **whose,
            )
        began, done = min(step.started for step in mine), max(step.ended for step in mine)
        export(f"attempt {number}", around, root, began, done, failed, attempt=number, **whose)
    about = {"kind": run.kind, "number": run.number, "outcome": run.state, "code": run.code}
    problem = (run.code or run.state) if run.state != "succeeded" else None
    export(f"run {run.kind}", root, None, run.started, run.ended, problem, **about, **whose)


def span_id(run: UUID, *what: object) -> int:
    """The id of a span of the run: of the run itself, of an attempt (its number), of a step (attempt and step)."""
    named = ":".join(map(str, (run, *what)))
    return int.from_bytes(blake2b(named.encode(), digest_size=8).digest(), "big") or 1


def begin_request(headers: Mapping[str, str]) -> Any:
    """A server span, below that of the caller where the request names one (traceparent)."""
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    above = TraceContextTextMapPropagator().extract(dict(headers))
    span = _provider().get_tracer(_SCOPE, __version__).start_span("HTTP", context=above, kind=SpanKind.SERVER)
    correlation.note(trace_id=f"{span.get_span_context().trace_id:032x}")
    return span


def end_request(span: Any, method: str, route: str, status: int) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.update_name(f"{method} {route}")
    known = correlation.current()
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "deskwright.request_id": str(known.get("request_id", "")),
        }
    )
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


@cache
def _provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named: dict[str, Any] = {"service.version": __version__, "process.pid": os.getpid()}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        named["service.name"] = "deskwright"
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
