"""Closing the loop: simulate a log, calibrate on it, simulate again.

What was put in must come out: the parameters within their uncertainty, and of a second simulation
the same statistics, but for the luck that one log has.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.calibration.fit import INFERENCES, Inference, fit
from agents.calibration.posterior import Posterior, range_of
from agents.calibration.sources import load_log
from agents.errors import InputError
from agents.population import PosteriorLike
from experiments.cohorts import simulated_purchases
from experiments.config import compose_simulate
from experiments.console import Progress
from experiments.own_keys import own_keys
from experiments.run_directory import plain_json
from experiments.simulated_log import write_simulated_log

LEVEL = 0.01
"""Chance that luck alone puts one of the statistics, or of the parameters, outside its bounds."""
COHORTS = 20
DRAWS = 400


@dataclass(frozen=True)
class Recovered:
    """A parameter that was simulated from, and what a fit found.

    Attributes
    ----------
    fitted, sd
        Mean and standard deviation of the posterior draws, on the scale of the parameter.
    deviation
        (true value - mean) / sd on the scale of the free variables: log of a positive parameter,
        inverse hyperbolic tangent of a correlation.
    """

    parameter: str
    true: float
    fitted: float
    sd: float
    deviation: float


@dataclass(frozen=True)
class KeptStatistic:
    """A statistic of cohorts from the true parameters and from the fitted ones.

    Attributes
    ----------
    first, second
        Before and after calibration; all cohorts of a simulation together.
    low, high
        Band around `first` that `second` leaves by luck with chance `LEVEL` in all.
    """

    statistic: str
    first: float
    second: float
    low: float
    high: float

    @property
    def kept(self) -> bool:
        """Is it inside its band? What is undefined in both simulations is kept."""
        if np.isnan(self.first):
            return bool(np.isnan(self.second))
        return self.low <= self.second <= self.high


@dataclass(frozen=True)
class ClosedLoop:
    """What one round of simulation, calibration and simulation gave.

    Attributes
    ----------
    parameters
        One row per parameter.
    chi_square, p_value
        Squared Mahalanobis distance of the true values from the draws, on the scale of the free
        variables, and the chance of a larger one under chi-square with as many degrees of freedom
        as parameters that vary.
    statistics
        One row per statistic of `agents.calibration.check.statistics`.
    """

    parameters: list[Recovered]
    chi_square: float
    p_value: float
    statistics: list[KeptStatistic]

    @property
    def closed(self) -> bool:
        """Are all statistics kept, and the true parameters where draws put them?"""
        return self.p_value >= LEVEL and all(one.kept for one in self.statistics)


@dataclass(frozen=True)
class ClosedLoopKeys:
    """Keys of ``loyaltylab close-loop`` besides those of the world."""

    posterior: str = ""
    customers: int = 1_000
    weeks: int = 78
    arrival_weeks: int = -1
    inference: str = "map"
    seed: int = 0
    json: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (
            ("customers", 100, 10**5),
            ("weeks", 26, 520),
            ("arrival_weeks", -1, 519),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"{name}={value!r} must be {least:,} to {most:,}")
        if self.inference not in INFERENCES:
            raise InputError(f"inference={self.inference!r}; allowed: {', '.join(INFERENCES)}")


def run_closed_loop(overrides: Sequence[str]) -> ClosedLoop:
    """``loyaltylab close-loop``: measure and print two tables, or JSON."""
    keys, rest = own_keys(ClosedLoopKeys, overrides, ("world",))
    truth: PosteriorLike = compose_simulate(rest).world.population.posterior
    if keys.posterior:
        truth = Posterior.load(keys.posterior)
    with Progress() as progress, progress.stage("Close the loop", 2 * keys.weeks) as tick:
        found = close_loop(
            truth,
            customers=keys.customers,
            weeks=keys.weeks,
            arrival_weeks=None if keys.arrival_weeks < 0 else keys.arrival_weeks,
            inference="nuts" if keys.inference == "nuts" else "map",
            seed=keys.seed,
            tell=tick,
        )
    print(json.dumps(plain_json(as_json(found)), indent=1) if keys.json else as_text(found))
    return found


def close_loop(
    truth: PosteriorLike,
    *,
    customers: int,
    weeks: int,
    arrival_weeks: int | None = None,
    inference: Inference = "map",
    cohorts: int = COHORTS,
    seed: int = 0,
    tell: Callable[[], None] | None = None,
) -> ClosedLoop:
    """Simulate a log from the mode of `truth`, fit the same models, simulate again.

    The log is read back from a file and fitted as any other. Both simulations have `cohorts`
    cohorts of the log's size, with other seeds than the log. The fit saw one log, so statistics
    of its simulation miss by about as much as those of one log do: their band is `first` plus or
    minus the standard deviation over the first simulation's cohorts times
    sqrt(1 + 2 / cohorts) times Student's t at `LEVEL`, split between statistics.

    Parameters
    ----------
    truth
        Models and parameters.
    customers, weeks
        Size of the log, and of each cohort.
    arrival_weeks
        As in `write_simulated_log`; None: 0 for drift, whose customers existed before the log,
        and a quarter of the weeks for the others, whose clocks start at a first purchase.
    inference
        As in `fit`.
    cohorts
        Cohorts of each simulation, at least 3.
    seed
        Seed of all.
    tell
        Called after each week of a simulation.

    Raises
    ------
    InputError
        If the log cannot be written or fitted.
    """
    from scipy.stats import t

    if cohorts < 3:
        raise InputError(f"cohorts={cohorts}; allowed: at least 3")
    if arrival_weeks is None:
        arrival_weeks = 0 if truth.purchase_model == "drift" else weeks // 4
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.parquet"
        write_simulated_log(
            truth, file, customers=customers, weeks=weeks, seed=seed, arrival_weeks=arrival_weeks
        )
        log = load_log("csv", str(file), origin="first_purchase" if arrival_weeks else "log_start")
    fitted = fit(
        log, truth.purchase_model, truth.spend_model,
        inference=inference, draws=DRAWS, seed=seed,
    )  # fmt: skip
    rows, chi_square, p_value = recovery(truth, fitted)
    first, second = (
        simulated_purchases(one, customers * cohorts, weeks, seed + 1 + at, tell=tell)
        for at, one in enumerate((truth, fitted))
    )
    single = [one.statistics(customers, weeks) for one in first.cohorts(customers)]
    before, after = (one.statistics(customers * cohorts, weeks) for one in (first, second))
    reach = float(t.isf(LEVEL / 2 / len(before), cohorts - 1)) * np.sqrt(1 + 2 / cohorts)
    kept = []
    for name, value in before.items():
        half = reach * float(np.std([one[name] for one in single], ddof=1))
        kept.append(KeptStatistic(name, value, after[name], value - half, value + half))
    return ClosedLoop(rows, chi_square, p_value, kept)


def recovery(truth: PosteriorLike, fitted: Posterior) -> tuple[list[Recovered], float, float]:
    """True parameters against draws: rows, squared Mahalanobis distance and its p-value.

    What does not vary between draws (the dropout shape under drift, an assumption) and what
    depends on another parameter alone (its dropout rate) is not compared.

    Raises
    ------
    ValueError
        If the models differ.
    """
    from scipy.stats import chi2

    if (truth.purchase_model, truth.spend_model) != (fitted.purchase_model, fitted.spend_model):
        raise ValueError("truth and fit must be of the same models")
    names = [
        name
        for name in fitted.parameters
        if truth.purchase_model != "drift" or not name.startswith("dropout_")
    ]
    rows, scores = [], []
    for name in names:
        true = float(truth.parameters[name][0])
        draws = fitted.parameters[name][1:]
        free, value = _free(name, draws), float(_free(name, np.array([true]))[0])
        scores.append((free, value))
        deviation = (value - float(free.mean())) / float(free.std(ddof=1))
        rows.append(Recovered(name, true, float(draws.mean()), float(draws.std(ddof=1)), deviation))
    points = np.stack([free for free, _ in scores])
    away = np.array([value for _, value in scores]) - points.mean(axis=1)
    distance = float(away @ np.linalg.solve(np.cov(points), away))
    return rows, distance, float(chi2.sf(distance, len(names)))


def _free(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = range_of(name)
    if np.isfinite(high):
        return np.arctanh(values)
    return np.log(values) if low == 0.0 else values


def as_json(found: ClosedLoop) -> dict[str, object]:
    """Plain numbers and lists."""
    return {
        "parameters": [asdict(one) for one in found.parameters],
        "chi_square": found.chi_square,
        "p_value": found.p_value,
        "statistics": [asdict(one) | {"kept": one.kept} for one in found.statistics],
        "closed": found.closed,
    }


def as_text(found: ClosedLoop) -> str:
    """Two tables and a verdict."""
    lines = [f"{'parameter':28}{'true':>10}{'fitted':>10}{'sd':>10}{'deviation':>11}"]
    lines += [
        f"{one.parameter:28}{one.true:10.4g}{one.fitted:10.4g}{one.sd:10.2g}{one.deviation:+11.2f}"
        for one in found.parameters
    ]
    lines += [
        f"all together: chi-square {found.chi_square:.1f}, p = {found.p_value:.3f}",
        "",
        f"{'statistic':28}{'first':>10}{'second':>10}{'low':>10}{'high':>10}",
    ]
    lines += [
        f"{one.statistic:28}{one.first:10.4g}{one.second:10.4g}{one.low:10.4g}{one.high:10.4g}"
        + ("" if one.kept else "  outside")
        for one in found.statistics
    ]
    verdict = "The loop closes." if found.closed else "The loop does not close."
    return "\n".join([*lines, "", verdict])
