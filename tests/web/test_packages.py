"""What the pages load comes from npm by lock file: exactly pinned, without addresses, fetched once."""

import json
import re
from pathlib import Path

import pytest

from deskwright.web import packages
from deskwright.web.packages import __main__ as command

HERE = Path(packages.__file__).parent


def test_the_lock_pins_exact_versions_and_names_no_address() -> None:
    wanted = json.loads((HERE / "package.json").read_text())
    text = (HERE / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    assert "resolved" not in text
    assert "://" not in text
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(p["integrity"].startswith("sha512-") for name, p in locked.items() if name)


def test_every_file_is_there_with_its_licence() -> None:
    assert packages.missing() == []
    for module in ("novnc/core/rfb.js", "novnc/core/input/keyboard.js", "novnc/vendor/pako/lib/zlib/inflate.js"):
        assert (packages.SERVED / module).is_file()
    for package in ("htmx", "idiomorph"):
        assert "Permission to use, copy" in (packages.SERVED / f"{package}.LICENSE.txt").read_text()
    assert "Mozilla Public License" in (packages.SERVED / "novnc" / "docs" / "LICENSE.MPL-2.0").read_text()


def test_every_module_that_novnc_imports_came_along() -> None:
    for module in (packages.SERVED / "novnc").rglob("*.js"):
        for imported in re.findall(r"""^(?:import|export)\b[^;'"]*['"](\.[^'"]+)['"]""", module.read_text(), re.M):
            assert (module.parent / imported).is_file(), f"{module.name} imports {imported}"


def test_only_modules_and_licences_are_served() -> None:
    others = [
        p.name for p in packages.SERVED.rglob("*") if p.is_file() and p.suffix != ".js" and "LICENSE" not in p.name
    ]
    assert sorted(others) == ["AUTHORS", "made-from.txt"]


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An npm with an empty cache, whose registry does not answer."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")


@pytest.mark.usefixtures("unreachable")
def test_a_second_run_asks_npm_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tests = Path(__file__).parent / "vendor"
    assert (tests / "axe.min.js").is_file()
    assert command.main(["--tests", str(tests)]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("unreachable")
def test_a_failure_is_one_sentence_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "SERVED", tmp_path / "vendor")
    assert "htmx.min.js" in packages.missing()
    assert command.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ECONNREFUSED" in said
    assert "run `python -m deskwright.web.packages` again" in said
    assert not (tmp_path / "vendor").exists()


def test_files_of_another_lock_or_half_a_copy_count_as_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "SERVED", tmp_path / "vendor")
    assert packages.install() == [tmp_path / "vendor"]
    assert packages.missing() == []
    (tmp_path / "vendor" / "htmx.min.js").unlink()
    assert packages.missing() == ["htmx.min.js"]
    other = tmp_path / "package-lock.json"
    other.write_text("{}")
    monkeypatch.setattr(packages, "_LOCK", other)
    assert packages.missing() == sorted(packages.PAGES)


def test_another_file_in_the_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert packages.install(tmp_path) == [tmp_path]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["axe.LICENSE.txt", "axe.min.js", "made-from.txt", "mine.txt"]
