"""Finished markets of a sensitivity analysis on disk, so that an interruption loses nothing."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError
from experiments.config import SensitivityConfig, SimulateConfig, other_side
from experiments.market_run import PER_CUSTOMER
from experiments.version import market_code
from sim.metrics import KPIS

# What is kept of a market: sums over the run per person, then the KPIs of the whole run.
COLUMNS = (*(f"per_person_{name}" for name in PER_CUSTOMER), *(kpi.name for kpi in KPIS))


def fingerprint(config: SensitivityConfig) -> str:
    """Digest of all that decides on a market at given values: configuration, data, code."""
    about = {
        field.name: getattr(config, field.name) for field in dataclasses.fields(SimulateConfig)
    }
    for name in ("name", "runs_dir", "threads"):
        del about[name]
    text = json.dumps(about, default=dataclasses.asdict, sort_keys=True)
    digest = hashlib.sha256(f"{market_code()} {text}".encode())
    other = other_side(config)
    against = None if other is None else (other.programme, other.policy)
    digest.update(repr((against, config.assumptions)).encode())
    if config.posterior is not None:
        digest.update(Path(config.posterior).read_bytes())
    return digest.hexdigest()[:32]


class Store:
    """Finished markets in one text file, a line each, so that nothing done is lost.

    Parameters
    ----------
    folder
        Holds the file while the run is unfinished; made when missing.
    mark
        ``fingerprint``; a file of another one is begun anew.
    earlier
        A finished run's file, which is read too.

    Raises
    ------
    InputError
        If another process is at work in the folder.
    """

    def __init__(self, folder: Path, mark: str, earlier: Path) -> None:
        self.folder = folder
        self.path = folder / "markets.csv"
        self.mark = mark
        self.earlier = earlier
        self.kept: dict[str, NDArray[np.float64]] = {}
        self.anew = False
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        stream = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise InputError(f"{self.folder} is in use by another run of that name") from None
        self._file = stream
        stream.seek(0)
        text = stream.read()
        whole = text[: text.rfind("\n") + 1]  # a crash may have cut the last line off
        known = self._read(whole)
        self.anew = known is None and text != ""
        stream.truncate(0 if known is None else len(whole.encode()))
        if known is None:
            self._write(self._header())
        if self.earlier.is_file():
            self.kept |= self._read(self.earlier.read_text("utf-8")) or {}
        self.kept |= known or {}
        return self

    def __exit__(self, *about: object) -> None:
        if self._file is not None:
            self._file.close()
        with contextlib.suppress(OSError):
            if not self.kept:
                self.delete()

    def add(self, name: str, row: NDArray[np.float64]) -> None:
        """Keep a market, in memory and on disk."""
        self.kept[name] = row
        self._write(_line(name, row))

    def text(self, names: Sequence[str]) -> str:
        """The whole file with these markets, in this order."""
        lines = (_line(name, self.kept[name]) for name in names)
        return f"{self._header()}{''.join(lines)}"

    def delete(self) -> None:
        """Forget the file: the run is finished."""
        self.path.unlink(missing_ok=True)
        self.folder.rmdir()

    def _header(self) -> str:
        return f"# loyaltylab sensitivity {self.mark}\n{','.join(('market', *COLUMNS))}\n"

    def _write(self, text: str) -> None:
        if self._file is not None:
            self._file.write(text)
            self._file.flush()

    def _read(self, text: str) -> dict[str, NDArray[np.float64]] | None:
        """Whole lines of a file of the same fingerprint; None for another file."""
        if not text.startswith(self._header()):
            return None
        lines = text.removeprefix(self._header()).split("\n")[:-1]
        cells = [line.split(",") for line in lines]
        return {
            name: np.array([float(cell) for cell in row])
            for name, *row in cells
            if len(row) == len(COLUMNS)
        }


def _line(name: str, row: NDArray[np.float64]) -> str:
    return f"{name},{','.join(repr(float(value)) for value in row)}\n"
