"""The README's script, as it stands there, against a running service and its worker."""

import os
import re
import subprocess
import sys
from pathlib import Path

from deskwright.serve import WorkerThread
from tests.clients.conftest import Served, token

README = Path(__file__).parents[2] / "README.md"


def test_the_script_of_the_readme(served: Served, tmp_path: Path) -> None:
    company = served.company
    company.site()
    company.plan("Cloud PC Enterprise 2vCPU/8GB/128GB", seats=3)
    company.user("pradeep")
    company.license("Cloud PC Enterprise 2vCPU/8GB/128GB", "pradeep")
    company.settle()
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "from_python.py").write_text(script, encoding="utf-8")
    worker = WorkerThread(company.world)
    worker.start()
    try:
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", tmp_path / "from_python.py"],
            env={**os.environ, "DESKWRIGHT_URL": served.url, "DESKWRIGHT_TOKEN": token(served)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        worker.stop()
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^pradeep@contoso.com has CPC-", ran.stdout, re.MULTILINE), ran.stdout
