"""What pages offer to do to many Cloud PCs at once, in words."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Offer:
    """`kind` is a name of operations.bulk_actions.EVERY_KIND."""

    kind: str
    text: str
    """As on a button."""
    does: str
    """What becomes of them, after "…Cloud PCs"."""
    command: str
    """What the CLI calls it; the Cloud PC follows."""
    option: str = ""
    """What stands behind the Cloud PC."""


OFFERS: Mapping[str, Offer] = {
    offer.kind: offer
    for offer in (
        Offer("cloudPcBulkRestart", "Restart", "will restart; people lose what they have not saved", "restart"),
        Offer("cloudPcBulkPowerOn", "Power on", "will be powered on", "power-on"),
        Offer("cloudPcBulkPowerOff", "Power off", "will be shut down until somebody powers them on", "power-off"),
        Offer(
            "cloudPcBulkTroubleshoot", "Troubleshoot", "will be looked at, as their users reach them", "troubleshoot"
        ),
        Offer("retry", "Retry", "will be provisioned again, in up to three attempts", "retry"),
        Offer("repair", "Repair", "will have their failed configuration steps run again; data stays", "repair"),
        Offer(
            "cloudPcBulkReprovision",
            "Reprovision",
            "will be deleted with all data on them and provisioned anew",
            "reprovision",
        ),
        Offer(
            "cloudPcBulkResize", "Resize", "will move to the plan and restart; data stays", "resize", '"SERVICE PLAN"'
        ),
        Offer("cloudPcBulkCreateSnapshot", "Create snapshot", "will get a restore point", "snapshot create"),
        Offer(
            "cloudPcBulkRestore",
            "Restore",
            "will have their disk put back to the snapshot; what came since is lost",
            "restore",
            "SNAPSHOT",
        ),
        Offer("keep", "Keep", "will have a whole grace period from now on", "keep"),
        Offer("endGrace", "End grace period", "will be deleted with all data on them", "end-grace"),
    )
}
MENU: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Running ones", ("cloudPcBulkRestart", "cloudPcBulkPowerOn", "cloudPcBulkPowerOff", "cloudPcBulkTroubleshoot")),
    ("Mend", ("retry", "repair", "cloudPcBulkReprovision")),
    ("Change", ("cloudPcBulkResize", "cloudPcBulkCreateSnapshot", "cloudPcBulkRestore")),
    ("In grace period", ("keep", "endGrace")),
)
