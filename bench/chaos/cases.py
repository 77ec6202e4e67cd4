"""The table of cases: what happens to workers, database, providers and clock while people's Cloud PCs are made."""

import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.chaos.field import Field, embedded_field, field_of, kill_postgresql, until
from bench.chaos.judging import Judgement, is_over, judge
from bench.chaos.life import LIVES, MOMENTS, Life, join, people
from deskwright import jobs
from deskwright.bench.ground import Server
from deskwright.domain.status import Status
from deskwright.provision.pipeline import PIPELINE

_UNENDING = "deploymentTimeout"
_HOUR = 3600


@dataclass
class Result:
    name: str
    subjects: int
    judgement: Judgement
    resumed: list[float] = field(default_factory=list)
    """Seconds from the death until each subject's work was taken up by somebody else."""
    over: float | None = None
    """Seconds until everything was as it should be."""

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.name,
            "subjects": self.subjects,
            "lost": self.judgement.lost,
            "doubled": self.judgement.doubled,
            "leaked": self.judgement.leaked,
            "resumedSecondsMedian": round(statistics.median(self.resumed), 2) if self.resumed else None,
            "resumedSecondsWorst": round(max(self.resumed), 2) if self.resumed else None,
            "overSeconds": None if self.over is None else round(self.over, 2),
        }


@dataclass(frozen=True)
class Case:
    name: str
    run: Callable[[Server, Path], Result]


@contextmanager
def _field(server: Server, directory: Path, *, speed: float = float("inf")) -> Iterator[Field]:
    database = server.fresh()
    try:
        with field_of(database, directory, speed=speed) as ready:
            yield ready
    finally:
        server.drop(database)


def killed(what: str, moment: str, workers: int, steps: tuple[str, ...] | None = None) -> Case:
    """kill -9 of every worker while each subject stands at its point; as many new ones take over."""

    def run(server: Server, directory: Path) -> Result:
        with _field(server, directory) as at:
            life = LIVES[what](at, moment, steps)
            at.start(workers, life.points)
            at.stand_at(list(life.points))
            ended = life.begun()
            subjects = [s for s in life.points if s not in ended]
            began, doomed = time.monotonic(), list(at.processes)
            for process in doomed:
                at.kill([process])
                at.start()
            return _followed(name, at, life, began, subjects)

    name = f"killed {moment} {what}, {workers} worker{'s' if workers > 1 else ''}"
    return Case(name, run)


def _watched(name: str, at: Field, life: Life, began: float, subjects: list[str]) -> Result:
    """Watch how each subject's work is taken up, until everything is as it should be."""
    resumed: dict[str, float] = {}

    def over() -> bool:
        for subject in life.begun() - resumed.keys():
            resumed[subject] = time.monotonic() - began
        return set(subjects) <= resumed.keys() and is_over(at, life)

    until(over, f"everything is as it should be after: {name}")
    took = time.monotonic() - began
    return Result(name, len(life.points), Judgement(), [resumed[s] for s in subjects], took)


def _followed(name: str, at: Field, life: Life, began: float, subjects: list[str]) -> Result:
    result = _watched(name, at, life, began, subjects)
    result.judgement = _judged(at, life)
    return result


def _judged(at: Field, life: Life) -> Judgement:
    at.kill(list(at.processes))
    with at.company.world.database.begin() as connection:
        jobs.take_over(connection, 0)  # what the last ones were doing: nobody lives who would
    return judge(at, life)


def frozen(moment: str, *, gone: bool, steps: tuple[str, ...] | None = None) -> Case:
    """SIGSTOP at every point, another worker does it all, SIGCONT: what the woken one does late changes nothing.

    `gone`: meanwhile everybody has left, and what the woken one makes is nobody's.
    """
    name = f"frozen {moment} provision, woken {'when all is gone' if gone else 'later'}"

    def run(server: Server, directory: Path) -> Result:
        with _field(server, directory) as at:
            life = LIVES["provision"](at, moment, steps)
            at.start(1, life.points)
            at.stand_at(list(life.points))
            ended = life.begun()
            subjects = [s for s in life.points if s not in ended]
            began = time.monotonic()
            at.processes[0].send_signal(signal.SIGSTOP)
            at.start()
            result = _watched(name, at, life, began, subjects)
            if gone:
                _everybody_leaves(at, life)
            before = _rows(at)
            at.processes[0].send_signal(signal.SIGCONT)
            at.go()
            at.gone_on(list(life.points))
            time.sleep(1.0)  # what it was about to do is done
            if _rows(at) != before:
                result.judgement.doubled.append("the woken worker has overwritten its successor's rows")
            judged = _judged(at, life)
            judged.doubled += result.judgement.doubled
            result.judgement = judged
            return result

    return Case(name, run)


def _rows(at: Field) -> list[Any]:
    return at.company.sql("SELECT * FROM steps WHERE tenant_id = :tenant ORDER BY run_id, attempt, step")


def _everybody_leaves(at: Field, life: Life) -> None:
    for user in life.ends_as:
        at.company.leave(user, "Domain" if user.startswith("domain") else "Sales", confirmed=True)
        life.ends_as[user] = None
    in_grace = "SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant AND status = 'inGracePeriod'"
    until(lambda: at.company.sql(in_grace)[0][0] == len(life.ends_as), "all are in grace")
    for hours in (8 * 24, 4):
        at.company.sql("UPDATE tenants SET clock_offset = clock_offset + :s WHERE id = :tenant", s=hours * _HOUR)
        until(lambda: is_over(at, life), "all are gone")
    held = "SELECT count(*) FROM ledger WHERE tenant_id = :tenant AND release_at IS NOT NULL"
    until(lambda: at.company.sql(held)[0][0] == 0, "all is cleaned up")


def hangs(workers: int = 1) -> Case:
    """A provider that does not return from its call for some, and for the others works: they are not held up."""
    name = "a provider hangs in its call, then answers after its time-out"

    def run(server: Server, directory: Path) -> Result:
        with _field(server, directory) as at:
            life = LIVES["provision"](at, "inside", None)
            stuck = {name: point for name, point in life.points.items() if point[0] in ("C1", "C3", "C5", "P1", "A0")}
            free = [name for name in life.points if name not in stuck]
            others = Life({}, dict.fromkeys(free, Status.PROVISIONED))
            began = time.monotonic()
            at.start(workers, stuck)
            at.stand_at(list(stuck))
            until(lambda: is_over(at, others), "the others are done")
            took = time.monotonic() - began
            # The step's own deadline passes while the call is under way, and then it answers after all.
            at.company.sql("UPDATE tenants SET clock_offset = clock_offset + 7200 WHERE id = :tenant")
            time.sleep(2.0)
            at.go()
            until(lambda: is_over(at, life), "those who hung are done")
            return Result(name, len(life.points), _judged(at, life), over=took)

    return Case(name, run)


def late(code: str, workers: int = 1) -> Case:
    """Every step once begins something that never ends, or ends hours after its deadline: the next attempt is clean."""
    never = code == _UNENDING
    name = f"a provider answers {'never' if never else 'hours after the time-out'}, at every step"

    def run(server: Server, directory: Path) -> Result:
        speed = float("inf") if never else 2000.0
        with _field(server, directory, speed=speed) as at:
            everybody = people(at)
            for user, step in everybody.items():
                delay = 0.0 if never else 3 * _HOUR * speed
                at.company.fault(step, code, user=user, attempts=[1], delay=delay)
            join(at, list(everybody))
            warned = {step.id for step in PIPELINE if step.warns} - {"P3", "P4"}
            ends: dict[str, Status | None] = {
                user: Status.WARNINGS if step in warned else Status.PROVISIONED for user, step in everybody.items()
            }
            life = Life({}, ends)
            at.start(workers)
            waiting = "SELECT count(*) FROM runs WHERE state = 'active' AND wake_at IS NULL"
            until(lambda: len(at.company.pcs()) == len(everybody), "all have begun")
            began = time.monotonic()
            for _ in range(40):
                until(lambda: at.company.sql(waiting)[0][0] == 0, "everybody waits", 60)
                at.company.sql("UPDATE tenants SET clock_offset = clock_offset + 1500 WHERE id = :tenant")
                time.sleep(0.5)
                if is_over(at, life):
                    break
            until(lambda: is_over(at, life), "all are done", 60)
            took = time.monotonic() - began
            return Result(name, len(everybody), _judged(at, life), over=took)

    return Case(name, run)


def postgresql_killed(workers: int) -> Case:
    """kill -9 of the embedded server with runs in flight: the workers start it again and go on."""
    name = f"PostgreSQL killed, {workers} worker{'s' if workers > 1 else ''}"

    def run(_: Server, directory: Path) -> Result:
        with embedded_field(directory, speed=200) as at:
            everybody = people(at)
            life = Life({}, dict.fromkeys(everybody, Status.PROVISIONED))
            at.start(workers)
            join(at, list(everybody))
            advanced = "SELECT count(*) FROM steps WHERE tenant_id = :tenant AND ended_at IS NOT NULL"
            until(lambda: at.company.sql(advanced)[0][0] >= 4 * len(everybody), "runs are in flight")
            done = at.company.sql(advanced)[0][0]
            began = time.monotonic()
            kill_postgresql(at.data_dir)
            until(lambda: at.company.sql(advanced)[0][0] > done + 5, "somebody goes on")
            resumed = time.monotonic() - began
            until(lambda: is_over(at, life), "all are done")
            took = time.monotonic() - began
            return Result(name, len(everybody), _judged(at, life), [resumed], took)

    return Case(name, run)


def clock_back(workers: int = 1) -> Case:
    """The clock steps back two hours in the middle, and is put right later; who comes meanwhile is served."""
    name = "the clock steps back two hours, and is put right"

    def run(server: Server, directory: Path) -> Result:
        with _field(server, directory, speed=200) as at:
            everybody = people(at)
            newcomers = [user for user in everybody if user.startswith("domain")]
            first = [user for user in everybody if user not in newcomers]
            join(at, first)
            at.start(workers)
            ended = "SELECT count(*) FROM steps WHERE tenant_id = :tenant AND ended_at IS NOT NULL"
            until(lambda: at.company.sql(ended)[0][0] >= 4 * len(first), "runs are in flight")
            _step(at, -7200)
            came = Life({}, dict.fromkeys(newcomers, Status.PROVISIONED))
            join(at, newcomers)
            took = until(lambda: is_over(at, came), "newcomers are served meanwhile", 60)
            _step(at, 7200)
            life = Life({}, dict.fromkeys(everybody, Status.PROVISIONED))
            until(lambda: is_over(at, life), "all are done")
            return Result(name, len(everybody), _judged(at, life), over=took)

    return Case(name, run)


def _step(at: Field, seconds: int) -> None:
    at.company.sql("UPDATE tenants SET clock_offset = clock_offset + :s WHERE id = :tenant", s=seconds)


def queue_in_disorder(workers: int = 3) -> Case:
    """Jobs come twice, in any order, or not at all, all the time."""
    name = f"jobs doubled, reordered and lost, {workers} workers"

    def run(server: Server, directory: Path) -> Result:
        with _field(server, directory, speed=400) as at:
            everybody = people(at)
            life = Life({}, dict.fromkeys(everybody, Status.PROVISIONED))
            at.start(workers)
            join(at, list(everybody))
            chance, began = random.Random(7), time.monotonic()
            while not is_over(at, life) and time.monotonic() - began < 60:
                at.company.sql(chance.choice(_DISORDER))
                time.sleep(0.1)
            until(lambda: is_over(at, life), "all are done")
            return Result(name, len(everybody), _judged(at, life), over=time.monotonic() - began)

    return Case(name, run)


_DISORDER = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args) SELECT queue_name, task_name, "
    "priority, NULL, args FROM procrastinate_jobs WHERE status IN ('todo', 'doing') LIMIT 20",
    "UPDATE procrastinate_jobs SET priority = (random() * 50)::int WHERE status = 'todo'",
    "DELETE FROM procrastinate_jobs WHERE status = 'todo' AND random() < 0.3",
)


def every_case() -> list[Case]:
    """The full matrix."""
    matrix = [killed(what, moment, n) for what in LIVES for n in (1, 3) for moment in MOMENTS]
    zombies = [frozen(moment, gone=gone) for gone in (False, True) for moment in MOMENTS]
    rest = [hangs(), late(_UNENDING), late("delay"), postgresql_killed(1), postgresql_killed(3)]
    return [*matrix, *zombies, *rest, clock_back(), queue_in_disorder()]
