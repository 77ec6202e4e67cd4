from deskwright.provision import run as engine
from deskwright.provision.pipeline import PIPELINE
from deskwright.reconcile.entitlements import reconcile
from tests.company import Company
import pytest


def test_new_step_before_the_running_one(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.basics("adele")
    reconcile(company.world.database, company.tenant.id)
    ((run,),) = company.sql("SELECT id FROM runs WHERE tenant_id = :tenant AND state = 'active'")
    old = tuple(s for s in PIPELINE if s.id != "C3")  # the old program had no C3
    monkeypatch.setattr(engine, "PIPELINE", old)

    class Die(BaseException): ...

    def notice(when, step, attempt):
        if (when, step) == ("before", "C4"):
            raise Die

    with pytest.raises(Die):
        engine.carry(company.world, run, notice)
    monkeypatch.setattr(engine, "PIPELINE", PIPELINE)
    engine.carry(company.world, run)
    company.settle()
    print([(r.step, r.outcome) for r in company.steps("adele")], company.status("adele"), company.leaks())
    assert [r.step for r in company.steps("adele")] == [s.id for s in PIPELINE]
