"""What a fitted model predicts that each customer of a log buys next, given its own history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.calibration.models import QUADRATURE_NODES
from agents.errors import InputError

MOST_PURCHASES = 2_000
"""A table of probabilities ends here at the latest, unless a larger count was observed."""

TAIL = 1e-8
"""Probability of every customer's counts beyond the table."""

DEATH_NODES = 64
GRID_REACH = 6.0
FEWEST_NODES, MOST_NODES = 121, 601
_BLOCK = 2_048
_NEGLIGIBLE = 1e-40

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = Mapping[str, float]
_Prediction = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Predictive:
    """Predictive distribution of every customer's purchases, one row per distinct history.

    Attributes
    ----------
    weeks : float
        Length of the period predicted, which starts where the log ends.
    row : int64, shape (n,)
        Row of each customer.
    probability : float64, shape (k, most + 1)
        P(Y = y | history) for y = 0..most.
    mean : float64, shape (k,)
        E[Y | history].
    alive : float64, shape (k,)
        P(alive at the end of the log | history).
    """

    weeks: float
    row: Integers
    probability: Floats
    mean: Floats
    alive: Floats

    def expected(self) -> Floats:
        """E[Y] per customer, shape (n,)."""
        return self.mean[self.row]

    def p_alive(self) -> Floats:
        """P(alive at the end of the log) per customer, shape (n,)."""
        return self.alive[self.row]

    def buying(self) -> Floats:
        """P(Y >= 1) per customer, shape (n,)."""
        return np.asarray(1 - self.probability[self.row, 0])

    def standard_deviation(self) -> Floats:
        """Standard deviation of Y per customer, from the table; shape (n,)."""
        count = np.arange(self.probability.shape[1])
        first, second = self.probability @ count, self.probability @ count**2
        return np.asarray(np.sqrt(np.maximum(second - first**2, 0.0)))[self.row]

    def density(self, bought: npt.ArrayLike) -> Floats:
        """P(Y = y) of the count y given for each customer, shape (n,).

        Raises
        ------
        ValueError
            If `bought` has another shape, or a count lies outside the table.
        """
        return self.probability[self.row, self._counts(bought)]

    def below(self, bought: npt.ArrayLike) -> Floats:
        """P(Y < y) of the count y given for each customer, shape (n,).

        P(Y <= y) is this plus `density`.

        Raises
        ------
        ValueError
            As for `density`.
        """
        counts = self._counts(bought)
        cumulative = np.zeros((len(self.probability), self.probability.shape[1] + 1))
        np.cumsum(self.probability, axis=1, out=cumulative[:, 1:])
        return np.minimum(cumulative[self.row, counts], 1.0)

    def _counts(self, bought: npt.ArrayLike) -> Integers:
        counts = np.asarray(bought, np.int64)
        most = self.probability.shape[1] - 1
        if counts.shape != self.row.shape:
            raise ValueError(f"bought has shape {counts.shape}; allowed: {self.row.shape}")
        if len(counts) and not 0 <= counts.min() <= counts.max() <= most:
            raise ValueError(
                f"bought ranges from {counts.min()} to {counts.max()}; allowed: 0..{most}"
            )
        return counts


def predict(
    model: str,
    values: Values | Sequence[Values],
    log: TransactionLog,
    weeks: float,
    *,
    largest: int = 0,
) -> Predictive:
    """Distribution of each customer's purchases in the `weeks` after a log, given its history.

    Y counts purchase days for the static models (`TransactionLog.summary`), rows of the log for
    `drift` (`TransactionLog.weekly_counts`): the same if the log has one row per customer and day.

    ========== =========================================================================
    model      parameters, rates per week
    ========== =========================================================================
    pareto_nbd ``rate_shape``, ``rate_rate``, ``dropout_shape``, ``dropout_rate`` [1]_
    bg_nbd     ``rate_shape``, ``rate_rate``, ``dropout_a``, ``dropout_b`` [2]_
    lognormal  ``rate_log_mean``, ``rate_log_sd``, ``dropout_log_mean``,
               ``dropout_log_sd``, ``rate_dropout_correlation``
    drift      ``rate_mean``, ``rate_log_sd``, ``drift_time_constant``,
               ``dropout_shape``, ``dropout_rate``
    ========== =========================================================================

    Probabilities are exact within 1e-6 of themselves up to `largest`, and within 1e-7 beyond
    (closed forms and quadrature, tested against independent integration). `drift` is a forward
    filter of the log rate on a grid, then the exact distribution of the sum of the coming weeks'
    counts, within 1e-5 of themselves; its customers drop out at the ends of weeks.

    Parameters
    ----------
    model : {"pareto_nbd", "bg_nbd", "lognormal", "drift"}
        Purchase model.
    values : mapping, or sequence of mappings
        One joint set of parameters, or several draws of a posterior: then probabilities, mean
        and P(alive) are averaged over the draws, each given the history under its own
        parameters. Other entries are ignored.
    log : TransactionLog
        Histories to condition on.
    weeks : float
        Length of the period; whole weeks for `drift`.
    largest : int
        Largest count that must be in the table.

    Raises
    ------
    InputError
        If the model is unknown, a parameter is missing or out of its range, or `weeks` is.

    References
    ----------
    .. [1] Schmittlein, Morrison and Colombo (1987). Counting your customers.
       Management Science 33(1), 1-24.
    .. [2] Fader, Hardie and Lee (2005). "Counting your customers" the easy way: an alternative
       to the Pareto/NBD model. Marketing Science 24(2), 275-284.
       http://www.brucehardie.com/papers/018/
    """
    sets = [values] if isinstance(values, Mapping) else list(values)
    _check(model, sets)
    if not (np.isfinite(weeks) and weeks > 0) or (model == "drift" and weeks != int(weeks)):
        raise InputError(f"weeks is {weeks}; allowed: above 0, and whole weeks for drift")
    if model == "drift":
        histories, row = _weekly_histories(log)
        results = [_drift(one, histories, int(weeks), largest) for one in sets]
    else:
        triples, row = _triples(log)
        results = [_MODELS[model](one, *triples, weeks, largest) for one in sets]
    probability = np.zeros((len(results[0][1]), max(table.shape[1] for table, _, _ in results)))
    for table, _, _ in results:
        probability[:, : table.shape[1]] += table / len(results)
    mean, alive = (np.mean([result[i] for result in results], axis=0) for i in (1, 2))
    return Predictive(float(weeks), row, probability, mean, alive)


def expected_by_age(model: str, values: Values, age: npt.ArrayLike) -> Floats:
    """Expected purchases of a new customer by an age in weeks, nothing known of its history.

    Parameters
    ----------
    model, values
        As for `predict`, one set of parameters.
    age : array_like
        Weeks since the clock's start, at least 0.

    Returns
    -------
    float64, shape of `age`
        The counts of `predict`.

    Raises
    ------
    InputError
        As for `predict`.
    """
    _check(model, [values])
    weeks = np.asarray(age, float)
    if model == "lognormal":
        grid = _LognormalGrid(values, 1.0)
        distinct, back = np.unique(weeks, return_inverse=True)
        by_age = np.array([(grid.prior * grid.expected(one)).sum() for one in distinct])
        return by_age[back].reshape(weeks.shape)
    if model == "bg_nbd":
        r, alpha, a, b = (values[name] for name in PARAMETERS[model])
        from scipy.special import roots_jacobi

        # E[Y | p] = (1 - (1 + p t / alpha)^-r) / p, averaged over p ~ Beta(a, b).
        node, weight = roots_jacobi(200, b - 1, a - 1)
        p, weight = (node + 1) / 2, weight / weight.sum()
        return np.asarray(
            -np.expm1(-r * np.log1p(weeks[..., None] * p / alpha)) @ (weight / p), np.float64
        )
    s, b = values["dropout_shape"], values["dropout_rate"]
    rate = values["rate_mean"] if model == "drift" else values["rate_shape"] / values["rate_rate"]
    return np.asarray(rate * _exposure(s, b, weeks))


PARAMETERS: dict[str, tuple[str, ...]] = {
    "pareto_nbd": ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate"),
    "bg_nbd": ("rate_shape", "rate_rate", "dropout_a", "dropout_b"),
    "lognormal": (
        "rate_log_mean",
        "rate_log_sd",
        "dropout_log_mean",
        "dropout_log_sd",
        "rate_dropout_correlation",
    ),
    "drift": ("rate_mean", "rate_log_sd", "drift_time_constant", "dropout_shape", "dropout_rate"),
}
_ANY = ("rate_log_mean", "dropout_log_mean")


def _check(model: str, sets: Sequence[Values]) -> None:
    if model not in PARAMETERS:
        raise InputError(f"model is {model!r}; allowed: {', '.join(PARAMETERS)}")
    if not sets:
        raise InputError("values is empty; allowed: at least one set of parameters")
    for values in sets:
        for name in PARAMETERS[model]:
            if name not in values:
                raise InputError(f"{name} is missing; allowed: {', '.join(PARAMETERS[model])}")
            value = float(values[name])
            if name == "rate_dropout_correlation":
                good, allowed = abs(value) <= MOST_CORRELATION, f"±{MOST_CORRELATION}"
            elif name in _ANY:
                good, allowed = bool(np.isfinite(value)), "finite"
            else:
                good, allowed = 0 < value < np.inf, "finite and above 0"
            if not good:
                raise InputError(f"{name} is {value}; allowed: {allowed}")


def _triples(log: TransactionLog) -> tuple[tuple[Floats, Floats, Floats], Integers]:
    """Distinct (purchase days, recency, age), and each customer's row among them."""
    summary = log.summary()
    days = [summary.frequency, np.rint(summary.recency * 7), np.rint(summary.age * 7)]
    distinct, row = np.unique(np.stack(days, axis=1).astype(float), axis=0, return_inverse=True)
    return (distinct[:, 0], distinct[:, 1] / 7, distinct[:, 2] / 7), row.reshape(-1)


def _exposure(shape: float, rate: Floats | float, weeks: Floats | float) -> Floats:
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


def _pareto_nbd(
    values: Values, x: Floats, t_x: Floats, T: Floats, weeks: float, largest: int
) -> _Prediction:
    """Given life until T, the rate is Gamma(r + x, alpha + T) and the hazard Gamma(s, beta + T).

    So death comes after a further u weeks with the Lomax density, and purchases until then are
    negative binomial: one integral over u remains. Mean: Schmittlein et al., eq. 22.
    """
    from scipy.special import gammaln

    r, a, s, b = (values[name] for name in PARAMETERS["pareto_nbd"])
    alive = _pareto_nbd_alive(r, a, s, b, x, t_x, T)
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
    mean = alive * shape / rate * _exposure(s, left, weeks)
    return _or_dead(table, alive), mean, alive


def _pareto_nbd_alive(
    r: float, a: float, s: float, b: float, x: Floats, t_x: Floats, T: Floats
) -> Floats:
    """P(alive), with the dropout integral of `models.pareto_nbd`."""
    from scipy.special import expit

    node, weight = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    node, weight = (node + 1) / 2, weight / 2
    q = r + s + x
    w_T = ((a + t_x) / (a + T)) ** q
    w = w_T[:, None] + (1 - w_T)[:, None] * node
    shifted = (a + t_x)[:, None] * w ** (-1 / q)[:, None]
    mean = ((shifted / (b - a + shifted)) ** (s + 1)) @ weight
    with np.errstate(divide="ignore"):
        log_odds = np.log(s / q * (1 - w_T) * mean)
    log_odds += (r + x) * np.log(a + T) + s * np.log(b + T) - q * np.log(a + t_x)
    return np.asarray(expit(-log_odds))


def _bg_nbd(
    values: Values, x: Floats, t_x: Floats, T: Floats, weeks: float, largest: int
) -> _Prediction:
    """At least k purchases need k arrivals and k - 1 survivals: closed forms throughout.

    Given life until T, the rate is Gamma(r + x, alpha + T) and the dropout probability
    Beta(a, b + x), independent of each other.
    """
    from scipy.special import betainc, betaln, expit, gammaln

    r, alpha, a, b = (values[name] for name in PARAMETERS["bg_nbd"])
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


MOST_CORRELATION = 0.99


class _LognormalGrid:
    """Product grid of log rate and log hazard with the weights of their bivariate normal.

    Trapezoids are exact to about 1e-9 for a peak as wide as the step; `width` is the standard
    deviation of the narrowest peak in the log rate.
    """

    def __init__(self, values: Values, width: float) -> None:
        m, sd, m_d, sd_d, rho = (float(values[name]) for name in PARAMETERS["lognormal"])
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


def _lognormal(
    values: Values, x: Floats, t_x: Floats, T: Floats, weeks: float, largest: int
) -> _Prediction:
    """On the grid every integral is a product of matrices: the likelihood is a sum of two terms.

    rate^x / (rate + hazard) [rate exp(-(rate + hazard) T) + hazard exp(-(rate + hazard) t_x)],
    the first of which is the one of being alive with its share of dying later taken out.
    """
    busiest = float(x.max(initial=0.0)) + max(largest, 30)
    grid = _LognormalGrid(values, 0.7 / np.sqrt(busiest + 1 / values["rate_log_sd"] ** 2))
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


def _weekly_histories(log: TransactionLog) -> tuple[tuple[Integers, Integers], Integers]:
    """Distinct weekly counts with the week in which the clock starts, and customers' rows."""
    start = np.zeros(log.n_customers, np.int64)
    if log.origin == "first_purchase":
        start = log.first_time() // SECONDS_PER_WEEK + 1
    counts = log.weekly_counts().astype(np.int64)
    counts[np.arange(log.weeks) < start[:, None]] = 0
    both, row = np.unique(np.column_stack([start, counts]), axis=0, return_inverse=True)
    return (both[:, 0], both[:, 1:]), row.reshape(-1)


def _drift(
    values: Values, histories: tuple[Integers, Integers], weeks: int, largest: int
) -> _Prediction:
    """Forward filter of the log rate, then the distribution of the sum of the coming counts.

    The hazard is Gamma across customers and purchases say nothing on it while alive, so a
    customer of a given age stays another week with ((beta + age) / (beta + age + 1))^s.
    """
    sd, tau = values["rate_log_sd"], values["drift_time_constant"]
    rho = np.exp(-1 / tau)
    step = 0.8 * np.sqrt(1 - rho**2)
    nodes = int(np.clip(2 * GRID_REACH / step, FEWEST_NODES, MOST_NODES)) | 1
    grid = np.linspace(-GRID_REACH, GRID_REACH, nodes)
    rate = np.exp(np.log(values["rate_mean"]) - sd**2 / 2 + sd * grid)
    move = np.exp(-((grid[None, :] - rho * grid[:, None]) ** 2) / (2 * (1 - rho**2)))
    move /= move.sum(axis=1, keepdims=True)

    def stays(age: Floats) -> Floats:
        rest = values["dropout_rate"] + age
        return np.asarray(np.exp(-values["dropout_shape"] * np.log1p(1 / rest)))

    start, counts = histories
    chances = _poisson(rate, int(counts.max(initial=0))).T
    stationary = np.exp(-(grid**2) / 2)
    living = np.tile(stationary / stationary.sum(), (len(start), 1))
    dead = np.zeros(len(start))
    for week in range(counts.shape[1]):
        on = start <= week
        n = counts[on, week]
        seen = (living[on] @ move) * chances[n]
        gone = dead[on] * (n == 0)
        total = seen.sum(axis=1) + gone
        stay = stays((week - start[on]).astype(float))
        dead[on] = (gone + (1 - stay) * seen.sum(axis=1)) / total
        living[on] = stay[:, None] * seen / total[:, None]
    age = np.maximum(counts.shape[1] - start, 0).astype(float)
    return _sum_of_weeks(living, dead, age, rate, move, stays, weeks, largest)


def _sum_of_weeks(
    living: Floats,
    dead: Floats,
    age: Floats,
    rate: Floats,
    move: Floats,
    stays: Callable[[Floats], Floats],
    weeks: int,
    largest: int,
) -> _Prediction:
    """Distribution of all counts of the coming weeks, exact on the grid of log rates."""
    ages, which = np.unique(age, return_inverse=True)
    most = max(largest, 63)
    while True:
        table = np.zeros((len(age), most + 1))
        mean = np.zeros(len(age))
        counting = _poisson(rate, most)
        ends = np.zeros((len(rate), most + 1))
        ends[:, 0] = 1.0
        # After h weeks of certain life: probability of each count, and expected count.
        sums, expected = [ends], [np.zeros(len(rate))]
        for _ in range(weeks):
            sums.append(move @ _convolved(counting, sums[-1]))
            expected.append(move @ (rate + expected[-1]))
        for i, one in enumerate(ages):
            stay = stays(one + np.arange(weeks))
            survival = np.concatenate([[1.0], np.cumprod(stay)])
            # Lives exactly h weeks: leaves at the end of the h-th, or sees the end.
            lasts = np.append(survival[: weeks - 1] - survival[1:weeks], survival[weeks - 1])
            here = which == i
            ahead = sum(p * s for p, s in zip(lasts, sums[1:], strict=True))
            table[here] = living[here] @ ahead
            mean[here] = living[here] @ sum(p * e for p, e in zip(lasts, expected[1:], strict=True))
        alive = 1 - dead
        beyond = (alive - table.sum(axis=1)).max(initial=0.0)
        if beyond < TAIL or most >= max(largest, MOST_PURCHASES):
            break
        most = min(2 * most + 1, max(largest, MOST_PURCHASES))
    table[:, 0] += dead
    return table, mean, alive


def _convolved(first: Floats, second: Floats) -> Floats:
    """Row by row, the distribution of the sum of two independent counts, cut at the table."""
    result = np.zeros_like(second)
    size = second.shape[1]
    for n in range(size):
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


def _or_dead(table: Floats, alive: Floats) -> Floats:
    """Probabilities given life, turned into probabilities: who is dead buys nothing."""
    table *= alive[:, None]
    table[:, 0] += 1 - alive
    return table


def _blocks(rows: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]


_MODELS = {"pareto_nbd": _pareto_nbd, "bg_nbd": _bg_nbd, "lognormal": _lognormal}
