"""Learners on the small problem, a core each; results are kept."""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from agents.files import write_atomic
from agents.rng import derive_seed
from experiments.benchmark.runner import alone, timed
from experiments.benchmark.small_problem import SmallProblem, gain_of, optimal_gain, solve
from experiments.benchmark.statistics import Interval, over_seeds

_CUSTOMERS, _POOL = 20_000, 4000


def share_of_optimum(policy: str, seed: int, seconds: float, folder: Path) -> float:
    """Gain of a learner as a share of the optimum's, on the same test customers and luck."""
    kept = folder / f"{policy}-{seed}-{seconds:g}.json"
    if kept.exists():
        return float(json.loads(kept.read_text("utf-8"))["share"])
    problem = SmallProblem()
    key = derive_seed(seed, "evaluate")
    customers = problem.customers(_CUSTOMERS, seed, test=True)
    best = optimal_gain(problem, solve(problem), customers, key).mean()
    training = folder / "trainings" / f"{policy}-{seed}-{seconds:g}"
    learned = timed(policy, problem.task(_POOL, seed), seed, training, seconds)
    share = float(gain_of(problem, learned, customers, key).mean() / best)
    write_atomic(kept, json.dumps({"share": share}))
    return share


def small_problem_shares(
    policies: Sequence[str],
    seeds: Sequence[int],
    seconds: float,
    folder: Path,
    workers: int,
    tell: Callable[[], None],
) -> dict[str, Interval]:
    """Share of the optimal gain by policy, mean and interval over seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[float]] = {name: [] for name in policies}
    with ProcessPoolExecutor(workers, context, initializer=alone) as pool:
        running = {
            pool.submit(share_of_optimum, name, seed, seconds, folder): name
            for name in policies
            for seed in seeds
        }
        for future in as_completed(running):
            found[running[future]].append(future.result())
            tell()
    return {name: over_seeds(np.array(values)) for name, values in found.items()}
