"""The page about the commands."""

from collections.abc import Iterator
from typing import Any

import typer

from deskwright.cli.app import app
from deskwright.reference.markdown import code, page, table


def commands() -> dict[str, Any]:
    """Every command of the program: its words after `deskwright` -> the command."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(words), command
        for name, found in (inner or {}).items():
            yield from walk(found, (*words, name))

    return {name: command for name, command in walk(typer.main.get_command(app), ()) if not command.hidden}


def _parameter(p: Any) -> tuple[str, str, str]:
    if p.param_type_name == "argument":
        shown = p.metavar or p.name.upper()
        return code(f"{shown}..." if p.nargs == -1 else shown), "required" if p.required else "", p.help or ""
    value = "" if p.is_flag else f" {p.metavar or max(p.opts, key=len).removeprefix('--').upper().replace('-', '_')}"
    spelled = ", ".join((*p.opts, *p.secondary_opts)) + value
    default = "" if p.default in (None, False, ()) else code(str(p.default))
    return code(spelled), "required" if p.required else default, p.help or ""


def _command(name: str, command: Any) -> Iterator[str]:
    said, _, example = (command.help or "").partition("Example:")
    given = [p for p in command.params if p.param_type_name == "argument"]
    words = (
        f"deskwright {name}",
        *(("{}" if p.required else "[{}]").format(_parameter(p)[0].strip("`[]")) for p in given),
        "[OPTIONS]",
    )
    yield f"### deskwright {name}"
    yield " ".join(said.split())
    yield f"```sh\n{' '.join(example.split())}\n```"
    yield f"Usage: `{' '.join(words)}`"
    shown = [_parameter(p) for p in command.params if p.name != "help"]
    if shown:
        yield table(("argument or option", "default", "is"), shown)


def commands_page() -> str:
    found = commands()
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts: list[str] = []
    for name, group in sorted(groups.items(), key=lambda item: (hasattr(item[1], "commands"), item[0])):
        if hasattr(group, "commands"):
            parts += [f"## {name}", group.help or ""]
        elif not parts:
            parts.append("## Without a group")
        for words, command in found.items():
            if words == name or words.startswith(f"{name} "):
                parts.extend(_command(words, command))
    return page(
        "Commands",
        "Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Errors go to standard error, so that `--json` can be"
        " piped. A CLOUDPC is named by id, device name or, where that is unambiguous, the user's UPN. Each command also"
        " has `--help`.",
        *parts,
    )
