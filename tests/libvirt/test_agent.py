"""A script inside a machine is begun once, however long it takes."""

import base64
from typing import Any

import libvirt
import pytest

from deskwright.guest.script import Script
from deskwright.providers.libvirt import agent

SCRIPT = Script(("/bin/sh", "-s"), "update-grub")


class Machine:
    """Its agent: answers what it is asked, and knows the processes that it began."""

    def __init__(self) -> None:
        self.start, self.begun, self.ended, self.known = 1, 0, False, True

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's
        return f"machine-{id(self)}"

    def ID(self) -> int:  # noqa: N802
        return self.start

    def isActive(self) -> bool:  # noqa: N802
        return True

    def answer(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        if name == "guest-exec":
            self.begun += 1
            self.known = True
            return {"pid": 100 + self.begun}
        assert name == "guest-exec-status"
        if not self.known:
            raise libvirt.libvirtError("unable to execute QEMU agent command: Invalid parameter 'pid'")
        assert arguments == {"pid": 100 + self.begun}
        return {"exited": self.ended, "exitcode": 0, "out-data": base64.b64encode(b"done\n").decode()}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(agent, "RUN_SECONDS", 0.0)
    monkeypatch.setattr(agent, "_command", lambda machine, *asked: machine.answer(*asked))
    return Machine()


def test_what_takes_longer_than_one_call_is_not_begun_again(machine: Machine) -> None:
    for _ in range(3):
        with pytest.raises(agent.StillRuns):
            agent.run(machine, SCRIPT)
    machine.ended = True
    assert agent.run(machine, SCRIPT) == agent.Ran(0, "done\n")
    assert machine.begun == 1
    agent.run(machine, SCRIPT)
    assert machine.begun == 2, "asked for anew, after it had ended"


def test_another_script_or_another_start_is_another(machine: Machine) -> None:
    with pytest.raises(agent.StillRuns):
        agent.run(machine, SCRIPT)
    machine.start = 2
    machine.ended = True
    agent.run(machine, SCRIPT)
    assert machine.begun == 2


def test_an_agent_that_was_started_anew_begins_anew(machine: Machine) -> None:
    with pytest.raises(agent.StillRuns):
        agent.run(machine, SCRIPT)
    machine.known, machine.ended = False, True
    assert agent.run(machine, SCRIPT).output == "done\n"
    assert machine.begun == 2


def test_one_that_is_silent_meanwhile_is_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(agent.StillRuns):
        agent.run(machine, SCRIPT)

    def silent(*_: Any) -> Any:
        raise agent.Silent("busy")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(agent, "_command", silent)
        with pytest.raises(agent.Silent):
            agent.run(machine, SCRIPT)
    machine.ended = True
    agent.run(machine, SCRIPT)
    assert machine.begun == 1
