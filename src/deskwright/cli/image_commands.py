"""`deskwright image`: what Cloud PCs are made from."""

import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deskwright.cli.in_tenant import Here, done, everything, in_tenant, print_one
from deskwright.cli.output import JsonOption, TenantOption, out, print_json, show
from deskwright.domain.rules import Refused
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
_CHUNK = 1 << 22

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
        brought = _brought(file, here.session.world.settings.imports, quiet=as_json)
        try:
            item = _created(here, name, version, region, {"uri": brought.name}, os_family)
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


def _brought(file: Path, folder: Path, *, quiet: bool) -> Path:
    """The file, in the folder that images are imported from: a link where that can be, else a copy."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"{os.urandom(4).hex()}-{file.name}"
    try:
        os.link(file.resolve(), target)
    except OSError:
        columns = (TextColumn("Copying {task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
        with Progress(*columns, console=out, disable=quiet or not out.is_terminal) as bar:
            task = bar.add_task(file.name, total=file.stat().st_size)
            with file.open("rb") as source, target.open("wb") as into:
                while chunk := source.read(_CHUNK):
                    into.write(chunk)
                    bar.advance(task, len(chunk))
        shutil.copymode(file, target)
    return target


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
        task, said = bar.add_task("waiting for a worker", total=1.0), ""
        while item["status"] == "pending":
            item = images.show(here.database, here.tenant, item["id"])
            doing, share = item["progressText"], item["progressShare"]
            if doing and doing != said:
                bar.update(task, description=doing)
                if not as_json and not out.is_terminal:
                    out.print(doing, markup=False, highlight=False)
                said = doing
            if share is not None:
                bar.update(task, completed=share)
            time.sleep(_LOOK_SECONDS)
    if item["status"] == "failed":
        remedy = f"deskwright image show {item['id']}"
        raise Refused("image", item["displayName"], item["errorDetail"] or "", code=item["errorCode"], remedy=remedy)
    done(item, _told(item), as_json=as_json)


def _told(item: dict[str, Any]) -> str:
    seen = f" Its trial: {item['seen']}." if item["seen"] else ""
    return f"{item['displayName']} {item['version']} is ready at {item['region']}.{seen}"
