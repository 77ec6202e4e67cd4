"""A document that breaks rules: every mistake is told at once with its line, and nothing is changed."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deskwright.document.apply import Document, plan
from deskwright.document.problems import DocumentProblems, Problems
from deskwright.document.reader import SECTIONS, Reader
from deskwright.store.database import Database
from tests.document.conftest import Documents, small

_WRONG = """\
tenant: contoso.com
users:
  - {userPrincipalName: adele@contoso.com, displayName: Adele Vance}
  - {userPrincipalName: Adele@contoso.com, displayName: Adele again}
groups:
  - displayName: Sales
    members:
      - adele@contoso.com
      - nobody@contoso.com
sites:
  - {name: site-a, regionGroup: europeUnion}
onPremisesConnections:
  - displayName: HQ
    connectionType: hybridAzureADJoin
    region: site-a
    network: corp
    subnet: 10.20.0.0/24
    adDomainName: corp.contoso.com
    adDomainUsername: joiner@corp.contoso.com
    adDomainPassword: {env: DESKWRIGHT_TEST_NO_SUCH_VARIABLE}
provisioningPolicies:
  - displayName: "Sales <desktops>"
    domainJoinConfigurations:
      - {domainJoinType: azureADJoin, region: atlantis}
    image: {gallery: debian-12-desktop}
    assignments: [Marketing]
  - displayName: Short
    domainJoinConfigurations:
      - {domainJoinType: hybridAzureADJoin, onPremisesConnection: HQ}
    image: {gallery: debian-12-desktop}
    cloudPcNamingTemplate: PC-%RAND:3%
    assignments: [Sales]
"""


def test_every_mistake_is_told_at_once_with_its_line(documents: Documents) -> None:
    found = {(p.line, p.field, p.value) for p in documents.problems(_WRONG)}
    assert found == {
        (4, "users.userPrincipalName", "Adele@contoso.com"),
        (9, "groups[0].members[1]", "nobody@contoso.com"),
        (20, "onPremisesConnections[0].adDomainPassword", "DESKWRIGHT_TEST_NO_SUCH_VARIABLE"),
        (22, "provisioningPolicies[0].displayName", "Sales <desktops>"),
        (24, "provisioningPolicies[0].domainJoinConfigurations.0.regionName", "atlantis"),
        (26, "provisioningPolicies[0].assignments[0]", "Marketing"),
        (31, "provisioningPolicies[1].cloudPcNamingTemplate", "PC-%RAND:3%"),
    }


def test_a_problem_reads_as_file_line_field_value_and_rule(documents: Documents) -> None:
    (problem,) = documents.problems(small().replace("groups: [Sales]", "groups: [Sails]"))
    assert str(problem) == ("tenant.yaml:12: licenses[0].groups[0] 'Sails': no group of that name; did you mean Sales?")


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("tenant: contoso.com", "tenent: contoso.com"), 1, "did you mean tenant?"),
        (("users:\n", "users: 5\nuserz:\n"), 3, "must be a list"),
        (("displayName: User 0}", "displayName: User 0, displayName: X}"), 4, "written twice"),
        (("displayName: User 1}", "displayNme: User 1}"), 5, "did you mean displayName?"),
        (("displayName: User 1}", "displayName: 7}"), 5, "must be text"),
        (("seats: 100", "seats: many"), 10, "must be a whole number"),
        (("seats: 100", "seats: -1"), 10, "greater than or equal to 0"),
        (("2vCPU/8GB/128GB, seats", "Small, seats"), 10, "must hold a size"),
        (("gallery: debian-12-desktop", "gallery: beos"), 16, "must be one of the gallery's"),
        (("regionGroup: europeUnion", "regionGroup: moon"), 15, "must be one of"),
        (("regionGroup: europeUnion", "onPremisesConnection: HQ"), 15, "no network connection of that name"),
        (("azureADJoin", "hybridAzureADJoin"), 15, "needs onPremisesConnection"),
        (("image: {", "provisioningType: shared\n    image: {"), 16, "dedicated"),
        (("speed: instant", "speed: 0"), 2, "more than 0"),
        (("seed: 1", "faults: [{step: C9, code: joinDomainFailed}]"), 2, "must be one of"),
        (("seed: 1", "faults: [{step: C1, code: joinDomainFailed}]"), 2, "can fail with"),
        (
            ("tenant: contoso.com", "tenant: contoso.com\nsettings: {gracePeriodInHours: -1}"),
            2,
            "greater than or equal",
        ),
        (("tenant: contoso.com", "tenant: contoso.com\nsettings: {gracePeriod: 1}"), 2, "did you mean"),
        (
            ("tenant: contoso.com", "tenant: contoso.com\nsites: [{name: a, regionGroup: asia, compute: {kind: vax}}]"),
            2,
            "must be",
        ),
        (("groups: [Sales]}", "groups: &a [Sales], users: *a}"), 12, "aliases are not supported"),
        (("tenant: contoso.com", "tenant: [contoso"), 2, "YAML"),
    ],
)
def test_each_mistake_names_its_line_and_rule(
    documents: Documents, change: tuple[str, str], line: int, words: str
) -> None:
    document = small()
    assert change[0] in document
    problems = documents.problems(document.replace(*change, 1))
    assert any(p.line == line and words in str(p) for p in problems), "\n".join(map(str, problems))


def test_a_password_is_never_part_of_a_problem(documents: Documents) -> None:
    connection = (
        "onPremisesConnections: [{displayName: HQ, connectionType: hybridAzureADJoin, region: westeurope, network: n, "
        "subnet: 10.0.0.0/24, adDomainName: a.b, adDomainUsername: j@a.b, adDomainPassword: hunter2}]\n"
    )
    problems = documents.problems(small(more=connection))
    assert [p.field for p in problems] == ["onPremisesConnections[0].adDomainPassword"]
    assert "hunter2" not in str(problems)


def test_an_unknown_name_is_not_told_again_by_those_who_name_it(documents: Documents) -> None:
    """A group with a mistake of its own is there: who refers to it makes none."""
    (problem,) = documents.problems(small().replace("displayName: Sales,", "displayName: Sales, colour: red,"))
    assert problem.field == "groups[0].colour"


def test_many_problems_are_counted_and_some_shown(documents: Documents) -> None:
    users = "".join(f"  - {{userPrincipalName: broken {i}}}\n" for i in range(500))
    with pytest.raises(DocumentProblems) as found:
        documents.apply("tenant: contoso.com\nusers:\n" + users)
    assert found.value.count == 500
    assert len(found.value.problems) == 200
    assert "and 300 more" in str(found.value)


def test_deep_nesting_and_alias_bombs_are_problems_not_crashes(documents: Documents) -> None:
    bomb = "tenant: contoso.com\nusers:\n  - &a {x: &b [1]}\n  - [*a, *a]\n"
    assert documents.problems(bomb)
    assert documents.problems("tenant: contoso.com\nusers: " + "[" * 3000)
    assert documents.problems("tenant: contoso.com\nusers: [" + "[" * 200 + "]" * 200 + "]")


_scalars = st.one_of(
    st.sampled_from(
        ["contoso.com", "Sales", "a@b", "azureADJoin", "site-a", "debian-12-desktop", "~", "{env: X}", "\\0"]
    ),
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.booleans().map(str),
)
_keys = st.one_of(
    st.sampled_from(
        ["displayName", "userPrincipalName", "members", "assignments", "image", "region", "compute", "seats"]
    ),
    st.sampled_from(sorted(SECTIONS)),
    st.text(max_size=6),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda v: "[" + ", ".join(v) + "]"),
        st.dictionaries(_keys, inner, max_size=4).map(
            lambda d: "{" + ", ".join(f"{k}: {v}" for k, v in d.items()) + "}"
        ),
    ),
    max_leaves=8,
)
_documents = st.one_of(
    st.text(),
    st.binary().map(lambda b: b.decode("latin-1")),
    st.dictionaries(st.sampled_from(sorted(SECTIONS)), _values).map(
        lambda d: "tenant: contoso.com\n" + "".join(f"{k}: {v}\n" for k, v in d.items() if k != "tenant")
    ),
)


@given(_documents)
def test_reading_garbage_never_crashes(content: str) -> None:
    problems = Problems("x")
    list(Reader(Document.of(content), problems).items())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_documents)
def test_planning_garbage_gives_problems_or_a_plan_and_changes_nothing(
    documents: Documents, database: Database, content: str
) -> None:
    before = documents.everything()
    with contextlib.suppress(DocumentProblems):
        plan(documents.world, Document.of(content), "test")
    assert documents.everything() == before
