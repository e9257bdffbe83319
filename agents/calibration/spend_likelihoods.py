"""Log-likelihoods of what baskets cost, and their gradients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from agents.calibration.likelihood import Floats, summed
from agents.calibration.sufficient import SpendTotals
from agents.compiled import threaded_kernel
from agents.elementary import exp, log

SPEND_NODES = 15
_BLOCK = 64


class GammaGamma:
    """Gamma-Gamma [1]_: baskets gamma within customers, their scale gamma across customers.

    Parameters
    ----------
    frequency : integer, shape (n,)
        Baskets of each customer, at least 1.
    mean_spend : float64, shape (n,)
        Their mean, in currency units, above 0.

    References
    ----------
    .. [1] Fader and Hardie (2013). The Gamma-Gamma model of monetary value.
       http://www.brucehardie.com/notes/025/
    """

    names = ("spend_within_shape", "spend_shape", "spend_scale")

    def __init__(self, frequency: npt.NDArray[np.int64], mean_spend: Floats) -> None:
        self._total = np.asarray(frequency * mean_spend, np.float64)
        # Everything but the logs of the total depends on the distinct frequencies alone.
        self._x, self._which, customers = np.unique(
            frequency.astype(np.float64), return_inverse=True, return_counts=True
        )
        self._customers = customers.astype(np.float64)
        self._log_total = np.bincount(self._which, weights=np.log(self._total))

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """Value and gradient in (p, q, gamma)."""
        p, q, g = (float(value) for value in parameters)
        x, n = self._x, self._customers
        # The density of the mean is that of the total times x: z^(px-1) x^(px) = total^(px-1) x.
        both = np.log(g + self._total)
        log_both = np.bincount(self._which, weights=both)
        inverse = np.bincount(self._which, weights=1 / (g + self._total))
        k = p * x + q
        value = (
            n @ (gammaln(k) - gammaln(p * x) - gammaln(q) + q * np.log(g) + np.log(x))
            + (p * x - 1) @ self._log_total
            - k @ log_both
        )
        gradient = np.array(
            [
                (n * x) @ (digamma(k) - digamma(p * x)) + x @ (self._log_total - log_both),
                n @ (digamma(k) - digamma(q) + np.log(g)) - log_both.sum(),
                n.sum() * q / g - k @ inverse,
            ]
        )
        return float(value), gradient


class LognormalGamma:
    """Customer's log mean basket is normal around a line in its log rate; baskets are gamma.

    log M ~ N(spend_log_mean + spend_rate_slope * log rate, spend_log_sd) and, given M, a basket
    is gamma with shape `spend_within_shape` and mean M. The integral over log M is adaptive
    Gauss-Hermite, centred one Newton step from the precision-weighted mean; the gradient is the
    integral of the derivative, on the same nodes.
    """

    names = ("spend_log_mean", "spend_rate_slope", "spend_log_sd", "spend_within_shape")

    def __init__(self, data: SpendTotals) -> None:
        self._baskets = np.ascontiguousarray(data.baskets, np.float64)
        self._spend = np.ascontiguousarray(data.spend, np.float64)
        self._log_spend = np.ascontiguousarray(data.log_spend, np.float64)
        self._log_rate = np.ascontiguousarray(data.log_rate, np.float64)
        node, weight = np.polynomial.hermite.hermgauss(SPEND_NODES)
        self._node, self._log_weight = node, node**2 + np.log(weight)

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """Value and gradient in (level, slope, sd, shape)."""
        level, slope, sd, shape = (float(value) for value in parameters)
        constant = float(shape * np.log(shape) - gammaln(shape))
        change = float(np.log(shape) + 1 - digamma(shape))

        def kernel(first: int, last: int, out: Floats) -> None:
            _lognormal_gamma(
                self._baskets, self._spend, self._log_spend, self._log_rate,
                level, slope, sd, shape, constant, change,
                self._node, self._log_weight, first, last, out,
            )  # fmt: skip

        sums = summed(kernel, len(self._baskets), 5)
        return float(sums[0]), sums[1:]


@threaded_kernel
def _lognormal_gamma(  # type: ignore[no-untyped-def]
    baskets, spend, log_spend, log_rate, level, slope, sd, shape, constant, change,
    node, log_weight, first, last, out,
):  # fmt: skip
    """Add value and gradient of rows first..last-1 to ``out``, shape (5,)."""
    precision = 1.0 / sd**2
    centre, middle, width = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    peak, total, first_moment = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    second_moment, by_shape = np.empty(_BLOCK), np.empty(_BLOCK)
    for top in range(first, last, _BLOCK):
        rows = min(_BLOCK, last - top)
        for i in range(rows):
            k = top + i
            n = baskets[k]
            mean = level + slope * log_rate[k]
            start = (n * shape * log(spend[k] / n) + mean * precision) / (n * shape + precision)
            pull = shape * spend[k] * exp(-start)
            start += (pull - n * shape - (start - mean) * precision) / (pull + precision)
            pull = shape * spend[k] * exp(-start)
            centre[i] = mean
            middle[i] = start
            width[i] = 1.0 / np.sqrt(pull + precision)
            # Near the middle the integrand is at its highest: no sum over it can overflow.
            peak[i] = -n * shape * start - pull - (start - mean) ** 2 * precision / 2.0
        total[:] = 0.0
        first_moment[:] = 0.0
        second_moment[:] = 0.0
        by_shape[:] = 0.0
        for j in range(node.size):
            at, share = node[j], log_weight[j]
            for i in range(rows):
                k = top + i
                n = baskets[k]
                log_m = middle[i] + np.sqrt(2.0) * width[i] * at
                away = log_m - centre[i]
                scaled = spend[k] * exp(-log_m)
                density = exp(
                    -n * shape * log_m - shape * scaled - away * away * precision / 2.0
                    + share - peak[i]
                )  # fmt: skip
                total[i] += density
                first_moment[i] += density * away
                second_moment[i] += density * away * away
                by_shape[i] -= density * (n * log_m + scaled)
        for i in range(rows):
            k = top + i
            n = baskets[k]
            away = first_moment[i] / total[i]
            out[0] += (
                n * constant + (shape - 1.0) * log_spend[k] + peak[i]
                + log(total[i]) + log(width[i] / sd) - 0.5 * np.log(np.pi)
            )  # fmt: skip
            out[1] += away * precision
            out[2] += away * precision * log_rate[k]
            out[3] += (second_moment[i] / total[i] * precision - 1.0) / sd
            out[4] += n * change + log_spend[k] + by_shape[i] / total[i]
