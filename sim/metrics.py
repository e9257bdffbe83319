"""KPIs: pure functions of a paired run, each with ``stratify=``."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sim.counterfactual import PairedRun


class Estimate(NamedTuple):
    """A mean over customers with its confidence interval."""

    mean: float
    low: float
    high: float


def paired_mean(difference: NDArray[np.floating], confidence: float = 0.95) -> Estimate:
    """Mean paired difference with a t interval over customers.

    Parameters
    ----------
    difference
        Treated minus control, shape (n,).
    confidence
        Level of the interval. Customers are treated as independent; a shared budget couples
        them a little, which the interval leaves out.
    """
    n = difference.size
    mean = float(difference.mean())
    if n < 2:
        return Estimate(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half)


def _strata(
    run: PairedRun, stratify: NDArray[np.generic] | None
) -> list[tuple[str, NDArray[np.bool_]]]:
    n = run.group.size
    if stratify is None:
        return [("all", np.ones(n, bool))]
    return [(str(value), stratify == value) for value in np.unique(stratify)]


def incremental_margin(
    run: PairedRun, confidence: float = 0.95, stratify: NDArray[np.generic] | None = None
) -> dict[str, Estimate]:
    """Profit per customer above no offers, currency units: all costs of offers are in it."""
    lift = (run.treated.profit - run.control.profit) / 100.0
    return {name: paired_mean(lift[rows], confidence) for name, rows in _strata(run, stratify)}


def retention_lift(
    run: PairedRun, confidence: float = 0.95, stratify: NDArray[np.generic] | None = None
) -> dict[str, Estimate]:
    """Share of customers truly alive at the end, above no offers."""
    lift = run.treated.alive.astype(float) - run.control.alive
    return {name: paired_mean(lift[rows], confidence) for name, rows in _strata(run, stratify)}


def purchase_lift(
    run: PairedRun, confidence: float = 0.95, stratify: NDArray[np.generic] | None = None
) -> dict[str, Estimate]:
    """Purchases per customer above no offers."""
    lift = (run.treated.purchases - run.control.purchases).astype(float)
    return {name: paired_mean(lift[rows], confidence) for name, rows in _strata(run, stratify)}


def roi(run: PairedRun, stratify: NDArray[np.generic] | None = None) -> dict[str, float | None]:
    """Incremental profit per unit of offer cost settled; None where nothing was spent."""
    lift = run.treated.profit - run.control.profit
    result: dict[str, float | None] = {}
    for name, rows in _strata(run, stratify):
        spent = int(run.treated.settled[rows].sum())
        result[name] = float(lift[rows].sum() / spent) if spent else None
    return result


def deadweight(
    run: PairedRun, stratify: NDArray[np.generic] | None = None
) -> dict[str, float | None]:
    """Share of redeemed offer cost paid for purchases that would have happened anyway."""
    result: dict[str, float | None] = {}
    for name, rows in _strata(run, stratify):
        cost = int(run.treated.offer_cost[rows].sum())
        result[name] = float(run.deadweight[rows].sum() / cost) if cost else None
    return result
