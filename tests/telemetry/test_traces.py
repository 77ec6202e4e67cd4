"""R6: a trace for each run, one and the same whoever carries it; a span for each request; nothing where none asked."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from starlette.testclient import TestClient

from deskwright.domain.status import Status as CloudPcStatus
from deskwright.provision.pipeline import PIPELINE
from deskwright.provision.run import carry
from deskwright.serve import application
from deskwright.telemetry import traces
from tests.company import Company
from tests.processes.test_workers import until
from tests.telemetry.collector import Collector, Span, collector


class Killed(BaseException):
    """As if the process had been killed."""


@pytest.fixture
def receiving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that this process exports to."""
    with collector() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        for cached in (traces.enabled, traces._provider):
            cached.cache_clear()
        try:
            yield made
        finally:
            traces._provider().shutdown()
            for cached in (traces.enabled, traces._provider):
                cached.cache_clear()


def flushed(receiving: Collector) -> list[Span]:
    traces.flush()
    return receiving.spans


def named(spans: list[Span], name: str) -> Span:
    (only,) = [span for span in spans if span.name == name]
    return only


def test_a_run_is_a_trace_of_attempts_and_steps(company: Company, receiving: Collector) -> None:
    company.basics("adele")
    company.fault("C5", "intuneEnroll_NetworkConnectivityIssue", attempts=[1])
    company.settle().advance(minutes=2)
    ((run,),) = company.sql("SELECT id FROM runs")
    spans = [span for span in flushed(receiving) if "deskwright.run" in span.attributes]
    assert {span.trace for span in spans} == {run.hex}
    root = named(spans, "run provision")
    assert root.parent == ""
    assert root.attributes["deskwright.outcome"] == "succeeded"
    assert root.resource["service.name"] == "deskwright"
    attempts = [named(spans, f"attempt {n}") for n in (1, 2)]
    assert {a.parent for a in attempts} == {root.id}
    assert [a.status for a in attempts] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_OK]
    for attempt, steps in zip(attempts, (5, len(PIPELINE)), strict=True):
        mine = [span for span in spans if span.parent == attempt.id]
        assert len(mine) == steps
        assert all(attempt.began <= span.began <= span.ended <= attempt.ended for span in mine)
    failed = next(span for span in spans if span.attributes.get("deskwright.code"))
    assert failed.attributes["deskwright.step"] == "C5"
    assert failed.status == Status.STATUS_CODE_ERROR
    assert all(root.began <= span.began <= span.ended <= root.ended for span in spans)
    assert abs(root.ended / 1e9 - time.time()) < 60, "in real time, however far the tenant's clock is ahead"
    assert "adele" not in str([s.attributes for s in spans]), "ids, no names"


def test_times_are_those_of_the_rows(company: Company, receiving: Collector) -> None:
    company.basics("adele")
    company.settle()
    spans = flushed(receiving)
    for row in company.steps("adele"):
        span = next(s for s in spans if s.attributes.get("deskwright.step") == row.step)
        assert span.began == int(row.started_at.timestamp() * 1e6) * 1000
        assert span.ended == int(row.ended_at.timestamp() * 1e6) * 1000


@pytest.mark.parametrize("step", ["C1", "C4", "A1"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_was_resumed_is_one_trace(company: Company, receiving: Collector, step: str, moment: str) -> None:
    company.basics("adele")
    while not (rows := company.sql("SELECT id FROM runs")):
        from deskwright import jobs
        from deskwright.worker import tasks

        with company.world.database.begin() as connection:
            job = jobs.take_next(connection)
        assert job is not None
        tasks(company.world)[job[0]](job[1])
    ((run,),) = rows

    def die(when: str, at: str, _: int) -> None:
        if (when, at) == (moment, step):
            raise Killed

    with pytest.raises(Killed):
        carry(company.world, run, die)
    carry(company.world, run)
    company.settle()
    spans = [span for span in flushed(receiving) if "deskwright.run" in span.attributes]
    assert {span.trace for span in spans} == {run.hex}
    assert len(spans) == len({span.id for span in spans}) == len(PIPELINE) + 2


@pytest.mark.processes
def test_kill_9_and_another_worker_are_one_trace(company: Company, tmp_path: Path) -> None:
    """Real processes: the first is killed with the run in flight, the second ends it."""
    company.sql("UPDATE tenants SET speed = 60 WHERE id = :tenant")
    with collector() as made:
        environment = {
            **os.environ,
            "DESKWRIGHT_DATABASE_URL": company.world.database.url,
            "DESKWRIGHT_DATA_DIR": str(company.world.settings.data_dir),
            "OTEL_EXPORTER_OTLP_ENDPOINT": made.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        command = [sys.executable, "-m", "deskwright", "worker"]
        with (tmp_path / "log").open("wb") as log:
            first = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            company.basics("adele")
            half = "SELECT count(*) FROM steps WHERE outcome = 'succeeded'"
            until(lambda: company.sql(half)[0][0] >= 3, 60)
            first.kill()
            first.wait()
            assert company.status("adele") == CloudPcStatus.PROVISIONING
            second = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                until(lambda: company.status("adele") == CloudPcStatus.PROVISIONED, 90)
                spans = made.wait(len(PIPELINE) + 2)
            finally:
                second.kill()
                second.wait()
    ((run,),) = company.sql("SELECT id FROM runs")
    assert {span.trace for span in spans} == {run.hex}
    assert len(spans) == len({span.id for span in spans}) == len(PIPELINE) + 2
    assert {span.resource["process.pid"] for span in spans} == {second.pid}


def test_a_run_that_fails_and_one_that_is_stopped(company: Company, receiving: Collector) -> None:
    company.basics("adele", "alex")
    company.fault("C1", "capacityUnavailable", user="adele")
    company.fault("C4", "hybridAADJoinFailed", user="alex")
    company.settle().advance(minutes=5)
    roots = [span for span in flushed(receiving) if span.name == "run provision"]
    assert {(r.attributes["deskwright.outcome"], r.status) for r in roots} == {("failed", Status.STATUS_CODE_ERROR)}
    assert len(roots) == 2


def test_a_collector_that_is_away_harms_no_run(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    for cached in (traces.enabled, traces._provider):
        cached.cache_clear()
    try:
        company.basics("adele")
        company.settle()
        assert company.status("adele") == CloudPcStatus.PROVISIONED
    finally:
        traces._provider().shutdown()
        for cached in (traces.enabled, traces._provider):
            cached.cache_clear()


def test_a_request_has_a_server_span_below_its_callers(company: Company, receiving: Collector) -> None:
    trace = uuid4().hex
    with TestClient(application(company.world), base_url="http://localhost") as client:
        answer = client.get(
            "/v1.0/deviceManagement/virtualEndpoint/cloudPCs", headers={"traceparent": f"00-{trace}-{'b' * 16}-01"}
        )
        client.get("/healthz")
    spans = flushed(receiving)
    assert [s.name for s in spans] == ["GET /v1.0/*", "GET /healthz"]
    span = spans[0]
    assert (span.trace, span.parent, span.kind) == (trace, "b" * 16, Wire.SPAN_KIND_SERVER)
    assert span.attributes["http.response.status_code"] == 401
    assert span.attributes["deskwright.request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("environment", "exported"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_nothing_is_loaded_where_nothing_is_exported(environment: dict[str, str], exported: bool) -> None:
    # FastAPI loads the API of OpenTelemetry by itself; what costs is the rest.
    script = (
        "import sys, deskwright.serve, deskwright.worker, deskwright.cli; from deskwright.telemetry import traces; "
        "costly = ('opentelemetry.sdk', 'opentelemetry.exporter', 'structlog', 'prometheus_client'); "
        "print(traces.enabled(), sum(m.startswith(costly) for m in sys.modules))"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    told: Any = subprocess.run(
        [sys.executable, "-c", script], env={**plain, **environment}, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [str(exported), "0"]
