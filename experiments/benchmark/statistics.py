"""What may be said of many cells: intervals over seeds, interquartile means, non-inferiority.

Values are normalised per cell before any of this (share of the no_offers margin), so that no
world counts for more because its baskets are dearer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats


class Interval(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def over_seeds(values: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Mean over independent seeds with a t interval.

    Each seed has customers, luck and training of its own, so the spread between seeds holds all
    three; an interval over customers of one run would leave training's luck out.

    Parameters
    ----------
    values
        One value per seed, shape (n,). With one seed the interval is infinite.
    confidence
        Level.
    """
    n = values.size
    mean = float(values.mean())
    if n < 2:
        return Interval(mean, -np.inf, np.inf)
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return Interval(mean, mean - float(half), mean + float(half))


def interquartile_mean(values: NDArray[np.float64]) -> float:
    """Mean of the middle half of all values, whatever the shape (Agarwal et al. 2021)."""
    return float(stats.trim_mean(values, 0.25, axis=None))


def interquartile(
    values: NDArray[np.float64],
    strata: Sequence[str],
    against: NDArray[np.float64] | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Interquartile mean over markets and seeds with a stratified bootstrap interval.

    Seeds are drawn with replacement within each stratum (Agarwal et al. 2021, Deep Reinforcement
    Learning at the Edge of the Statistical Precipice), the same ones for both sides of a
    comparison: sides share customers and luck. Markets of one stratum are drawn together: with
    one seed they share customers, luck and trainings, and are not independent.

    Parameters
    ----------
    values
        Shape (markets, seeds).
    strata
        What each market shares its seeds with, shape (markets,): its world.
    against
        Another policy's values in the same cells; then the interval is of the difference of the
        two interquartile means.
    resamples
        Bootstrap samples; drawn from a fixed seed.
    confidence
        Level.
    """
    markets, seeds = values.shape
    rng = np.random.default_rng(0)
    names, stratum = np.unique(np.asarray(strata), return_inverse=True)
    drawn = rng.integers(0, seeds, (resamples, names.size, seeds))[:, stratum]
    rows = np.arange(markets)[None, :, None]

    def middle(of: NDArray[np.float64]) -> NDArray[np.float64]:
        samples = of[rows, drawn].reshape(resamples, -1)
        means: NDArray[np.float64] = stats.trim_mean(samples, 0.25, axis=1)
        return means

    value, found = interquartile_mean(values), middle(values)
    if against is not None:
        value -= interquartile_mean(against)
        found = found - middle(against)
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
