"""`deskwright image`: what Cloud PCs are made from."""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deskwright.cli.in_tenant import Here, done, everything, in_tenant, print_one
from deskwright.cli.output import JsonOption, TenantOption, out, print_json, show
from deskwright.domain.rules import Refused
from deskwright.images.imported import BROUGHT
from deskwright.operations import images
from deskwright.operations.images import IMAGE
from deskwright.operations.named import Item

image_app = typer.Typer(help="Images: the gallery's, and the tenant's own.", no_args_is_help=True)

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="Its display name or id.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its display name.")]
Version = Annotated[str, typer.Option("--version", help="Three numbers, such as 1.2.0.")]
Region = Annotated[str, typer.Option("--region", "--site", help="The site, by name or region.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once; a worker goes on with it.")]

_LOOK_SECONDS = 0.5
_SAY_SECONDS = 10.0
_CHUNK = 1 << 22
_LONGEST_NAME = 80
_NOBODY = "no worker has begun with it yet: does `deskwright serve` or `deskwright worker` run?"

IMAGE_COLUMNS = {
    "displayName": "image",
    "version": "version",
    "region": "site",
    "osFamily": "system",
    "sizeInGB": "disk GB",
    "status": "status",
    "errorCode": "error",
}
GALLERY_COLUMNS = {
    "id": "gallery image",
    "osFamily": "system",
    "sizeInGB": "disk GB",
    "status": "status",
    "endDate": "supported until",
    "expirationDate": "usable until",
}


@image_app.command("list")
def list_images(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List what the gallery offers, until when each is supported, and the tenant's own images.

    Example: deskwright image list
    """
    with in_tenant(tenant) as here:
        gallery = [{**i, "imageType": "gallery"} for i in images.list_gallery(here.database, here.tenant)]
        own = everything(IMAGE, lambda a, n: images.list_(here.database, here.tenant, a, n), None)
        own = [{**i, "imageType": "custom"} for i in own]
        if as_json:
            print_json([*gallery, *own])
            return
        show(gallery, GALLERY_COLUMNS, as_json=False)
        out.print()
        show(own, IMAGE_COLUMNS, as_json=False, empty="No images of the tenant's own.")


@image_app.command("show")
def show_image(image: Image, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show one of the tenant's own images.

    Example: deskwright image show "Finance desktop"
    """
    with in_tenant(tenant) as here:
        print_one(images.show(here.database, here.tenant, image), as_json=as_json)


@image_app.command("create")
def create_image(
    image: Name,
    version: Version,
    region: Region,
    gallery: Annotated[str | None, typer.Option("--gallery", help="Built from this gallery image.")] = None,
    uri: Annotated[str | None, typer.Option("--uri", help="Taken from this address.")] = None,
    os_family: Annotated[str, typer.Option("--os-family", help="linux or windows, with --uri.")] = "",
    size: Annotated[int | None, typer.Option("--size", help="The smallest disk it fits on, in GB.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an image of the tenant's own; it is pending until it has been built.

    Example: deskwright image create "Finance desktop" --version 1.2.0 --region site-a --gallery debian-12-desktop
    """
    source = {k: v for k, v in (("gallery", gallery), ("uri", uri)) if v}
    with in_tenant(tenant) as here:
        item = images.create(
            here.database,
            here.tenant,
            here.actor,
            display_name=image,
            version=version,
            region=region,
            source=source,
            os_family=os_family,
            size_in_gb=size,
        )
        done(item, f"Created image {item['displayName']} {item['version']}; it is being built.", as_json=as_json)


@image_app.command("build")
def build_image(
    image: Name,
    version: Version,
    region: Region,
    source: Annotated[str, typer.Option("--source", help="The gallery image it is built from.")],
    no_wait: NoWait = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build an image of the tenant's own from a gallery image, bring it to its site and try it there.

    Example: deskwright image build "Finance desktop" --version 1.2.0 --site site-a --source debian-12-desktop
    """
    with in_tenant(tenant) as here:
        item = _created(here, image, version, region, {"gallery": source})
        _follow(here, item, no_wait=no_wait, as_json=as_json)


@image_app.command("import")
def import_image(
    file: Annotated[Path, typer.Argument(help="A disk: qcow2, raw, vhd, vhdx or vmdk.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", help="Its display name.")],
    version: Version,
    region: Region,
    os_family: Annotated[str, typer.Option("--os-family", help="linux or windows.")] = "linux",
    no_wait: NoWait = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a disk file as an image of the tenant's own to its site, and try it there.

    Example: deskwright image import w11.vhdx --name "Windows 11" --version 1.0.0 --site site-a --os-family windows
    """
    with in_tenant(tenant) as here:
        brought = _brought(file, here.session.world.settings.imports_of(here.tenant.id), quiet=as_json)
        try:
            item = _created(here, name, version, region, {"uri": f"{BROUGHT}/{brought.name}"}, os_family)
        except BaseException:
            brought.unlink(missing_ok=True)
            raise
        _follow(here, item, no_wait=no_wait, as_json=as_json)


@image_app.command("delete")
def delete_image(
    image: Image,
    version: Annotated[str | None, typer.Option("--version", help="Which, where there are several.")] = None,
    region: Annotated[str | None, typer.Option("--region", help="At which site, where it is at several.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an image that no policy and no Cloud PC uses.

    Example: deskwright image delete "Finance desktop" --version 1.1.0
    """
    with in_tenant(tenant) as here:
        item = images.delete(here.database, here.tenant, here.actor, image, version=version, region=region)
        done(item, f"Deleted image {item['displayName']} {item['version']}.", as_json=as_json)


def _created(here: Here, image: str, version: str, region: str, source: dict[str, str], os_family: str = "") -> Item:
    return images.create(
        here.database,
        here.tenant,
        here.actor,
        display_name=image,
        version=version,
        region=region,
        source=source,
        os_family=os_family,
    )


def _brought(file: Path, imports: Path, *, quiet: bool) -> Path:
    """The file, in the folder that images are imported from: a link where that can be, else a copy.

    It is taken away when the image is ready, or is deleted.
    """
    folder = imports / BROUGHT
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Of its name what reads well; it may be too long already, or be trimmed on its way.
    name = re.sub(r"[^\w.+-]+", "-", file.name)[-_LONGEST_NAME:]
    target = folder / f"{os.urandom(4).hex()}-{name}"
    try:
        os.link(file.resolve(), target)
    except OSError:
        try:
            _copy(file, target, quiet=quiet)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return target


def _copy(file: Path, target: Path, *, quiet: bool) -> None:
    columns = (TextColumn("Copying {task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=quiet or not out.is_terminal) as bar:
        task = bar.add_task(escape(file.name), total=file.stat().st_size)
        with file.open("rb") as source, target.open("xb") as into:
            while chunk := source.read(_CHUNK):
                into.write(chunk)
                bar.advance(task, len(chunk))


def _follow(here: Here, item: Item, *, no_wait: bool, as_json: bool) -> None:
    """Until it is ready or failed. Refused where it failed."""
    if no_wait:
        done(
            item,
            f"{item['displayName']} {item['version']} is being made (deskwright image list).",
            as_json=as_json,
        )
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, disable=as_json or not out.is_terminal) as bar:
        task, lines = bar.add_task("waiting for a worker", total=1.0), _Lines(quiet=as_json or out.is_terminal)
        while item["status"] == "pending":
            doing, share = item["progressText"], item["progressShare"]
            if doing:
                bar.update(task, description=escape(doing))
            if share is not None:
                bar.update(task, completed=share)
            lines.say(doing)
            time.sleep(_LOOK_SECONDS)
            item = images.show(here.database, here.tenant, item["id"])
    if item["status"] == "failed":
        remedy = f"deskwright image show {item['id']}"
        raise Refused("image", item["displayName"], item["errorDetail"] or "", code=item["errorCode"], remedy=remedy)
    done(item, _told(item), as_json=as_json)


@dataclass
class _Lines:
    """What is being done, as lines for a log: one for each new thing, and one now and then for how far it is."""

    quiet: bool
    _said: str = ""
    _at: float = field(default_factory=time.monotonic)

    def say(self, doing: str | None) -> None:
        late = time.monotonic() - self._at >= _SAY_SECONDS
        if doing is None and late and not self._said:
            doing = _NOBODY
        if self.quiet or not doing or doing == self._said:
            return
        if late or _words(doing) != _words(self._said):
            out.print(doing, markup=False, highlight=False, soft_wrap=True)
            self._said, self._at = doing, time.monotonic()


def _words(text: str) -> str:
    """Without its numbers, which change with every look."""
    return re.sub(r"\d+", "", text)


def _told(item: dict[str, Any]) -> str:
    seen = f" Its trial: {item['seen']}." if item["seen"] else ""
    return f"{item['displayName']} {item['version']} is ready at {item['region']}.{seen}"
