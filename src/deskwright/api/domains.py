"""Active Directory domains: how they are reached, and what is synchronised from them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from deskwright.api.asked import ChangesTenant, Confirmed, ReadsTenant
from deskwright.api.models import Page
from deskwright.api.models_domains import (
    Adopt,
    AdoptedGroup,
    ChangedDomain,
    Domain,
    DomainDetails,
    DomainTest,
    NewDomain,
    Synchronise,
)
from deskwright.operations import domains
from deskwright.operations.domains import DOMAIN
from deskwright.operations.named import cursor

router = APIRouter(tags=["Tenant"])

LARGEST_PAGE = 1000
Named = Annotated[str, Path(description="Its id or DNS name.")]


@router.get("/domains")
def list_domains(
    asked: ReadsTenant,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    after: Annotated[str | None, Query(max_length=400, description="From a nextLink.")] = None,
) -> Page[Domain]:
    """The Active Directory domains of the tenant."""
    found = domains.list_(asked.database, asked.tenant, after, limit)
    more = cursor(DOMAIN, found[-1]) if len(found) == limit else None
    link = f"/deskwright/domains?limit={limit}&after={more}" if more else None
    return Page[Domain](value=[Domain.model_validate(item) for item in found], nextLink=link)


@router.post("/domains", status_code=201)
def create_domain(asked: ChangesTenant, given: NewDomain) -> Domain:
    """Add a domain, after a real sign-in with its account; its first synchronisation is due at once."""
    made = domains.create(
        asked.database,
        asked.tenant,
        asked.actor,
        secrets=asked.world.secrets,
        domain_name=given.domainName,
        user_name=given.userName,
        password=given.password,
        controllers=given.controllers,
        name_servers=given.nameServers,
        ca_certificate=given.caCertificate,
        start_tls=given.startTls,
        search_bases=given.searchBases,
        sign_in=given.signIn,
        sync_enabled=given.syncEnabled,
        sync_interval_minutes=given.syncIntervalInMinutes,
        verify=given.verify,
    )
    return Domain.model_validate(made)


@router.get("/domains/{domain}")
def get_domain(asked: ReadsTenant, domain: Named) -> DomainDetails:
    """A domain with its last runs, what could not be taken over, and what waits for a confirmation."""
    return DomainDetails.model_validate(domains.show(asked.database, asked.tenant, domain))


@router.patch("/domains/{domain}")
def update_domain(asked: ChangesTenant, domain: Named, given: ChangedDomain) -> Domain:
    """Change what is given; it is tried there first where the way there changes."""
    done = domains.set_(
        asked.database,
        asked.tenant,
        asked.actor,
        domain,
        secrets=asked.world.secrets,
        user_name=given.userName,
        password=given.password,
        controllers=given.controllers,
        name_servers=given.nameServers,
        ca_certificate=given.caCertificate,
        start_tls=given.startTls,
        search_bases=given.searchBases,
        sign_in=given.signIn,
        sync_enabled=given.syncEnabled,
        sync_interval_minutes=given.syncIntervalInMinutes,
        verify=given.verify,
    )
    return Domain.model_validate(done)


@router.delete("/domains/{domain}")
def delete_domain(asked: ChangesTenant, domain: Named) -> Domain:
    """Forget a domain; its people and groups stay, as the tenant's own. Answers what it was."""
    return Domain.model_validate(domains.delete(asked.database, asked.tenant, asked.actor, domain))


@router.post("/domains/{domain}/test")
def try_domain(asked: ChangesTenant, domain: Named) -> DomainTest:
    """Try everything a synchronisation needs, and count what it would read."""
    seen = domains.test(asked.database, asked.tenant, domain, secrets=asked.world.secrets)
    return DomainTest.model_validate(seen)


@router.post("/domains/{domain}/synchronise", status_code=202)
def synchronise_domain(asked: ChangesTenant, domain: Named, confirmed: Confirmed, given: Synchronise) -> Domain:
    """Have it synchronised now. `confirm`, or the header that confirms: the run that stopped and asked is meant."""
    done = domains.synchronise(
        asked.database,
        asked.tenant,
        asked.actor,
        domain,
        confirm=given.confirm or confirmed,
        complete=given.complete,
    )
    return Domain.model_validate(done)


@router.post("/domains/{domain}/adopt")
def adopt_group(asked: ChangesTenant, domain: Named, given: Adopt) -> AdoptedGroup:
    """Let the domain have a group of the tenant; the next run makes its members the domain's."""
    return AdoptedGroup.model_validate(domains.adopt(asked.database, asked.tenant, asked.actor, domain, given.group))
