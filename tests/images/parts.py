"""What the tests put in the place of mmdebstrap, and a root file system small enough to be made in an instant."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from deskwright.images import tools

needs_tools = pytest.mark.skipif(
    any(shutil.which(name, path=tools.path()) is None for name in ("mke2fs", "debugfs", "qemu-img", "setpriv")),
    reason="needs e2fsprogs, qemu-utils and util-linux",
)

VERSION = "6.1.0-1-test"
_MODULES = f"usr/lib/modules/{VERSION}"
_ROOT = {
    "etc/passwd": "root:x:0:0:::/bin/sh\n",
    "etc/shadow": "root:*:20000:0:99999:7:::\nanna:!:20000:0:99999:7:::\n",
    "etc/hostname": "build-host\n",
    "etc/resolv.conf": "nameserver 192.0.2.1\n",
    "etc/apt/apt.conf.d/99mmdebstrap": 'Acquire::http::Proxy "http://192.0.2.1:3128";\n',
    "etc/apt/sources.list.d/site.list": "deb http://192.0.2.1/debian bookworm main\n",
    "etc/ssh/ssh_host_ed25519_key": "a key\n",
    "var/lib/apt/lists/a_list": "Package: a\n",
    "var/log/dpkg.log": "a day\n",
    "usr/sbin/old-init": "",
    "usr/bin/busybox": "a busybox\n",
    f"boot/vmlinuz-{VERSION}": "a kernel\n",
    f"{_MODULES}/modules.builtin": "kernel/crypto/crc32c_generic.ko\nkernel/drivers/scsi/sd_mod.ko\n",
    f"{_MODULES}/modules.dep": (
        "a/virtio.ko:\na/virtio-pci.ko: a/ring.ko a/virtio.ko\na/ring.ko: a/virtio.ko\n"
        "a/virtio_blk.ko: a/virtio.ko\na/virtio_scsi.ko: a/virtio.ko\na/ext4.ko:\n"
    ),
} | {
    f"{_MODULES}/a/{name}.ko": f"{name}\n"
    for name in ("virtio", "ring", "virtio-pci", "virtio_blk", "virtio_scsi", "ext4")
}


def root_archive(target: Path, **changed: str) -> Path:
    """A root file system's tar; `changed` are files with other contents, by path with ``__`` for ``/``."""
    files = _ROOT | {path.replace("__", "/"): text for path, text in changed.items()}
    with tarfile.open(target, "w") as archive:
        for name, to in (("bin", "usr/bin"), ("sbin", "usr/sbin")):
            link = tarfile.TarInfo(f"./{name}")
            link.type, link.linkname = tarfile.SYMTYPE, to
            archive.addfile(link)
        for path, text in files.items():
            entry = tarfile.TarInfo(f"./{path}")
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return target


def program(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    place = directory / name
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


def stand_in_for_mmdebstrap(directory: Path, archive: Path) -> None:
    """It says what mmdebstrap says, and writes that archive where it is asked to; each call leaves a line."""
    program(
        directory,
        "mmdebstrap",
        f"""
echo "$@" >>{directory}/calls
echo 'I: running apt-get update...'
echo '0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.'
echo 'Get:1 http://192.0.2.1/debian bookworm/main amd64 tiny amd64 1 [1 kB]'
echo 'Unpacking tiny (1) ...'
echo 'Setting up tiny (1) ...'
echo 'I: creating tarball...'
for word; do case "$word" in */root.tar) cp {archive} "$word" ;; esac; done""",
    )
