"""One training: how long it may go on, what it logs, where it can be taken up again.

Every learner has the same shape: ``learn(task, parameters, seed, run) -> Policy``. It looks at
``run.over`` after each iteration, logs with ``run.log``, and saves its whole state with
``run.save``, so that a killed run loses at most one iteration.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from agents.files import atomic_path

CHECKPOINT = "checkpoint.pt"


class TrainingRun:
    """Clock, log and checkpoint of one training.

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
        self._tell = tell
        self._clock = clock
        self._begun = clock()
        self._before = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._before + self._clock() - self._begun

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self.elapsed >= self.seconds

    def log(self, step: int, **figures: float) -> None:
        """One row of the log: the step (of the learner's own count), seconds, figures."""
        row = {"step": float(step), "seconds": self.elapsed, **figures}
        self.history.append(row)
        if self._tell is not None:
            self._tell(row)

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the learner's state, with log and clock; replaces the one before, atomically."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = {"state": dict(state), "elapsed": self.elapsed, "history": self.history}
        with atomic_path(self.folder / CHECKPOINT) as path:
            torch.save(whole, path)

    def load(self) -> dict[str, Any] | None:
        """State of the last ``save`` in this folder, None without one; clock and log go on."""
        if self.folder is None or not (self.folder / CHECKPOINT).exists():
            return None
        whole = torch.load(self.folder / CHECKPOINT, weights_only=False)
        self._before = whole["elapsed"]
        self._begun = self._clock()
        self.history = whole["history"]
        state: dict[str, Any] = whole["state"]
        return state
