"""One training: how long it may go on, what it logs, where it can be taken up again.

Every learner has the same shape: ``learn(task, parameters, seed, run) -> Policy``. It looks at
``run.over`` after each iteration, logs with ``run.log``, and saves its whole state with
``run.save``, so that a killed run loses at most one iteration.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch

from agents.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from torch.utils.tensorboard import SummaryWriter

CHECKPOINT = "checkpoint.pt"
LOG = "log.parquet"
TENSORBOARD = "tensorboard"


class TrainingRun:
    """Clock, log and checkpoint of one training; a context manager that closes the log.

    In the folder: ``checkpoint.pt``; ``log.parquet``, the log up to the last ``save`` or
    ``close`` (``read_log`` reads it); ``tensorboard/``, the same for TensorBoard as it comes.

    Parameters
    ----------
    folder
        Where log and checkpoint are kept; None keeps the log in memory and no checkpoint.
    seconds
        Time of training, that of earlier sessions of the same folder included.
    clock
        What tells time, in seconds: by default that of the wall. ``time.process_time`` is the
        processor's: the same on a core of its own, and fair where others work beside.
    tell
        Called with each row of the log.
    """

    def __init__(
        self,
        folder: Path | None = None,
        seconds: float = math.inf,
        tell: Callable[[Mapping[str, float]], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.folder = folder
        self.seconds = seconds
        self.history: list[dict[str, float]] = []
        self.tell = tell
        self._clock = clock
        self._begun = clock()
        self._before = 0.0
        self._board: SummaryWriter | None = None
        self._first_step = 0  # what TensorBoard has beyond it, a killed session left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._before + self._clock() - self._begun

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self.elapsed >= self.seconds

    def progress(self, share: float = 0.0) -> float:
        """Share of the training that is done, 0 to 1.

        Parameters
        ----------
        share
            Share of the learner's own work (steps, iterations); the time may be over before.
        """
        return min(max(share, self.elapsed / self.seconds if self.seconds > 0 else 1.0), 1.0)

    def log(self, step: int, **figures: float) -> None:
        """One row of the log: the step (of the learner's own count), seconds, figures."""
        row = {"step": float(step), "seconds": self.elapsed, **figures}
        self.history.append(row)
        board = self._open_board()
        if board is not None:
            for name, value in figures.items():
                board.add_scalar(name, value, step)
        if self.tell is not None:
            self.tell(row)

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the learner's state, with log and clock; replaces the one before, atomically."""
        if self.folder is None:
            return
        self._write_log()
        whole = {"state": dict(state), "elapsed": self.elapsed, "history": self.history}
        with atomic_path(self.folder / CHECKPOINT) as path:
            torch.save(whole, path)

    def load(self) -> dict[str, Any] | None:
        """State of the last ``save`` in this folder, None without one; clock and log go on."""
        if self.folder is None or not (self.folder / CHECKPOINT).exists():
            return None
        for half in self.folder.glob(".*.partial"):
            half.unlink()  # what a killed session was writing
        # The file is this project's own: it holds records and random states, not weights alone.
        whole = torch.load(self.folder / CHECKPOINT, weights_only=False)
        self._before = whole["elapsed"]
        self._begun = self._clock()
        self.history = whole["history"]
        if self.history:
            self._first_step = int(self.history[-1]["step"]) + 1
        state: dict[str, Any] = whole["state"]
        return state

    def close(self) -> None:
        """Write what is logged and not written yet."""
        if self.folder is not None and self.history:
            self._write_log()
        if self._board is not None:
            self._board.close()
            self._board = None

    def _write_log(self) -> None:
        import pandas as pd

        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.folder / LOG) as path:
            pd.DataFrame(self.history).to_parquet(path, index=False)
        if self._board is not None:
            self._board.flush()

    def _open_board(self) -> "SummaryWriter | None":
        if self.folder is not None and self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(
                str(self.folder / TENSORBOARD), purge_step=self._first_step or None
            )
        return self._board


def read_log(folder: str | Path) -> "pd.DataFrame":
    """The log of a training, one row an iteration; figures that a row lacks are NaN.

    Raises
    ------
    FileNotFoundError
        If nothing was logged in this folder.
    """
    import pandas as pd

    return pd.read_parquet(Path(folder) / LOG)
