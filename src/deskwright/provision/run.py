"""Carrying one run through its steps: from its step rows, from any instant on, in any process (V1-V6).

`carry` is called when a run is due and returns when it has ended or must wait; a wait is a deadline in the run's row
and holds nothing. Everything it knows it has read from the rows, everything it did is in them before it goes on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.exc import OperationalError

from deskwright.domain.runs import RunKind
from deskwright.errors import Effect, entry, explain
from deskwright.providers.contract import NotYet, ProviderError, Providers
from deskwright.providers.registry import providers_for
from deskwright.provision import clean_up, ending, ledger, measured, records
from deskwright.provision.context import Done, Ground, RunFacts, StepContext, StepFailed, World
from deskwright.provision.pipeline import PIPELINE, Step
from deskwright.provision.records import Beginning, Ending, LeaseLost, Outcome, StepRow, Watch
from deskwright.provision.remote import ACTIONS, EVERY_STEP
from deskwright.provision.sites import NoHealthyConnection, choose_ground, load_site
from deskwright.store.statements import same_connections
from deskwright.telemetry import correlation, metrics

log = logging.getLogger(__name__)

PROVISION = "provision"
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
Notice = Callable[[str, str, int], None]
"""Told ``(moment, step, attempt)`` before and after each step's work; tests crash there, traces begin there."""


@dataclass
class Attempt:
    """An attempt as its step rows tell it."""

    number: int
    ground: Ground
    providers: Providers
    so_far: dict[str, Any] = field(default_factory=dict)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    todo: list[Step] = field(default_factory=list)
    running: StepRow | None = None


@dataclass(frozen=True)
class Trouble:
    code: str
    values: dict[str, Any]


def carry(world: World, run_id: UUID, notice: Notice = lambda *_: None) -> None:
    """Carry the run as far as it goes now. Safe to call at any time, also for one that has ended."""
    with same_connections(), correlation.bound(run=run_id):
        _carry(world, run_id, notice)


def _carry(world: World, run_id: UUID, notice: Notice) -> None:
    run = records.take(world.database, run_id)
    if run is None:
        return
    correlation.note(tenant=run.tenant_id, cloud_pc=run.cloud_pc_id)
    try:
        attempt = _open_attempt(world, run, records.steps_of(world.database, run_id) if run.lease > 1 else [])
        while attempt is not None:
            attempt = _carry_attempt(world, run, attempt, notice)
    except LeaseLost:
        metrics.LEASES_LOST.count()
        log.info("run %s is carried by somebody else now", run_id)
    except NoHealthyConnection as none:
        if not ending.wait_for_connection(world.database, run, none.names):
            _carry(world, run_id, notice)  # one turned healthy just now
        else:
            measured.run_ended(world.database, run, "waiting")


def _open_attempt(world: World, run: RunFacts, rows: list[StepRow]) -> Attempt | None:
    """The attempt to go on with: the last one, or the next where that has failed."""
    number = max((row.attempt for row in rows), default=0)
    mine = [row for row in rows if row.attempt == number]
    if not mine or any(row.outcome is Outcome.FAILED for row in mine):
        return _next_attempt(world, run, number)
    ground = Ground.from_json(mine[0].made["ground"])
    attempt = Attempt(number, ground, _providers(world, ground))
    attempt.so_far.update(run.options.get("so_far", {}))
    ended = set()
    for row in mine:
        if row.outcome is Outcome.RUNNING:
            attempt.running = row
            continue
        ended.add(row.step)
        attempt.so_far.update(row.made)
        if row.outcome is Outcome.WARNING:
            attempt.warnings.append(_warning(row.step, row.code or "internalServerError", row.message or ""))
    attempt.todo = [step for step in planned_steps(run) if step.id not in ended]
    return attempt


def _next_attempt(world: World, run: RunFacts, after: int) -> Attempt | None:
    if not run.kind.makes_machine:
        ground = Ground.from_json(run.options["ground"])
    else:
        if after == 0 and run.kind is RunKind.REPROVISION:
            clean_up.release_due(world, run.cloud_pc_id)  # the old machine goes before the new one asks for its room
        try:
            ground = choose_ground(world.database, run)
        except StepFailed as failed:
            return _refused_ground(world, run, after + 1, failed)
    so_far = dict(run.options.get("so_far", {}))
    metrics.ATTEMPTS.count(run.kind)
    return Attempt(after + 1, ground, _providers(world, ground), so_far=so_far, todo=list(planned_steps(run)))


def _refused_ground(world: World, run: RunFacts, number: int, failed: StepFailed) -> Attempt | None:
    """No site can be named for this attempt: it fails before its first step, and says so in the run."""
    values = _values(run, None, {**failed.values})
    ending.fail_run(world.database, run, None, failed.code, values, attempt=number)
    metrics.ATTEMPTS_FAILED.count(run.kind, failed.code)
    measured.run_ended(world.database, run, "failed", failed.code)
    return None


def _carry_attempt(world: World, run: RunFacts, attempt: Attempt, notice: Notice) -> Attempt | None:
    """Carry on with an attempt. Returns the next one when this has failed and there is no pause between them."""
    dropped = _dropped(attempt)
    if not attempt.todo:
        assert dropped is not None, "a run ends in the commit that ends its last step"
        ending.succeed(world, run, attempt.ground, dropped, attempt.so_far, attempt.warnings, None)
        measured.run_ended(world.database, run, "succeeded")
        return None
    step = attempt.todo[0]
    if attempt.running and attempt.running.step == step.id:
        watch = records.look(world.database, run, attempt.ground.connection_id)
        started_at = attempt.running.started_at
    else:
        watch = _advance(world, run, attempt, dropped, step)
        started_at = watch.now
    while True:
        ctx = _context(world, run, attempt, step, started_at, watch)
        clock = measured.Clock(step, started_at, watch, attempt.number)
        trouble = _look_at_ground(run, attempt, watch)
        if trouble and entry(trouble.code).effect is Effect.STOP:
            ending.stop_run(world.database, run, _ended(ctx, Outcome.STOPPED, trouble), trouble.code, trouble.values)
            clock.ended(Outcome.STOPPED)
            measured.run_ended(world.database, run, "stopped", trouble.code)
            return None
        if trouble:
            clock.ended(Outcome.FAILED)
            return _attempt_failed(world, run, attempt, ctx, trouble, watch)

        notice("before", step.id, attempt.number)
        answer = _do(ctx, step)
        notice("after", step.id, attempt.number)

        match answer:
            case NotYet():
                with world.database.begin() as connection:
                    records.park(connection, run, answer.until, answer.reason)
                clock.waits()
                return None
            case Trouble() if not step.warns:
                clock.ended(Outcome.FAILED)
                return _attempt_failed(world, run, attempt, ctx, answer, watch)
            case Trouble():
                ended = _ended(ctx, Outcome.WARNING, answer)
                attempt.warnings.append(_warning(step.id, answer.code, ended.message or ""))
                secret = None
            case Done():
                ended = Ending(
                    attempt.number,
                    step.id,
                    Outcome.SKIPPED if answer.skipped else Outcome.SUCCEEDED,
                    output=answer.output,
                    made=answer.keep,
                    confirmed=ledger.confirmed(ctx, step.makes(ctx), answer),
                )
                attempt.so_far.update(answer.keep)
                secret = answer.secret

        attempt.todo.pop(0)
        clock.ended(ended.outcome)
        if not attempt.todo:
            ending.succeed(world, run, attempt.ground, ended, attempt.so_far, attempt.warnings, secret)
            measured.run_ended(world.database, run, "succeeded")
            notice("ended", step.id, attempt.number)
            return None
        step = attempt.todo[0]
        watch = _advance(world, run, attempt, ended, step)
        started_at = watch.now


def _advance(world: World, run: RunFacts, attempt: Attempt, ended: Ending | None, step: Step) -> Watch:
    begun = _beginning(world, run, attempt, step)
    connection_id = attempt.ground.connection_id
    looking = step.guarded and run.kind.makes_machine
    return records.advance(world.database, run, connection_id, ended, begun, looking=looking)


def _dropped(attempt: Attempt) -> Ending | None:
    """The end of a step that was running when a new version without it was installed. (One that the new version put
    before the running step is simply done first: it has no row yet.)"""
    running = attempt.running
    if running is None or running.step in {step.id for step in attempt.todo}:
        return None
    return Ending(attempt.number, running.step, Outcome.SKIPPED, output="no longer a step of the pipeline")


def _do(ctx: StepContext, step: Step) -> Done | NotYet | Trouble:
    """Do the step's work; whatever goes wrong has a code of the catalogue afterwards."""
    deadline = ctx.started_at + _deadline(ctx, step)
    try:
        return step.do(ctx)
    except NotYet as wait:
        if ctx.now >= deadline:
            waited = int((ctx.now - ctx.started_at).total_seconds() / 60)
            overdue = "hybridAADJoinFailed" if step.id == "C4" and ctx.hybrid else step.overdue
            return _trouble(ctx, overdue, {"minutes": waited, "reason": wait.reason})
        return NotYet(min(wait.until, deadline), wait.reason)
    except (ProviderError, StepFailed) as failed:
        if isinstance(failed, ProviderError):
            measured.provider_failed(failed, failed.code)
        return _trouble(ctx, failed.code, failed.values)
    except OperationalError:
        raise  # the database is away, and nothing is known of the step: its job comes again, and does it again
    except Exception as unexpected:
        log.exception("step %s of run %s", step.id, ctx.run.run_id)
        code = step.overdue if step.warns else "internalServerError"
        return _trouble(ctx, code, {"reason": f"{type(unexpected).__name__}: {unexpected}"[:300]})


def _attempt_failed(
    world: World, run: RunFacts, attempt: Attempt, ctx: StepContext, trouble: Trouble, watch: Watch
) -> Attempt | None:
    """V1: try again after a pause, or give up after the last attempt, or at once where trying again cannot help.

    A remote action has one attempt: whoever asked for it is told, and may ask again.
    """
    ended = _ended(ctx, Outcome.FAILED, trouble)
    attempts = run.settings.attempts if run.kind.makes_machine else 1
    last = attempt.number >= attempts or entry(trouble.code).effect is Effect.STOP
    if last:
        ending.fail_run(world.database, run, ended, trouble.code, trouble.values, attempt=attempt.number)
        metrics.ATTEMPTS_FAILED.count(run.kind, trouble.code)
        measured.run_ended(world.database, run, "failed", trouble.code)
        return None
    pause = timedelta(seconds=run.settings.backOffInSeconds * 2 ** (attempt.number - 1) / run.speed)
    ending.fail_attempt(world.database, run, ended, watch.now + pause)
    metrics.ATTEMPTS_FAILED.count(run.kind, trouble.code)
    if pause:
        return None
    clean_up.release_due(world, run.cloud_pc_id)
    return _next_attempt(world, run, attempt.number)


def _look_at_ground(run: RunFacts, attempt: Attempt, watch: Watch) -> Trouble | None:
    """V3: what was there when the run began may be gone."""
    standing = watch.standing
    if standing is None or not run.kind.makes_machine:
        return None
    policy = {"policy": run.policy["display_name"]}
    if not standing.user:
        return Trouble("userNotFound", _values(run, attempt, {"reason": "the user was deleted"}))
    if not standing.licence:
        return Trouble("licenseNotFound", _values(run, attempt, {}))
    if not standing.policy_exists:
        return Trouble(
            "provisioningPolicyNotFound",
            _values(run, attempt, {**policy, "reason": "the policy was deleted"}),
        )
    if not standing.policy_reaches:
        reason = "the user left its groups, or it is no longer assigned to them"
        return Trouble("provisioningPolicyNotFound", _values(run, attempt, {**policy, "reason": reason}))
    if standing.connection_health == "failed":
        return Trouble("canaryCheckUnpass", _values(run, attempt, {}))
    return None


def planned_steps(run: RunFacts) -> tuple[Step, ...]:
    """The pipeline, the steps of a remote action, or for a repair those it was asked to do again."""
    if run.kind is RunKind.REPAIR:
        return tuple(EVERY_STEP[step] for step in run.options["steps"])
    return ACTIONS.get(run.kind, PIPELINE)


def _providers(world: World, ground: Ground) -> Providers:
    return providers_for(world.database, load_site(world.database, ground.site_id))


def _beginning(world: World, run: RunFacts, attempt: Attempt, step: Step) -> Beginning:
    first = step.id == planned_steps(run)[0].id
    made = {"ground": attempt.ground.as_json()} if first else {}
    # What a step makes depends on the ground and the policy only, not on the time.
    ctx = _context(world, run, attempt, step, _NO_TIME, Watch(_NO_TIME, None))
    intended = ledger.intended(ctx, step.makes(ctx))
    return Beginning(attempt.number, step.id, step.stage, attempt.ground.site_id, made, intended)


def _context(world: World, run: RunFacts, attempt: Attempt, step: Step, started_at: Any, watch: Watch) -> StepContext:
    return StepContext(
        world=world,
        run=run,
        attempt=attempt.number,
        step=step.id,
        providers=attempt.providers,
        ground=attempt.ground,
        so_far=attempt.so_far,
        started_at=started_at,
        now=watch.now,
    )


def _deadline(ctx: StepContext, step: Step) -> timedelta:
    if step.id == "C4" and ctx.hybrid:
        return timedelta(minutes=ctx.run.settings.hybridJoinWaitInMinutes)
    return step.deadline


def _trouble(ctx: StepContext, code: str, values: Any) -> Trouble:
    known = {"device": ctx.so_far.get("computerName", ""), "step": EVERY_STEP[ctx.step].title}
    return Trouble(code, {**_values(ctx.run, None, known), **ctx.ground.values(), **values})


def _values(run: RunFacts, attempt: Attempt | None, more: dict[str, Any]) -> dict[str, Any]:
    known = {
        "user": run.user,
        "plan": run.plan_name,
        "policy": run.policy["display_name"],
        "cloudPc": run.cloud_pc_name,
    }
    if attempt:
        known |= attempt.ground.values()
    return {**known, **more}


def _ended(ctx: StepContext, outcome: Outcome, trouble: Trouble) -> Ending:
    message = explain(trouble.code, trouble.values).message
    return Ending(ctx.attempt, ctx.step, outcome, trouble.code, message)


def _warning(step: str, code: str, message: str) -> dict[str, Any]:
    return {"step": step, "code": code, "message": message}
