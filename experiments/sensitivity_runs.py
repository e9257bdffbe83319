"""Markets at many values of the assumptions: run in parallel, each once, kept on disk at once.

A market is a side (the one in question or the one it is compared with), a cohort, and the values
that differ from the defaults; of those only what can move that side counts, so that a market
without a programme is not run anew for every size of the goal gradient. Draws are addressed, so
results do not depend on processes, order or interruptions.
"""

import contextlib
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from experiments.config import SensitivityConfig, SimulateConfig, other_side
from experiments.console import Progress
from experiments.market_run import PER_CUSTOMER, run_markets
from experiments.sensitivity_assumptions import Assumption, with_values
from experiments.sensitivity_idle import Market, idle
from experiments.sensitivity_store import COLUMNS, Store
from experiments.worlds import population_of
from sim.metrics import KPIS, period_kpis

Values = Mapping[str, float]

INCREMENTAL = "incremental_"
_BATCH = 4


class Task(NamedTuple):
    """One market.

    Attributes
    ----------
    side
        0 the market in question, 1 the one it is compared with.
    cohort
        Its number: 0 the first so many customers, 1 the next.
    values
        Values that differ from the defaults and can move this side, by key in rising order.
    """

    side: int
    cohort: int
    values: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """A short name, the same for the same market."""
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:16]


def sides(config: SensitivityConfig) -> tuple[SimulateConfig, ...]:
    """The configuration and, if there is one, what it is compared with."""
    other = other_side(config)
    return (config,) if other is None else (config, other)


def _markets(config: SensitivityConfig) -> list[Market]:
    """What can move each side; survey KPIs are read of the first alone."""
    kpis = [config.kpis, ()]
    return [Market.of([side], own) for side, own in zip(sides(config), kpis, strict=False)]


def outcome(kpi: str, markets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a KPI.

    Parameters
    ----------
    kpi
        A name of ``sim.metrics.KPIS``, or ``incremental_`` and one of
        ``experiments.market_run.PER_CUSTOMER``.
    markets
        ``COLUMNS`` of both sides, shape (…, sides, columns).

    Returns
    -------
    NDArray
        Shape (…).
    """
    if not kpi.startswith(INCREMENTAL):
        return markets[..., 0, COLUMNS.index(kpi)]
    column = COLUMNS.index(f"per_person_{kpi.removeprefix(INCREMENTAL)}")
    return np.asarray(markets[..., 0, column] - markets[..., 1, column])


# --------------------------------------------------------------------------------- evaluation


class Evaluator:
    """Runs the markets that are missing.

    Parameters
    ----------
    config
        ``threads`` processes run markets, each on one thread; 0 is one per core.
    varied
        The assumptions whose values are changed.
    store
        Keeps what is done.
    progress
        Shows how far it is; None shows nothing.

    Attributes
    ----------
    used
        Names of the markets asked for, in the order in which they first were.
    points
        Sets of values asked for.
    """

    def __init__(
        self,
        config: SensitivityConfig,
        varied: Sequence[Assumption],
        store: Store | None,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self.varied = tuple(varied)
        self.store = store
        self.progress = progress
        self.used: dict[str, None] = {}
        self.points = 0
        self.done: dict[str, NDArray[np.float64]] = {} if store is None else store.kept
        self._defaults = {one.key: one.default for one in varied}
        self._moves = [
            {one.key for one in varied if idle(one.key, market) is None}
            for market in _markets(config)
        ]
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def processes(self) -> int:
        """How many markets run at the same time."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.config.threads or cores or 1

    def tasks(self, values: Values, cohort: int) -> list[Task]:
        """The markets of one set of values and one cohort, a side each."""
        changed = sorted(
            (key, value) for key, value in values.items() if value != self._defaults[key]
        )
        return [
            Task(side, cohort, tuple(pair for pair in changed if pair[0] in moves))
            for side, moves in enumerate(self._moves)
        ]

    def __call__(self, title: str, points: Sequence[Values], cohorts: int) -> NDArray[np.float64]:
        """Every set of values on every cohort.

        Returns
        -------
        NDArray
            ``COLUMNS``, shape (points, cohorts, sides, columns).
        """
        wanted = [[self.tasks(values, cohort) for cohort in range(cohorts)] for values in points]
        unique = {task.name: task for point in wanted for tasks in point for task in tasks}
        self.used |= dict.fromkeys(unique)
        self.points += len(points)
        missing = [task for name, task in unique.items() if name not in self.done]
        stage = (
            self.progress.stage(title, len(unique))
            if self.progress
            else contextlib.nullcontext(lambda advance=1: None)
        )
        with stage as tick:
            tick(len(unique) - len(missing))
            self._run(missing, tick)
        return np.array(
            [[[self.done[task.name] for task in tasks] for tasks in point] for point in wanted]
        )

    def _run(self, missing: Sequence[Task], tick: Callable[..., None]) -> None:
        if not missing:
            return
        if self.processes == 1 or len(missing) == 1:
            with _one_thread():
                run = _Worker(self.config, self.varied)
                for task in missing:
                    self._keep(task, run(task))
                    tick()
            return
        if self._pool is None:
            # One market here first: its kernels are compiled once, not in every process.
            first, *missing = missing
            self._run([first], tick)
            self._pool = _pool(self.processes, self.config, self.varied)
        batches = [missing[at : at + _BATCH] for at in range(0, len(missing), _BATCH)]
        futures = {self._pool.submit(_work, batch): batch for batch in batches}
        try:
            for future in as_completed(futures):
                self._keep_batch(future, futures.pop(future), tick)
        except BaseException:
            self._pool.shutdown(wait=True, cancel_futures=True)
            for future, batch in futures.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._keep_batch(future, batch, tick)
            raise

    def _keep_batch(
        self, future: "Future[list[Any]]", batch: Sequence[Task], tick: Callable[..., None]
    ) -> None:
        for task, row in zip(batch, future.result(), strict=True):
            self._keep(task, row)
            tick()

    def _keep(self, task: Task, row: NDArray[np.float64]) -> None:
        if self.store is not None:
            self.store.add(task.name, row)
        else:
            self.done[task.name] = row


class _Worker:
    """Runs markets of one configuration."""

    def __init__(self, config: SensitivityConfig, varied: Sequence[Assumption]) -> None:
        self.sides = sides(config)
        self.varied = varied
        self.fitted = population_of(config) if config.posterior is not None else None

    def __call__(self, task: Task) -> NDArray[np.float64]:
        """``COLUMNS`` of a market, shape (columns,)."""
        config = with_values(self.sides[task.side], self.varied, dict(task.values))
        population = self.fitted or config.world.population.posterior
        response = config.response.name
        run = run_markets(config, None, population, response, cohort=task.cohort).run
        kpis = period_kpis(run.frame)
        means = [float(run.per_customer[name].mean()) for name in PER_CUSTOMER]
        return np.array([*means, *(kpis[kpi.name] for kpi in KPIS)])


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)


_worker: _Worker | None = None


def _pool(
    processes: int, config: SensitivityConfig, varied: Sequence[Assumption]
) -> ProcessPoolExecutor:
    from multiprocessing import get_context

    return ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_begin, initargs=(config, varied)
    )


def _begin(config: SensitivityConfig, varied: Sequence[Assumption]) -> None:
    """Set a process up: one thread, and no life of its own."""
    from multiprocessing import parent_process

    import numba

    global _worker
    # Ctrl-C reaches the whole group; the parent decides what is still kept.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    numba.set_num_threads(1)
    _worker = _Worker(config, varied)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _work(batch: Sequence[Task]) -> list[NDArray[np.float64]]:
    if _worker is None:
        raise RuntimeError("the process was not set up")
    return [_worker(task) for task in batch]
