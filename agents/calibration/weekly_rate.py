"""Models whose customers' rate changes from week to week: forward filter and what comes next.

A customer's weekly count depends on a latent level that moves on a grid; the filter is exact on
that grid, and so is the distribution of the sum of the coming weeks' counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.calibration.constant_rate import (
    MOST_PURCHASES,
    TAIL,
    Floats,
    Integers,
    Prediction,
    Values,
)
from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.errors import InputError

DAYS = 7
REACH = 8.0
FEWEST_NODES, MOST_NODES = 161, 601
_NEGLIGIBLE = 1e-40

Histories = tuple[Integers, Integers]
"""Week in which the clock starts, shape (k,), and counts, shape (k, weeks)."""


@dataclass(frozen=True)
class Kind:
    """Customers of one kind: how many there are, how their level moves, what they buy.

    Attributes
    ----------
    share : float
        Of all customers.
    stationary : float64, shape (levels,)
        Probability of each level when nothing is known.
    move : float64, shape (levels, levels)
        Probability of the next week's level given this week's.
    growth : float
        Change of every log rate per week; levels are those of the log's last week.
    chances : callable
        Largest count, weeks after the log's last one (negative before it) -> P(count | level),
        shape (levels, counts), at most that many + 1.
    """

    share: float
    stationary: Floats
    move: Floats
    growth: float
    chances: Callable[[int, int], Floats]

    def mean(self, most: int = DAYS, ahead: int = 0) -> Floats:
        """Expected count of a week, counts above `most` left out; shape (levels,)."""
        chances = self.chances(most, ahead)
        return np.asarray(chances @ np.arange(chances.shape[1]))


def log_likelihood(model: str, values: Values, log: TransactionLog) -> float:
    """Log-likelihood of all weekly counts of a log under `drift` or `habit`.

    Parameters
    ----------
    model : {"drift", "habit"}
        See `predictive.predict`.
    values : mapping
        One set of parameters.
    log : TransactionLog
        With origin `first_purchase` the week of the first purchase is conditioned upon.

    Raises
    ------
    InputError
        For `habit`, if a customer has more than 7 purchases in a week: it counts days.
    """
    histories, row = weekly_histories(log)
    customers = np.bincount(row)
    found = [_filter(kind, values, histories) for kind in kinds(model, values, histories[1])]
    return float(customers @ _total([one[0] for one in found]))


def predict_weeks(
    model: str, values: Values, histories: Histories, weeks: int, largest: int
) -> Prediction:
    """Table of probabilities of the coming weeks' total, its mean, P(alive); see `predict`."""
    start, counts = histories
    every = kinds(model, values, counts)
    found = [_filter(kind, values, histories) for kind in every]
    total = _total([one[0] for one in found])
    age = np.maximum(counts.shape[1] - start, 0).astype(float)
    most = max(largest, 63)
    while True:
        table, mean = np.zeros((len(age), most + 1)), np.zeros(len(age))
        alive = np.zeros(len(age))
        for kind, (log_density, living, dead) in zip(every, found, strict=True):
            of_kind = np.exp(log_density - total)
            alive += of_kind * (1 - dead)
            sums = _sums(kind, weeks, most)
            ages, which = np.unique(age, return_inverse=True)
            for i, one in enumerate(ages):
                here = which == i
                ahead, expected = _until_leaving(sums, _stays(values, one + np.arange(weeks)))
                weight = of_kind[here, None] * living[here]
                table[here] += weight @ ahead
                mean[here] += weight @ expected
        beyond = (alive - table.sum(axis=1)).max(initial=0.0)
        if beyond < TAIL or most >= max(largest, MOST_PURCHASES):
            break
        most = min(2 * most + 1, max(largest, MOST_PURCHASES))
    table[:, 0] += 1 - alive
    return table, mean, alive


def weekly_histories(log: TransactionLog) -> tuple[Histories, Integers]:
    """Distinct weekly counts with the week in which the clock starts, and customers' rows."""
    start = np.zeros(log.n_customers, np.int64)
    if log.origin == "first_purchase":
        start = log.first_time() // SECONDS_PER_WEEK + 1
    counts = log.weekly_counts().astype(np.int64)
    counts[np.arange(log.weeks) < start[:, None]] = 0
    both, row = np.unique(np.column_stack([start, counts]), axis=0, return_inverse=True)
    return (both[:, 0], both[:, 1:]), row.reshape(-1)


def kinds(model: str, values: Values, counts: npt.NDArray[np.int64] | None = None) -> list[Kind]:
    """The kinds of customers of `drift` (one) or `habit` (two).

    Raises
    ------
    InputError
        For `habit`, if one of `counts` is above 7.
    """
    grid = _grid(values["drift_time_constant"])
    stationary = np.exp(-(grid**2) / 2)
    stationary /= stationary.sum()
    move = _move(grid, values["drift_time_constant"])
    if model == "drift":
        sd = values["rate_log_sd"]
        rate = np.exp(np.log(values["rate_mean"]) - sd**2 / 2 + sd * grid)
        return [Kind(1.0, stationary, move, 0.0, lambda most, ahead: _poisson(rate, most))]
    if counts is not None and counts.max(initial=0) > DAYS:
        raise InputError(
            f"a customer has {counts.max()} purchases in a week; allowed: at most {DAYS}, "
            "purchase days, for habit"
        )
    shift = values["shift_probability"]
    move = (1 - shift) * move + shift * stationary
    rate = values["rate_mean"] * _power_gamma(grid, values["rate_shape"], values["rate_power"])
    growth, regular = values["growth"], values["regular_share"]

    def days(regularity: float) -> Callable[[int, int], Floats]:
        return lambda most, ahead: _days(rate * np.exp(growth * ahead), regularity)[:, : most + 1]

    return [
        Kind(1 - regular, stationary, move, growth, days(1.0)),
        Kind(regular, stationary, move, growth, days(values["regularity"])),
    ]


def _grid(time_constant: float) -> Floats:
    """Standardised levels, fine enough for the normal steps of a week."""
    step = 0.8 * np.sqrt(-np.expm1(-2 / time_constant))
    nodes = int(np.clip(2 * REACH / step, FEWEST_NODES, MOST_NODES)) | 1
    return np.linspace(-REACH, REACH, nodes)


def _move(grid: Floats, time_constant: float) -> Floats:
    rho = np.exp(-1 / time_constant)
    away = grid[None, :] - rho * grid[:, None]
    move = np.exp(-(away**2) / (-2 * np.expm1(-2 / time_constant)))
    return np.asarray(move / move.sum(axis=1, keepdims=True))


def _power_gamma(grid: Floats, shape: float, power: float) -> Floats:
    """Gamma(shape)^power of mean 1, at the quantiles of standard normal levels.

    Power 1 is the gamma distribution; large shapes approach the lognormal.
    """
    from scipy.special import gammaln
    from scipy.stats import gamma, norm

    upper = gamma.isf(norm.sf(grid), shape)
    quantile = np.where(grid < 0, gamma.ppf(norm.cdf(grid), shape), upper)
    log_mean = gammaln(shape + power) - gammaln(shape)
    return np.asarray(np.exp(power * np.log(np.maximum(quantile, 1e-100)) - log_mean))


def _days(rate: Floats, regularity: float) -> Floats:
    """P(purchase days in a week | rate), shape (levels, 8): Conway-Maxwell-binomial.

    At regularity 1 the days on which a Poisson process has an event, hence binomial; above 1
    the days of a week repel a large or small number, with less variance.
    """
    from scipy.special import gammaln

    n = np.arange(DAYS + 1)
    ways = gammaln(DAYS + 1) - gammaln(n + 1) - gammaln(DAYS - n + 1)
    daily = rate[:, None] / DAYS
    # log p = log(1 - exp(-rate / 7)) and log(1 - p) = -rate / 7.
    some = np.log(np.maximum(-np.expm1(-daily), np.finfo(float).tiny))
    log = regularity * ways + n * some - (DAYS - n) * daily
    chances = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _stays(values: Values, age: Floats) -> Floats:
    """P(still alive a week later | alive at this age).

    The hazard is gamma across customers and purchases say nothing on it while alive, so life is
    Lomax distributed whatever was bought.
    """
    rest = values["dropout_rate"] + age
    return np.asarray(np.exp(-values["dropout_shape"] * np.log1p(1 / rest)))


def _filter(kind: Kind, values: Values, histories: Histories) -> tuple[Floats, Floats, Floats]:
    """Log of share times density of the counts, P(alive and level), P(dead): given the counts."""
    start, counts = histories
    weeks, most = counts.shape[1], int(counts.max(initial=0))
    by_count = kind.chances(most, 0).T
    living = np.tile(kind.stationary, (len(start), 1))
    dead = np.zeros(len(start))
    log_density = np.full(len(start), np.log(kind.share))
    for week in range(weeks):
        if kind.growth:
            by_count = kind.chances(most, week + 1 - weeks).T
        on = np.flatnonzero(start <= week)
        n = counts[on, week]
        seen = (living[on] @ kind.move) * by_count[n]
        living_on = seen.sum(axis=1)
        gone = dead[on] * (n == 0)
        total = living_on + gone
        stay = _stays(values, (week - start[on]).astype(float))
        with np.errstate(divide="ignore"):
            log_density[on] += np.log(total)  # -inf: what was seen is impossible
        total = np.maximum(total, np.finfo(float).tiny)
        dead[on] = (gone + (1 - stay) * living_on) / total
        living[on] = (stay / total)[:, None] * seen
    return log_density, living, dead


def _total(log_densities: list[Floats]) -> Floats:
    with np.errstate(invalid="ignore"):  # logaddexp of two impossible ones warns
        return np.asarray(np.logaddexp.reduce(log_densities, axis=0))


def _sums(kind: Kind, weeks: int, most: int) -> list[tuple[Floats, Floats]]:
    """For 1 to `weeks` weeks of certain life: P(total | level now), and its expectation."""

    def one_more(later: tuple[Floats, Floats], counting: Floats) -> tuple[Floats, Floats]:
        total, expected = later
        mean = counting @ np.arange(counting.shape[1])
        return kind.move @ _convolved(counting, total), np.asarray(kind.move @ (mean + expected))

    nothing = np.zeros((len(kind.stationary), most + 1)), np.zeros(len(kind.stationary))
    nothing[0][:, 0] = 1.0
    if not kind.growth:
        counting, found = kind.chances(most, 0), [nothing]
        for _ in range(weeks):
            found.append(one_more(found[-1], counting))
        return found[1:]
    found = []
    for last in range(1, weeks + 1):
        sums = nothing
        for week in range(last, 0, -1):
            sums = one_more(sums, kind.chances(most, week))
        found.append(sums)
    return found


def _until_leaving(sums: list[tuple[Floats, Floats]], stays: Floats) -> tuple[Floats, Floats]:
    """Average over the week at whose end the customer leaves, if it does before the last."""
    survival = np.concatenate([[1.0], np.cumprod(stays)])
    lasts = np.append(survival[:-2] - survival[1:-1], survival[-2])
    table, expected = np.zeros_like(sums[0][0]), np.zeros_like(sums[0][1])
    for weight, (one, mean) in zip(lasts, sums, strict=True):
        table += weight * one
        expected += weight * mean
    return table, expected


def _convolved(first: Floats, second: Floats) -> Floats:
    """Row by row, the distribution of the sum of two independent counts, cut at the table."""
    result = np.zeros_like(second)
    size = second.shape[1]
    for n in range(first.shape[1]):
        some = np.flatnonzero(first[:, n] > _NEGLIGIBLE)
        if len(some):
            rows = slice(some[0], some[-1] + 1)
            result[rows, n:] += first[rows, n : n + 1] * second[rows, : size - n]
    return result


def _poisson(rate: Floats, most: int) -> Floats:
    """Poisson probabilities of 0..most, shape (rates, most + 1)."""
    from scipy.special import gammaln

    n = np.arange(most + 1)
    return np.asarray(np.exp(n * np.log(rate)[:, None] - rate[:, None] - gammaln(n + 1)))
