"""Score fitted models by what each customer bought in a period held out from the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agents.calibration.constant_rate import Values
from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.calibration.predictive import Predictive, expected_by_age, predict
from agents.errors import InputError

LEVEL = 0.95
BAND_SAMPLES = 4_000
RANDOMISATIONS = 99
SHARP_SAMPLES = 200
PIT_CELLS = 20
NORMAL_QUANTILE = 1.959964

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pit:
    """Randomised probability integral transform of the held-out counts [1]_.

    u = P(Y < y) + v P(Y = y) with v uniform is uniform across customers if the predictive
    distributions are right. The deviation of one randomisation is sup |ECDF(u) - u|.

    Attributes
    ----------
    max_deviation : float
        Median deviation over `RANDOMISATIONS` randomisations: it hardly depends on the seed.
    lowest_deviation, highest_deviation : float
        Smallest and largest of them.
    band : float
        95 % quantile of the deviation of as many uniform numbers, by simulation.
    inside : bool
        Whether `max_deviation` is at most `band`. A right model is outside in at most 5 % of
        cases: a single randomisation would be in 5 %, the median varies less, much less where
        most counts are 0 (no false alarm in 200 on CDNOW): see `sharp_band`.
    level : float64, shape (cells + 1,)
        Cell borders 0..1.
    cumulative : float64, shape (cells + 1,)
        Mean of ECDF(u) over all randomisations, at `level`: the non-randomised transform [2]_.
        A histogram's densities are its differences times the number of cells.

    References
    ----------
    .. [1] Brockwell (2007). Universal residuals: a multivariate transformation.
       Statistics & Probability Letters 77(14), 1473-1478.
    .. [2] Czado, Gneiting and Held (2009). Predictive model assessment for count data.
       Biometrics 65(4), 1254-1261. https://doi.org/10.1111/j.1541-0420.2009.01191.x
    """

    max_deviation: float
    lowest_deviation: float
    highest_deviation: float
    band: float
    inside: bool
    level: Floats
    cumulative: Floats


@dataclass(frozen=True)
class Score:
    """How one model predicted one hold-out period.

    Attributes
    ----------
    data, model : str
        Name of the log and of the purchase model.
    customers : int
        Customers scored.
    log_density_per_customer : float
        Mean of log P(Y = y | history), natural logarithm.
    standard_error : float
        Of that mean, over customers.
    difference : float
        Mean difference from the best model, customer by customer; 0 for the best, else negative.
    difference_standard_error : float
        Of that difference.
    best : bool
        Whether no other model has a higher log density.
    tied : bool
        Whether it is not the best, but within one standard error of the difference.
    predicted : float
        Expected purchases of all customers together.
    actual : int
        Their purchases.
    pit : Pit
        Calibration of the predictive distributions.
    """

    data: str
    model: str
    customers: int
    log_density_per_customer: float
    standard_error: float
    difference: float
    difference_standard_error: float
    best: bool
    tied: bool
    predicted: float
    actual: int
    pit: Pit

    def row(self) -> dict[str, str | float | int]:
        """The score as one flat record."""
        return {
            "data": self.data,
            "model": self.model,
            "log_density_per_customer": self.log_density_per_customer,
            "standard_error": self.standard_error,
            "difference": self.difference,
            "difference_standard_error": self.difference_standard_error,
            "predicted": self.predicted,
            "actual": self.actual,
        }

    def pit_row(self) -> dict[str, str | float | bool]:
        """The calibration of the predictive distributions as one flat record."""
        return {
            "data": self.data,
            "model": self.model,
            "max_deviation": self.pit.max_deviation,
            "band": self.pit.band,
            "inside": self.pit.inside,
        }


@dataclass(frozen=True)
class Evaluation:
    """Scores of several models on one hold-out period, with what reports draw them from.

    Attributes
    ----------
    bought : int64, shape (n,)
        Purchase days of each customer in the period.
    scores : tuple of Score
        Best model first.
    predictive : dict of Predictive
        By model.
    """

    bought: Integers
    scores: tuple[Score, ...]
    predictive: dict[str, Predictive]

    @property
    def best(self) -> str:
        """Model with the highest log density."""
        return self.scores[0].model

    def verdict(self) -> str:
        """The best model and those tied with it, in a sentence."""
        first = self.scores[0]
        tied = [score.model for score in self.scores if score.tied]
        said = f"{first.data}: best is {first.model}, {first.log_density_per_customer:.4f}"
        return said + (f", tied with {', '.join(tied)}" if tied else "")


def evaluate(
    calibration: TransactionLog,
    holdout: TransactionLog,
    fitted: Mapping[str, Values | Sequence[Values]],
    *,
    seed: int = 0,
) -> Evaluation:
    """Score fitted models on a hold-out period by log predictive density and calibration.

    Every model predicts the same quantity, purchase days in the whole weeks held out: `drift`
    and `habit` have to be fitted to `daily(calibration)`, and are given that history here.

    Parameters
    ----------
    calibration, holdout : TransactionLog
        The two parts of `TransactionLog.split`: same customers, the second starts where the
        first, of whole weeks, ends.
    fitted : mapping
        Model to parameters, one set or several draws, as for `predictive.predict`.
    seed : int
        Seed of the randomisation and of the simulated band.

    Raises
    ------
    InputError
        If no model is given, or the logs do not fit together; see also `predictive.predict`.
    """
    if not fitted:
        raise InputError("fitted is empty; allowed: at least one model")
    bought = purchases_held_out(calibration, holdout)
    history = daily(calibration)
    predictive = {
        model: predict(model, values, history, holdout.weeks, largest=int(bought.max(initial=0)))
        for model, values in fitted.items()
    }
    with np.errstate(divide="ignore"):
        densities = {name: np.log(one.density(bought)) for name, one in predictive.items()}
    order = sorted(densities, key=lambda name: -densities[name].mean())
    n = len(bought)
    scores = []
    for name in order:
        apart = densities[name] - densities[order[0]]
        error = float(apart.std(ddof=1) / np.sqrt(n))
        scores.append(
            Score(
                data=calibration.name,
                model=name,
                customers=n,
                log_density_per_customer=float(densities[name].mean()),
                standard_error=float(densities[name].std(ddof=1) / np.sqrt(n)),
                difference=float(apart.mean()),
                difference_standard_error=error,
                best=name == order[0],
                tied=name != order[0] and bool(apart.mean() >= -error),
                predicted=float(predictive[name].expected().sum()),
                actual=int(bought.sum()),
                pit=pit(predictive[name], bought, seed),
            )
        )
    return Evaluation(bought, tuple(scores), predictive)


def purchases_held_out(calibration: TransactionLog, holdout: TransactionLog) -> Integers:
    """Purchase days of each customer in the hold-out's whole weeks, shape (n,).

    Raises
    ------
    InputError
        If the customers differ, the calibration does not end with a whole week, or the
        hold-out does not start there or has no whole week.
    """
    import pandas as pd

    if not np.array_equal(calibration.customer_label, holdout.customer_label):
        raise InputError("calibration and hold-out have different customers; allowed: the same")
    begins = calibration.start + pd.Timedelta(seconds=calibration.end_time)
    if calibration.end_time % SECONDS_PER_WEEK or holdout.start != begins or holdout.weeks < 1:
        raise InputError(
            f"hold-out starts on {holdout.start} and has {holdout.weeks} whole weeks; allowed: at "
            f"least one, from {begins} on, after whole weeks of calibration"
        )
    days = daily(holdout)
    inside = days.time < holdout.weeks * SECONDS_PER_WEEK
    return np.bincount(days.customer[inside], minlength=days.n_customers).astype(np.int64)


def daily(log: TransactionLog) -> TransactionLog:
    """The log with one row per customer and day: first time of the day, amounts added up."""
    day = log.time // SECONDS_PER_DAY
    first = np.ones(len(day), bool)
    first[1:] = (np.diff(log.customer) != 0) | (np.diff(day) != 0)
    index = np.flatnonzero(first)
    amount = np.add.reduceat(log.amount, index) if len(index) else log.amount
    return replace(log, customer=log.customer[index], time=log.time[index], amount=amount)


def pit(predictive: Predictive, bought: npt.ArrayLike, seed: int = 0) -> Pit:
    """Randomised probability integral transform of observed counts.

    Parameters
    ----------
    predictive : Predictive
        Predictive distributions.
    bought : array_like of int, shape (n,)
        Observed counts.
    seed : int
        Seed of the randomisation and of the simulated band.
    """
    below, density = predictive.below(bought), predictive.density(bought)
    n = len(below)
    rng = np.random.default_rng(seed)
    deviations = np.array(
        [_deviation(below + rng.random(n) * density) for _ in range(RANDOMISATIONS)]
    )
    band = uniform_band(n, seed)
    level = np.linspace(0, 1, PIT_CELLS + 1)
    share = (level - below[:, None]) / np.maximum(density, 1e-300)[:, None]
    median = float(np.median(deviations))
    return Pit(
        max_deviation=median,
        lowest_deviation=float(deviations.min()),
        highest_deviation=float(deviations.max()),
        band=band,
        inside=median <= band,
        level=level,
        cumulative=np.asarray(np.clip(share, 0, 1).mean(axis=0)),
    )


@lru_cache
def uniform_band(n: int, seed: int = 0) -> float:
    """95 % quantile of sup |ECDF - u| over simulated samples of n uniform numbers."""
    rng = np.random.default_rng([seed, n])
    return float(np.quantile([_deviation(rng.random(n)) for _ in range(BAND_SAMPLES)], LEVEL))


def sharp_band(predictive: Predictive, seed: int = 0) -> float:
    """95 % quantile of `Pit.max_deviation` if the model is right; below `Pit.band`.

    Counts are drawn from the predictive distributions themselves. Where most counts are 0 the
    randomisation makes most of a sample uniform whatever the model, the median takes that luck
    out, and this band is the one that notices.

    Parameters
    ----------
    predictive : Predictive
        Predictive distributions.
    seed : int
        Seed of the counts and of the randomisation.
    """
    rng = np.random.default_rng([seed, 1])
    cumulative = np.cumsum(predictive.probability, axis=1)
    cumulative[:, -1] = 1.0  # the table may end before the last of the tail
    cumulative, n = cumulative[predictive.row], len(predictive.row)
    medians = []
    for _ in range(SHARP_SAMPLES):
        bought = (cumulative < rng.random(n)[:, None]).sum(axis=1)
        below, density = predictive.below(bought), predictive.density(bought)
        samples = (below + rng.random(n) * density for _ in range(RANDOMISATIONS))
        medians.append(np.median([_deviation(u) for u in samples]))
    return float(np.quantile(medians, LEVEL))


def _deviation(u: Floats) -> float:
    """Kolmogorov's distance of a sample from the uniform distribution."""
    ordered, n = np.sort(u), len(u)
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


@dataclass(frozen=True)
class Tracking:
    """Cumulative repeat purchase days by week, over calibration and hold-out.

    Attributes
    ----------
    week : int64, shape (weeks + 1,)
        0 to the last whole week.
    actual : int64, shape (weeks + 1,)
        Counted purchase days before each week's start.
    expected : float64, shape (weeks + 1,)
        What the model expects of new customers with these clocks, no history known.
    cut : int
        Week in which the hold-out starts.
    predicted : float
        Purchases expected in the hold-out given the histories: from (cut, actual[cut]) to
        (weeks, actual[cut] + predicted).
    """

    week: Integers
    actual: Integers
    expected: Floats
    cut: int
    predicted: float


def tracking(
    calibration: TransactionLog,
    holdout: TransactionLog,
    model: str,
    values: Values | Sequence[Values],
    predictive: Predictive,
) -> Tracking:
    """Cumulative expected and actual purchases by week.

    Parameters
    ----------
    calibration, holdout, model, values
        As for `evaluate`.
    predictive : Predictive
        Of that model: `Evaluation.predictive`.
    """
    bought = purchases_held_out(calibration, holdout)
    cut, weeks = calibration.weeks, calibration.weeks + holdout.weeks
    before = calibration.purchase_days()[1] // 7
    after = cut + daily(holdout).time // SECONDS_PER_WEEK
    per_week = np.bincount(np.concatenate([before, after[after < weeks]]), minlength=weeks)
    actual = np.concatenate([[0], np.cumsum(per_week)]).astype(np.int64)
    assert actual[-1] - actual[cut] == bought.sum()
    clock = np.zeros(calibration.n_customers)
    if calibration.origin == "first_purchase":
        # The clock starts with the day after the first purchase's, as age in `summary`.
        clock = (calibration.first_time() // SECONDS_PER_DAY + 1) / 7
    start, customers = np.unique(clock, return_counts=True)
    age = np.maximum(np.arange(weeks + 1)[:, None] - start, 0.0)
    sets = [values] if isinstance(values, Mapping) else list(values)
    expected = np.mean([expected_by_age(model, one, age) @ customers for one in sets], axis=0)
    return Tracking(np.arange(weeks + 1), actual, expected, cut, float(predictive.expected().sum()))


@dataclass(frozen=True)
class Reliability:
    """Predicted P(alive) and purchase against purchases held out, per bin; shape (bins,).

    Attributes
    ----------
    customers : int64
        Customers in the bin.
    p_alive : float64
        Their mean predicted P(alive at the cut).
    predicted : float64
        Their mean predicted P(at least one purchase): never above P(alive).
    observed : float64
        Share who bought.
    low, high : float64
        95 % Wilson interval of that share.
    """

    customers: Integers
    p_alive: Floats
    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats


def reliability(predictive: Predictive, bought: npt.ArrayLike, bins: int = 10) -> Reliability:
    """Whether those likely to be alive buy: bins of equal numbers by predicted P(alive).

    Customers with the same P(alive) share a bin, so there may be fewer bins.

    Parameters
    ----------
    predictive : Predictive
        Of one model: `Evaluation.predictive`.
    bought : array_like of int, shape (n,)
        Observed counts: `Evaluation.bought`.
    bins : int
        At most so many bins.
    """
    alive, buying = predictive.p_alive(), predictive.buying()
    did = np.asarray(bought) > 0
    last = np.arange(1, bins) * len(alive) // bins - 1
    borders = np.unique(np.sort(alive)[last[last >= 0]])
    which = np.searchsorted(borders, alive, side="left")
    customers = np.bincount(which, minlength=len(borders) + 1)
    some = customers > 0
    m = customers[some]

    def mean(values: npt.NDArray[np.bool_] | Floats) -> Floats:
        return np.asarray(np.bincount(which, weights=values, minlength=len(some))[some] / m)

    share, square = mean(did), NORMAL_QUANTILE**2
    centre = (share + square / (2 * m)) / (1 + square / m)
    half = NORMAL_QUANTILE * np.sqrt(share * (1 - share) / m + square / (4 * m**2))
    half = half / (1 + square / m)
    return Reliability(
        m.astype(np.int64), mean(alive), mean(buying), share, centre - half, centre + half
    )
