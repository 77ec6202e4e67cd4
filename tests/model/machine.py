"""What happens to single Cloud PCs: an administrator's actions, where they are offered and where not, and crashes."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from deskwright.provision.run import carry
from tests.model.runs import KILLED, STEPS
from tests.model.spec import FAILS, GRACE, IN_GRACE, LEAVING, PROVISIONING, READY, WARNED, CloudPc
from tests.model.tenant import Tenant
from tests.provision.killing import killed_at

# Which statuses an administrator's action is offered in: SPEC V1, V5, R12, E8, R9, R7.
OFFERED = {
    "retry": {FAILS},
    "reprovision": {READY, WARNED, FAILS},
    "repair": {READY, WARNED, IN_GRACE},
    "end_grace": {IN_GRACE},
    "keep": {IN_GRACE},
}


class Machine(Tenant):
    """The generated company, and all that may happen in it."""

    # --- what an administrator does with one Cloud PC, and a worker's death ----------------------------

    @rule(action=st.sampled_from((*OFFERED, "cancel")), insist=st.booleans(), data=st.data())
    @precondition(lambda self: self.spec.pcs)
    def act(self, action: str, insist: bool, data: Any) -> None:
        """An action where it is offered; where somebody insists, also where it is not, and must be refused."""
        there = self.product.ids().keys() & self.spec.pcs.keys()
        if not there:
            return
        pair = data.draw(st.sampled_from(sorted(there)), label="pair")
        offered = [a for a in (*OFFERED, "cancel") if self._offered(a, pair, self.spec.pcs[pair])]
        if offered and not insist and action not in offered:
            action = data.draw(st.sampled_from(offered), label="action")
        self.does(action, pair)

    def does(self, action: str, pair: tuple[str, str]) -> None:
        pc = self.spec.pcs[pair]
        if self._refused(lambda: self.product.act(action, pair), not self._offered(action, pair, pc)):
            return
        self.met[action] += 1
        match action:
            case "retry":
                self.spec.start(pair)
            case "reprovision":
                self.spec.start(pair, self.spec.reaching(pair[0])[0])
            case "repair":
                pc.repairing = True
            case "end_grace":
                pc.status, pc.repairing = LEAVING, False
                self.spec.let_go(pc.made)
                pc.made.clear()
            case "keep":
                pc.grace_ends = max(pc.grace_ends, self.spec.clock + GRACE)
            case "cancel":
                self._cancelled(pc)

    @rule(step=st.sampled_from(STEPS), when=st.sampled_from(("before", "inside", "after")), data=st.data())
    @precondition(lambda self: self.spec.pcs)
    def kill(self, step: str, when: str, data: Any) -> None:
        """V6: the worker that carries a run dies before, inside or after a step."""
        if not self._under_way():
            there = self.product.ids().keys() & self.spec.pcs.keys()
            may = sorted(p for p in there if self._offered("reprovision", p, self.spec.pcs[p]))
            if not may:
                return
            self.does("reprovision", data.draw(st.sampled_from(may), label="pair"))
        self.dies(self._under_way()[0][0], step, when)

    def dies(self, pair: tuple[str, str], step: str, when: str) -> None:
        pc = self.spec.pcs[pair]
        assert pc.run is not None
        ((run,),) = self.company.sql(
            "SELECT id FROM runs WHERE cloud_pc_id = :pc AND state = 'active'", pc=self.product.ids()[pair]
        )
        if pc.run.hangs_until is not None or self.spec.lost(pair, pc):
            return
        if pc.run.opened and pc.run.connection and not self.spec.health[pc.run.connection]:
            return
        ended = pc.run.carry(self.spec, (step, when))
        if ended == KILLED:
            self.met["killed"] += 1
            killed_at(self.company, run, step, when)
        else:
            carry(self.company.world, run)
            self.spec.ended(pc, ended)

    def _offered(self, action: str, pair: tuple[str, str], pc: CloudPc) -> bool:
        spec, person = self.spec, self.spec.users[pair[0]]
        if action == "cancel":
            return pc.run is not None or pc.repairing
        if pc.status not in OFFERED[action]:
            return False
        if action in ("retry", "reprovision") and person.exists and not person.enabled:
            return False  # E1: disabling starts nothing new
        if action == "retry":
            return spec.policy_of(pc.policy) is not None
        if action == "reprovision":
            reaching = spec.reaching(pair[0])
            return spec.entitled(pair) and bool(reaching) and spec.usable(reaching[0].connections)
        if action == "repair":
            return bool(pc.warnings) and not pc.repairing
        return True

    def _cancelled(self, pc: CloudPc) -> None:
        if pc.repairing:
            pc.repairing = False
            return
        assert pc.run is not None
        self.spec.let_go(pc.run.made)
        pc.run, pc.status = None, FAILS
        pc.made.clear()

    def _under_way(self) -> list[tuple[tuple[str, str], CloudPc]]:
        return [
            (pair, pc)
            for pair, pc in sorted(self.spec.pcs.items())
            if pc.status == PROVISIONING and pc.run is not None and pair in self.product.ids()
        ]
