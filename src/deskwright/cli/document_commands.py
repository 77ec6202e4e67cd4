"""plan, apply and export: the tenant as a document."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deskwright.cli.output import ConfirmOption, JsonOption, TenantOption, err, out, print_json, refusals
from deskwright.cli.plan_text import print_plan
from deskwright.cli.reach import reach, remote
from deskwright.cli.remote import Remote
from deskwright.cli.session import Session, open_session
from deskwright.domain.rules import Refused

if TYPE_CHECKING:
    from deskwright.document.result import PlanResult, SavedPlan

FileOption = Annotated[
    str | None, typer.Option("--file", "-f", help="The tenant document (YAML or JSON); - reads standard input.")
]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete what the sections that are written do not name; else it is left alone.")
]
_WORDS = {
    "reading": "Reading the document",
    "checking": "Checking it",
    "writing": "Comparing with the tenant",
    "deciding": "Deciding about people",
}
_ALIVE_SECONDS = 15.0
_LOOK_SECONDS = 1.0


def plan(
    file: FileOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Save the plan, for apply --plan.")
    ] = None,
    prune: PruneOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what applying a tenant document would do, before anything happens.

    Example: deskwright plan -f contoso.yaml -o plan.json
    """
    from deskwright.document.result import PlanResult, save

    with _problems(as_json):
        if output is not None and file == "-":
            raise Refused("--output", str(output), "needs a document in a file: standard input cannot be read again")
        document, elsewhere = _document(file), remote()
        if elsewhere is None:
            result = _plan(document, prune, as_json)
        else:
            told = elsewhere.send("/plan", document, os.environ, prune=prune)
            result = PlanResult.from_json({**told, "path": document.name})
        if output is not None:
            save(result, output)
        if as_json:
            print_json(result.as_json())
            return
        print_plan(out, result)
        if output is not None:
            out.print(f"Saved. To do exactly this: deskwright apply --plan {output}", style="dim", markup=False)


def apply(
    file: FileOption = None,
    saved: Annotated[
        Path | None,
        typer.Option("--plan", dir_okay=False, help="A saved plan; refused if tenant or document have changed since."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all Cloud PCs have settled.")] = False,
    prune: PruneOption = False,
    confirm: ConfirmOption = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait at most; unset: as long as it takes.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a tenant as its document says; doing it again changes nothing.

    Example: deskwright apply -f contoso.yaml --wait
    """
    from deskwright.document.result import SavedPlan
    from deskwright.document.source import Document

    if (file is None) == (saved is None):
        raise typer.BadParameter("give one of --file and --plan")
    with _problems(as_json):
        expected = SavedPlan.read(saved) if saved else None
        document = Document.at(expected.path) if expected else _document(file)
        elsewhere, settled = remote(), None
        if elsewhere is None:
            settled = _apply_here(document, expected, confirm, prune, wait, timeout, as_json)
        else:
            settled = _apply_there(elsewhere, document, expected, confirm, prune, wait, timeout, as_json)
        if settled is False:
            err.print("Not everything has settled in time; deskwright status shows how far it is.")
            raise typer.Exit(1)


def export(
    tenant: TenantOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="A file; unset: print it.")
    ] = None,
) -> None:
    """Write a tenant as a document that makes it again elsewhere, without its passwords.

    Example: deskwright export --tenant contoso.com > contoso.yaml
    """
    with reach(tenant) as there:
        if output is None:
            there.export(sys.stdout)
            return
        with output.open("w", encoding="utf-8") as target:
            there.export(target)


def _plan(document: Any, prune: bool, as_json: bool) -> "PlanResult":
    from deskwright.document import apply as documents

    with open_session() as session, _progress(as_json) as progress:
        return documents.plan(session.world, document, session.actor, prune=prune, progress=progress)


def _apply_here(
    document: Any,
    expected: "SavedPlan | None",
    confirm: bool,
    prune: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> bool | None:
    """Apply, tell, and wait where asked to: whether all has settled."""
    from deskwright.document import apply as documents

    with open_session() as session:
        with _progress(as_json) as progress:
            result = documents.apply(
                session.world,
                document,
                session.actor,
                confirmed=confirm,
                prune=prune,
                expected=expected,
                progress=progress,
            )
        if not as_json:
            print_plan(out, result, applied=True)
        settled = _wait(session, result.tenant, timeout, as_json) if wait else None
    if as_json:
        print_json({**result.as_json(), "settled": settled})
    return settled


def _apply_there(
    elsewhere: Remote,
    document: Any,
    expected: "SavedPlan | None",
    confirm: bool,
    prune: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> bool | None:
    """The same, by the API of a service elsewhere."""
    from deskwright.document.result import PlanResult

    planned = {"revision": expected.revision, "sha256": expected.sha256} if expected else {}
    prune = expected.prune if expected else prune
    told = elsewhere.send("/apply", document, os.environ, confirmed=confirm, prune=prune, **planned)
    result = PlanResult.from_json({**told, "path": document.name})
    if not as_json:
        print_plan(out, result, applied=True)
    settled = _settled_there(elsewhere, timeout) if wait else None
    if as_json:
        print_json({**result.as_json(), "settled": settled})
    return settled


def _settled_there(elsewhere: Remote, timeout: float | None) -> bool:
    end = None if timeout is None else time.monotonic() + timeout
    while not (settled := bool(elsewhere.get("/tenant/settling")["settled"])):
        if end is not None and time.monotonic() >= end:
            break
        time.sleep(_LOOK_SECONDS)
    return settled


def _document(file: str | None) -> Any:
    from deskwright.document.source import Document

    if file is None:
        raise typer.BadParameter("--file is needed: the tenant document")
    return Document.of(sys.stdin.buffer.read(), "<stdin>") if file == "-" else Document.at(Path(file))


@contextmanager
def _problems(as_json: bool) -> Iterator[None]:
    """What is wrong with the document, a line each: on stderr, and as JSON for scripts on stdout. Exit code 1."""
    from deskwright.document.problems import DocumentProblems

    with refusals():
        try:
            yield
        except DocumentProblems as found:
            if as_json:
                print_json({"problemCount": found.count, "problems": [p.as_json() for p in found.problems]})
            err.print(str(found), highlight=False, markup=False, soft_wrap=True)
            many = "1 problem" if found.count == 1 else f"{found.count:,} problems"
            err.print(f"[bold red]Refused:[/] {many}, nothing was changed.", highlight=False)
            raise typer.Exit(1) from found


@contextmanager
def _progress(as_json: bool) -> Iterator[Any]:
    """A bar on stderr while it lasts, where somebody looks at it."""
    if as_json or not err.is_terminal:
        yield lambda stage, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def told(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bar.update(earlier, total=1, completed=1)
                tasks[stage] = bar.add_task(_WORDS.get(stage, stage), total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield told


def _wait(session: Session, tenant: str, timeout: float | None, as_json: bool) -> bool:
    from deskwright import jobs
    from deskwright.cli import live, summary
    from deskwright.operations.waiting import wait_until_settled

    ref = session.tenant(tenant)
    with session.database.single.connect() as connection:
        alone = jobs.workers_alive(connection, _ALIVE_SECONDS) == 0
    if alone and not as_json:
        err.print("No worker is running: this command does the work while it waits.", style="dim")
    with _working(session) if alone else nullcontext():
        if as_json:
            return wait_until_settled(session.database, ref.id, timeout)
        picture = live.follow(session.database, ref, out, timeout=timeout)
        summary.print_summary(session.database, ref, out, picture)
        return picture.under_way == 0


@contextmanager
def _working(session: Session) -> Iterator[None]:
    """A worker in this process, as long as somebody waits for its work."""
    from deskwright.worker import Worker

    worker = Worker(session.world)
    thread = threading.Thread(target=worker.run, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(30)
