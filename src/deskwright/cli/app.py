"""The command tree."""

import sys
from typing import Annotated

import typer

from deskwright import __version__
from deskwright.cli import (
    bench_command,
    cloud_pc_commands,
    document_commands,
    identity_commands,
    key_commands,
    objects,
    remote_action_commands,
    service_commands,
)
from deskwright.cli.private_memory import keep_private

app = typer.Typer(
    name="deskwright",
    help="Cloud PCs on machines you own: assign a licence, a Cloud PC appears.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deskwright {__version__}")
        raise typer.Exit


@app.callback()
def deskwright(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Cloud PCs on machines you own: assign a licence, a Cloud PC appears."""


for command in (document_commands.plan, document_commands.apply, document_commands.export):
    app.command(rich_help_panel="Tenant")(command)
cloud_pc_commands.register(app)
remote_action_commands.register(app)
objects.register(app)
service_commands.register(app)
identity_commands.register(app)
key_commands.register(app)
app.command(rich_help_panel="Operation")(bench_command.bench)


def main() -> None:
    """Entry point of the `deskwright` command."""
    keep_private()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a mark shows a question mark instead of a stack trace.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app()
    except KeyboardInterrupt:
        # Typer turns Ctrl-C inside a command into exit code 130; this is for the moments before and after.
        sys.exit(130)
