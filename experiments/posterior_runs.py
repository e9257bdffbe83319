"""How much of a difference's uncertainty is parameters, how much is luck.

The difference is run again for draws of the posterior and, under each, for cohorts of customers
with luck of their own. A cohort is the next so many customers: their ids enter every draw, so
both who they are and what happens to them are new, while the key stays. Cohorts are hence luck
in the sense of the interval over customers of a single run, which counts who the customers happen
to be as well. Every posterior draw meets the same cohorts (``sim.uncertainty.decompose``).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from agents.errors import InputError
from agents.population import PosteriorLike
from experiments.config import SimulateConfig
from experiments.config_schema import REPLICAS
from experiments.console import Progress
from experiments.market_run import PER_CUSTOMER, run_markets
from experiments.run_directory import plain_json
from experiments.version import market_code
from sim.uncertainty import decompose

_OUTPUTS = ("name", "runs_dir", "threads", "draws", "replicas")


class Checkpoint:
    """Runs that are done, kept in a file beside the run's folder until the whole job is.

    Parameters
    ----------
    path
        One line of JSON a run, after a line that says what they are of.
    key
        What results depend on; a file of another key is not read, and replaced.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self._known: dict[tuple[int, int], dict[str, float]] = {}
        self._started = False
        self._whole = False
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            head, *lines = path.read_text("utf-8").splitlines()
            if json.loads(head)["key"] == key:
                self._started = True
                for line in lines:  # a line that is cut off ends it
                    one = json.loads(line)
                    self._known[int(one["draw"]), int(one["cohort"])] = dict(one["lifts"])
                self._whole = True

    @classmethod
    def of(cls, config: SimulateConfig) -> Self:
        """The one of this configuration, posterior and source code."""
        facts = {
            name: value
            for name, value in dataclasses.asdict(config).items()
            if name not in _OUTPUTS
        }
        digest = hashlib.sha256(f"{market_code()} {facts!r}".encode())
        if config.posterior is not None:
            with contextlib.suppress(OSError):
                digest.update(Path(config.posterior).read_bytes())
        path = Path(config.runs_dir).absolute() / f".{config.name}.lifts.jsonl"
        return cls(path, digest.hexdigest())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, draw: int, cohort: int) -> dict[str, float] | None:
        """What a run brought, None if it has not been done."""
        return self._known.get((draw, cohort))

    def put(self, draw: int, cohort: int, lifts: dict[str, float]) -> None:
        """Keep what a run brought."""
        self._known[draw, cohort] = lifts
        new = {(draw, cohort): lifts} if self._whole else self._known
        # A file that is another's, or ends in a line that was cut off, is written anew.
        with self.path.open("a" if self._whole else "w", encoding="utf-8") as file:
            if not self._whole:
                file.write(json.dumps({"key": self._key}) + "\n")
            for (at, of), brought in new.items():
                file.write(json.dumps({"draw": at, "cohort": of, "lifts": brought}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._started = self._whole = True

    def delete(self) -> None:
        """The job is done."""
        if self._started:
            self.path.unlink(missing_ok=True)


def check_draws(config: SimulateConfig, posterior: PosteriorLike) -> None:
    """See that there are as many draws as asked for, the mode not counted.

    Raises
    ------
    InputError
        If there are fewer.
    """
    known = len(next(iter(posterior.parameters.values()))) - 1
    if config.draws > known:
        raise InputError(
            f"draws={config.draws}: posterior={str(config.posterior)!r} has {known}; "
            "give at most so many"
        )


def uncertainty(
    config: SimulateConfig,
    other: SimulateConfig,
    posterior: PosteriorLike,
    confidence: float = 0.95,
    progress: Progress | None = None,
    kept: Checkpoint | None = None,
) -> dict[str, Any]:
    """Run the difference for ``config.draws`` posterior draws and each of its replicas.

    Parameters
    ----------
    config, other
        Both sides.
    posterior
        Fitted; index 0, the mode, is no draw.
    confidence
        Level of the intervals.
    progress
        Shows how far it is.
    kept
        Runs done before are taken from there, new ones added.

    Returns
    -------
    dict
        ``draws``, ``replicas``, and per outcome of ``PER_CUSTOMER`` a row with ``lifts``, shape
        (draws, replicas), and the fields of ``sim.uncertainty.Decomposition``.
    """
    draws, replicas = config.draws, config.replicas or REPLICAS
    lifts = {what: np.zeros((draws, replicas)) for what in PER_CUSTOMER}
    title = f"{draws} posterior draws × {replicas} replicas"
    stage = progress.stage(title, draws * replicas) if progress else contextlib.nullcontext(None)
    if progress is not None and kept is not None and len(kept):
        progress.note(
            f"{len(kept)} runs were done before the last try stopped: they are not redone"
        )
    with stage as tick:
        for draw in range(draws):
            for cohort in range(replicas):
                found = kept.get(draw, cohort) if kept is not None else None
                if found is None:
                    found = _mean_lifts(config, other, posterior, draw + 1, cohort)
                    if kept is not None:
                        kept.put(draw, cohort, found)
                for what, table in lifts.items():
                    table[draw, cohort] = found[what]
                if tick is not None:
                    tick()
    rows = []
    for what, table in lifts.items():
        parts = decompose(table, confidence)
        share = {"parameter_share": parts.parameter_share}
        rows.append({"what": what, "lifts": table.tolist(), **parts._asdict(), **share})
    return plain_json({"draws": draws, "replicas": replicas, "rows": rows})


def _mean_lifts(
    config: SimulateConfig,
    other: SimulateConfig,
    posterior: PosteriorLike,
    draw: int,
    cohort: int,
) -> dict[str, float]:
    result = run_markets(config, other, posterior, config.response.name, draw=draw, cohort=cohort)
    return {what: result.lift(what).mean for what in PER_CUSTOMER}
