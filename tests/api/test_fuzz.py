"""What schemathesis makes up from the OpenAPI documents never leads to a 5xx or to a status they do not name."""

import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from starlette.testclient import TestClient

from deskwright.api import pages
from tests.api.conftest import Api
from tests.company import PLAN, Company

EXAMPLES = 3
ORDER = ("get", "patch", "put", "post", "delete")
# Streams do not end; what waits takes its time.
LEFT_OUT = re.compile(r"/events$")
NOT_GIVEN = {"wait"}
PASSED_ON = {"method", "url", "params", "headers", "json", "data", "files"}


def real_names(company: Company) -> dict[str, str]:
    """A name for keys of paths, so that calls reach what is there, too."""
    found = {"cloudPC": "adele@contoso.com", "user": "adele@contoso.com", "code": "joinDomainFailed"}
    for key, table in {
        "cloudPC-id": "cloud_pcs",
        "user-id": "users",
        "group-id": "groups",
        "provisioningPolicy-id": "policies",
        "onPremisesConnection-id": "connections",
        "servicePlan-id": "service_plans",
        "userSetting-id": "user_settings",
        "subscribedSku-id": "service_plans",
        "auditEvent-id": "audit_events",
        "organization-id": "tenants",
    }.items():
        where = "id = :tenant" if table == "tenants" else "tenant_id = :tenant"
        found[key] = str(company.sql(f"SELECT id FROM {table} WHERE {where} LIMIT 1")[0].id)
    return found


def operations(name: str) -> Iterator[Any]:
    document = pages.DOCUMENTS[name]()
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(found) == sum(len(item) for item in document["paths"].values()), "schemathesis reads every operation"
    return iter(sorted(found, key=lambda o: (ORDER.index(o.method.lower()), o.path)))


@pytest.mark.parametrize("name", pages.DOCUMENTS)
@pytest.mark.filterwarnings("ignore")
def test_no_answer_is_a_surprise(api: Api, company: Company, name: str) -> None:
    company.basics("adele", "alex", connections=("HQ",))
    company.user_setting("Local administrators", "Sales", True)
    company.license(PLAN, "adele")
    company.settle()
    names = real_names(company)
    surprises: list[str] = []
    # As a server would answer: an exception is a 500 with a body.
    with TestClient(api.client.app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        for operation in operations(name):
            if not LEFT_OUT.search(operation.path):
                surprises += surprises_of(client, name, operation, names)
    assert not surprises, "\n".join(surprises)


def surprises_of(client: TestClient, name: str, operation: Any, names: dict[str, str]) -> list[str]:
    documented = set(operation.definition.raw["responses"])
    found: dict[str, str] = {}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), real=st.booleans())
    def ask(case: Any, real: bool) -> None:
        if real:
            case.path_parameters = {k: names.get(k, v) for k, v in (case.path_parameters or {}).items()}
        case.query = {k: v for k, v in (case.query or {}).items() if k not in NOT_GIVEN}
        request = case.as_transport_kwargs(base_url=f"http://127.0.0.1/{name}")
        sent = {k: v for k, v in request.items() if k in PASSED_ON}
        if isinstance(sent.get("data"), bytes | str):
            sent["content"] = sent.pop("data")
        answer = client.request(**sent)
        if str(answer.status_code) not in documented:
            said = answer.text[:300]
            found[str(answer.status_code)] = f"{sent['method']} {sent['url']} -> {answer.status_code}: {said}"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ask()
    return list(found.values())
