"""The tenant: as a document (plan, apply, export), its clock and faults, its sites, its audit log, and the doctor."""

import pathlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, TextIO, cast
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import StreamingResponse

from deskwright import errors
from deskwright.api.asked import Changes, ChangesTenant, Confirmed, Reads, ReadsTenant
from deskwright.api.failures import LARGEST_DOCUMENT
from deskwright.api.models import Everything, Page, Text
from deskwright.api.models_tenant import (
    Advance,
    AuditEvent,
    CatalogueEntry,
    Clock,
    Fault,
    Finding,
    NewFault,
    Plan,
    Settling,
    Site,
    Tenant,
)
from deskwright.document import apply as documents
from deskwright.document.export import export as write
from deskwright.document.result import PlanResult, SavedPlan
from deskwright.document.source import Document
from deskwright.domain.rules import NotFound
from deskwright.graph.errors import GraphError, bad
from deskwright.operations import audit, doctor, faults, overview, sites, tenants
from deskwright.operations.named import cursor
from deskwright.operations.waiting import settling

router = APIRouter(tags=["Tenant"])

LARGEST_PAGE = 1000
_LARGEST_ID = 2**63 - 1
_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain")
_JSON = "application/json"
_FORM = "multipart/form-data"
_TENANT_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A tenant document. Passwords that it names as {env: NAME} are sent beside it, in a form: a "
        "part `document`, and a part `environment.NAME` for each. The service never reads its own environment for "
        "a document that was sent; a password that is kept already stays.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            _JSON: {"schema": {"type": "object"}},
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["document"],
                    "properties": {"document": {"type": "string"}},
                    "additionalProperties": {"type": "string"},
                }
            },
        },
    }
}
Prune = Annotated[bool, Query(description="Delete what the sections that are written do not name.")]


@router.get("/tenant")
def get_tenant(asked: Reads) -> Tenant:
    """The token's tenant at a glance: Cloud PCs by status, seats, health, and every setting."""
    told = tenants.show(asked.database, asked.tenant)
    told["settings"] = tenants.get_settings(asked.database, asked.tenant)
    return Tenant.model_validate({**told, "overview": overview.overview(asked.database, asked.tenant)})


@router.get("/tenant/settling")
def get_settling(asked: Reads) -> Settling:
    """How far the tenant is with what was changed: whether every Cloud PC is where it stays by itself."""
    now = settling(asked.database, asked.tenant.id)
    return Settling(settled=now.done, undecidedUsers=now.undecided, cloudPCs=now.cloud_pcs, settledCloudPCs=now.settled)


@router.post("/plan", openapi_extra=_TENANT_DOCUMENT)
async def plan(request: Request, asked: ReadsTenant, prune: Prune = False) -> Plan:
    """What applying a tenant document would do, exactly; nothing is changed."""
    document = await _document(request)
    return await run_in_threadpool(
        lambda: _told(documents.plan(asked.world, document, asked.actor, tenant=asked.tenant, prune=prune))
    )


@router.post("/apply", openapi_extra=_TENANT_DOCUMENT)
async def apply(
    request: Request,
    asked: ChangesTenant,
    confirmed: Confirmed,
    prune: Prune = False,
    revision: Annotated[
        int | None, Query(description="The tenant's when it was planned: refused if it has changed since.")
    ] = None,
    sha256: Annotated[str | None, Query(description="The document's when it was planned.", max_length=64)] = None,
) -> Plan:
    """Make the tenant as its document says; doing it again changes nothing."""
    document = await _document(request)
    expected = None
    if revision is not None or sha256 is not None:
        if revision is None or sha256 is None:
            raise bad("'revision' and 'sha256' belong together: both are of the plan.", "revision")
        expected = SavedPlan(asked.tenant.name, revision, sha256, pathlib.Path(), prune)

    def go() -> Plan:
        done = documents.apply(
            asked.world, document, asked.actor, tenant=asked.tenant, confirmed=confirmed, prune=prune, expected=expected
        )
        return _told(done)

    return await run_in_threadpool(go)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/yaml": {"schema": {"type": "string"}}}}},
)
def export(asked: ReadsTenant) -> StreamingResponse:
    """The tenant as a document that makes it again elsewhere, without its passwords."""
    # Written down before it is sent: a slow client does not hold a transaction open.
    with ExitStack() as opened:
        file = opened.enter_context(
            tempfile.SpooledTemporaryFile(max_size=1_000_000, mode="w+", encoding="utf-8", newline="\n")
        )
        write(asked.database, asked.tenant, cast(TextIO, file))
        file.seek(0)
        kept = opened.pop_all()

    def content() -> Iterator[str]:
        with kept:
            while part := file.read(65_536):
                yield part

    return StreamingResponse(content(), media_type="application/yaml")


@router.get("/faults")
def list_faults(
    asked: Reads,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    after: Annotated[int, Query(ge=0, le=_LARGEST_ID)] = 0,
) -> Page[Fault]:
    """The faults that are in effect."""
    found = faults.list_(asked.database, asked.tenant, after, limit)
    link = f"/deskwright/faults?limit={limit}&after={found[-1]['id']}" if len(found) == limit else None
    return Page[Fault].model_validate({"value": found, "nextLink": link})


@router.post("/faults", status_code=201)
def add_fault(asked: Changes, fault: NewFault) -> Fault:
    """Let a simulated step fail."""
    added = faults.add(
        asked.database,
        asked.tenant,
        asked.actor,
        step=fault.step,
        code=fault.code,
        user=fault.user,
        policy=fault.policy,
        attempts=fault.attempts,
        rate=fault.rate,
        delay_seconds=fault.delaySeconds,
    )
    return Fault.model_validate(added)


@router.delete("/faults")
def clear_faults(asked: Changes) -> Everything[Fault]:
    """Take all faults away; answers what they were."""
    return Everything[Fault].model_validate({"value": faults.clear(asked.database, asked.tenant, asked.actor)})


@router.delete("/faults/{fault}")
def clear_fault(asked: Changes, fault: Annotated[int, Path(ge=0, le=_LARGEST_ID)]) -> Fault:
    """Take one fault away; answers what it was."""
    return Fault.model_validate(faults.clear(asked.database, asked.tenant, asked.actor, fault)[0])


@router.get("/clock")
def get_clock(asked: Reads) -> Clock:
    """The tenant's time, which every deadline is read against."""
    return Clock.model_validate(tenants.show_clock(asked.database, asked.tenant))


@router.post("/clock/advance")
def advance_clock(asked: Changes, confirmed: Confirmed, by: Advance) -> Clock:
    """Move the tenant's time forward: what was due until then becomes due now."""
    forward = timedelta(seconds=by.seconds)
    try:
        found = tenants.advance_clock(asked.database, asked.tenant, asked.actor, forward, confirmed=confirmed)
    except DBAPIError as beyond:
        if "out of range" in str(beyond.orig):
            raise bad("'seconds' leads beyond the end of time.", "seconds") from None
        raise
    return Clock.model_validate(found)


@router.get("/sites")
def list_sites(
    asked: Reads,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    after: Annotated[Text | None, Query(description="From the link to the next page.", max_length=1000)] = None,
) -> Page[Site]:
    """The tenant's sites, and which providers serve them."""
    found = sites.list_(asked.database, asked.tenant, after, limit)
    link = None
    if len(found) == limit:
        link = f"/deskwright/sites?limit={limit}&after={quote(cursor(sites.SITE, found[-1]), safe='')}"
    return Page[Site].model_validate({"value": found, "nextLink": link})


@router.get("/auditEvents")
def list_audit_events(
    asked: Reads,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    before: Annotated[
        int | None, Query(description="Those before the event with this id.", ge=0, le=_LARGEST_ID)
    ] = None,
    resource: Annotated[Text | None, Query(description="What happened to this name or id.", max_length=1000)] = None,
    actor: Annotated[Text | None, Query(description="What this one did.", max_length=1000)] = None,
) -> Page[AuditEvent]:
    """Who changed what, newest first."""
    found = audit.list_(asked.database, asked.tenant, before=before, limit=limit, resource=resource, actor=actor)
    link = f"/deskwright/auditEvents?limit={limit}&before={found[-1]['id']}" if len(found) == limit else None
    return Page[AuditEvent].model_validate({"value": found, "nextLink": link})


@router.get("/auditEvents/{event}")
def get_audit_event(asked: Reads, event: Annotated[int, Path(ge=0, le=_LARGEST_ID)]) -> AuditEvent:
    """One event with everything before and after."""
    return AuditEvent.model_validate(audit.show(asked.database, asked.tenant, event))


@router.get("/doctor")
def get_findings(asked: Changes) -> Everything[Finding]:
    """Examine the tenant: what works, what is late, and the mend. For administrators."""
    found = [f.as_json() for f in doctor.examine_tenant(asked.world, asked.tenant)]
    return Everything[Finding].model_validate({"value": found})


@router.get("/errors")
def list_errors() -> Everything[CatalogueEntry]:
    """Every error a run can show, with cause and remedies; words in braces stand for the actual values."""
    return Everything(value=[_entry(e) for e in errors.CATALOGUE.values()])


@router.get("/errors/{code}")
def get_error(code: str) -> CatalogueEntry:
    """One error of the catalogue."""
    found = errors.CATALOGUE.get(code)
    if found is None:
        raise NotFound("error", code[:80])
    return _entry(found)


def _entry(e: errors.ErrorEntry) -> CatalogueEntry:
    return CatalogueEntry.model_validate(
        {
            "code": e.code,
            "title": e.title,
            "documentTitle": e.document_title,
            "stage": e.stage,
            "steps": e.steps,
            "effect": e.effect.value,
            "message": e.message,
            "cause": e.cause,
            "remedies": e.remedies,
            "retryHelps": e.retry_helps,
            "actions": [asdict(errors.offered(offer, {})) for offer in e.actions],
        }
    )


def _told(result: PlanResult) -> Plan:
    return Plan.model_validate(result.as_json())


async def _document(request: Request) -> Document:
    """The document that was sent, and the passwords beside it. Raises 400, 413 or 415."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media in (*_YAML, _JSON):
        return Document.of(await request.body(), "document", {})
    if media != _FORM:
        raise GraphError(415, "UnsupportedMediaType", f"Send the document as application/yaml, {_JSON} or {_FORM}.")
    try:
        async with request.form(max_part_size=LARGEST_DOCUMENT) as form:
            environment = {k.removeprefix("environment."): v for k, v in form.items() if isinstance(v, str)}
            found = form.get("document")
            content = await found.read() if isinstance(found, UploadFile) else found
    except MultiPartException as unreadable:
        raise bad(f"The form cannot be read: {unreadable.message}.", "body") from None
    if content is None:
        raise bad("The form has no part 'document'.", "document")
    return Document.of(content, "document", environment)
