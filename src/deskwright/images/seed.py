"""The NoCloud seed: a small CD from which a machine learns its name when it first starts.

Attach it as a read-only virtio disk: the kernel of the small images has no driver for a SATA CD drive.
"""

import io

import pycdlib
import yaml

LABEL = "cidata"


def user_data(hostname: str) -> str:
    """What cloud-init is told: the name, and to leave to Deskwright what Deskwright does and checks itself."""
    told = {
        "hostname": hostname,
        "preserve_hostname": False,
        "manage_etc_hosts": True,
        "users": [],
        "ssh_pwauth": False,
        "disable_root": True,
        # Not in every image are there locales to choose from; without any the step would fail.
        "locale": False,
        # Growing the disk is step P6, which verifies it.
        "growpart": {"mode": "off"},
        "resize_rootfs": False,
    }
    return "#cloud-config\n" + yaml.safe_dump(told, sort_keys=False)


def meta_data(instance_id: str, hostname: str) -> str:
    return yaml.safe_dump({"instance-id": instance_id, "local-hostname": hostname}, sort_keys=False)


def seed(instance_id: str, hostname: str) -> bytes:
    """The CD's image, labelled cidata. A new `instance_id` makes cloud-init begin as at a first start."""
    disc = pycdlib.PyCdlib()
    disc.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    contents = {"user-data": user_data(hostname), "meta-data": meta_data(instance_id, hostname)}
    for name, text in contents.items():
        data = text.encode()
        plain = name.replace("-", "_").upper()
        disc.add_fp(io.BytesIO(data), len(data), f"/{plain}.;1", rr_name=name, joliet_path=f"/{name}")
    image = io.BytesIO()
    disc.write_fp(image)
    disc.close()
    return image.getvalue()
