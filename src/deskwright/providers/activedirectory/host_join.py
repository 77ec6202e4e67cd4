"""The join of a machine that has no inside, done by adcli on this machine: what the domain sees of it is the same.

The keytab that comes of it is thrown away: no simulated machine could use it.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from deskwright.active_directory.discovery import Controller, Domain
from deskwright.active_directory.problems import DirectoryProblem, Reason
from deskwright.providers.activedirectory.failures import reason_of

_SECONDS = 25.0
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# A client of MIT Kerberos quietly reckons with a clock that is wrong; other programs on such a machine do not.
_CONFIG = "[libdefaults]\nkdc_timesync = 0\ndns_lookup_kdc = false\nrdns = false\n"


def join(domain: Domain, controller: Controller, computer_name: str, one_time_password: str) -> str:
    """Join as `computer_name` does, and sign in by the password that it gave itself; returns what was seen.

    Raises DirectoryProblem.
    """
    # A caller's path comes first, so that one can put something in adcli's place.
    path = f"{os.environ.get('PATH', '')}:{_PATH}"
    adcli = shutil.which("adcli", path=path)
    if adcli is None:
        missing = "this machine has no adcli, by which simulated machines join: apt-get install adcli"
        raise DirectoryProblem(Reason.UNKNOWN, missing)
    with tempfile.TemporaryDirectory(prefix="deskwright-join-") as folder:
        config, keytab = Path(folder, "krb5.conf"), Path(folder, "keytab")
        config.write_text(_CONFIG)
        where = ["--domain", domain.name, "--domain-controller", controller.address, "--host-keytab", str(keytab)]
        name = ["--computer-name", computer_name, "--host-fqdn", f"{computer_name}.{domain.name}".lower()]
        how = ["--login-type=computer", "--stdin-password"]
        environment = {"PATH": path, "LC_ALL": "C", "KRB5_CONFIG": str(config)}
        _run([adcli, "join", *where, *name, *how], one_time_password, environment, computer_name, controller)
        _run([adcli, "testjoin", *where], "", environment, computer_name, controller)
    return f"{computer_name} joined {domain.name} at {controller.host} and signed in by its own password"


def _run(command: list[str], stdin: str, environment: dict[str, str], name: str, controller: Controller) -> None:
    at = f"{name} at {controller.host} ({controller.address})"
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        detail = f"{at}: adcli {command[1]} did not end within {_SECONDS:.0f} s"
        raise DirectoryProblem(Reason.SERVER_NOT_OPERATIONAL, detail) from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()).removeprefix("adcli: ")
        if stdin:
            said = said.replace(stdin, "••••••")
        raise DirectoryProblem(reason_of(said), f"{at}: {said[-500:] or f'adcli ended with {done.returncode}'}")
