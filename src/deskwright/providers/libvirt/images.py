"""Images on a host: brought there once, tried by starting a machine from them, and only then used.

In the pool of images an image is its disk, its kernel where it has one apart, and a manifest, which is written last:
an image with a manifest is whole and was seen to start. Every call does one piece of the way there and raises NotYet.
"""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import libvirt

from deskwright.domain.plans import Size
from deskwright.images import imported, process, seed
from deskwright.images.build import Built
from deskwright.images.formats import Unfit
from deskwright.images.recipes import RECIPES
from deskwright.images.tools import MissingTools
from deskwright.providers.contract import ImageOrder, ProviderError
from deskwright.providers.libvirt import agent, machines, tags, verdicts, volumes
from deskwright.providers.libvirt.configuration import Configuration
from deskwright.providers.libvirt.host import found, is_full, is_lost, said
from deskwright.providers.libvirt.machine_xml import Boot, MachineXml, text
from deskwright.providers.libvirt.records import Records
from deskwright.providers.libvirt.verdicts import Unusable

TRIAL_SIZE = {"linux": Size(1, 2, 8), "windows": Size(2, 4, 64)}
KVM_SECONDS = 90.0
"""By hardware a machine answers within seconds. One that does not by then is tried again under emulation."""
KVM_KERNEL_SECONDS = 20.0
"""The same, where the kernel is started without firmware menus and boot loader."""
EMULATED_SECONDS = 900.0
WINDOWS_SECONDS = 2700.0
"""Its first start after sysprep sets the system up, whatever it runs on."""
EXAMINED_SECONDS = 120.0
"""After that: so long a machine whose agent answers may take to be examined."""


class Wait(Protocol):
    """Makes the NotYet."""

    def __call__(self, seconds: float, reason: str, share: float | None = None) -> Exception: ...


@dataclass(frozen=True)
class Image:
    """An image that is on the host and was tried there."""

    disk: str
    """Path on the host, like the next two."""
    kernel: str
    initrd: str
    command_line: str
    size_gb: int
    os_family: str
    firmware: str
    virt_type: str
    """kvm | qemu: by which of them it was seen to start here."""
    sha256: str
    seen: str
    """What the trial saw."""

    @property
    def boot(self) -> Boot:
        return Boot(self.firmware, self.kernel, self.initrd, self.command_line)


@dataclass
class Images:
    """The images of one host."""

    at: Configuration
    records: Records
    connection: Any
    cache: Path
    """On this machine: where they are built, and what that keeps."""
    imports: Path
    """On this machine: where files to import lie."""
    wait: Wait

    def ready(self, name: str) -> Image | None:
        """The image, if it is there and was tried."""
        pool = found(self.connection.storagePoolLookupByName, volumes.IMAGES)
        manifest = volumes.look_up(pool, f"{name}.json") if pool is not None and pool.isActive() else None
        if manifest is None:
            return None
        return Image(**json.loads(volumes.content(manifest)))

    def from_gallery(self, name: str) -> Image:
        """A gallery image, built from Debian's packages on first use. Raises NotYet, imageNotSupportedFail."""
        image = self.ready(name)
        if image is not None:
            return image
        return self.prepared(name, self._built(name))

    def prepared(self, name: str, made: Built, shown: str = "") -> Image:
        """Bring what was built to the host and try it. Raises NotYet, imageNotSupportedFail.

        shown: what people call it, where that is not its name in the pool.
        """
        shown = shown or name
        with self.records.alone(f"image:{name}") as mine:
            if not mine:
                raise self.wait(1, f"{shown} is being brought to the host", 0.8)
            image = self.ready(name)
            if image is not None:
                return image
            trial = found(self.connection.lookupByName, _trial_name(self.at, name))
            if trial is not None and machines.tags_of(trial).get("sha256") != made.sha256:
                self._end_trial(name, trial)  # of another build, whose files may be gone
                trial = None
            if trial is not None:  # it starts from files that are whole
                return self._look_at_trial(name, shown, self._placed(name, made), trial)
            self._bring(name, made)
            virt_type = "kvm" if self._may_have_kvm() else "qemu"
            self._start_trial(name, shown, self._placed(name, made), virt_type)
            raise self.wait(0.5, f"a trial machine starts from {shown}", 0.85)

    def own(self, order: ImageOrder) -> Image:
        """A device image: built from packages, or from a file. Raises NotYet, and ProviderError with the code of an
        image's error."""
        name = own_name(order.id)
        image = self.ready(name)
        if image is not None:
            return image
        into = self.cache / name

        def begin() -> None:
            if "gallery" in order.source:
                process.start(self._recipe(order.source["gallery"]), into, cache=self.cache / "cache")
            else:
                imported.start(imported.file_of(order.source["uri"], self.imports), into, order.os_family)

        try:
            made = self._made(order.name, into, begin)
            image = self.prepared(name, made, order.name)
        except Unusable as unusable:
            self.remove(order.id)  # asked for again, it is made anew: of a better file, perhaps
            raise ProviderError(unusable.image_code, image=order.name, reason=unusable.reason) from unusable
        _clear(into)  # it is on the host now
        return image

    def remove(self, order: UUID) -> None:
        """Take a device image from the host, with what this machine still has of it."""
        name = own_name(order)
        _clear(self.cache / name)
        pool = found(self.connection.storagePoolLookupByName, volumes.IMAGES)
        if pool is not None and pool.isActive():
            trial = found(self.connection.lookupByName, _trial_name(self.at, name))
            if trial is not None:
                self._end_trial(name, trial)
            for file, _ in list(volumes.each(pool)):
                if file.startswith((name, f"trial-{name}")):
                    volumes.delete(pool, file)

    def _built(self, name: str) -> Built:
        return self._made(name, self.cache / name, lambda: process.start(self._recipe(name), self.cache / name))

    def _recipe(self, name: str) -> str:
        if name in RECIPES:
            return name
        reason = "this provider cannot make it; bring it as a device image (see docs/real-machines.md)"
        raise Unusable(name, reason, verdicts.NOT_KNOWN)

    def _made(self, shown: str, into: Path, begin: Callable[[], None]) -> Built:
        """What a process of its own makes in `into`, begun by `begin` where none is under way."""
        progress = process.look(into)
        if progress.finished is not None:
            return progress.finished
        if progress.failed:
            process.forget(into)
            refused = imported.why(progress.failed)
            if refused is not None:
                raise Unusable(shown, str(refused), refused.code)
            raise Unusable(shown, f"it could not be made: {progress.failed}", verdicts.SITE_FAILED)
        if not progress.running:
            try:
                begin()
            except Unfit as unfit:
                raise Unusable(shown, str(unfit), unfit.code) from unfit
            except MissingTools as missing:
                raise Unusable(shown, str(missing), verdicts.SITE_FAILED) from missing
        doing = f"{shown} is being made: {progress.fraction:.0%}, {progress.doing or 'beginning'}"
        raise self.wait(1, doing, 0.8 * progress.fraction)

    def _placed(self, name: str, made: Built) -> Image:
        """The image as its files stand in the pool."""

        folder = volumes.folder(volumes.image_pool(self.connection, self.at.directory))

        def path(ending: str, file: Path | None) -> str:
            return f"{folder}/{_file_name(name, made, ending)}" if file else ""

        return Image(
            disk=path("qcow2", made.disk),
            kernel=path("vmlinuz", made.kernel),
            initrd=path("initrd", made.initrd),
            command_line=made.command_line,
            size_gb=made.size_gb,
            os_family=made.os_family,
            firmware=made.firmware,
            virt_type="",
            sha256=made.sha256,
            seen="",
        )

    def _bring(self, name: str, made: Built) -> None:
        pool = volumes.image_pool(self.connection, self.at.directory)
        for ending, file in (("qcow2", made.disk), ("vmlinuz", made.kernel), ("initrd", made.initrd)):
            if file is not None:
                volumes.written(pool, _file_name(name, made, ending), file)

    def _look_at_trial(self, name: str, shown: str, image: Image, trial: Any) -> Image:
        carried = machines.tags_of(trial)
        virt_type, began = carried["virtType"], datetime.fromisoformat(carried["began"])
        took = (datetime.now(UTC) - began).total_seconds()
        if not trial.isActive() and trial.state()[1] == libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN:
            machines.start(trial)  # who defined it died before starting it
        if not trial.isActive() or not agent.answers(trial):
            if took < _longest(image, virt_type) and trial.isActive():
                raise self.wait(0.5, f"a trial machine starts from {shown}, for {took:.0f} s now", 0.9)
            reason = verdicts.no_answer(trial, took, virt_type)
            self._end_trial(name, trial)
            if virt_type == "kvm" and self.at.acceleration != "kvm":
                self._start_trial(name, shown, image, "qemu")
                raise self.wait(1, f"{shown} does not start by KVM here; it is tried under emulation", 0.85)
            raise Unusable(shown, reason)
        try:
            in_time = took < _longest(image, virt_type) + EXAMINED_SECONDS
            found_out = verdicts.findings(trial, in_time=in_time) if image.os_family == "linux" else None
        except (agent.Silent, agent.StillRuns):
            raise self.wait(1, f"the trial machine of {shown} is being looked at", 0.95) from None
        self._end_trial(name, trial)
        if found_out is not None:
            code, reason = found_out
            raise Unusable(shown, reason, code)
        seen = verdicts.seen(image.os_family, image.firmware, virt_type, image.size_gb, took)
        image = replace(image, virt_type=virt_type, seen=seen)
        pool = volumes.image_pool(self.connection, self.at.directory)
        volumes.written(pool, f"{name}.json", json.dumps(asdict(image), indent=2).encode())
        return image

    def _may_have_kvm(self) -> bool:
        if self.at.acceleration == "qemu":
            return False
        capabilities = ET.fromstring(self.connection.getCapabilities())
        return any(domain.get("type") == "kvm" for domain in capabilities.iterfind("guest/arch/domain"))

    def _start_trial(self, name: str, shown: str, image: Image, virt_type: str) -> None:
        pool = volumes.image_pool(self.connection, self.at.directory)
        uuid = tags.uuid_of(f"trial:{name}")
        volumes.delete(pool, f"trial-{name}.qcow2")  # of a trial that was cut short: only a first start tells
        try:
            disk = volumes.overlay(pool, f"trial-{name}.qcow2", image.disk, max(image.size_gb, 1))
        except libvirt.libvirtError as error:
            if is_lost(error) or is_full(error):
                raise
            raise Unusable(shown, said(error)) from error
        first = volumes.written(pool, f"trial-{name}.iso", seed.seed(str(uuid), "trial"))
        machine = MachineXml(
            uuid=uuid,
            name=_trial_name(self.at, name),
            title=f"Deskwright tries the image {' '.join(shown.split())}",
            size=TRIAL_SIZE[image.os_family],
            os_family=image.os_family,
            virt_type=virt_type,
            boot=image.boot,
            disk=disk.path(),
            seed=first.path(),
            tags={
                "trial": name,
                "virtType": virt_type,
                "began": datetime.now(UTC).isoformat(),
                "sha256": image.sha256,
            },
        )
        try:
            machines.define(self.connection, text(machine), str(uuid))
        except libvirt.libvirtError:
            # KVM that cannot even begin is left alone; what else goes wrong here is the host's.
            trial = found(self.connection.lookupByName, _trial_name(self.at, name))
            if trial is not None:
                self._end_trial(name, trial)
            if virt_type != "kvm" or self.at.acceleration == "kvm":
                raise
            self._start_trial(name, shown, image, "qemu")

    def _end_trial(self, name: str, trial: Any) -> None:
        machines.delete(trial)
        pool = volumes.image_pool(self.connection, self.at.directory)
        for ending in ("qcow2", "iso"):
            volumes.delete(pool, f"trial-{name}.{ending}")


def own_name(order: UUID) -> str:
    """Under which a device image stands in the pool."""
    return f"image-{order}"


def _file_name(name: str, made: Built, ending: str) -> str:
    """With the checksum: machines go on standing on an image whose successor has the same name."""
    return f"{name}-{made.sha256[:12]}.{ending}"


def _trial_name(at: Configuration, name: str) -> str:
    return at.machine_name(f"deskwright-trial-{name}", tags.uuid_of(f"trial:{name}"))


def _longest(image: Image, virt_type: str) -> float:
    if image.os_family == "windows":
        return WINDOWS_SECONDS
    if virt_type == "qemu":
        return EMULATED_SECONDS
    return KVM_KERNEL_SECONDS if image.kernel else KVM_SECONDS


def _clear(into: Path) -> None:
    """What this machine has of an image that is made, or is still being made: who makes it notices."""
    for left in (*into.parent.glob(f".{into.name}.*"), into):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
