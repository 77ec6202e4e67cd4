"""The command tree."""

import typer

app = typer.Typer(
    name="deskwright",
    help="Cloud PCs on machines you own: assign a licence, a Cloud PC appears.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the `deskwright` command."""
    app()
