"""Compilation of the scalar rules: one decorator, one cache that cannot lie.

numba's file cache notices an edit in the file of the cached function only, not in a function
it calls from another module. The cache folder is therefore keyed by a digest of the sources of
all packages that hold kernels: any edit there starts a fresh folder.
"""

import hashlib
import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

KERNEL_PACKAGES = ("agents", "sim", "envs", "experiments/bench")
PLUG_IN_GROUP = "loyaltylab.mechanisms"
_KEEP_SECONDS = 14 * 24 * 3600


def kernel_digest(root: Path | None = None) -> str:
    """Digest of every source file that may hold a kernel, plug-ins' too, with numba's version.

    Parameters
    ----------
    root
        Folder that contains the packages; by default the one this file was loaded from.
    """
    root = root or Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(numba.__version__.encode())
    for package in KERNEL_PACKAGES:
        for source in sorted((root / package).rglob("*.py")):
            digest.update(f"{source.relative_to(root).as_posix()}\0".encode())
            digest.update(source.read_bytes())
    for module in sorted({point.module for point in entry_points(group=PLUG_IN_GROUP)}):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            digest.update(f"{module}\0".encode())
            digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()[:20]


def cache_folder() -> Path:
    """Folder of the compiled kernels of exactly these sources (``LOYALTYLAB_CACHE`` moves it)."""
    base = os.environ.get("LOYALTYLAB_CACHE")
    home = os.environ.get("XDG_CACHE_HOME")
    if base is None:
        base = str((Path(home) if home else Path.home() / ".cache") / "loyaltylab")
    return Path(base) / "kernels" / kernel_digest()


def _prepare(folder: Path) -> Path:
    """Make the folder and drop those of older sources that nobody used for two weeks."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in folder.parent.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > _KEEP_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
    return folder


_FOLDER: Path | None = None


def _compile(function: F, **options: Any) -> F:
    global _FOLDER
    if _FOLDER is None:
        _FOLDER = _prepare(cache_folder())
    previous = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_FOLDER)  # read by numba while it decorates
    try:
        compiled: F = numba.njit(cache=True, fastmath=False, error_model="numpy", **options)(
            function
        )
    finally:
        numba.config.CACHE_DIR = previous
    return compiled


def kernel(function: F) -> F:
    """Compile a scalar rule; it is inlined where it is called."""
    return _compile(function, forceinline=True)


def block_kernel(function: F) -> F:
    """Compile a loop over a block of rows, apart from its callers.

    On its own such a loop without branches becomes vector instructions; inlined into a large
    function it may not.
    """
    return _compile(function)


_CACHE_LINE = 64


@intrinsic
def prefetch(typing: Any, record: Any) -> Any:
    """Ask for a record's cache lines before they are needed; changes nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8), ir.IntType(32)
        ask = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word, word, word]),
            "llvm.prefetch.p0",
        )
        start = builder.bitcast(arguments[0], byte.as_pointer())
        reading, second_level, data = word(0), word(2), word(1)
        for at in range(0, signature.args[0].size + _CACHE_LINE - 1, _CACHE_LINE):
            line = builder.gep(start, [word(at)])
            builder.call(ask, [line, reading, second_level, data])
        return context.get_dummy_value()

    return types.void(record), generate


def threaded_kernel(function: F) -> F:
    """Compile a loop that Python threads may run side by side, each on rows of its own."""
    return _compile(function, nogil=True)


def parallel_kernel(function: F) -> F:
    """Compile a loop over rows with ``prange``; rows must not depend on one another."""
    return _compile(function, parallel=True)
