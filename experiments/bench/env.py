"""Speed of the customer environment, and of MaskablePPO on it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np

from agents.errors import InputError
from agents.rng import derive_seed
from envs.offers import OfferVectorEnv
from envs.task import OfferTask, default_task
from experiments.bench.machine import describe, load_average, threads
from experiments.bench.spread import Spread
from experiments.console import Progress

SMALL, LARGE = 64, 65_536
_POOL = 4096
_WARM_UP_WEEKS = 60  # beyond the first horizon
_ACTIONS = 16
_MILLION = 1e6
FIGURES = {
    "steps_per_s_64": f"customer-steps/s, {SMALL} customers",
    "steps_per_s_64_paired": "the same, reward paired with a twin without offers",
    "steps_per_s_65536": f"customer-steps/s, {LARGE:,} customers",
    "steps_per_s_65536_paired": "the same, reward paired",
    "maskable_ppo_steps_per_s": "MaskablePPO end to end, paired, batch 4,096 x 4 epochs, 64x64",
}


@dataclass(frozen=True)
class EnvSize:
    """How much is measured: repetitions (figures are medians) and seconds of each.

    ``threads`` 0 = every core, for the environment; PPO uses two whatever this is.
    """

    repetitions: int = 5
    seconds: float = 1.0
    ppo_steps: int = 262_144
    threads: int = 0

    def __post_init__(self) -> None:
        for name in ("repetitions", "ppo_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 < self.seconds <= 600:
            raise InputError(f"seconds={self.seconds} must be above 0, to 600")
        most = numba.config.NUMBA_NUM_THREADS
        if not 0 <= self.threads <= most:
            raise InputError(f"threads={self.threads} must lie in 0..{most}, 0 = every core")


def bench_env(size: EnvSize | None = None) -> dict[str, Any]:
    """Measure; progress goes to stderr.

    Every step has observation, mask, reward, costs and ends; actions are random, drawn before and
    not timed. The episodes of a vector environment start together, so their first horizon passes
    before the clock starts and each repetition holds as many restarts as come.

    Returns
    -------
    dict
        ``FIGURES`` by key; ``spread``: least and largest by key; the settings and the machine.
    """
    size = size or EnvSize()
    used = size.threads or int(numba.config.NUMBA_NUM_THREADS)
    load = load_average()
    task = default_task(pool_size=_POOL)
    spreads: dict[str, Spread] = {}
    with Progress() as progress, threads(used):
        for customers in (SMALL, LARGE):
            for paired in (False, True):
                key = f"steps_per_s_{customers}" + ("_paired" if paired else "")
                with progress.stage(f"{customers:,} customers, paired: {paired}"):
                    spreads[key] = _steps_per_s(replace(task, paired=paired), customers, size)
        with progress.stage("MaskablePPO", size.repetitions) as tick:
            spreads["maskable_ppo_steps_per_s"] = _ppo_steps_per_s(task, size, tick)
    return {
        **{key: spreads[key].median for key in FIGURES},
        "spread": {key: [spreads[key].low, spreads[key].high] for key in FIGURES},
        "paired": {key: key.endswith("_paired") or key.startswith("maskable") for key in FIGURES},
        "actions": task.worlds[0].table.n,
        "horizon_weeks": task.horizon,
        "repetitions": size.repetitions,
        "ppo_steps": size.ppo_steps,
        "threads": used,
        **describe(),
        "load_average_before": load,
    }


def _steps_per_s(task: OfferTask, customers: int, size: EnvSize) -> Spread:
    env = OfferVectorEnv(customers, task, "SameStep")
    env.reset(seed=0)
    rng = np.random.default_rng(int(derive_seed(0, "plan")))
    actions = rng.integers(0, env.table.n, (_ACTIONS, customers))
    for week in range(_WARM_UP_WEEKS):
        env.step(actions[week % _ACTIONS])
    found = []
    for _ in range(size.repetitions):
        weeks, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < size.seconds:
            env.step(actions[weeks % _ACTIONS])
            weeks += 1
        found.append(weeks * customers / (time.perf_counter() - begun))
    return Spread.of(found)


def _ppo_steps_per_s(task: OfferTask, size: EnvSize, tick: Any) -> Spread:
    from policies.ppo.training import PpoParameters, learn_ppo
    from policies.training_run import TrainingRun

    task = replace(task, paired=True)
    settings = PpoParameters(total_steps=size.ppo_steps)
    learn_ppo(task, replace(settings, total_steps=1), 0, TrainingRun())  # one update, not timed
    found = []
    for at in range(size.repetitions):
        begun = time.perf_counter()
        run = TrainingRun()
        learn_ppo(task, settings, at, run)
        found.append(run.history[-1]["step"] / (time.perf_counter() - begun))
        tick()
    return Spread.of(found)


def table(result: Mapping[str, Any]) -> str:
    """Figures with spread, in millions or thousands, and what they were measured on."""
    lines = []
    for key, meaning in FIGURES.items():
        low, high = (end / _MILLION for end in result["spread"][key])
        value = f"{result[key] / _MILLION:8.3f} M/s  ({low:.3f} – {high:.3f})"
        lines.append(f"{key:26}{value}  {meaning}")
    shown = {*FIGURES, "spread", "paired"}
    facts = [f"{key}={value}" for key, value in result.items() if key not in shown]
    return "\n".join([*lines, "", ", ".join(facts)])
