"""The generated pages are what the code says now, and what is written by hand holds against it."""

import contextlib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

from deskwright import errors, reference
from deskwright.document.apply import Document, plan
from deskwright.document.model_policies import MODELS
from deskwright.document.reader import SECTIONS
from deskwright.domain.rules import Refused
from deskwright.domain.status import TRANSITIONS, Status
from deskwright.operations import faults
from deskwright.provision.pipeline import PIPELINE
from deskwright.reference import steps
from deskwright.reference.__main__ import main
from deskwright.reference.commands import commands
from deskwright.reference.tenant_document import document_fields
from deskwright.settings import Settings, TenantSettings
from tests.company import Company

DIRECTORY = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", reference.PAGES)
def test_page_is_up_to_date(name: str) -> None:
    assert name not in reference.outdated(DIRECTORY), "run `make docs`"


def test_check_tells_missing_changed_and_current_pages_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir()), "--check writes nothing"
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "errors.md").write_text("by hand")
    assert main(["--check", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [f"{tmp_path / 'errors.md'} is out of date: run `make docs`"]


def test_every_error_has_its_heading() -> None:
    page = reference.PAGES["errors.md"]()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        *(f"## {code}" for code in errors.CATALOGUE),
        "## Values",
    ]
    assert "{" not in page


def test_every_setting_has_its_row_and_its_meaning() -> None:
    page = reference.PAGES["settings.md"]()
    names = [f"DESKWRIGHT_{name}".upper() for name in Settings.model_fields] + list(TenantSettings.model_fields)
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


ROOT = DIRECTORY.parent
WRITTEN = sorted([*ROOT.glob("*.md"), *ROOT.glob("decisions/*.md"), *ROOT.glob("checklists/*.md")])
BY_HAND = pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.stem)
COMMANDS = commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself(name: str) -> None:
    told, _, example = (COMMANDS[name].help or "").partition("Example:")
    assert told.strip(), "the help says what it does"
    assert f"deskwright {name}" in example
    assert f"### deskwright {name}" in reference.PAGES["commands.md"]().splitlines()


def test_the_commands_page_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    page = reference.PAGES["commands.md"]()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    assert reference.PAGES["commands.md"]() == page


def test_every_step_of_the_pipeline_has_its_rows() -> None:
    page = reference.PAGES["status-and-steps.md"]()
    for step in PIPELINE:
        assert f"| {step.id} | {step.stage} | {step.title} |" in page
        assert f"| {step.id} | {step.undo} |" in page
        assert set(steps.own_codes(step)) | set(steps.stage_codes(step.stage)) == set(step.errors)


def test_the_diagram_is_the_table_of_transitions() -> None:
    arrows = set()
    for line in steps.state_diagram().splitlines():
        if " --> " in line and "[*]" not in line:
            now, _, then = line.strip().partition(" --> ")
            arrows.add((Status(now), Status(then)))
    assert arrows == {(now, then) for now, targets in TRANSITIONS.items() for then in targets}


def accepted(step: str, codes: Iterable[str]) -> set[str]:
    """Those of `codes` that the simulator can be told to raise at the step."""
    found = set()
    for code in codes:
        with contextlib.suppress(Refused):
            faults.check(step, code)
            found.add(code)
    return found


def test_catalogue_documentation_and_simulator_know_the_same_codes() -> None:
    """SPEC section 9: error catalogue, documentation pages and simulator faults are the same list."""
    headings = {
        line.removeprefix("## ") for line in reference.PAGES["errors.md"]().splitlines() if line.startswith("## ")
    }
    assert headings - {"Values"} == set(errors.CATALOGUE)
    assert accepted("release", {*errors.CATALOGUE, "noSuchCode"}) == set(errors.CATALOGUE)
    everywhere = set(faults.EVERYWHERE) - {faults.DELAY}
    for step in PIPELINE:
        assert accepted(step.id, {*errors.CATALOGUE, "noSuchCode"}) == set(step.errors) | everywhere


def test_every_property_of_the_tenant_document_has_its_row() -> None:
    page = reference.PAGES["tenant-document.md"]()
    for section in SECTIONS:
        assert f"## {section}" in page.splitlines()
    for model in MODELS.values():
        for name, (others, _) in document_fields(model).items():
            assert f"| `{name}` | {', '.join(f'`{o}`' for o in others)} |" in page


@BY_HAND
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles}, target


@BY_HAND
def test_commands_that_are_written_exist(page: Path) -> None:
    """In code, every `deskwright ...` is a command, and its options are the command's."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`(deskwright [^`]+)`", text)])
    for line in code.replace("\\\n", " ").splitlines():
        found = re.match(r"\s*(?:[A-Z_]+=\S+ )*deskwright (.+)", line)
        if found is None:
            continue
        words = shlex.split(found[1].split(" #")[0].split(" > ")[0].split(" | ")[0].rstrip("& "))
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
        assert name is not None or words[:1] == ["--version"], line
        known = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)} if name else {"--version"}
        given = {w.partition("=")[0] for w in words if w.startswith("-") and w != "-"}
        assert given <= {*known, "--help"}, line


@BY_HAND
def test_documents_that_are_written_can_be_applied(
    page: Path, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQ_JOIN_PASSWORD", "secret")
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
        if block.startswith("tenant:"):
            name = f"{page.stem}-{number}.test"
            told = plan(company.world, Document.of(block.replace("contoso.com", name)), "test")
            assert told.creates_tenant
            assert told.changes_anything
