"""Applying a document: what it makes, what it leaves alone, and that doing it again changes nothing."""

import json
from pathlib import Path

import pytest

from deskwright.document.apply import Document, apply, plan
from deskwright.document.problems import DocumentProblems
from deskwright.document.result import SavedPlan, save
from deskwright.domain.rules import ConfirmationRequired, Refused
from tests.document.conftest import PLAN, Documents, small


def test_r3_an_apply_on_an_empty_installation_makes_the_tenant_and_its_people_get_cloud_pcs(
    documents: Documents,
) -> None:
    """R3"""
    result = documents.apply(small())
    assert result.creates_tenant
    assert result.actions == {"create": 3}
    assert documents.sql("SELECT count(*) FROM sites")[0][0] > 30  # one for each region group
    documents.settle()
    assert set(documents.statuses().values()) == {"provisioned"}


def test_r3_applying_twice_changes_nothing_the_second_time(documents: Documents) -> None:
    """R3"""
    documents.apply(small())
    before = documents.everything()
    result = documents.apply(small())
    assert not result.changes_anything
    assert (result.touched, result.actions, result.changes) == (0, {}, [])
    assert documents.everything() == before


def test_r3_a_plan_says_what_apply_does_and_changes_nothing(documents: Documents) -> None:
    """R3"""
    before = documents.everything()
    planned = documents.plan(small())
    assert documents.everything() == before
    applied = documents.apply(small())
    assert (planned.counts, planned.actions, planned.changes) == (applied.counts, applied.actions, applied.changes)


def test_r3_what_is_not_named_is_left_alone_and_what_is_not_written_stays_as_it_is(documents: Documents) -> None:
    """R3"""
    documents.apply(small(more="    description: As it is\n"))
    result = documents.apply("tenant: CONTOSO.com\nusers: [{userPrincipalName: new@contoso.com, displayName: New}]\n")
    assert result.counts == {"users": {"create": 1}}
    policy = (
        "{displayName: Desktops, domainJoinConfigurations: [{domainJoinType: azureADJoin, regionGroup: europeUnion}], "
    )
    result = documents.apply(
        f"tenant: contoso.com\nprovisioningPolicies: [{policy}image: {{gallery: debian-12-server}}}}]\n"
    )
    assert result.changes == [
        {"kind": "provisioningPolicies", "name": "Desktops", "change": "update", "properties": ["image"]}
    ]
    assert documents.sql("SELECT description, gallery_image, revision FROM policies") == [
        ("As it is", "debian-12-server", 2)
    ]
    assert documents.sql("SELECT count(*) FROM policy_assignments") == [(1,)]


def test_e8_leaving_a_group_in_the_document_is_grace_and_coming_back_ends_it(documents: Documents) -> None:
    """E8"""
    documents.apply(small())
    documents.settle()
    result = documents.apply(small(members=2))
    assert result.actions == {"enter grace": 1}
    documents.settle()
    assert documents.statuses()["user2@contoso.com"] == "inGracePeriod"
    cause = documents.sql("SELECT grace->'cause' FROM cloud_pcs WHERE grace IS NOT NULL")[0][0]
    assert cause == {"actor": "test", "activity": "Removed from group", "object": "Sales"}
    assert documents.apply(small()).actions == {"leave grace": 1}
    documents.settle()
    assert documents.statuses()["user2@contoso.com"] == "provisioned"


def test_e6_more_people_than_seats_queue_and_more_seats_let_them_start(documents: Documents) -> None:
    """E6"""
    result = documents.apply(small(seats=1))
    assert [(s["needed"], s["start"], s["short"]) for s in result.seats] == [(3, 1, 2)]
    documents.settle()
    waiting = """SELECT u.user_principal_name FROM cloud_pcs c JOIN users u ON u.id = c.user_id
        WHERE c.waiting_for = 'seat' ORDER BY c.entitled_number"""
    assert documents.sql(waiting) == [("user1@contoso.com",), ("user2@contoso.com",)]  # the order of the document
    documents.apply(small(seats=2))
    documents.settle()
    assert documents.sql(waiting) == [("user2@contoso.com",)]


def test_e1_disabling_a_user_takes_nothing_away(documents: Documents) -> None:
    """E1"""
    documents.apply(small())
    documents.settle()
    result = documents.apply(small().replace("User 0}", "User 0, accountEnabled: false}"))
    assert (result.touched, result.actions) == (1, {"leave alone": 1})


def test_e4_policies_win_in_the_order_written_and_those_that_stay_keep_their_numbers(documents: Documents) -> None:
    """E4"""
    numbers = (
        "SELECT p.display_name, a.number FROM policy_assignments a JOIN policies p ON p.id = a.policy_id ORDER BY 2"
    )
    result = documents.apply(small(policies=("First", "Second")))
    assert documents.sql(numbers) == [("First", 1), ("Second", 2)]
    assert result.overlaps == 3
    assert result.overlapping[0]["winner"]["provisioningPolicyName"] == "First"
    assert [i["provisioningPolicyName"] for i in result.overlapping[0]["ignored"]] == ["Second"]
    documents.apply(small(policies=("Third", "Second", "First")))
    assert documents.sql(numbers) == [("First", 1), ("Second", 2), ("Third", 3)]
    # Taken away and given back it is a later assignment.
    documents.apply(
        small(policies=("First",)).replace("[Sales]\n", "[]\n", 1).replace("assignments: [Sales]", "assignments: []")
    )
    documents.apply(small(policies=("First",)))
    assert documents.sql(numbers) == [("Second", 2), ("Third", 3), ("First", 4)]


def test_e4_an_export_carries_the_numbers_so_that_a_restore_keeps_the_winners(documents: Documents) -> None:
    """E4"""
    documents.apply(small(policies=("Zebra", "Ape")))
    # Ape now comes first by name only; the export must not make it the winner.
    exported = documents.export()
    documents.apply(exported.replace("contoso.com", "fabrikam.com"))
    query = """SELECT p.display_name, a.number FROM policy_assignments a JOIN policies p ON p.id = a.policy_id
        JOIN tenants t ON t.id = a.tenant_id WHERE t.name = 'fabrikam.com' ORDER BY 2"""
    assert documents.sql(query) == [("Zebra", 1), ("Ape", 2)]


def test_e4_a_number_that_is_taken_or_would_change_is_refused(documents: Documents) -> None:
    """E4"""
    documents.apply(small(policies=("First",)))
    numbered = small(policies=("First", "Second"))
    first, second = "assignments: [Sales]", "assignments: [{group: Sales, number: 1}]"
    taken = numbered.replace(first, second).replace(second, first, 1)
    (problem,) = documents.problems(taken)
    assert "is taken by policy 'First'" in problem.rule
    (problem,) = documents.problems(numbered.replace(first, "assignments: [{group: Sales, number: 7}]", 1))
    assert "already with number 1" in problem.rule
    documents.apply(taken.replace("number: 1", "number: 9"))
    assert documents.sql("SELECT assignments_made FROM tenants") == [(9,)]


def test_a_round_trip_through_export_reproduces_the_tenant(
    documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQ_JOIN_PASSWORD", "secret-of-hq")
    everything = small(
        more="""\
  - displayName: "Hybrid: 'yes'"
    description: "two\\nlines"
    domainJoinConfigurations: [{domainJoinType: hybridAzureADJoin, onPremisesConnection: hq}]
    image: {device: finance desktop}
    windowsSetting: {locale: de-DE}
    localAdminEnabled: true
sites: [{name: site-a, regionGroup: europeUnion}, {name: site-b, regionGroup: europeUnion, region: westeurope}]
settings: {gracePeriodInHours: 24, brakePeople: 3}
onPremisesConnections:
  - {displayName: HQ, type: hybridAzureADJoin, site: SITE-A, virtualNetworkId: corp, subnetId: 10.20.0.0/24,
     adDomainName: corp.contoso.com, adDomainUsername: j@corp.contoso.com, adDomainPassword: {env: HQ_JOIN_PASSWORD}}
deviceImages: [{displayName: Finance desktop, version: 1.2.0, region: site-a, source: {gallery: debian-12-desktop}}]
userSettings:
  - {displayName: Zz old, localAdminEnabled: true, assignments: [Sales]}
  - {displayName: Aa new, resetEnabled: true, restorePointSetting: {userRestoreEnabled: true, frequencyInHours: 4}}
"""
    ).replace("seed: 1", "seed: 1, faults: [{step: C4, code: delay, delay: 5, user: user1@contoso.com, attempts: 2}]")
    documents.apply(everything)
    exported = documents.export()
    assert "secret-of-hq" not in exported
    before = documents.everything()
    assert not documents.apply(exported, prune=True).changes_anything
    assert documents.everything() == before
    documents.apply(exported.replace("tenant: contoso.com", "tenant: copy.com"))
    assert documents.export("copy.com").replace("copy.com", "contoso.com") == exported
    # The most recently created user setting wins, so their order is part of it.
    names = """SELECT s.display_name FROM user_settings s JOIN tenants t ON t.id = s.tenant_id
        WHERE t.name = 'copy.com' ORDER BY number"""
    assert documents.sql(names) == [("Zz old",), ("Aa new",)]


def test_secrets_are_encrypted_kept_when_equal_and_never_audited(
    documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQ_JOIN_PASSWORD", "secret-one")
    hq = (
        "onPremisesConnections:\n"
        "  - {displayName: HQ, connectionType: hybridAzureADJoin, region: westeurope, network: n, "
        "subnet: 10.0.0.0/24, adDomainName: a.b, adDomainUsername: j@a.b, adDomainPassword: {env: HQ_JOIN_PASSWORD}}\n"
    )
    documents.apply(small(more=hq))
    assert not documents.apply(small(more=hq)).changes_anything
    monkeypatch.setenv("HQ_JOIN_PASSWORD", "secret-two")
    assert documents.apply(small(more=hq)).changes[0]["properties"] == ["adDomainPassword"]
    monkeypatch.delenv("HQ_JOIN_PASSWORD")
    assert not documents.apply(
        small(more=hq.replace(", adDomainPassword: {env: HQ_JOIN_PASSWORD}", ""))
    ).changes_anything
    assert "secret-" not in str(documents.sql("SELECT before, after FROM audit_events"))
    (kept,) = documents.sql("SELECT ad_domain_password FROM connections")[0]
    assert documents.world.secrets.decrypt(bytes(kept)) == "secret-two"


def test_prune_deletes_what_a_written_section_does_not_name(documents: Documents) -> None:
    documents.apply(small(policies=("Desktops", "Old")))
    documents.settle()
    only_policies = small().replace("users:\n", "users:\n", 1)
    result = documents.apply(only_policies, prune=True)
    assert result.counts == {"provisioningPolicies": {"delete": 1}}
    fewer = small(people=2)
    result = documents.apply(fewer, prune=True)
    assert result.counts["users"] == {"delete": 1}
    assert result.actions == {"enter grace": 1}
    assert not documents.apply(fewer, prune=True).changes_anything
    # Sections that are not written are left alone.
    assert not documents.apply("tenant: contoso.com\n", prune=True).changes_anything


def test_e8_a_user_who_is_named_again_in_grace_is_the_same_person(documents: Documents) -> None:
    """E8"""
    documents.apply(small())
    documents.settle()
    documents.apply(small(people=2), prune=True)
    documents.settle()
    result = documents.apply(small(), prune=True)
    assert result.counts["users"] == {"restore": 1}
    assert result.actions == {"leave grace": 1}
    assert documents.sql("SELECT count(*) FROM users") == [(3,)]


def test_e9_prune_refuses_what_is_still_used(documents: Documents) -> None:
    """E9"""
    hq = "onPremisesConnections:\n  - {displayName: HQ, type: azureADJoin, region: westeurope, network: n, subnet: s}\n"
    policy = (
        "  - {displayName: Net, image: {gallery: debian-12-desktop}, "
        "domainJoinConfigurations: [{domainJoinType: azureADJoin, onPremisesConnection: HQ}]}\n"
    )
    documents.apply(small(more=policy + hq))
    (problem,) = documents.problems("tenant: contoso.com\nonPremisesConnections: []\n", prune=True)
    assert "policy Net" in problem.rule
    assert documents.apply(small(more="onPremisesConnections: []\n"), prune=True).counts == {
        "provisioningPolicies": {"delete": 1},
        "onPremisesConnections": {"delete": 1},
    }


def test_pruning_a_plan_that_made_cloud_pcs_keeps_it_and_says_so(documents: Documents) -> None:
    documents.apply(small(people=1, seats=0))
    documents.settle()
    result = documents.apply("tenant: contoso.com\nservicePlans: []\nlicenses: []\n", prune=True)
    assert result.notes
    assert documents.sql("SELECT count(*) FROM service_plans") == [(1,)]
    assert documents.sql("SELECT count(*) FROM license_groups") == [(0,)]


def test_two_tenants_with_the_same_names_do_not_touch_each_other(documents: Documents) -> None:
    documents.apply(small())
    documents.settle()
    before = documents.export()
    other = small(people=5, policies=("Desktops", "Other")).replace("tenant: contoso.com", "tenant: fabrikam.com")
    documents.apply(other)
    documents.apply(small(people=0).replace("tenant: contoso.com", "tenant: fabrikam.com"), prune=True, confirmed=True)
    assert documents.export() == before
    assert set(documents.statuses().values()) == {"provisioned"}
    nobody = "tenant: third.com\ngroups: [{displayName: Sales, members: [user0@contoso.com]}]\n"
    assert "no user of that name" in documents.problems(nobody)[0].rule


def test_r13_too_many_losses_want_a_confirmation_and_change_nothing(documents: Documents) -> None:
    """R13"""
    documents.apply(small(people=30))
    documents.settle()
    before = documents.everything()
    planned = documents.plan(small(people=30, members=0))
    assert planned.brake.wants_confirmation
    assert (planned.brake.losing, planned.brake.of) == (30, 30)
    with pytest.raises(ConfirmationRequired):
        documents.apply(small(people=30, members=0))
    assert documents.everything() == before
    assert documents.apply(small(people=30, members=0), confirmed=True).actions == {"enter grace": 30}


def test_a_saved_plan_is_refused_when_tenant_or_document_have_changed(documents: Documents, tmp_path: Path) -> None:
    file, kept = tmp_path / "tenant.yaml", tmp_path / "plan.json"
    file.write_text(small(), encoding="utf-8")
    world = documents.world

    def planned() -> SavedPlan:
        save(plan(world, file, "test"), kept)
        return SavedPlan.read(kept)

    first = planned()
    assert json.loads(kept.read_text())["actions"] == {"create": 3}
    apply(world, first.path, "test", expected=first)
    with pytest.raises(Refused, match="tenant has changed"):
        apply(world, file, "test", expected=first)
    second = planned()
    file.write_text(small(people=4), encoding="utf-8")
    with pytest.raises(Refused, match="document has changed"):
        apply(world, file, "test", expected=second)
    third = planned()
    documents.apply("tenant: contoso.com\nusers: [{userPrincipalName: x@contoso.com}]\n")
    with pytest.raises(Refused, match="tenant has changed"):
        apply(world, file, "test", expected=third)
    kept.write_text("{}", encoding="utf-8")
    with pytest.raises(Refused, match="is not a saved plan"):
        SavedPlan.read(kept)


def test_a_document_for_another_tenant_is_refused(documents: Documents) -> None:
    documents.apply(small())
    with pytest.raises(DocumentProblems, match="for another tenant"):
        apply(documents.world, Document.of(small(tenant="x.com")), "test", tenant=documents.tenant())


def test_every_change_is_audited_with_before_and_after(documents: Documents) -> None:
    documents.apply(small())
    last = "SELECT activity, object_name, before, after FROM audit_events WHERE id > :id ORDER BY id"
    (after,) = documents.sql("SELECT max(id) FROM audit_events")[0]
    documents.apply(small(members=2, seats=50).replace("User 1}", "User One}"))
    assert documents.sql(last, id=after) == [
        ("Update user", "user1@contoso.com", {"displayName": "User 1"}, {"displayName": "User One"}),
        ("Update service plan", PLAN, {"seats": 100}, {"seats": 50}),
        ("Remove group members", "Sales", {"members": ["user2@contoso.com"]}, None),
    ]


def test_e10_a_large_document_is_applied_as_sets(documents: Documents) -> None:
    """E10: 20,000 people; memory and time are in bench/, here only that every row is there."""
    documents.apply(small(people=20_000))
    assert documents.sql("SELECT count(*) FROM users") == [(20_000,)]
    assert documents.sql("SELECT count(*) FROM memberships") == [(20_000,)]
    assert documents.sql("SELECT count(*) FROM touched_users") == [(20_000,)]
    result = documents.apply(small(people=20_000, members=19_999))
    assert (result.counts, result.touched) == ({"members": {"remove": 1}}, 1)
