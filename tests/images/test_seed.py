"""The seed is a CD that cloud-init and the tiny image can read."""

import io
from typing import Any

import pycdlib
import pytest
import yaml

from deskwright.images.seed import seed


def read(image: bytes, name: str, **how: str) -> Any:
    disc, contents = pycdlib.PyCdlib(), io.BytesIO()
    disc.open_fp(io.BytesIO(image))
    try:
        disc.get_file_from_iso_fp(contents, **how)
    finally:
        disc.close()
    return yaml.safe_load(contents.getvalue())


@pytest.mark.parametrize("way", ["rr_path", "joliet_path"])
def test_both_files_are_found_by_their_long_names(way: str) -> None:
    image = seed("i-0001", "cpc-anna-01")
    assert read(image, "", **{way: "/meta-data"}) == {"instance-id": "i-0001", "local-hostname": "cpc-anna-01"}
    user = read(image, "", **{way: "/user-data"})
    assert user["hostname"] == "cpc-anna-01"
    assert user["preserve_hostname"] is False
    assert user["users"] == []
    assert user["ssh_pwauth"] is False


def test_it_is_labelled_cidata() -> None:
    image = seed("i", "h")
    assert image[0x8000:0x8006] == b"\x01CD001"
    assert image[0x8028:0x8048].rstrip() == b"cidata"


def test_the_same_machine_has_the_same_seed() -> None:
    assert seed("i", "h") == seed("i", "h")
