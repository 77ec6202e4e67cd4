"""The libvirt of one ordinary user's session: libvirtd as that user, in a process namespace that ends with it."""

import contextlib
import grp
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libvirt

USER = 65534
"""nobody: who has no rights at all."""
_WAIT_SECONDS = 60.0


@dataclass
class Session:
    directory: Path

    @property
    def uri(self) -> str:
        return f"qemu+unix:///session?socket={self.directory}/run/libvirt/libvirt-sock"

    @property
    def disks(self) -> str:
        return f"{self.directory}/home/disks"


@contextlib.contextmanager
def session() -> Iterator[Session]:
    """Started; ended with all its machines."""
    directory = Path(tempfile.mkdtemp(prefix="dws"))  # short: the sockets' paths are
    for place in (directory, directory / "home", directory / "run"):
        place.mkdir(mode=0o711, exist_ok=True)
        place.chmod(0o711)
        os.chown(place, USER, USER)
    # Who cannot open /dev/kvm where there is one makes libvirt look at QEMU anew with each call.
    groups = [str(g.gr_gid) for g in grp.getgrall() if g.gr_name == "kvm"]
    ordinary = ["setpriv", f"--reuid={USER}", f"--regid={USER}"]
    ordinary += [f"--groups={','.join(groups)}" if groups else "--clear-groups"]
    own = {"HOME": f"{directory}/home", "XDG_RUNTIME_DIR": f"{directory}/run", "PATH": os.environ["PATH"]}
    # The shell stands first in the namespace and takes in what ends there, as no libvirtd does.
    reaping = ["sh", "-c", '"$@" & wait', "sh"]
    inside = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--", *reaping, *ordinary, "libvirtd"]
    with (directory / "libvirtd.log").open("wb") as log:
        daemon = subprocess.Popen(inside, stdout=log, stderr=log, env=own, cwd="/")
    here = Session(directory)
    try:
        ends = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                libvirt.open(here.uri).close()
                break
            except libvirt.libvirtError:
                if time.monotonic() > ends or daemon.poll() is not None:
                    raise AssertionError((directory / "libvirtd.log").read_text()) from None
                time.sleep(0.1)
        yield here
    finally:
        daemon.kill()
        daemon.wait(20)
        shutil.rmtree(directory, ignore_errors=True)
