"""The recipes' table agrees with the gallery, and with the files it names."""

import pytest

from deskwright.domain.images import GALLERY
from deskwright.images import bootstrap
from deskwright.images.recipes import RECIPES, Recipe

recipes = pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.id)


def test_every_linux_image_of_the_gallery_has_its_recipe_and_no_other() -> None:
    assert set(RECIPES) == {image.id for image in GALLERY.values() if image.os_family == "linux"}


@recipes
def test_a_recipe_is_listed_by_its_id_and_makes_the_disk_the_gallery_tells(recipe: Recipe) -> None:
    assert RECIPES[recipe.id] is recipe
    assert recipe.size_gb == GALLERY[recipe.id].disk_gb


@recipes
def test_its_files_are_there_and_its_scripts_say_by_what_they_run(recipe: Recipe) -> None:
    for file in (*recipe.files, *recipe.early):
        text = bootstrap.text_of(file)
        assert text.endswith("\n")
        assert text.startswith("#!/bin/sh\n") == bool(file.mode & 0o111), file


@recipes
def test_no_place_and_no_package_is_named_twice(recipe: Recipe) -> None:
    places = [file.path for file in (*recipe.files, *recipe.early)] + [link.path for link in recipe.links]
    assert len(set(places)) == len(places)
    assert all(place.startswith("/") for place in places)
    assert len(set(recipe.packages)) == len(recipe.packages)


@recipes
def test_every_image_has_what_the_configure_steps_need(recipe: Recipe) -> None:
    assert {"qemu-guest-agent", "nftables", "sudo", "cloud-guest-utils", "e2fsprogs"} <= set(recipe.packages)


@recipes
def test_the_root_is_found_by_its_label(recipe: Recipe) -> None:
    assert recipe.command_line.split()[0] == "root=LABEL=cloudpc"
