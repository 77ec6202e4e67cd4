"""What a run can be for: making a Cloud PC's machine, or acting on one that is there.

The kinds that act on a machine, but for `REPAIR`, are the Graph API's remote actions. Which steps each has is the
table of `provision.remote`.
"""

from enum import StrEnum


class RunKind(StrEnum):
    PROVISION = "provision"
    REPROVISION = "reprovision"
    REPAIR = "repair"
    RESTART = "restart"
    POWER_ON = "powerOn"
    POWER_OFF = "powerOff"
    RENAME = "rename"
    RESIZE = "resize"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    CHANGE_USER_ACCOUNT_TYPE = "changeUserAccountType"
    TROUBLESHOOT = "troubleshoot"

    @property
    def makes_machine(self) -> bool:
        """Whether the run makes a machine (V1-V6), or acts on the one that the last such run made."""
        return self in MAKING

    @property
    def words(self) -> str:
        """What people call it while it is under way."""
        return _WORDS[self]

    @property
    def action_name(self) -> str:
        """How the Graph API spells it in a remote action's result."""
        return _ACTION_NAMES.get(self, self.value[0].upper() + self.value[1:])


MAKING = frozenset({RunKind.PROVISION, RunKind.REPROVISION})
# Once the machine has been told, it cannot be called back: these are not cancelled after their first step has begun.
IRREVOCABLE = frozenset({RunKind.RESTART, RunKind.POWER_ON, RunKind.POWER_OFF, RunKind.RESIZE, RunKind.RESTORE})

_WORDS = {
    RunKind.PROVISION: "provisioning",
    RunKind.REPROVISION: "reprovisioning",
    RunKind.REPAIR: "repair",
    RunKind.RESTART: "restart",
    RunKind.POWER_ON: "power on",
    RunKind.POWER_OFF: "power off",
    RunKind.RENAME: "rename",
    RunKind.RESIZE: "resize",
    RunKind.SNAPSHOT: "snapshot",
    RunKind.RESTORE: "restore",
    RunKind.CHANGE_USER_ACCOUNT_TYPE: "change of account type",
    RunKind.TROUBLESHOOT: "troubleshoot",
}
_ACTION_NAMES = {RunKind.RESTART: "Reboot", RunKind.SNAPSHOT: "CreateSnapshot"}
