"""`deskwright keys`: the keys that encrypt passwords and other secrets in the database."""

from typing import Annotated

import typer

from deskwright.cli.in_tenant import done, in_installation
from deskwright.cli.output import JsonOption, show
from deskwright.operations import keys

keys_app = typer.Typer(help="The keys that encrypt secrets at rest.", no_args_is_help=True)

_COLUMNS = {"key": "key", "use": "use", "values": "values"}


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(keys_app, name="keys", rich_help_panel="Operation")


@keys_app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the keys of the key file by their fingerprints, and how many values of the database each encrypted.

    Example: deskwright keys list
    """
    with in_installation() as session:
        show(keys.list_(session.world), _COLUMNS, as_json=as_json, empty="No keys.")


@keys_app.command("prepare")
def prepare_key(as_json: JsonOption = False) -> None:
    """Put the next key into the key file, where it only reads. For machines that have copies of the file: copy it to
    each, then rotate.

    Example: deskwright keys prepare
    """
    with in_installation() as session:
        made = keys.prepare(session.world)
        said = f"Key {made['key']} is prepared. Copy the key file to every machine, then: deskwright keys rotate"
        done(made, said, as_json=as_json)


@keys_app.command("rotate")
def rotate_keys(
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Make no new key: remove the old ones, once nothing needs them.")
    ] = False,
    no_new_key: Annotated[
        bool, typer.Option("--no-new-key", help="Make no new key: only encrypt anew by the newest there is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new key and encrypt every secret of the database by it. Running services follow by themselves.

    It may be interrupted and run again. Old keys stay until they are dropped.

    Example: deskwright keys rotate
    """
    with in_installation() as session:
        if drop_old:
            told = keys.drop_old(session.world)
            said = f"Removed {told['dropped']} old keys; {told['key']} is the only one."
        else:
            told = keys.rotate(session.world, new_key=not no_new_key)
            said = f"Key {told['key']} encrypts; {sum(told['changed'].values())} values were encrypted anew."
            if told["old"]:
                said += " In a minute, the old ones can go: deskwright keys rotate --drop-old"
        done(told, said, as_json=as_json)
