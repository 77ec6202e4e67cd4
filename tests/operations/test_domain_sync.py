"""Synchronisation from a real controller: who comes, changes, goes; what stops and asks; what a killed run leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import ldap3
import pytest

from deskwright.active_directory import changes, reading
from deskwright.active_directory.client import signed_in
from deskwright.active_directory.problems import DirectoryProblem
from deskwright.active_directory.reading import Person, SecurityGroup, Seen
from deskwright.domain.rules import Refused
from deskwright.identity.permissions import READER
from deskwright.operations import audit, domain_sync, domains, groups, roles, users
from deskwright.operations.change import change
from deskwright.operations.domain_merge import merge
from tests.operations.corp import Corp, corp, either, numbers, reader

__all__ = ["corp", "either", "reader"]


def test_people_groups_members_and_computers_come(corp: Corp) -> None:
    ann = corp.person("ann", displayName="Ann Example", mail="ann@contoso.com")
    corp.person("bob", userAccountControl=546)
    corp.person("cid", userPrincipalName=None)
    corp.group("Sales", [ann])
    corp.ldap.add(f"CN=PC1,{corp.unit}", "computer", {"sAMAccountName": "PC1$", "userAccountControl": 4096})
    made = corp.create()
    assert (made["syncStatus"], made["people"]) == ("never", 0)
    run = corp.last()
    assert (run["status"], run["complete"], run["objectsRead"]) == ("succeeded", True, 5)
    assert corp.counts(run) == {"peopleAdded": 3, "groupsAdded": 1, "membersAdded": 1, "computersAdded": 1}
    row = corp.user("ann")
    assert (row.display_name, row.mail, row.account_enabled) == ("Ann Example", "ann@contoso.com", True)
    assert row.on_premises_user_principal_name == row.user_principal_name
    assert corp.user("bob").account_enabled is False
    assert corp.user("cid").user_principal_name == f"{corp.names['cid']}@{corp.name}"
    assert corp.in_group("Sales") == {"ann"}
    ((name, dn),) = corp.company.sql("SELECT name, distinguished_name FROM domain_objects WHERE kind = 'computer'")
    assert (name, dn) == ("PC1", f"CN=PC1,{corp.unit}")
    shown = corp.show()
    assert (shown["people"], shown["groups"], shown["computers"], shown["findings"]) == (3, 1, 1, [])
    assert shown["nextSyncDateTime"] > shown["lastSyncDateTime"]


def test_an_unchanged_run_reads_nothing_and_is_due_every_half_hour(corp: Corp) -> None:
    corp.person("ann")
    corp.create()
    corp.last()
    corp.company.advance(minutes=29)
    assert len(corp.show()["lastSyncs"]) == 1
    corp.company.advance(minutes=2)
    run = corp.show()["lastSyncs"][0]
    assert len(corp.show()["lastSyncs"]) == 2
    assert (run["status"], run["complete"], run["objectsRead"], corp.counts(run)) == ("succeeded", False, 0, {})
    # However little changed, once a day everything is read.
    corp.company.advance(hours=25)
    assert corp.show()["lastSyncs"][0]["complete"] is True


def test_what_changes_there_changes_here(either: Corp) -> None:
    corp = either
    ann, bob = corp.person("ann"), corp.person("bob")
    sales = corp.group("Sales", [ann])
    corp.create()
    corp.last()
    had = {name: corp.user(name).id for name in ("ann", "bob")}
    corp.modify(ann, displayName="Ann New", userAccountControl=546)
    corp.members(sales, add=[bob])
    corp.members(sales, remove=[ann])
    corp.modify(sales, displayName="Sales EMEA", description="Who sells")
    run = corp.sync()
    assert run["complete"] is False
    assert corp.counts(run) == {"peopleChanged": 1, "groupsChanged": 1, "membersAdded": 1, "membersRemoved": 1}
    row = corp.user("ann")
    assert (row.id, row.display_name, row.account_enabled) == (had["ann"], "Ann New", False)
    assert corp.in_group("Sales EMEA") == {"bob"}
    # Two who change names with each other keep who they are.
    one, other = (f"name{next(numbers)}" for _ in range(2))
    corp.modify(ann, userPrincipalName=f"{one}@{corp.name}")
    corp.modify(bob, userPrincipalName=f"{other}@{corp.name}")
    corp.sync()
    assert [corp.user(name).id for name in (one, other)] == [had["ann"], had["bob"]]
    corp.modify(ann, userPrincipalName=f"between@{corp.name}")
    corp.modify(bob, userPrincipalName=f"{one}@{corp.name}")
    corp.modify(ann, userPrincipalName=f"{other}@{corp.name}")
    assert corp.counts(corp.sync()) == {"peopleChanged": 2}
    assert [corp.user(name).id for name in (one, other)] == [had["bob"], had["ann"]]


def test_e8_who_is_deleted_or_leaves_the_group_enters_grace_and_may_come_back(either: Corp) -> None:
    corp = either
    people = {name: corp.person(name) for name in ("ann", "bob", "cid", "dee")}
    sales = corp.group("Sales", list(people.values()))
    outside = f"OU=Outside{next(numbers)},{corp.real.domain.distinguished_name}"
    corp.ldap.add(outside, "organizationalUnit")
    corp.create()
    corp.last()
    corp.desktops("Sales")
    assert {corp.pc(name) for name in people} == {"provisioned"}
    corp.ldap.delete(people["ann"])
    corp.members(sales, remove=[people["bob"]])
    moved = corp.move(people["cid"], outside)
    run = corp.sync()
    assert (run["complete"], corp.counts(run)) == (False, {"peopleRemoved": 2, "membersRemoved": 1})
    assert [corp.pc(name) for name in people] == ["inGracePeriod"] * 3 + ["provisioned"]
    cause = corp.company.sql("SELECT grace FROM cloud_pcs WHERE user_id = :u", u=corp.user("bob").id)[0].grace["cause"]
    assert (cause["activity"], cause["object"]) == ("Removed from group", "Sales")
    # Back in the search base: the same person, with what they had.
    corp.move(moved, corp.unit)
    corp.members(sales, add=[people["bob"]])
    run = corp.sync()
    assert corp.counts(run) == {"peopleRestored": 1, "membersAdded": 1}
    assert [corp.pc(name) for name in people] == ["inGracePeriod", *["provisioned"] * 3]
    corp.company.advance(days=8)
    assert corp.pc("ann") is None


def test_a_renamed_unit_is_followed_and_its_people_stay(corp: Corp) -> None:
    inner = f"OU=Inner,{corp.unit}"
    corp.ldap.add(inner, "organizationalUnit")
    corp.person("ann", unit=inner)
    corp.create()
    corp.last()
    corp.ldap.modify_dn(inner, "OU=Renamed")
    run = corp.sync()
    assert (run["complete"], corp.counts(run)) == (True, {})
    ((dn,),) = corp.company.sql("SELECT distinguished_name FROM domain_objects WHERE kind = 'user'")
    assert dn.endswith(f",OU=Renamed,{corp.unit}")
    # Moved away with everything in it.
    outside = f"OU=Away{next(numbers)},{corp.real.domain.distinguished_name}"
    corp.ldap.add(outside, "organizationalUnit")
    corp.ldap.modify_dn(f"OU=Renamed,{corp.unit}", "OU=Renamed", new_superior=outside)
    assert corp.counts(corp.sync()) == {"peopleRemoved": 1}


def test_who_comes_into_sight_brings_the_groups_they_were_in(corp: Corp) -> None:
    outside = f"OU=Before{next(numbers)},{corp.real.domain.distinguished_name}"
    corp.ldap.add(outside, "organizationalUnit")
    ann = corp.person("ann", unit=outside)
    corp.group("Sales", [ann])
    corp.create()
    corp.last()
    assert (corp.user("ann"), corp.in_group("Sales")) == (None, set())
    corp.move(ann, corp.unit)
    run = corp.sync()
    assert (run["complete"], corp.counts(run)) == (False, {"peopleAdded": 1, "membersAdded": 1})
    assert corp.in_group("Sales") == {"ann"}


def test_a_large_group_is_read_in_ranges(corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [corp.person(f"p{n}") for n in range(23)]
    monkeypatch.setattr(reading, "PAGE", 7)
    sales = corp.group("Sales", people)
    corp.create()
    run = corp.last()
    assert (run["peopleAdded"], run["membersAdded"], len(corp.in_group("Sales"))) == (23, 23, 23)
    # Active Directory begins ranges of its own accord (after 1,500), this controller where it is asked to.
    monkeypatch.setattr(reading, "MEMBERS", 5)
    with signed_in(corp.real.domain, corp.reader) as opened:
        with suppress(DirectoryProblem):  # it fails the first time that it cuts one
            list(reading.search(opened, sales, "(objectClass=*)", ["member;range=0-4"], scope=ldap3.BASE))
        (entry,) = reading.search(opened, sales, "(objectClass=*)", ["member;range=0-4"], scope=ldap3.BASE)
        members = reading.group(opened, entry).members
    known = corp.company.sql("SELECT source_id FROM domain_objects WHERE kind = 'user'")
    assert (len(members), set(members)) == (23, {row.source_id for row in known})


def test_nested_groups_are_told_and_not_followed(corp: Corp) -> None:
    ann = corp.person("ann")
    inner = corp.group("Inner", [ann])
    corp.group("Outer", [inner])
    corp.create()
    corp.last()
    assert corp.in_group("Outer") == set()
    (found,) = corp.show()["findings"]
    assert (found["code"], found["displayName"]) == ("nestedGroupsNotFollowed", "Outer")
    corp.sync()
    assert corp.show()["findings"] == [found]  # told until it is solved, though nothing was read


def test_a_person_of_the_same_name_is_taken_over_and_a_group_is_not(corp: Corp) -> None:
    database, tenant = corp.company.world.database, corp.company.tenant
    ann = corp.person("ann", displayName="Ann Example")
    upn = f"{corp.names['ann']}@{corp.name}"
    mine = users.create(database, tenant, "test", user_principal_name=upn.upper(), display_name="Mine")
    corp.company.group("Sales")
    corp.group("sales", [ann])
    corp.create()
    run = corp.last()
    assert corp.counts(run) == {"peopleChanged": 1}
    assert (str(corp.user("ann").id), corp.user("ann").display_name) == (mine["id"], "Ann Example")
    assert corp.in_group("Sales") == set()
    (found,) = corp.show()["findings"]
    assert (found["code"], found["displayName"]) == ("groupNameInUse", "sales")
    assert "domain adopt" in found["recommendedAction"]
    domains.adopt(database, tenant, "test", corp.name, "Sales")
    corp.last()
    assert (corp.in_group("sales"), corp.show()["findings"]) == ({"ann"}, [])
    with pytest.raises(Refused, match="already"):
        domains.adopt(database, tenant, "test", corp.name, "sales")


def test_an_administrator_is_not_taken_over_by_a_name(corp: Corp) -> None:
    """Whoever may name accounts of the domain would otherwise be whoever they like here."""
    database, tenant = corp.company.world.database, corp.company.tenant
    corp.person("ann", displayName="Somebody")
    upn = f"{corp.names['ann']}@{corp.name}"
    users.create(database, tenant, "test", user_principal_name=upn, display_name="Ann")
    roles.assign(database, tenant, "test", READER, upn)
    corp.create()
    corp.last()
    assert (corp.user("ann").display_name, corp.user("ann").domain_id) == ("Ann", None)
    (found,) = corp.show()["findings"]
    assert (found["code"], found["displayName"]) == ("userHoldsRole", upn)
    roles.unassign(database, tenant, "test", READER, upn)
    assert corp.counts(corp.sync()) == {"peopleChanged": 1}
    assert (corp.user("ann").display_name, corp.show()["findings"]) == ("Somebody", [])


def test_a_conflict_that_is_solved_here_is_seen_without_a_change_there(corp: Corp) -> None:
    corp.company.group("Sales")
    corp.group("Sales")
    corp.create()
    corp.last()
    corp.company.sql("UPDATE groups SET display_name = 'Sales (old)' WHERE tenant_id = :tenant")
    run = corp.sync()
    assert (run["complete"], corp.counts(run), corp.show()["findings"]) == (False, {"groupsAdded": 1}, [])


def test_names_that_collide_leave_one_out_and_say_so(corp: Corp) -> None:
    """What a controller refuses, and replication between two of them does not."""
    made = corp.create(sync_enabled=False)

    def person(number: int, upn: str) -> Person:
        named = (UUID(int=number), f"CN={number}", f"S-1-5-{number}", f"account{number}")
        return Person(*named, user_principal_name=upn, display_name=f"Person {number}", mail="", enabled=True)

    def team(number: int, name: str) -> SecurityGroup:
        named = (UUID(int=number), f"CN={number}", f"S-1-5-{number}", f"account{number}")
        return SecurityGroup(*named, display_name=name, description="", members=())

    def merged(*seen: Any) -> dict[str, str]:
        people = [s for s in seen if isinstance(s, Person)]
        groups = [s for s in seen if isinstance(s, SecurityGroup)]
        with change(corp.company.world.database, corp.company.tenant, "test") as opened:
            found = merge(opened, UUID(made["id"]), Seen(True, people, groups))
        rows = corp.company.sql("SELECT display_name, user_principal_name FROM users WHERE deleted_at IS NULL")
        codes = {f["displayName"]: f["code"] for f in found.findings}
        return {**codes, **{row.display_name: row.user_principal_name for row in rows}}

    assert merged(person(1, "a@x"), person(2, "b@x")) == {"Person 1": "a@x", "Person 2": "b@x"}
    # 2 wants the name of 1, who wants that of 3, who is new and comes too late: all three stay what they were.
    found = merged(person(1, "c@x"), person(2, "a@x"), person(3, "C@x"))
    assert found == {"Person 1": "c@x", "Person 2": "a@x", "C@x": "userPrincipalNameNotUnique"}
    # The tenant's own person in the way of one who is linked already.
    users.create(corp.company.world.database, corp.company.tenant, "test", user_principal_name="d@x")
    found = merged(person(1, "d@x"), person(2, "c@x"))
    assert found == {
        "Person 1": "c@x",
        "Person 2": "a@x",
        "d": "d@x",
        "d@x": "userPrincipalNameInUse",
        "c@x": "userPrincipalNameInUse",
    }
    found = merged(person(4, "no blanks@x"), person(5, "a@b@x"), team(6, "Team"), team(7, "TEAM"))
    assert found == {
        "no blanks@x": "userPrincipalNameUnfit",
        "a@b@x": "userPrincipalNameUnfit",
        "d": "d@x",
        "TEAM": "groupNameNotUnique",
    }


@contextmanager
def many(corp: Corp, people: int = 30) -> Iterator[tuple[list[str], str]]:
    """So many with a Cloud PC each, by the group Sales."""
    found = [corp.person(f"p{n}") for n in range(people)]
    sales = corp.group("Sales", found)
    corp.create()
    corp.last()
    corp.desktops("Sales")
    yield found, sales


def lost(corp: Corp) -> int:
    ((n,),) = corp.company.sql("SELECT count(*) FROM cloud_pcs WHERE status = 'inGracePeriod'")
    return int(n)


def test_r13_a_mass_change_stops_shows_who_and_goes_ahead_when_confirmed(corp: Corp) -> None:
    with many(corp) as (people, sales):
        corp.members(sales, remove=people[:27])
        corp.modify(people[29], displayName="Changed with it")
        run = corp.sync()
        assert (run["status"], lost(corp), len(corp.in_group("Sales"))) == ("confirmationRequired", 0, 30)
        assert corp.user("p29").display_name != "Changed with it"
        losing = corp.show()["wouldLose"]
        assert (losing["people"], losing["of"], len(losing["who"])) == (27, 30, 27)
        # It stays so, each half hour, until somebody says that it is meant.
        assert corp.sync()["status"] == "confirmationRequired"
        # What was confirmed are those: one more is asked for again.
        domains.synchronise(corp.company.world.database, corp.company.tenant, "test", corp.name, confirm=True)
        corp.members(sales, remove=people[27:28])
        assert corp.last()["status"] == "confirmationRequired"
        assert (corp.show()["wouldLose"]["people"], lost(corp)) == (28, 0)
        run = corp.sync(confirm=True)
        assert (run["status"], lost(corp), len(corp.in_group("Sales"))) == ("succeeded", 28, 2)
        assert (corp.show()["wouldLose"], corp.user("p29").display_name) == (None, "Changed with it")
        with pytest.raises(Refused, match="nothing of"):
            corp.sync(confirm=True)
    told = audit.list_(corp.company.world.database, corp.company.tenant, resource_type="domain")
    assert {"Confirm synchronisation", "Synchronise domain"} <= {e["activity"] for e in told}


def test_a_failed_run_changes_nothing_and_says_why(corp: Corp) -> None:
    corp.person("ann")
    corp.create()
    corp.last()
    database, tenant, secrets = corp.company.world.database, corp.company.tenant, corp.company.world.secrets
    had = corp.company.sql("SELECT cursor FROM domains")

    def fails(code: str, says: str) -> None:
        run = corp.sync()
        shown = corp.show()
        assert (run["status"], run["errorCode"], shown["syncStatus"]) == ("failed", code, "failed")
        assert says in shown["syncDetail"]
        assert corp.company.sql("SELECT cursor FROM domains") == had
        assert corp.user("ann").deleted_at is None

    corp.company.sql("UPDATE domains SET account_password = :p", p=secrets.encrypt("wrong"))
    fails("incorrectCredentials", corp.reader.name)
    corp.company.sql("UPDATE domains SET account_password = :p", p=secrets.encrypt(corp.reader.password))
    corp.company.sql("UPDATE domains SET search_bases = ARRAY['OU=Nowhere,DC=corp,DC=contoso,DC=test']")
    fails("organizationalUnitNotFound", "OU=Nowhere")
    corp.company.sql("UPDATE domains SET search_bases = ARRAY[:unit]", unit=corp.unit)
    assert corp.sync()["status"] == "succeeded"
    changed = [
        (e["before"]["syncStatus"], e["after"]["syncStatus"])
        for e in audit.list_(database, tenant, resource_type="domain")
        if e["activity"] == "Domain synchronisation changed"
    ]
    assert changed == [("failed", "succeeded"), ("succeeded", "failed"), ("never", "succeeded")]


def test_a_controller_that_is_down_is_told_and_found_again(corp: Corp) -> None:
    corp.person("ann")
    corp.create()
    corp.last()
    corp.real.controller.kill()
    try:
        run = corp.sync()
        # Its name server is gone with it.
        assert (run["status"], run["errorCode"]) == ("failed", "domainNotFound")
    finally:
        corp.real.controller.start()
    run = corp.sync()
    assert (run["status"], run["complete"], run["objectsRead"]) == ("succeeded", False, 0)


@pytest.mark.parametrize("where", ["reading", "merging", "ending"])
def test_a_run_that_died_is_done_again_and_leaves_nothing_half(
    corp: Corp, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """What nothing catches."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    ann = corp.person("ann")
    corp.group("Sales", [ann])
    corp.create()
    target: tuple[Any, str] = {
        "reading": (changes, "read"),
        "merging": (domain_sync, "_brake"),
        "ending": (domain_sync, "_end"),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(*target, die)
        with pytest.raises(Killed):
            corp.company.settle()
    assert (corp.user("ann"), corp.show()["lastSyncs"], corp.show()["syncRunning"]) == (None, [], True)
    run = corp.last()
    assert (run["status"], run["complete"], corp.in_group("Sales")) == ("succeeded", True, {"ann"})
    assert corp.show()["syncRunning"] is False


def test_a_run_that_was_frozen_writes_nothing_under_another(corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    corp.person("ann")
    corp.create()
    read: Callable[..., Any] = changes.read

    def slow(*given: Any, **named: Any) -> Any:
        found = read(*given, **named)
        corp.company.sql("UPDATE domains SET syncing_since = tenant_now(tenant_id) + interval '1 second'")
        return found

    monkeypatch.setattr(changes, "read", slow)
    domain_sync.synchronise(corp.company.world, UUID(corp.show()["id"]))
    assert (corp.user("ann"), corp.show()["lastSyncs"]) == (None, [])


def test_people_stay_when_the_domain_is_forgotten(corp: Corp) -> None:
    ann = corp.person("ann")
    corp.group("Sales", [ann])
    corp.create()
    corp.last()
    database, tenant = corp.company.world.database, corp.company.tenant
    gone = domains.delete(database, tenant, "test", corp.name)
    assert (gone["people"], gone["groups"]) == (1, 1)
    assert (corp.user("ann").domain_id, corp.in_group("Sales")) == (None, {"ann"})
    assert corp.company.sql("SELECT 1 FROM domain_objects") == []


def test_what_comes_from_a_domain_is_changed_there(corp: Corp) -> None:
    ann, bob = corp.person("ann"), corp.person("bob")
    corp.group("Sales", [ann])
    corp.create()
    corp.last()
    database, tenant = corp.company.world.database, corp.company.tenant
    who, other = (corp.user(name).user_principal_name for name in ("ann", "bob"))
    says = f"is synchronised from {corp.name}; change it there"
    tries: list[Callable[[], Any]] = [
        lambda: users.set_(database, tenant, "test", who, display_name="Other"),
        lambda: users.set_(database, tenant, "test", who, account_enabled=False),
        lambda: users.set_(database, tenant, "test", who, user_principal_name="other@x"),
        lambda: users.set_(database, tenant, "test", who, mail="other@x"),
        lambda: users.delete(database, tenant, "test", who),
        lambda: groups.set_(database, tenant, "test", "Sales", display_name="Other"),
        lambda: groups.set_(database, tenant, "test", "Sales", add=[other]),
        lambda: groups.set_(database, tenant, "test", "Sales", profile={"description": "Other"}),
        lambda: groups.add_members(database, tenant, "test", "Sales", [other]),
        lambda: groups.remove_members(database, tenant, "test", "Sales", [who]),
        lambda: groups.delete(database, tenant, "test", "Sales"),
    ]
    for attempt in tries:
        with pytest.raises(Refused, match=says):
            attempt()
    # What it says nothing about is the tenant's.
    users.set_(database, tenant, "test", who, display_name=corp.user("ann").display_name, profile={"jobTitle": "Boss"})
    assert users.show(database, tenant, who)["onPremisesDomainName"] == corp.name
    assert groups.show(database, tenant, "Sales")["onPremisesDomainName"] == corp.name
    corp.ldap.delete(bob)
    corp.sync()
    with pytest.raises(Refused, match=says):
        users.restore(database, tenant, "test", other)
