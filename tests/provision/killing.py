"""Ending a process by kill -9 at an exact instant of a run."""

import os
import signal
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from deskwright.provision import run as engine
from deskwright.provision.context import RunFacts, StepContext
from deskwright.provision.pipeline import Step
from deskwright.store.database import Database
from tests.company import Company


def killed_at(company: Company, run: UUID, step: str, moment: str) -> None:
    """Carry the run in a process of its own until that instant of that step, where kill -9 ends it."""
    child = os.fork()
    if child == 0:
        try:
            world = replace(company.world, database=Database(company.world.database.url, pool_size=2))

            def die() -> None:
                os.kill(os.getpid(), signal.SIGKILL)

            def notice(when: str, where: str, _: int) -> None:
                if (when, where) == (moment, step):
                    die()

            if moment == "inside":
                planned = engine.planned_steps

                def dying(step: Step) -> Step:
                    def do(ctx: StepContext) -> Any:
                        step.do(ctx)  # the outside world has done it, and nobody has heard of it
                        die()

                    return replace(step, do=do)

                def plan(run: RunFacts) -> tuple[Step, ...]:
                    return tuple(dying(s) if s.id == step else s for s in planned(run))

                pytest.MonkeyPatch().setattr(engine, "planned_steps", plan)  # ends with this process
            engine.carry(world, run, notice)
        finally:
            os._exit(3)
    _, how = os.waitpid(child, 0)
    assert os.WIFSIGNALED(how), f"ended by itself with {os.WEXITSTATUS(how)}"
    assert os.WTERMSIG(how) == signal.SIGKILL
