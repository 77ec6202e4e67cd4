"""What the trial of an image has shown: in words, and under which of Graph's codes a device image fails by it."""

from typing import Any

import libvirt

from deskwright.guest.script import Script, told
from deskwright.images import check
from deskwright.images.formats import INVALID
from deskwright.providers.contract import ProviderError
from deskwright.providers.libvirt import agent
from deskwright.providers.libvirt.host import is_lost, said

SITE_FAILED = "internalServerError"
NOT_KNOWN = "osVersionNotSupported"
NOT_GENERALISED = "sourceImageNotGeneralized"


class Unusable(ProviderError):
    """A Cloud PC fails by it as its code says; a device image by `image_code`, of `deskwright.domain.image_errors`."""

    def __init__(self, image: str, reason: str, image_code: str = INVALID) -> None:
        super().__init__("imageNotSupportedFail", image=image, reason=reason)
        self.reason, self.image_code = reason, image_code


def seen(os_family: str, firmware: str, virt_type: str, size_gb: int, took: float) -> str:
    """Of an image that is good. took: seconds from the machine's start to its agent's answer."""
    generalised = "generalised" if os_family == "linux" else "not examined whether it is generalised"
    answered = f"started by {virt_type.upper()} ({firmware.upper()}), its guest agent answered after {took:.0f} s"
    return f"{answered}, {generalised}, {size_gb} GB of disk"


def no_answer(trial: Any, took: float, virt_type: str) -> str:
    """Of a machine that has stopped, or whose agent is not there."""
    how = "KVM" if virt_type == "kvm" else "software emulation"
    if not trial.isActive():
        return f"a machine started from it stopped by itself within {took:.0f} s by {how}"
    answer = f"a machine started from it did not answer through its guest agent within {took:.0f} s by {how}"
    try:
        _, read, _, wrote, _ = trial.blockStats("vda")
    except libvirt.libvirtError:
        return answer
    # A firmware that finds nothing to start reads a few sectors; a system that starts reads and writes.
    return f"{answer}; it read {read / 1e6:.1f} MB of its disk and wrote {wrote / 1e6:.1f} MB"


def findings(trial: Any, *, in_time: bool) -> tuple[str, str] | None:
    """(code, why) a Linux machine whose agent answers is no good all the same; None: it is good.

    Raises Silent and StillRuns while it is `in_time`, and libvirtError where the host does not answer.
    """
    try:
        ran = agent.run(trial, Script(("/bin/sh", "-s"), check.generalised_script()))
    except (agent.Silent, agent.StillRuns) as slow:
        if in_time:
            raise
        return INVALID, f"its guest agent answers, but what it is told to run does not end: {slow}".rstrip(": ")
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        if not trial.isActive():
            raise agent.Silent("it has stopped") from error
        return INVALID, f"its guest agent answers, but runs no programs (guest-exec): {said(error)}"
    lines = told(ran.output, ()).splitlines()
    if lines == ["ok"]:
        return None
    return NOT_GENERALISED, f"it is not generalised: {'; '.join(lines)[:600] or 'its shell said nothing'}"
