"""Outputs appear whole or not at all.

A run writes into ``runs/.<name>.<pid>.partial`` and is renamed to ``runs/<name>`` when it is
done. An exception, Ctrl-C or SIGTERM deletes the partial folder; what a killed run left is
deleted by the next one. A folder that is not a run is never replaced.
"""

import contextlib
import fcntl
import json
import math
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self

import numpy as np

from agents.errors import InputError

# Lies in every run: it marks the folder as ours and is locked while the run is being written.
MARKER = ".loyaltylab-run"
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.(?P<kind>partial|old)")


class RunDirectory:
    """Context manager: a folder that takes its final name only when the block ends well.

    Parameters
    ----------
    runs_dir
        Where runs lie; made when missing, and removed again if this run fails and left it empty.
    name
        Final name. An earlier run of that name is replaced in the end, and stays until then.

    Attributes
    ----------
    path : Path
        Write here, inside the block.
    final : Path
        Where it all is afterwards.

    Raises
    ------
    InputError
        The name is taken by something that is not a run, or the folder cannot be written.
    """

    def __init__(self, runs_dir: str | Path, name: str) -> None:
        if name in ("", ".", "..") or Path(name).name != name:
            raise InputError(f"name={name!r} cannot name a folder")
        self.runs_dir = Path(runs_dir).absolute()
        self.final = self.runs_dir / name
        self.path = self.runs_dir / f".{name}.{os.getpid()}.partial"
        self._old = self.runs_dir / f".{name}.{os.getpid()}.old"
        self._lock: IO[bytes] | None = None
        self._made: list[Path] = []
        self._previous: Any = None

    def __enter__(self) -> Self:
        try:
            self._made = _make_folders(self.runs_dir)
            clean_leftovers(self.runs_dir)
            self._refuse_foreign()
            self._handle_terminate()
            self.path.mkdir()
            self._lock = _locked_marker(self.path)
        except OSError as error:
            self._abandon()
            self._release()
            reason = error.strerror or error
            raise InputError(f"runs_dir={str(self.runs_dir)!r} cannot be used: {reason}") from error
        except BaseException:
            self._abandon()
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._abandon()
                return
            try:
                self._commit()
            except BaseException:
                self._abandon()
                raise
        finally:
            self._release()

    def _refuse_foreign(self) -> None:
        if not os.path.lexists(self.final):
            return
        ours = self.final.is_dir() and not self.final.is_symlink()
        if not ours or not ((self.final / MARKER).exists() or not any(self.final.iterdir())):
            raise InputError(f"{self.final} exists and is not a run: choose another name")

    def _commit(self) -> None:
        with _signals_wait():
            self._refuse_foreign()
            _sync_files(self.path)
            if self.final.exists():
                self.final.rename(self._old)
            try:
                self.path.rename(self.final)
            except OSError:
                if self._old.exists():
                    self._old.rename(self.final)
                raise
            shutil.rmtree(self._old, ignore_errors=True)

    def _abandon(self) -> None:
        with _signals_wait():
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _handle_terminate(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous = signal.signal(signal.SIGTERM, _terminate)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None


def clean_leftovers(runs_dir: Path) -> None:
    """Delete what dead processes left, and give an earlier run its name back."""
    for path in sorted(runs_dir.glob(".*.*.*")):
        match = _LEFTOVER.fullmatch(path.name)
        if match is None or not path.is_dir() or _in_use(path, int(match["pid"])):
            continue
        final = runs_dir / match["name"]
        if match["kind"] == "old" and not final.exists():
            path.rename(final)  # killed between the two renames
        else:
            shutil.rmtree(path, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that every reader takes; see ``plain_json``."""
    text = json.dumps(plain_json(value), indent=1, allow_nan=False)
    Path(path).write_text(text, encoding="utf-8")


def plain_json(value: Any) -> Any:
    """Python's numbers and truth values for numpy's; JSON has no NaN or infinity: null."""
    if isinstance(value, dict):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    return value


def _make_folders(path: Path) -> list[Path]:
    """Make a folder and its parents; return those that were missing, outermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _locked_marker(folder: Path) -> IO[bytes]:
    # Locked before it has its name: whoever finds a marker can rely on its lock.
    fresh = folder / f"{MARKER}.new"
    stream = fresh.open("wb")
    fcntl.flock(stream, fcntl.LOCK_EX)
    fresh.rename(folder / MARKER)
    return stream


def _in_use(path: Path, pid: int) -> bool:
    marker = path / MARKER
    if path.name.endswith(".partial") and marker.exists():
        # The lock, not the number: numbers are reused, and differ between containers.
        try:
            with marker.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return _alive(pid)
        return False
    return _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _sync_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until a rename or deletion is whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    watched = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in watched}
    for number, handler in previous.items():
        if handler is not None:
            signal.signal(number, lambda got, frame: waiting.append(got))
    try:
        yield
    finally:
        for number, handler in previous.items():
            if handler is not None:
                signal.signal(number, handler)
        for got in waiting:
            signal.raise_signal(got)
