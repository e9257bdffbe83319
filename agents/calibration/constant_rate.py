"""Predictive distributions of the models whose customers buy at a constant rate while alive."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agents.calibration.log import TransactionLog
from agents.calibration.purchase_likelihoods import pareto_nbd_alive

MOST_PURCHASES = 2_000
"""A table of probabilities ends here at the latest, unless a larger count was observed."""

TAIL = 1e-8
"""Probability of every customer's counts beyond the table."""

GRID_REACH = 6.0
MOST_CORRELATION = 0.99
DEATH_NODES = 64
_BLOCK = 2_048

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = Mapping[str, float]
Prediction = tuple[Floats, Floats, Floats]
"""Table of probabilities, expected counts, P(alive): one row per distinct history."""


def triples(log: TransactionLog) -> tuple[tuple[Floats, Floats, Floats], Integers]:
    """Distinct (purchase days, recency, age), and each customer's row among them."""
    summary = log.summary()
    days = [summary.frequency, np.rint(summary.recency * 7), np.rint(summary.age * 7)]
    distinct, row = np.unique(np.stack(days, axis=1).astype(float), axis=0, return_inverse=True)
    return (distinct[:, 0], distinct[:, 1] / 7, distinct[:, 2] / 7), row.reshape(-1)


def exposure(shape: float, rate: Floats | float, weeks: Floats | float) -> Floats:
    """Expected weeks alive within `weeks`, the hazard being Gamma(shape, rate)."""
    span = np.log1p(np.asarray(weeks) / rate)
    if abs(shape - 1) < 1e-9:
        return np.asarray(rate * span)
    return np.asarray(-rate * np.expm1(-(shape - 1) * span) / (shape - 1))


def _most(shape: Floats, rate: Floats, weeks: float, largest: int) -> int:
    """Where the table ends: the counts of customers who surely live bound those of all."""
    from scipy.stats import nbinom

    reach = nbinom.isf(TAIL, shape, rate / (rate + weeks)).max(initial=0.0)
    return int(max(largest, min(reach, MOST_PURCHASES), 1))


def predict_pareto_nbd(
    values: Values, x: Floats, t_x: Floats, T: Floats, weeks: float, largest: int
) -> Prediction:
    """Given life until T, the rate is Gamma(r + x, alpha + T) and the hazard Gamma(s, beta + T).

    So death comes after a further u weeks with the Lomax density, and purchases until then are
    negative binomial: one integral over u remains. Mean: Schmittlein et al., eq. 22.
    """
    from scipy.special import gammaln

    r, a = values["rate_shape"], values["rate_rate"]
    s, b = values["dropout_shape"], values["dropout_rate"]
    alive = pareto_nbd_alive(r, a, s, b, x, t_x, T)
    shape, rate, left = r + x, a + T, b + T
    table = np.zeros((len(x), _most(shape, rate, weeks, largest) + 1))
    node, weight = np.polynomial.legendre.leggauss(DEATH_NODES)
    life = np.append((node + 1) / 2 * weeks, weeks)
    for block in _blocks(len(x)):
        shape_, rate_, left_ = shape[block, None], rate[block, None], left[block, None]
        survival = np.exp(-s * np.log1p(life / left_))
        mass = s / (left_ + life) * survival * np.append(weight / 2 * weeks, 0.0)
        mass[:, -1] = survival[:, -1]
        idle = shape_ * np.log(rate_ / (rate_ + life)) + np.log(mass)
        busy = np.log(life / (rate_ + life))
        for y in range(table.shape[1]):
            ways = gammaln(shape_ + y) - gammaln(shape_) - gammaln(y + 1)
            table[block, y] = np.exp(ways + idle + y * busy).sum(axis=1)
    mean = alive * shape / rate * exposure(s, left, weeks)
    return _or_dead(table, alive), mean, alive


def predict_bg_nbd(
    values: Values, x: Floats, t_x: Floats, T: Floats, weeks: float, largest: int
) -> Prediction:
    """At least k purchases need k arrivals and k - 1 survivals: closed forms throughout.

    Given life until T, the rate is Gamma(r + x, alpha + T) and the dropout probability
    Beta(a, b + x), independent of each other.
    """
    from scipy.special import betainc, betaln, expit, gammaln

    r, alpha, a, b = (
        values[name] for name in ("rate_shape", "rate_rate", "dropout_a", "dropout_b")
    )
    shape, rate = r + x, alpha + T
    with np.errstate(divide="ignore"):
        odds = np.where(x > 0, np.log(a / np.maximum(b + x - 1, 1e-300)), -np.inf)
    alive = np.asarray(expit(-(odds + shape * np.log(rate / (alpha + t_x)))))
    most = _most(shape, rate, weeks, largest)
    table, mean = np.empty((len(x), most + 1)), np.zeros(len(x))
    arrives, idle = weeks / (rate + weeks), np.log(rate / (rate + weeks))
    table[:, 0] = np.exp(shape * idle)
    whole = betaln(a, b + x)
    for y in range(1, most + 1):
        exactly = gammaln(shape + y) - gammaln(shape) - gammaln(y + 1)
        exactly += shape * idle + y * np.log(arrives)
        reaches = betainc(y, shape, arrives)
        dies_at_y = np.exp(betaln(a + 1, b + x + y - 1) - whole) * reaches
        table[:, y] = np.exp(betaln(a, b + x + y) - whole + exactly) + dies_at_y
        mean += np.exp(betaln(a, b + x + y - 1) - whole) * reaches
    return _or_dead(table, alive), alive * mean, alive


class LognormalGrid:
    """Product grid of log rate and log hazard with the weights of their bivariate normal.

    Trapezoids are exact to about 1e-9 for a peak as wide as the step; `width` is the standard
    deviation of the narrowest peak in the log rate.
    """

    def __init__(self, values: Values, width: float) -> None:
        m, sd = values["rate_log_mean"], values["rate_log_sd"]
        m_d, sd_d = values["dropout_log_mean"], values["dropout_log_sd"]
        rho = values["rate_dropout_correlation"]
        ridge = np.sqrt(1 - rho**2)
        first = self._axis(sd, min(width, 0.7 * sd * ridge))
        second = self._axis(sd_d, min(0.35, 0.7 * sd_d * ridge))
        z = first[:, None] / sd, second[None, :] / sd_d
        density = -(z[0] ** 2 - 2 * rho * z[0] * z[1] + z[1] ** 2) / (2 * ridge**2)
        self.prior = np.exp(density)
        self.prior /= self.prior.sum()
        self.log_rate = m + first
        self.rate, self.hazard = np.exp(self.log_rate), np.exp(m_d + second)
        self.rate_share = self.rate[:, None] / (self.rate[:, None] + self.hazard)

    @staticmethod
    def _axis(sd: float, step: float) -> Floats:
        half = int(np.ceil(GRID_REACH * sd / step))
        return np.linspace(-GRID_REACH * sd, GRID_REACH * sd, 2 * half + 1)

    def expected(self, weeks: float) -> Floats:
        """E[Y | rate, hazard, alive], shape (rates, hazards)."""
        return np.asarray(self.rate[:, None] * -np.expm1(-self.hazard * weeks) / self.hazard)

    def chance(self, y: int, weeks: float) -> Floats:
        """P(Y = y | rate, hazard, alive), shape (rates, hazards); see `chance_given_rates`."""
        return chance_given_rates(y, self.rate[:, None], self.hazard[None, :], weeks)

    def side(self, x: Floats, until: Floats) -> tuple[Floats, Floats, Floats]:
        """Log scale and factors of rate^x exp(-(rate + hazard) until); (k,), (k, .), (k, .)."""
        log = x[:, None] * self.log_rate - until[:, None] * self.rate
        scale = log.max(axis=1)
        return scale, np.exp(log - scale[:, None]), np.exp(-until[:, None] * self.hazard)


def chance_given_rates(y: int, rate: Floats, hazard: Floats, weeks: float) -> Floats:
    """P(Y = y) of a customer alive at the start, whose rate and hazard are known.

    Either it lives through, with Poisson purchases, or the (y+1)-th event of the joint process
    of purchases and death is the death and comes within the weeks:

        exp(-hazard t) Poisson(y; rate t)
        + hazard / (rate + hazard) (rate / (rate + hazard))^y G(y + 1, (rate + hazard) t)

    where G is the regularised lower incomplete gamma function.
    """
    from scipy.special import gammainc, gammaln

    both = rate + hazard
    lives = np.exp(y * np.log(rate * weeks) - both * weeks - gammaln(y + 1))
    dies = hazard / both * np.exp(y * np.log(rate / both)) * gammainc(y + 1, both * weeks)
    return np.asarray(lives + dies)


def predict_lognormal(
    values: Values, x: Floats, t_x: Floats, T: Floats, weeks: float, largest: int
) -> Prediction:
    """On the grid every integral is a product of matrices: the likelihood is a sum of two terms.

    rate^x / (rate + hazard) [rate exp(-(rate + hazard) T) + hazard exp(-(rate + hazard) t_x)],
    the first of which is the one of being alive with its share of dying later taken out.
    """
    busiest = float(x.max(initial=0.0)) + max(largest, 30)
    grid = LognormalGrid(values, 0.7 / np.sqrt(busiest + 1 / values["rate_log_sd"] ** 2))
    scale, by_rate, by_hazard = grid.side(x, T)
    scale_x, by_rate_x, by_hazard_x = grid.side(x, t_x)

    def total(weight: Floats, rates: Floats, hazards: Floats) -> Floats:
        return np.asarray(((rates @ weight) * hazards).sum(axis=1))

    living = total(grid.prior, by_rate, by_hazard)
    not_yet = total(grid.prior * grid.rate_share, by_rate, by_hazard)
    died = total(grid.prior * (1 - grid.rate_share), by_rate_x, by_hazard_x)
    alive = living / (not_yet + np.exp(scale_x - scale) * died)
    mean = alive * total(grid.prior * grid.expected(weeks), by_rate, by_hazard) / living
    columns: list[Floats] = []
    seen = np.zeros(len(x))
    for y in range(max(largest, MOST_PURCHASES) + 1):
        columns.append(total(grid.prior * grid.chance(y, weeks), by_rate, by_hazard) / living)
        seen += columns[-1]
        if y >= max(largest, 1) and (1 - seen).max(initial=0.0) < TAIL:
            break
    return _or_dead(np.stack(columns, axis=1), alive), mean, alive


def _or_dead(table: Floats, alive: Floats) -> Floats:
    """Probabilities given life, turned into probabilities: who is dead buys nothing."""
    table *= alive[:, None]
    table[:, 0] += 1 - alive
    return table


def _blocks(rows: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]
