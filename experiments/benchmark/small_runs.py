"""Learners on the small problem, a core each; results are kept."""

import hashlib
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from agents.files import write_atomic
from agents.rng import derive_seed
from experiments.benchmark import small_problem
from experiments.benchmark.results import ABOUT, owner, read_json
from experiments.benchmark.runner import alone, timed
from experiments.benchmark.small_problem import SmallProblem, gain_of, optimal_gain, solve
from experiments.version import market_code

_CUSTOMERS, _POOL = 20_000, 4000


def small_mark() -> str:
    """Digest of the code that shares of the optimum depend on."""
    digest = hashlib.sha256(f"{market_code()} {_CUSTOMERS} {_POOL}".encode())
    digest.update(Path(small_problem.__file__).read_bytes())
    return digest.hexdigest()[:16]


def share_of_optimum(policy: str, seed: int, seconds: float, folder: Path) -> float:
    """Gain of a learner as a share of the optimum's, on the same test customers and luck."""
    kept = _kept(folder, policy, seed, seconds)
    if kept.exists():
        return _share(kept)
    problem = SmallProblem()
    key = derive_seed(seed, "evaluate")
    customers = problem.customers(_CUSTOMERS, seed, test=True)
    best = optimal_gain(problem, solve(problem), customers, key).mean()
    training = folder / "trainings" / f"{policy}-{seed}-{seconds:g}"
    learned = timed(policy, problem.task(_POOL, seed), seed, training, seconds)
    share = float(gain_of(problem, learned, customers, key).mean() / best)
    write_atomic(kept, json.dumps({"share": share}))
    return share


def run_small_problem(
    policies: Sequence[str],
    seeds: Sequence[int],
    seconds: float,
    folder: Path,
    workers: int,
    tell: Callable[[], None],
    deadline: float = math.inf,
) -> None:
    """Train and run what is missing; ``tell`` is called with each finished one.

    Parameters
    ----------
    seconds
        Of training, of one core's time.
    workers
        Processes side by side, one core each.
    deadline
        ``time.monotonic`` after which no further training begins.
    """
    owner(folder, {"mark": small_mark()})
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=alone) as pool:
        running = [
            pool.submit(_before, deadline, name, seed, seconds, folder)
            for name in policies
            for seed in seeds
        ]
        for future in as_completed(running):
            if future.result():
                tell()


def known_shares(
    policies: Sequence[str], seeds: Sequence[int], seconds: float, folder: Path
) -> dict[str, list[float]]:
    """Shares of the optimal gain by policy, in the order of the seeds that have been run."""
    files = {name: [_kept(folder, name, seed, seconds) for seed in seeds] for name in policies}
    found = {
        name: [_share(path) for path in paths if path.exists()] for name, paths in files.items()
    }
    return {name: shares for name, shares in found.items() if shares}


def known_code(folder: Path) -> str:
    """Mark of the code that the folder's shares are of; empty where there is none."""
    path = folder / ABOUT
    return str(read_json(path).get("mark", "")) if path.exists() else ""


def _before(deadline: float, policy: str, seed: int, seconds: float, folder: Path) -> bool:
    if time.monotonic() > deadline:
        return False
    share_of_optimum(policy, seed, seconds, folder)
    return True


def _share(kept: Path) -> float:
    return float(read_json(kept)["share"])


def _kept(folder: Path, policy: str, seed: int, seconds: float) -> Path:
    return folder / f"{policy}-{seed}-{seconds:g}.json"
