"""Commands about Cloud PCs: status, show, explain, the actions, wait, credentials, ledger and inventory."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from deskwright.cli import live
from deskwright.cli.output import STATUS_MARKS, JsonOption, TenantOption, err, out, print_json, refusals, show
from deskwright.cli.reach import Near, reach
from deskwright.cli.session import Session, open_session
from deskwright.cli.timeline_text import print_explanation, print_timeline
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.operations import view
from deskwright.operations.change import TenantRef
from deskwright.operations.waiting import reached

CloudPcArgument = Annotated[
    str, typer.Argument(metavar="CLOUDPC", help="Id, device name or, where unambiguous, the user's name (UPN).")
]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user's name (UPN).")]

_POLL_SECONDS = 0.25


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (status, show_, explain, retry, repair, reprovision, end_grace, keep, cancel, wait, credentials):
        name = function.__name__.rstrip("_").replace("_", "-")
        app.command(name, rich_help_panel="Cloud PCs")(function)
    app.command("ledger", rich_help_panel="Operation")(ledger)
    app.command("inventory", rich_help_panel="Operation")(inventory)


def status(
    only: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only these; may be repeated.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep watching, until Ctrl-C.")] = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cloud PCs: user, plan, policy, status, step, attempt, since when, and how long it still takes.

    Example: deskwright status --watch
    """
    for given in only or []:
        _check_status(given)
    if watch and as_json:
        raise typer.BadParameter("--watch draws a picture; leave out one of it and --json")
    if watch:
        with refusals(), open_session() as session:
            _watch(session, session.tenant(tenant))
        return
    with reach(tenant) as there:
        rows = there.cloud_pcs(only, user)
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("No Cloud PC yet. deskwright apply -f TENANT.yaml describes who should get one.", style="dim")
        return
    # Into a file or pipe nothing is cut: its reader has no width.
    wide = out if out.is_terminal else Console(width=240)
    wide.print(live.listing(rows, wide.width))


def show_(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """One Cloud PC's timeline: every run, attempt and step, with times, outcome, cause and remedy.

    Example: deskwright show adele@contoso.com
    """
    with reach(tenant) as there:
        told = there.timeline(cloud_pc)
    if as_json:
        print_json(told)
    else:
        print_timeline(out, told)


def explain(user: UserArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """For each licence of a user: which policy won and why, what was ignored, what is missing, what happens next.

    Example: deskwright explain adele@contoso.com
    """
    with reach(tenant) as there:
        told = there.explain(user)
    if as_json:
        print_json(told)
    else:
        print_explanation(out, told)


def retry(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Provision a failed Cloud PC again: a new run of up to three attempts.

    Example: deskwright retry adele@contoso.com
    """
    _act("retry", cloud_pc, tenant, as_json, "provisioning again")


def repair(
    cloud_pc: CloudPcArgument,
    step: Annotated[list[str] | None, typer.Option("--step", help="Only these configure steps, such as P3.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the configure steps again that left a warning; data stays, the user keeps working.

    Example: deskwright repair CPC-adele-7K2QX --step P3
    """
    _act("repair", cloud_pc, tenant, as_json, "being repaired", steps=step)


def reprovision(
    cloud_pc: CloudPcArgument,
    user_account_type: Annotated[
        str | None, typer.Option("--user-account-type", help="standardUser or administrator, for this run.")
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a Cloud PC's machine with all its data, and make it anew by the policy that reaches the user now.

    Example: deskwright reprovision CPC-adele-7K2QX --user-account-type administrator
    """
    _act("reprovision", cloud_pc, tenant, as_json, "being made anew", userAccountType=user_account_type)


def end_grace(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """End a grace period now: the machine and its data go.

    Example: deskwright end-grace CPC-adele-7K2QX
    """
    _act("endGracePeriod", cloud_pc, tenant, as_json, "being removed")


def keep(
    cloud_pc: CloudPcArgument,
    hours: Annotated[
        float | None, typer.Option("--hours", help="At least so long from now; without it, a whole grace period.")
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Extend a grace period.

    Example: deskwright keep CPC-adele-7K2QX --hours 336
    """
    _act("keep", cloud_pc, tenant, as_json, "kept", hours=hours)


def cancel(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Stop what is under way. A provisioning ends as failed and can be retried; any other action just ends.

    Example: deskwright cancel adele@contoso.com
    """
    _act("cancel", cloud_pc, tenant, as_json, "cancelled")


def wait(
    user: UserArgument,
    wanted: Annotated[
        str,
        typer.Option("--for", metavar="STATUS", help="A status, or `settled`. provisioned includes ...WithWarnings."),
    ] = Status.PROVISIONED.value,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds.")] = 3600.0,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until all of a user's Cloud PCs have a status; exit code 1 when the time is over, or it cannot come.

    Example: deskwright wait adele@contoso.com --for provisioned --timeout 600
    """
    if wanted != "settled":
        _check_status(wanted)
    end = time.monotonic() + timeout
    with reach(tenant) as there:
        while True:
            busy = bool(there.explain(user)["changesWaiting"])
            rows = there.cloud_pcs(user=user)
            over = reached(rows, wanted, busy)
            if over is None and time.monotonic() < end:
                time.sleep(_POLL_SECONDS)
                continue
            if as_json:
                print_json(rows)
            else:
                for row in rows:
                    out.print(
                        Text.assemble(f"{user}  {row['servicePlanName']}  ", _marked(row["status"])), soft_wrap=True
                    )
            if over:
                return
            why = f"not {wanted} after {timeout:g} seconds" if over is None else f"will not be {wanted} by itself"
            raise Refused("userPrincipalName", user, why, remedy=f"deskwright explain {user} says why")


def credentials(cloud_pc: CloudPcArgument, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Present the sign-in details to pass on to the user. A one-time password is shown once, and then deleted.

    Example: deskwright credentials adele@contoso.com
    """
    with refusals(), open_session() as session:
        found = view.reveal_sign_in(session.world, session.tenant(tenant), session.actor, cloud_pc)
    if as_json:
        print_json(found)
        return
    how = found["oneTimePassword"]
    if how is None:
        how = "their own"
        if found["userName"] != found["userPrincipalName"]:
            at = found["presentedDateTime"]
            how = f"was shown before ({at:%Y-%m-%d %H:%M} UTC); a reprovision makes a new one" if at else "none"
    for name, value in (("Portal", found["portalAddress"]), ("User name", found["userName"]), ("Password", how)):
        out.print(Text.assemble((f"{name:<11}", "dim"), value), soft_wrap=True)
    if found["oneTimePassword"]:
        err.print("Shown once and deleted here. It has to be changed at the first sign-in.", style="dim")


def ledger(
    left: Annotated[bool, typer.Option("--left", help="Only what past attempts left.")] = False,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """What exists in the outside world by our doing, whose it is, how old, and when it goes.

    Example: deskwright ledger --left
    """
    with refusals(), open_session() as session, session.database.engine.connect() as connection:
        rows = view.ledger(connection, session.tenant(tenant), left)
    if as_json:
        print_json(rows)
        return
    columns = {
        "kind": "Kind",
        "owner": "Owner",
        "siteName": "Site",
        "state": "State",
        "age": "Age",
        "goes": "Goes",
        "name": "Id",
    }
    show(
        [_entry(row) for row in rows],
        columns,
        as_json=False,
        empty="Nothing is left." if left else "Nothing was made yet.",
    )


def inventory(tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Compare the ledger with what the providers really have. What is ours and was forgotten is cleaned up.

    Example: deskwright inventory
    """
    from deskwright.reconcile.inventory import compare_tenant

    with refusals(), open_session() as session:
        differences = compare_tenant(session.world, session.tenant(tenant).id)
    if as_json:
        print_json(
            [
                {
                    "siteName": d.site,
                    "reopened": d.reopened,
                    "missing": d.missing,
                    "unreachable": d.unreachable or None,
                    "strangers": [
                        {"kind": s.kind, "externalId": s.external_id, "displayName": s.name} for s in d.strangers
                    ],
                }
                for d in differences
            ]
        )
        return
    if not differences:
        out.print("Ledger and providers agree.", style="green")
    for d in differences:
        out.print(f"Site {d.site}", style="bold")
        if d.unreachable:
            out.print(f"  it could not be looked at: {d.unreachable}", style="red", highlight=False, soft_wrap=True)
        for words, found in (
            ("ours, found after its release; cleaned up now", d.reopened),
            ("the ledger counts on it, the provider does not have it", d.missing),
            (
                "not made by Deskwright; reported, never deleted",
                [f"{s.kind} {s.name or s.external_id}" for s in d.strangers],
            ),
        ):
            for one in found:
                out.print(f"  {one}: {words}", highlight=False, soft_wrap=True)


def act(
    do: Callable[..., Mapping[str, Any]], cloud_pc: str, tenant: str | None, as_json: bool, words: str, **options: Any
) -> None:
    """Do an action of an administrator's, and say what has begun."""
    with refusals(), open_session() as session:
        found = session.tenant(tenant)
        _acted(do(session.world, found, session.actor, cloud_pc, **options), cloud_pc, as_json, words)
        _say(Near(session, found).nobody_works())


def _act(action: str, cloud_pc: str, tenant: str | None, as_json: bool, words: str, **options: Any) -> None:
    """The same, of those that the API of `/deskwright` has too; `options` have its names."""
    with reach(tenant) as there:
        _acted(
            there.act(action, cloud_pc, {k: v for k, v in options.items() if v is not None}), cloud_pc, as_json, words
        )
        _say(there.nobody_works())


def _acted(answer: Mapping[str, Any], cloud_pc: str, as_json: bool, words: str) -> None:
    if as_json:
        print_json(answer)
    else:
        out.print(Text.assemble(f"{cloud_pc}: {words}  ", _marked(str(answer["status"]))), soft_wrap=True)


def _say(nobody_works: bool) -> None:
    if nobody_works:
        err.print("No worker is running: it goes on when one is. Start one with: deskwright serve", style="yellow")


def _watch(session: Session, tenant: TenantRef) -> None:
    _say(Near(session, tenant).nobody_works())
    try:
        live.follow(session.database, tenant, out, forever=True)
    except KeyboardInterrupt:
        return


def _check_status(given: str) -> None:
    if given not in set(Status):
        raise typer.BadParameter(f"{given!r} is no status; there are: {', '.join(Status)}")


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    goes = "in use"
    if row["state"] == "disabled":
        goes = "disabled; yours to delete"
    elif row["releaseInSeconds"] is not None:
        goes = f"in {live.duration(max(0.0, row['releaseInSeconds']))}"
    elif row["left"]:
        goes = "kept"
    address = (row["details"] or {}).get("ipAddress")
    return {
        **row,
        "owner": row["userPrincipalName"] or "the site",
        "age": live.duration(row["ageSeconds"]),
        "goes": goes + (f" ({row['lastError']})" if row["lastError"] else ""),
        "name": address or row["externalId"] or "",
    }


def _marked(status_value: str) -> tuple[str, str]:
    mark, style = STATUS_MARKS.get(status_value, ("·", ""))
    return f"{mark} {status_value}", style
