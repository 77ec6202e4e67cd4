"""How long things take in the simulated world: seconds at speed 1, as they are seen in the real one.

Each is varied by up to 30 % either way, the same way again for the same tenant seed, user, run, attempt and step.
All of it is divided by the tenant's `speed`; at infinite speed everything is there at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Duration:
    seconds: float
    doing: str
    """Shown to the administrator while it lasts."""


ALLOCATE = Duration(20, "reserving capacity")
CREATE_VM = Duration(360, "creating the virtual machine")
CREATE_NETWORK = Duration(30, "creating the tenant's network at this site")
ATTACH_NIC = Duration(15, "attaching the network interface")
JOIN_ENTRA = Duration(60, "joining the directory")
JOIN_DOMAIN = Duration(90, "joining the domain")
SYNCHRONISE = Duration(0, "waiting for the directory's next synchronisation")
ENROL = Duration(180, "enrolling the device")
SET_PRIMARY_USER = Duration(5, "setting the primary user")
POWER_ON = Duration(45, "starting the machine")
POWER_OFF = Duration(30, "shutting the machine down")
RESTART = Duration(60, "restarting the machine")
RESIZE = Duration(300, "resizing the machine")
SNAPSHOT = Duration(120, "taking the snapshot")
RESTORE = Duration(300, "restoring the machine")
DESCRIBE = Duration(2, "updating the device's details")
BUILD_IMAGE = Duration(1200, "building the image")
SIGN_IN_PATH = Duration(60, "waiting for the sign-in path to answer")

# The directory synchronises every half hour, from a moment that the tenant's seed decides.
SYNCHRONISATION_PERIOD = 1800.0

_CONFIGURE = {"P1": 6.0, "P2": 8.0, "P6": 20.0, "P7": 10.0}


def configure(step: str) -> Duration:
    """Of one step's actions inside the guest."""
    return Duration(_CONFIGURE.get(step, 5.0), "configuring the Cloud PC")
