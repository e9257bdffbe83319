"""The machine under a benchmark: processor, memory, bandwidth."""

import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import prange

from agents.compiled import parallel_kernel
from agents.errors import InputError
from experiments.bench.spread import Spread

GIGA = 1e9
_MIB = 1 << 20
# STREAM's rule is four times the caches; what is not known is taken for a server's.
_CACHES = 4
_UNKNOWN_CACHE = 32 * _MIB
_MOST_BYTES = 1 << 30


class Bandwidth(NamedTuple):
    """Memory bandwidth in GB/s, as STREAM counts: copy moves 16 bytes an element, triad 24."""

    copy: Spread
    triad: Spread


@parallel_kernel
def _copy(a, b):
    for i in prange(a.shape[0]):
        a[i] = b[i]


@parallel_kernel
def _triad(a, b, c, scale):
    for i in prange(a.shape[0]):
        a[i] = b[i] + scale * c[i]


def memory_bandwidth(repetitions: int = 10, array_bytes: int | None = None) -> Bandwidth:
    """Measure copy and triad on numba's threads, on arrays far larger than the caches.

    Parameters
    ----------
    repetitions
        Timed passes, after one that compiles and touches the memory.
    array_bytes
        Size of each of the three arrays; default four times the last-level cache.

    Notes
    -----
    McCalpin (1995), "Memory bandwidth and machine balance in current high performance computers",
    https://www.cs.virginia.edu/stream/. As there, what a processor reads to fill a line before it
    writes is not counted.
    """
    if array_bytes is None:
        array_bytes = min(_CACHES * (last_level_cache() or _UNKNOWN_CACHE), _MOST_BYTES)
    n = max(array_bytes // 8, 1)
    a, b, c = (np.full(n, value) for value in (0.0, 1.0, 2.0))

    def rate(moved: int, run: Any, *arguments: Any) -> Spread:
        run(*arguments)
        return Spread.of([moved * n / seconds(run, *arguments) / GIGA for _ in range(repetitions)])

    return Bandwidth(rate(16, _copy, a, b), rate(24, _triad, a, b, c, 3.0))


def seconds(run: Any, *arguments: Any) -> float:
    """Wall time of a call."""
    begun = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - begun


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Run numba's loops on n threads, then on as many as before."""
    before = numba.get_num_threads()
    numba.set_num_threads(n)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def describe() -> dict[str, Any]:
    """Processor, caches, memory, and the versions that make machine code of the kernels."""
    cache, memory = last_level_cache(), total_memory()
    return {
        "machine": processor(),
        "cores": os.cpu_count(),
        "last_level_cache_mib": None if cache is None else cache / _MIB,
        "memory_gb": None if memory is None else memory / GIGA,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def processor() -> str:
    """Name of the processor; family and model too where the name alone does not tell."""
    text = _read("/proc/cpuinfo")

    def value(field: str) -> str | None:
        found = re.search(rf"^{field}\s*:\s*(.+)$", text, flags=re.MULTILINE)
        return found[1].strip() if found else None

    name, family, model = value("model name"), value("cpu family"), value("model")
    if name is None:
        return platform.processor() or platform.machine()
    return name if family is None else f"{name} (family {family}, model {model})"


def last_level_cache() -> int | None:
    """Bytes of the last-level cache; None where the system does not tell."""
    sizes = []
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        size = re.fullmatch(r"(\d+)K\s*", _read(index / "size"))
        if size:
            sizes.append(int(size[1]) * 1024)
    return max(sizes, default=None)


def total_memory() -> int | None:
    """Bytes of physical memory, or of the limit this process lives under; None if unknown."""
    found = [_meminfo("MemTotal"), _control_group("memory.max")]
    known = [value for value in found if value is not None]
    return min(known) if known else _physical()


def available_memory() -> int | None:
    """Bytes that can be taken without swapping; None if unknown."""
    found = [_meminfo("MemAvailable")]
    limit, used = _control_group("memory.max"), _control_group("memory.current")
    if limit is not None and used is not None:
        found.append(max(limit - used, 0))
    known = [value for value in found if value is not None]
    return min(known) if known else _physical()


def require_memory(needed: int, what: str) -> None:
    """Refuse a job that would not fit.

    Raises
    ------
    InputError
        In one line, if ``needed`` bytes are not to be had.
    """
    available = available_memory()
    if available is not None and available < needed:
        raise InputError(
            f"{what} needs {needed / GIGA:.1f} GB of memory, {available / GIGA:.1f} GB are free"
        )


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    # Not ru_maxrss first: on Linux a started process inherits its parent's.
    found = re.search(r"^VmHWM:\s*(\d+) kB", _read("/proc/self/status"), flags=re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if platform.system() == "Darwin" else largest * 1024


def load_average() -> float | None:
    """Mean number of running processes over the last minute; None where it is not kept."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError:
        return ""


def _meminfo(field: str) -> int | None:
    found = re.search(rf"^{field}:\s*(\d+) kB", _read("/proc/meminfo"), flags=re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _control_group(name: str) -> int | None:
    text = _read(Path("/sys/fs/cgroup") / name).strip()
    return int(text) if text.isdigit() else None


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
