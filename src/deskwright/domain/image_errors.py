"""Why the build of a device image ended: Graph's ``cloudPcDeviceImageErrorCode``, each with its cause and the way out.

What ends a *provisioning* is in the error catalogue; these never reach a Cloud PC.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ImageError:
    code: str
    title: str
    cause: str
    remedies: tuple[str, ...]
    again: bool = False
    """Whether building the same source again can succeed."""


IMAGE_ERRORS: Mapping[str, ImageError] = {
    error.code: error
    for error in (
        ImageError(
            "internalServerError",
            "The build did not finish",
            "Something at the site failed, not the image.",
            ("Build it again.", "Should it keep failing, see what `deskwright doctor` says about the site."),
            again=True,
        ),
        ImageError(
            "sourceImageNotFound",
            "The source is not there",
            "Nothing was found at the source's address, or Deskwright may not read it.",
            ("Look whether the address is right and the site can reach it.", "Then build it again."),
            again=True,
        ),
        ImageError(
            "osVersionNotSupported",
            "Its operating system is not supported",
            "The operating system, or this version of it, cannot be provisioned any more.",
            ("Bring the machine to a supported version, and register it as a new version of the image.",),
        ),
        ImageError(
            "sourceImageInvalid",
            "The source is not an image that boots",
            "The file is damaged, of another kind than a disk image, or not made for a UEFI machine.",
            ("Make the disk image anew on a generation 2 (UEFI) machine, and register it as a new version.",),
        ),
        ImageError(
            "sourceImageNotGeneralized",
            "The source is not generalised",
            "The machine was captured as it was: names, keys and identities of it would be in every Cloud PC.",
            ("Generalise it (sysprep on Windows, cloud-init clean on Linux), and register it as a new version.",),
        ),
        ImageError(
            "vmAlreadyAzureAdjoined",
            "The source is already joined",
            "The machine was a member of a directory when it was captured, so that no Cloud PC could join.",
            ("Take it out of the directory, generalise it, and register it as a new version.",),
        ),
        ImageError(
            "paidSourceImageNotSupport",
            "The source has a purchase plan",
            "Images of a marketplace that are paid by use cannot be used for Cloud PCs.",
            ("Start from an image without a purchase plan.",),
        ),
        ImageError(
            "sourceImageNotSupportCustomizeVMName",
            "The source does not let itself be named",
            "A machine made from it keeps its own computer name; the naming template could not be followed.",
            ("Take the fixed name out of its answer file, and register it as a new version.",),
        ),
        ImageError(
            "sourceImageSizeExceedsLimitation",
            "The source's disk is too large",
            "Its disk is larger than an image's may be. Disks grow to the licence's size, they never shrink.",
            ("Make the disk smaller, and register it as a new version.",),
        ),
    )
}


def image_error(code: str) -> ImageError:
    """The entry for `code`; that of internalServerError for one that is not known, with its code kept."""
    found = IMAGE_ERRORS.get(code)
    if found is not None:
        return found
    other = IMAGE_ERRORS["internalServerError"]
    return ImageError(code, f"{other.title} ({code})", other.cause, other.remedies, other.again)
