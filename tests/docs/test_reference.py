"""The generated reference pages are what the code says now."""

from pathlib import Path

import pytest

from deskwright import errors, reference
from deskwright.settings import Settings, TenantSettings

DIRECTORY = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", reference.PAGES)
def test_page_is_up_to_date(name: str) -> None:
    assert name not in reference.outdated(DIRECTORY), "run `make docs`"


def test_check_tells_missing_changed_and_current_pages_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference.main(["--check", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir()), "--check writes nothing"
    assert reference.main([str(tmp_path)]) == 0
    assert reference.main(["--check", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "errors.md").write_text("by hand")
    assert reference.main(["--check", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'errors.md'} is out of date: run `make docs`"
    ]


def test_every_error_has_its_heading() -> None:
    page = reference.PAGES["errors.md"]()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        *(f"## {code}" for code in errors.CATALOGUE),
        "## Values",
    ]
    assert "{" not in page


def test_every_setting_has_its_row_and_its_meaning() -> None:
    page = reference.PAGES["settings.md"]()
    names = [f"DESKWRIGHT_{name}".upper() for name in Settings.model_fields] + list(
        TenantSettings.model_fields
    )
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == names
    assert all(row.split("|")[-2].strip() for row in rows)


@pytest.mark.parametrize("name", reference.PAGES)
def test_tables_have_as_many_cells_in_each_row(name: str) -> None:
    width = None
    for line in reference.PAGES[name]().splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = line.replace("\\|", "").count("|")
        assert width in {None, cells}, line
        width = cells
