"""Commands about events that the tenant's webhook did not take."""

from typing import Annotated, Any
from uuid import UUID

import typer

from deskwright.cli.in_tenant import LimitOption, done, in_tenant, print_one
from deskwright.cli.output import JsonOption, TenantOption, show
from deskwright.domain.rules import Refused
from deskwright.operations import dead_letters
from deskwright.operations.named import LARGEST_PAGE

webhook_app = typer.Typer(help="Events that the webhook did not take.", no_args_is_help=True)

COLUMNS = {"id": "ID", "time": "Happened", "cloudPc": "Cloud PC", "event": "Event", "tries": "Tries", "error": "Error"}
LettersArgument = Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...", help="Which ones.")]
AllOption = Annotated[bool, typer.Option("--all", help="All there are.")]


@webhook_app.command("list")
def list_letters(limit: LimitOption = None, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List events that were given up after their last try, oldest first.

    Example: deskwright webhook list
    """
    with in_tenant(tenant) as here:
        found: list[dict[str, Any]] = []
        while limit is None or len(found) < limit:
            size = LARGEST_PAGE if limit is None else min(LARGEST_PAGE, limit - len(found))
            after = found[-1]["number"] if found else 0
            page = dead_letters.list_(here.database, here.tenant, after=after, limit=size)
            found += page
            if len(page) < size:
                break
        shown = found if as_json else [{**f, "event": f"{_short(f['type'])} {f['status']}"} for f in found]
        show(shown, COLUMNS, as_json=as_json, empty="Every event got through, or is still being tried.")


@webhook_app.command("show")
def show_letter(
    letter: Annotated[UUID, typer.Argument(metavar="ID", help="The event's id.")],
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one of them: its tries, its last error, and the event as it is sent.

    Example: deskwright webhook show 4b2e7c0a-5d0a-4c55-9f0e-0c7f6a1f0f52
    """
    with in_tenant(tenant) as here:
        print_one(dead_letters.show(here.database, here.tenant, letter), as_json=as_json)


@webhook_app.command("retry")
def retry_letters(
    letters: LettersArgument = None,
    everything: AllOption = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send events again, with all their tries before them. They keep their ids.

    Example: deskwright webhook retry --all
    """
    with in_tenant(tenant) as here:
        n = dead_letters.retry(here.database, here.tenant, here.actor, _chosen(letters, everything))
        done({"retried": n}, f"{n} will be sent again.", as_json=as_json)


@webhook_app.command("discard")
def discard_letters(
    letters: LettersArgument = None,
    everything: AllOption = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let events go that nobody wants any more.

    Example: deskwright webhook discard 4b2e7c0a-5d0a-4c55-9f0e-0c7f6a1f0f52
    """
    with in_tenant(tenant) as here:
        n = dead_letters.discard(here.database, here.tenant, here.actor, _chosen(letters, everything))
        done({"discarded": n}, f"{n} discarded.", as_json=as_json)


def _chosen(letters: list[UUID] | None, everything: bool) -> list[UUID] | None:
    if bool(letters) == everything:
        raise Refused("ID", None, "name the events, or all of them with --all")
    return None if everything else letters


def _short(kind: str) -> str:
    return kind.rpartition(".")[2]
