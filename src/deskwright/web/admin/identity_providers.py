"""Identity providers: OpenID Connect issuers with which people of the tenant may sign in."""

from deskwright.operations import identity_providers
from deskwright.operations.identity_providers import redirect_address
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/access/providers"
_ONE = f"{_PATH}/{{provider}}"
_MOST = 1000


@page(_PATH)
def list_(view: View) -> Answer:
    found = identity_providers.list_(view.database, view.tenant, None, _MOST)
    return show("admin/providers.html", providers=found)


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/provider_new.html")


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    form = view.form
    made = identity_providers.create(
        view.database,
        view.tenant,
        view.actor,
        display_name=form.get("displayName"),
        issuer=form.get("issuer"),
        client_id=form.get("clientId"),
        client_secret=_secret(view),
        user_claim=form.get("userClaim"),
        secrets=view.world.secrets,
    )
    wrong = identity_providers.problem(made)
    said = f"Added, but it cannot be used yet. {wrong}" if wrong else "Added. Now register the redirect address there."
    return Went(view.to("access", "providers", made["id"]), said, bad=bool(wrong))


@page(_ONE)
def one(view: View) -> Answer:
    provider = identity_providers.show(view.database, view.tenant, view.path["provider"])
    return show("admin/provider.html", p=provider, redirect=redirect_address(view.base, provider))


@action(f"{_ONE}/edit", shown_by=one)
def edit(view: View) -> Answer:
    form = view.form
    done = identity_providers.set_(
        view.database,
        view.tenant,
        view.actor,
        view.path["provider"],
        display_name=form.get("displayName"),
        issuer=form.get("issuer"),
        client_id=form.get("clientId"),
        client_secret="" if form.flag("removeSecret") else _secret(view) or None,
        user_claim=form.get("userClaim"),
        secrets=view.world.secrets,
    )
    return Went(view.to("access", "providers", done["id"]), "Saved.")


@action(f"{_ONE}/enable", shown_by=one)
def enable(view: View) -> Answer:
    wanted, secrets = view.form.flag("enabled"), view.world.secrets
    change = view.database, view.tenant, view.actor, view.path["provider"]
    done = identity_providers.set_(*change, enabled=wanted, secrets=secrets)
    said = "People can sign in with it." if wanted else "Nobody signs in with it any more."
    return Went(view.to("access", "providers", done["id"]), said)


@action(f"{_ONE}/check")
def check(view: View) -> Answer:
    provider = identity_providers.show(view.database, view.tenant, view.path["provider"])
    wrong = identity_providers.problem(provider)
    said = wrong or "Its description and its keys can be read."
    return Went(view.to("access", "providers", provider["id"]), said, bad=bool(wrong))


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    provider = identity_providers.show(view.database, view.tenant, view.path["provider"])
    return show("admin/provider_delete.html", p=provider)


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = identity_providers.delete(view.database, view.tenant, view.actor, view.path["provider"])
    return Went(view.to("access", "providers"), f"{gone['displayName']} is deleted.")


def _secret(view: View) -> str:
    """As it was typed: blanks belong to it."""
    return dict(view.form.fields).get("clientSecret", "")
