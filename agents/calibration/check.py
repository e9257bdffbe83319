"""Statistics that a simulated cohort must share with the log it was fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, TransactionLog

LAGS = (1, 4, 13, 26, 44)
WEEKS_PER_YEAR = 52


def observed_statistics(log: TransactionLog) -> dict[str, float]:
    """`statistics` of a log's whole weeks."""
    return statistics(log.weekly_counts(), log.spend_per_customer(), log.amount)


def statistics(
    counts: npt.NDArray[Any], spend_per_customer: npt.NDArray[Any], baskets: npt.NDArray[Any]
) -> dict[str, float]:
    """Frequency, its dispersion and persistence, and the concentration of spend.

    Parameters
    ----------
    counts : integer, shape (n, weeks)
        Purchases per customer and week.
    spend_per_customer : integer, shape (n,)
        What each customer paid in these weeks, in minor units.
    baskets : integer, shape (purchases,)
        What each purchase cost, in minor units.

    Returns
    -------
    dict of float
        `weekly_purchases` (mean), `share_of_zeros`, `variance_over_mean`, `correlation_<lag>`
        (of counts that many weeks apart, all customers together), `top_20_share` (of spend),
        `basket_mean`, `basket_median`, `annual_spend_mean`, `annual_spend_cv` (money in currency
        units, a year of 52 weeks). Undefined values are NaN; lags beyond the weeks are left out.

    Raises
    ------
    ValueError
        If `counts` is not a matrix with one row per value of `spend_per_customer`.
    """
    if counts.ndim != 2 or not counts.size or len(counts) != len(spend_per_customer):
        raise ValueError("counts must have shape (n, weeks) with one row per customer's spend")
    n, weeks = counts.shape
    mean = float(counts.mean(dtype=float))
    found = {
        "weekly_purchases": mean,
        "share_of_zeros": float((counts == 0).mean()),
        "variance_over_mean": float(counts.var(dtype=float)) / mean if mean else np.nan,
    }
    for lag in LAGS:
        if lag < weeks:
            found[f"correlation_{lag}"] = _correlation(counts[:, :-lag], counts[:, lag:])
    spend = np.sort(np.asarray(spend_per_customer, float))[::-1]
    total = float(spend.sum())
    annual = WEEKS_PER_YEAR / weeks / MINOR_UNITS
    found["top_20_share"] = top_share(spend, 0.2)
    found["basket_mean"] = float(np.mean(baskets)) / MINOR_UNITS if len(baskets) else np.nan
    found["basket_median"] = float(np.median(baskets)) / MINOR_UNITS if len(baskets) else np.nan
    found["annual_spend_mean"] = total / n * annual
    found["annual_spend_cv"] = float(spend.std()) / (total / n) if total else np.nan
    return found


def top_share(spend: npt.NDArray[Any], share: float) -> float:
    """Share of all spend that the biggest spenders make; NaN without spend.

    `share` of the customers is rounded up to a whole number of them.
    """
    ordered = np.sort(np.asarray(spend, float))[::-1]
    total = float(ordered.sum())
    top = int(np.ceil(share * len(ordered)))
    return float(ordered[:top].sum()) / total if total else float("nan")


def _correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Pearson correlation of two integer matrices, week by week to spare memory."""
    cells = first.size
    sums = np.zeros(5)
    for a, b in zip(first.T, second.T, strict=True):
        x, y = a.astype(float), b.astype(float)
        sums += (x.sum(), y.sum(), x @ x, y @ y, x @ y)
    x_mean, y_mean, xx, yy, xy = sums / cells
    variance = (xx - x_mean**2) * (yy - y_mean**2)
    return float((xy - x_mean * y_mean) / np.sqrt(variance)) if variance > 0 else float("nan")
