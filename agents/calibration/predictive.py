"""What a fitted model predicts that each customer of a log buys next, given its own history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.calibration.constant_rate import (
    MOST_CORRELATION,
    MOST_PURCHASES,
    Floats,
    Integers,
    LognormalGrid,
    Values,
    exposure,
    predict_bg_nbd,
    predict_lognormal,
    predict_pareto_nbd,
    triples,
)
from agents.calibration.log import TransactionLog
from agents.calibration.posterior import PURCHASE_PARAMETERS
from agents.calibration.weekly_rate import kinds, predict_weeks, weekly_histories
from agents.errors import InputError

PARAMETERS: dict[str, tuple[str, ...]] = {
    **PURCHASE_PARAMETERS,
    "bg_nbd": ("rate_shape", "rate_rate", "dropout_a", "dropout_b"),
    "habit": (
        "rate_mean",
        "rate_shape",
        "rate_power",
        "drift_time_constant",
        "shift_probability",
        "regular_share",
        "regularity",
        "growth",
        "dropout_shape",
        "dropout_rate",
    ),
}
WEEKLY_MODELS = ("drift", "habit")
_ANY = ("rate_log_mean", "dropout_log_mean", "growth")
_SHARES = ("shift_probability", "regular_share")
_CONSTANT_RATE = {
    "pareto_nbd": predict_pareto_nbd,
    "bg_nbd": predict_bg_nbd,
    "lognormal": predict_lognormal,
}


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

    Y counts purchase days for the models of a constant rate (`TransactionLog.summary`) and for
    `habit`, rows of the log for `drift` (`TransactionLog.weekly_counts`): the same if the log has
    one row per customer and day, which `habit` needs (`holdout.daily`).

    ========== ==========================================================================
    model      parameters, rates per week
    ========== ==========================================================================
    pareto_nbd ``rate_shape``, ``rate_rate``, ``dropout_shape``, ``dropout_rate`` [1]_
    bg_nbd     ``rate_shape``, ``rate_rate``, ``dropout_a``, ``dropout_b`` [2]_
    lognormal  ``rate_log_mean``, ``rate_log_sd``, ``dropout_log_mean``,
               ``dropout_log_sd``, ``rate_dropout_correlation``
    drift      ``rate_mean``, ``rate_log_sd``, ``drift_time_constant``,
               ``dropout_shape``, ``dropout_rate``
    habit      ``rate_mean``, ``rate_shape``, ``rate_power``, ``drift_time_constant``,
               ``shift_probability``, ``regular_share``, ``regularity``, ``growth``,
               ``dropout_shape``, ``dropout_rate``
    ========== ==========================================================================

    Probabilities of the first three are exact within 1e-6 of themselves up to `largest`, and
    within 1e-7 beyond (closed forms and quadrature, tested against independent integration).

    `drift` and `habit` are a forward filter of the level of the rate on a grid, then the exact
    distribution of the sum of the coming weeks' counts, within 1e-5 of themselves; customers drop
    out at the ends of weeks. In `drift` the log rate is an Ornstein-Uhlenbeck process and counts
    are Poisson. In `habit` the rate is a power of a gamma variable, driven by such a process; in
    a week it is drawn anew with ``shift_probability``; and counts are days of a week, those of a
    Poisson process for most customers and Conway-Maxwell-binomial [3]_ with exponent
    ``regularity`` for the ``regular_share``. All log rates change by ``growth`` a week, the log's
    last week and its successors included; ``rate_mean`` is that of the last week and of the
    customers who are not regular.

    Parameters
    ----------
    model : {"pareto_nbd", "bg_nbd", "lognormal", "drift", "habit"}
        Purchase model.
    values : mapping, or sequence of mappings
        One joint set of parameters, or several draws of a posterior: then probabilities, mean
        and P(alive) are averaged over the draws, each given the history under its own
        parameters. Other entries are ignored.
    log : TransactionLog
        Histories to condition on.
    weeks : float
        Length of the period; whole weeks for `drift` and `habit`.
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
    .. [3] Kadane (2016). Sums of possibly associated Bernoulli variables: the
       Conway-Maxwell-binomial distribution. Bayesian Analysis 11(2), 403-420.
       https://doi.org/10.1214/15-BA955
    """
    sets = [values] if isinstance(values, Mapping) else list(values)
    _check(model, sets)
    weekly = model in WEEKLY_MODELS
    if not (np.isfinite(weeks) and weeks > 0) or (weekly and weeks != int(weeks)):
        raise InputError(f"weeks is {weeks}; allowed: above 0, and whole weeks for {model}")
    if weekly:
        histories, row = weekly_histories(log)
        results = [predict_weeks(model, one, histories, int(weeks), largest) for one in sets]
    else:
        distinct, row = triples(log)
        results = [_CONSTANT_RATE[model](one, *distinct, weeks, largest) for one in sets]
    probability = np.zeros((len(results[0][1]), max(table.shape[1] for table, _, _ in results)))
    for table, _, _ in results:
        probability[:, : table.shape[1]] += table / len(results)
    mean, alive = (np.mean([result[i] for result in results], axis=0) for i in (1, 2))
    return Predictive(float(weeks), row, probability, mean, alive)


def expected_by_age(model: str, values: Values, age: npt.ArrayLike) -> Floats:
    """Expected purchases of a new customer by an age in weeks, nothing known of its history.

    Growth common to all customers is left out: rates are those of the log's last week.

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
        grid = LognormalGrid(values, 1.0)
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
    if model in WEEKLY_MODELS:
        rate = sum(
            float(kind.share * kind.stationary @ kind.mean(MOST_PURCHASES))
            for kind in kinds(model, values)
        )
    else:
        rate = values["rate_shape"] / values["rate_rate"]
    return np.asarray(rate * exposure(s, b, weeks))


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
            elif name in _SHARES:
                good, allowed = 0 < value < 1, "above 0 and below 1"
            elif name in _ANY:
                good, allowed = bool(np.isfinite(value)), "finite"
            else:
                good, allowed = 0 < value < np.inf, "finite and above 0"
            if not good:
                raise InputError(f"{name} is {value}; allowed: {allowed}")
