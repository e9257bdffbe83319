"""How sure a lift is: what common luck saves, and how much is parameters, how much is luck.

Pure functions of arrays: outcomes per customer, or mean lifts per posterior draw and replica.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats


class VarianceReduction(NamedTuple):
    """What the mean lift of n customers varies by, under three ways to measure it.

    Attributes
    ----------
    common
        Variance of the estimated mean lift with the same customers and the same luck in both
        branches.
    independent
        The same customers, independent luck.
    different
        Other customers in each branch, n in either: the two-sample test that a firm can run.
    independent_low, independent_high, different_low, different_high
        Interval of the ratio to ``common``; see ``variance_reduction``.
    """

    common: float
    independent: float
    different: float
    independent_low: float
    independent_high: float
    different_low: float
    different_high: float

    @property
    def factor(self) -> float:
        """Variance-reduction factor: ``independent`` / ``common``.

        As variances fall with 1/n, so many times as many customers would be needed without common
        luck. Infinite where the lift is the same for every customer, NaN where nothing varies.
        """
        return _ratio(self.independent, self.common)

    @property
    def different_factor(self) -> float:
        """So many times as many customers a two-sample test needs in each arm."""
        return _ratio(self.different, self.common)


def variance_reduction(
    treated: NDArray[np.floating],
    control: NDArray[np.floating],
    independent_control: NDArray[np.floating],
    confidence: float = 0.95,
) -> VarianceReduction:
    """Compare a paired lift with unpaired ones.

    With y1, y0 the outcomes of one customer on common luck and y0' that of the control on
    independent luck, variances over customers give ``common`` = var(y1 - y0)/n, ``independent`` =
    var(y1 - y0')/n and ``different`` = (var(y1) + var(y0))/n. Customers are the unit of sampling,
    as in the interval of ``sim.metrics.paired_mean``: how customers differ in their lift is part
    of all three.

    Parameters
    ----------
    treated, control, independent_control
        One outcome per customer, shape (n,), n at least 2, of the two branches on common luck and
        of the control branch once more on independent luck.
    confidence
        Level of the ratios' intervals, by the delta method on their logarithms. Customers count
        as independent; where amounts have heavy tails the interval is rough.

    Raises
    ------
    ValueError
        For other shapes, or fewer than two customers.
    """
    y1, y0, again = (np.asarray(one, np.float64) for one in (treated, control, independent_control))
    if not y1.shape == y0.shape == again.shape or y1.ndim != 1 or y1.size < 2:
        raise ValueError(
            f"outcomes have shapes {y1.shape}, {y0.shape} and {again.shape}; "
            "allowed: one shape (n,) with n at least 2"
        )
    n = y1.size
    common, independent = _squares(y1 - y0), _squares(y1 - again)
    different = _squares(y1) + _squares(y0)
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    variances = [float(one.sum() / (n - 1) / n) for one in (common, independent, different)]
    ends = [*_ratio_interval(independent, common, z), *_ratio_interval(different, common, z)]
    return VarianceReduction(*variances, *ends)


def _squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = (values - values.mean()) ** 2
    # A constant's mean may miss it by a rounding error, which is no variance.
    if np.ptp(values) == 0.0:
        squares[:] = 0.0
    return squares


def _ratio(top: float, bottom: float) -> float:
    if bottom > 0:
        return top / bottom
    return math.inf if top > 0 else math.nan


def _ratio_interval(
    top: NDArray[np.float64], bottom: NDArray[np.float64], z: float
) -> tuple[float, float]:
    """Of the ratio of two means of squares over the same customers."""
    ratio = _ratio(float(top.sum()), float(bottom.sum()))
    if not 0 < ratio < math.inf:
        return ratio, ratio
    influence = top / top.mean() - bottom / bottom.mean()
    error = z * float(influence.std()) / math.sqrt(top.size)
    return ratio * math.exp(-error), ratio * math.exp(error)


class Decomposition(NamedTuple):
    """Mean lifts over posterior draws and replicas, taken apart; variances are of one run's mean.

    Attributes
    ----------
    mean
        Over all draws and replicas.
    parameters
        Variance between draws with luck averaged out. The estimator is unbiased, so it can come
        out below 0 where parameters matter little; it is never clipped.
    luck
        Variance of one run at known parameters: ``shared_luck`` + ``interaction``.
    shared_luck
        The part of it that a replica has under every draw alike; can come out below 0.
    interaction
        The part of it that differs by draw.
    p_value
        Of the hypothesis that parameters do not matter (F test of draws against interaction).
    low, high
        Interval for the lift of one run at unknown parameters: both in it.
    expected_low, expected_high
        Interval for the expected lift at unknown parameters: luck is in it only as far as the
        replicas did not average it out.
    """

    mean: float
    parameters: float
    luck: float
    shared_luck: float
    interaction: float
    p_value: float
    low: float
    high: float
    expected_low: float
    expected_high: float

    @property
    def parameter_share(self) -> float:
        """Share of parameters in the variance, 0 to 1; NaN where nothing varies."""
        parameters = max(self.parameters, 0.0)
        total = parameters + self.luck
        return parameters / total if total > 0 else math.nan


def decompose(lifts: NDArray[np.floating], confidence: float = 0.95) -> Decomposition:
    """Parameters and luck by a two-way crossed random-effects analysis of variance.

    Every draw meets the same replicas, so lift[d, r] = mean + draw[d] + replica[r] + both[d, r].
    Mean squares give the components by the moment estimators (Searle, Casella & McCulloch 1992,
    Variance Components, ch. 4): parameters = (MS_draw - MS_both) / R, which takes out the luck
    that R replicas leave in a draw's mean.

    The intervals add the uncertainty of the mean itself and use Student's t with Satterthwaite's
    degrees of freedom. In them a component below 0 counts as 0, so none makes another narrower.

    Parameters
    ----------
    lifts
        Mean lift of each run, shape (draws, replicas), at least 2 of each.
    confidence
        Level of the intervals.

    Raises
    ------
    ValueError
        For another shape, or a value that is not finite.
    """
    table = np.asarray(lifts, np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            f"lifts have shape {table.shape}; allowed: (draws, replicas) with at least 2 of each, "
            "all finite"
        )
    draws, replicas = table.shape
    mean = float(table.mean())
    by_draw, by_replica = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_draw[:, None] - by_replica + mean
    freedom = np.array([draws - 1, replicas - 1, (draws - 1) * (replicas - 1)], float)
    squares = (
        np.array(
            [
                replicas * float(((by_draw - mean) ** 2).sum()),
                draws * float(((by_replica - mean) ** 2).sum()),
                float((rest**2).sum()),
            ]
        )
        / freedom
    )
    between, shared_square, interaction = squares.tolist()
    parameters = (between - interaction) / replicas
    shared = (shared_square - interaction) / draws
    known = np.array([max(parameters, 0.0), max(shared, 0.0), interaction])
    of_mean = np.array([1 / draws, 1 / replicas, 1 / (draws * replicas)])

    def half(weights: NDArray[np.float64]) -> float:
        """Half an interval of variance ``weights`` @ components."""
        variance = float(weights @ known)
        if variance <= 0:
            return 0.0
        parts = np.array([weights[0] / replicas, weights[1] / draws, 0.0])
        parts[2] = weights[2] - parts[0] - parts[1]
        spread = float(((parts * squares) ** 2 / freedom).sum())
        degrees = max(variance**2 / spread, 1.0) if spread > 0 else math.inf
        return float(stats.t.ppf(0.5 + confidence / 2, degrees)) * math.sqrt(variance)

    both, expected = half(1 + of_mean), half(np.array([1.0, 0.0, 0.0]) + of_mean)
    matter = between / interaction if interaction > 0 else math.inf if between > 0 else math.nan
    return Decomposition(
        mean,
        parameters,
        shared + interaction,
        shared,
        interaction,
        float(stats.f.sf(matter, freedom[0], freedom[2])),
        mean - both,
        mean + both,
        mean - expected,
        mean + expected,
    )
