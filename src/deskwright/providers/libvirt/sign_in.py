"""The ways in that a person will take, walked before the machine is theirs (A0)."""

from typing import Any

from deskwright.providers import rdp, rfb
from deskwright.providers.libvirt import agent, remote_desktop, screens
from deskwright.providers.libvirt.place import Place
from deskwright.settings import Settings


def tried(place: Place, machine: Any, carried: dict[str, str], address: str | None) -> str:
    """What answered, for the timeline. Raises NotYet, whose reason stands in the error at the step's deadline.

    carried: the machine's tags.
    """
    return f"{_console(place, machine, carried)}; {_remote_desktop(place, machine, carried, address)}"


def _console(place: Place, machine: Any, carried: dict[str, str]) -> str:
    """Walk the way a person's browser takes. Raises NotYet."""
    if not agent.answers(machine):
        raise place.later(1, f"{carried['computer']} does not answer yet")
    try:
        greeting = screens.try_out(place.connection, machine, place.at)
    except rfb.NotAnswered as nothing:
        raise place.later(2, f"the console of {carried['computer']} does not answer: {nothing}") from None
    return f"console answered, {greeting.width} by {greeting.height}"


def _remote_desktop(place: Place, machine: Any, carried: dict[str, str], address: str | None) -> str:
    """Walk the way of a client of remote desktops, where the machine offers one. Raises NotYet."""
    if address is None:
        return "address unknown"
    try:
        offer = remote_desktop.offered(machine, carried["os"], address)
        if offer is None:
            return f"address {address}, where no remote desktop is offered"
        gateway = "" if place.at.is_session else Settings().gateway_address
        return remote_desktop.reached(offer, gateway)
    except (agent.Silent, agent.StillRuns) as silent:
        raise place.later(1, f"{carried['computer']} does not say whether its remote desktop answers") from silent
    except rdp.NotAnswered as nothing:
        where = f"{address}:{rdp.PORT}"
        raise place.later(
            2, f"the remote desktop of {carried['computer']} at {where} does not answer: {nothing}"
        ) from None
