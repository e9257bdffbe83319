"""Work that outlives a kill: the same name and settings go on where they were."""

import contextlib
import dataclasses
import fcntl
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.errors import InputError
from agents.files import write_atomic
from experiments.config import load_option
from experiments.run_directory import MARKER, RunDirectory, plain_json
from experiments.version import market_code

_SETTINGS = "settings.json"
_DIGITS = 12  # of a mark
_ANYWHERE = ("runs_dir", "threads")
_COMMANDS = ("recommend.py", "design.py", "redesign.py", "training_task.py")  # what they train on


def open_run(config: Any, may_change: Collection[str] = ()) -> Path:
    """The folder ``<runs_dir>/<name>/`` of these settings, made if it is not there.

    Parameters
    ----------
    config
        A dataclass with ``runs_dir`` and ``name``; it is kept as settings.json.
    may_change
        Fields that may differ from those of the run's first session, e.g. ``minutes``.

    Raises
    ------
    InputError
        If the folder is not a run, or one of other settings, or cannot be written.
    """
    folder = Path(config.runs_dir).absolute() / config.name
    settings = plain_json(dataclasses.asdict(config))
    fixed = {k: v for k, v in settings.items() if k not in (*may_change, *_ANYWHERE)}
    digest = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
    path = folder / _SETTINGS
    try:
        if path.is_file():
            if json.loads(path.read_text("utf-8")).get("digest") != digest:
                raise InputError(
                    f"{folder} holds a run of other settings: choose another name, or delete it"
                )
        elif folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} exists and is not such a run: choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
        write_atomic(path, json.dumps({"digest": digest, "settings": settings}, indent=1))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"runs_dir={config.runs_dir!r} cannot be used: {reason}") from error
    return folder


@contextlib.contextmanager
def resumable(
    config: Any,
    options: Mapping[str, Collection[str]],
    may_change: Collection[str] = (),
    note: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[RunDirectory, Path]]:
    """A run's directory, and a hidden folder beside it, ``<runs_dir>/.<name>.<mark>.kept``, that is
    deleted once the run has its name; until then the same command finds what was left there.

    Parameters
    ----------
    config
        A dataclass with ``runs_dir`` and ``name``. Other settings, or other code that decides on
        a market, have a folder of their own.
    options
        Names of the options that are read later, by group: what stands in them counts too.
    may_change
        Fields that may differ from those of the run that was interrupted.
    note
        Told what is gone on with, and what else of that name lies there: it is left alone.

    Raises
    ------
    InputError
        If the same command is at work already, or as ``RunDirectory`` says.
    """
    run = RunDirectory(config.runs_dir, config.name)
    folder = run.runs_dir / f".{config.name}.{_mark(config, options, may_change)}.kept"
    with contextlib.ExitStack() as last:
        with run:
            folder.mkdir(exist_ok=True)
            held = _hold(folder)
            if held is None:
                raise InputError(
                    f"name={config.name}: the same command is at work in {run.runs_dir}: "
                    "choose another name"
                )
            last.callback(os.close, held)
            try:
                if any(folder.iterdir()):
                    note(f"Goes on with what an interrupted run has left in {folder}")
                for other in _others(folder, config.name):
                    note(f"{other} is unfinished work of other settings or code: delete it if not "
                         "used")  # fmt: skip
                yield run, folder
            except BaseException:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # where nothing was kept yet
                raise
        shutil.rmtree(folder, ignore_errors=True)


def _hold(folder: Path) -> int | None:
    """A descriptor that locks a folder until it is closed; None where somebody else has it or it is
    gone.
    """
    held = None
    try:
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(held), folder.stat()):
            return held
    except (FileNotFoundError, BlockingIOError):
        pass
    if held is not None:
        os.close(held)
    return None


def _others(folder: Path, name: str) -> Iterator[Path]:
    """Folders with unfinished work of the same name that nobody is at."""
    for other in sorted(folder.parent.glob(f".{glob.escape(name)}.{'?' * _DIGITS}.kept")):
        held = _hold(other) if other != folder else None
        if held is None:
            continue
        left = any(other.iterdir())
        os.close(held)
        if left:
            yield other


def _mark(config: Any, options: Mapping[str, Collection[str]], may_change: Collection[str]) -> str:
    """Digest of the settings, of what stands in the options, and of the code."""
    values = dataclasses.asdict(config)
    fixed = {k: v for k, v in values.items() if k not in (*may_change, "name", *_ANYWHERE)}
    read = {
        f"{group}={name}": dataclasses.asdict(load_option(group, name))
        for group, names in options.items()
        for name in names
    }
    text = f"{market_code()} {json.dumps([fixed, read], default=str, sort_keys=True)}"
    digest = hashlib.sha256(text.encode())
    for name in _COMMANDS:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:_DIGITS]


def keep_logs(kept: Path, run: Path) -> None:
    """Copy log and TensorBoard of every training in ``kept`` into a run's folder."""
    from policies.training_run import CHECKPOINT, LOG

    for log in kept.glob(f"*/{LOG}"):
        target = run / log.parent.name
        shutil.copytree(log.parent, target, ignore=shutil.ignore_patterns(CHECKPOINT, ".*"))
