"""`deskwright identity-provider`: OpenID Connect issuers that people may sign in with."""

from typing import Annotated

import typer

from deskwright.cli.identity_commands import address
from deskwright.cli.in_tenant import Here, LimitOption, done, everything, in_tenant, print_one, read_password
from deskwright.cli.output import JsonOption, TenantOption, out, show
from deskwright.operations import identity_providers
from deskwright.operations.identity_providers import PROVIDER, USER_CLAIM
from deskwright.operations.named import Item

identity_provider_app = typer.Typer(
    help="OpenID Connect issuers that people of the tenant may sign in with.", no_args_is_help=True
)

Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Its display name or id.")]
Issuer = Annotated[
    str, typer.Option("--issuer", help="Its address: what stands before /.well-known/openid-configuration.")
]
ClientId = Annotated[str, typer.Option("--client-id", help="What the issuer calls this installation.")]
SecretStdin = Annotated[
    bool, typer.Option("--secret-stdin", help="Read the client secret from standard input. Without: a public client.")
]
Claim = Annotated[
    str, typer.Option("--user-claim", help="The claim that holds the user principal name; email must be verified.")
]
COLUMNS = {
    "displayName": "identity provider",
    "issuer": "issuer",
    "clientId": "client id",
    "userClaim": "user claim",
    "enabled": "enabled",
}


@identity_provider_app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sign-in page says: Continue with NAME.")],
    issuer: Issuer,
    client_id: ClientId,
    secret_stdin: SecretStdin = False,
    user_claim: Claim = USER_CLAIM,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let people sign in with an issuer, and say what to register there.

    Example: deskwright identity-provider create Keycloak --issuer https://id.contoso.com/work --client-id deskwright
    """
    secret = read_password(True) if secret_stdin else None
    with in_tenant(tenant) as here:
        item = identity_providers.create(
            here.database,
            here.tenant,
            here.actor,
            display_name=name,
            issuer=issuer,
            client_id=client_id,
            client_secret=secret,
            user_claim=user_claim,
            secrets=here.session.world.secrets,
        )
        item = _with_address(here, item)
        done(item, f"People of {here.tenant.name} can sign in with {item['displayName']}.", as_json=as_json)
        if not as_json:
            _say(f"Register this redirect address at the issuer: {item['redirectUri']}")
            _say(identity_providers.problem(item), before="But: ")


@identity_provider_app.command("list")
def list_(limit: LimitOption = None, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """List the issuers that people may sign in with.

    Example: deskwright identity-provider list
    """
    with in_tenant(tenant) as here:
        found = everything(PROVIDER, lambda a, n: identity_providers.list_(here.database, here.tenant, a, n), limit)
        show(found, COLUMNS, as_json=as_json, empty="No identity providers.")


@identity_provider_app.command("show")
def show_one(provider: Provider, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Show an issuer and the redirect address to be registered there; the secret is not shown.

    Example: deskwright identity-provider show Keycloak
    """
    with in_tenant(tenant) as here:
        item = identity_providers.show(here.database, here.tenant, provider)
        print_one(_with_address(here, item), as_json=as_json)


@identity_provider_app.command("check")
def check(provider: Provider, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Ask the issuer for its description and keys now, and say what is wrong with them.

    Example: deskwright identity-provider check Keycloak
    """
    with in_tenant(tenant) as here:
        item = identity_providers.show(here.database, here.tenant, provider)
        wrong = identity_providers.problem(item)
        done({**item, "problem": wrong or None}, wrong or f"{item['issuer']} answers as it must.", as_json=as_json)
        if wrong:
            raise typer.Exit(1)


@identity_provider_app.command("set")
def set_(
    provider: Provider,
    display_name: Annotated[str | None, typer.Option("--display-name", help="A new name.")] = None,
    issuer: Annotated[str | None, typer.Option("--issuer", help="Another address.")] = None,
    client_id: Annotated[str | None, typer.Option("--client-id", help="Another client id.")] = None,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read a new client secret from standard input; empty removes it.")
    ] = False,
    user_claim: Annotated[str | None, typer.Option("--user-claim", help="Another claim.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Disabled, nobody signs in with it any more.")
    ] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an issuer.

    Example: deskwright identity-provider set Keycloak --disabled
    """
    secret = read_password(True) if secret_stdin else None
    with in_tenant(tenant) as here:
        item = identity_providers.set_(
            here.database,
            here.tenant,
            here.actor,
            provider,
            display_name=display_name,
            issuer=issuer,
            client_id=client_id,
            client_secret=secret,
            user_claim=user_claim,
            enabled=enabled,
            secrets=here.session.world.secrets,
        )
        done(item, f"Changed {item['displayName']}.", as_json=as_json)


@identity_provider_app.command("delete")
def delete(provider: Provider, tenant: TenantOption = None, as_json: JsonOption = False) -> None:
    """Delete an issuer: nobody signs in with it any more. Who is signed in stays so.

    Example: deskwright identity-provider delete Keycloak
    """
    with in_tenant(tenant) as here:
        item = identity_providers.delete(here.database, here.tenant, here.actor, provider)
        done(item, f"Deleted {item['displayName']}.", as_json=as_json)


def _with_address(here: Here, item: Item) -> Item:
    return {**item, "redirectUri": identity_providers.redirect_address(address(here.session), item)}


def _say(text: str, before: str = "") -> None:
    if text:
        out.print(f"{before}{text}", markup=False, highlight=False, soft_wrap=True)
