"""The machine a benchmark runs on: what it is, how fast it is just now, and what its processes use (Linux /proc)."""

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOPS = 200_000


def describe(directory: Path, postgresql: str) -> dict[str, Any]:
    """For the head of a report; `directory` is where the database is."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "postgresql": postgresql,
        "loadAverageBefore": load(),
        "calibrationNsBefore": calibrate(),
        "fsyncMicroseconds": fsync_microseconds(directory),
    }


def load() -> list[float]:
    return [round(x, 2) for x in os.getloadavg()]


def calibrate() -> float:
    """Nanoseconds for one turn of a fixed loop, the median of nine: higher means a slower or busier machine."""
    turns = []
    for _ in range(9):
        began = time.perf_counter_ns()
        total = 0
        for n in range(_LOOPS):
            total += n & 7
        turns.append((time.perf_counter_ns() - began) / _LOOPS)
    return round(statistics.median(turns), 1)


def fsync_microseconds(directory: Path) -> float:
    """How long it takes to make 8 kB durable where the database is: the floor of every synchronous commit."""
    path, taken = directory / "fsync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter_ns()
            file.write(b"x" * 8192)
            os.fsync(file.fileno())
            taken.append((time.perf_counter_ns() - began) / 1000)
    path.unlink()
    return round(statistics.median(taken), 1)


def cpu_seconds(pid: int, *, with_ended_children: bool = False) -> float:
    """User and system time of a process so far; 0 when it is gone."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    wanted = fields[11:15] if with_ended_children else fields[11:13]
    return sum(map(int, wanted)) / _TICKS


def cpu_seconds_of_family(parent: int) -> float:
    """The same for a process and its children, the ended ones too."""
    return cpu_seconds(parent, with_ended_children=True) + sum(cpu_seconds(pid) for pid in _children(parent))


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 2**20


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, beginning with the state."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
