"""What is counted, logged and traced of a run while it is carried. Nothing is decided here."""

import logging
import time
from datetime import datetime, timedelta
from pathlib import PurePath
from types import TracebackType
from uuid import UUID

from deskwright.provision.context import RunFacts
from deskwright.provision.pipeline import Step
from deskwright.provision.records import Watch
from deskwright.provision.remote import EVERY_STEP
from deskwright.store.database import Database
from deskwright.store.statements import ask, ask_one, statement
from deskwright.telemetry import correlation, metrics, traces

log = logging.getLogger("deskwright.runs")

_CONTRACTS = frozenset({"compute", "directory", "management"})
_PROVIDERS = "deskwright.providers."

_RUN = statement(
    """
    SELECT r.tenant_id, r.cloud_pc_id, r.number, r.kind, r.state, r.started_at, r.ended_at, r.error ->> 'code' AS code,
           t.clock_offset FROM runs r JOIN tenants t ON t.id = r.tenant_id WHERE r.id = :run AND r.ended_at IS NOT NULL
    """
)
_STEPS = statement(
    "SELECT attempt, step, stage, started_at, ended_at, outcome, code FROM steps WHERE run_id = :run "
    "ORDER BY attempt, started_at, ended_at"
)


class Clock:
    """How long a step takes: in the tenant's time until it was last looked at, and what has passed since then."""

    __slots__ = ("_began", "_looked", "step")

    def __init__(self, step: Step, started_at: datetime, watch: Watch, attempt: int) -> None:
        self.step, self._looked = step, time.perf_counter()
        self._began = started_at - watch.now
        correlation.note(attempt=attempt, step=step.id)

    def ended(self, outcome: str) -> None:
        """The step has ended so."""
        seconds = time.perf_counter() - self._looked - self._began.total_seconds()
        metrics.STEP_SECONDS.observe(max(seconds, 0), self.step.id, outcome)

    def waits(self) -> None:
        """A provider is not done yet."""
        metrics.STEP_WAITS.count(self.step.id)


def provider_failed(error: BaseException, code: str) -> None:
    """A provider answered with an error."""
    kind, provider = provider_of(error.__traceback__)
    metrics.PROVIDER_ERRORS.count(provider, kind, code)
    log.info("a provider failed: %s", code, extra={"code": code, "provider": provider, "provider_kind": kind})


def provider_of(trace: TracebackType | None) -> tuple[str, str]:
    """(kind, contract) of the provider that was asked: the first of its modules on the way to the error."""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(_PROVIDERS):
            kind, _, part = module.removeprefix(_PROVIDERS).partition(".")
            contract = PurePath(part.replace(".", "/")).name
            return kind, contract if contract in _CONTRACTS else "other"
        trace = trace.tb_next
    return "unknown", "other"


def run_ended(database: Database, run: RunFacts, outcome: str, code: str | None = None) -> None:
    """A run has ended, in the database too."""
    metrics.RUNS_ENDED.count(run.kind, outcome)
    if outcome == "failed":
        metrics.RUN_FAILURES.count(run.kind, code or "internalServerError")
    level = logging.WARNING if outcome == "failed" else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "run %s %s", run.kind, outcome, extra={"kind": run.kind, "outcome": outcome, "code": code})
    if traces.enabled():
        _export(database, run.run_id)


def _export(database: Database, run_id: UUID) -> None:
    """Nothing that goes wrong with it may touch the run, which has ended well or badly already."""
    try:
        row = ask_one(database.single, _RUN, {"run": run_id})
        if row is None:
            return
        steps = tuple(
            traces.StepTimes(
                s.attempt,
                s.step,
                EVERY_STEP[s.step].title if s.step in EVERY_STEP else "",
                s.stage,
                s.started_at,
                s.ended_at or row.ended_at,
                s.outcome,
                s.code,
            )
            for s in ask(database.single, _STEPS, {"run": run_id})
        )
        traces.run_ended(
            traces.RunTimes(
                run_id,
                row.tenant_id,
                row.cloud_pc_id,
                row.number,
                row.kind,
                row.state,
                row.code,
                row.started_at,
                row.ended_at,
                timedelta(seconds=row.clock_offset),
                steps,
            )
        )
    except Exception:
        log.exception("the trace of run %s could not be exported", run_id)
