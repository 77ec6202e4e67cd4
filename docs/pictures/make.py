"""Make docs/pictures/live.svg: the live view of a real demo run, at the moment when it shows the most."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).parent
WIDTH = 112


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="dw")) / ".demo"
    command = [sys.executable, "-m", "deskwright", "demo", "--data-dir", str(directory)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    os.environ["DESKWRIGHT_DATA_DIR"] = str(directory)
    from deskwright.cli import live
    from deskwright.cli.session import open_session
    from deskwright.domain.rules import Refused

    while not (directory / "demo.json").exists():
        time.sleep(0.2)
    best, shown = -1, None
    with open_session() as session:
        while demo.poll() is None:
            try:
                picture = live.take(session.database, session.tenant(None))
            except Refused:  # the tenant is still being made
                time.sleep(0.2)
                continue
            rows = picture.rows
            under_way = sum(r["status"] == "provisioning" for r in rows)
            variety = len({(r["status"], r["stage"]) for r in rows}) * 10 + under_way
            if variety >= best:
                best, shown = variety, live.render(picture, WIDTH)
            time.sleep(0.3)
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    assert shown is not None
    console.print(shown)
    svg = console.export_svg(title="deskwright demo")
    # Rich names a font to be fetched from the web; what the reader's machine has will do.
    (HERE / "live.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


main()
