"""What a fitted model says of each real customer: alive, next purchases, residual value, silence.

Every figure is an average over posterior draws, with an interval. Three uncertainties can enter
an interval: the parameters (the posterior's draws), the customer's own rate, lifetime and mean
basket (unknown given its history), and the luck of future purchases. Intervals of expected
purchases and of residual value hold the first two, not the third: they are credible intervals of
the customer's *expected* count and value. P(alive) averages over the second, so that its interval
comes from the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agents.calibration.customer_kernels import OUT, drift_rows, pareto_histories, pareto_values
from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, Origin, TransactionLog
from agents.calibration.posterior import Posterior
from agents.calibration.purchase_likelihoods import quadrature
from agents.calibration.sufficient import spend_of_everybody
from agents.errors import InputError

Floats = npt.NDArray[np.float64]

DRAWS = {"pareto_nbd": 50, "drift": 12}
"""Posterior draws taken unless told; the drift model's filter runs once a draw and customer."""

SPEND_OF = {"pareto_nbd": "gamma_gamma", "drift": "lognormal_gamma"}
WEEKS_PER_YEAR = 365.25 / 7
POINTS = 600
"""Points, over all draws, at which a customer's unknown rate, lifetime and basket are taken."""

GRID_REACH = 5.0
COARSEST_STEP = 0.2
MOST_NODES = 151
COUNTS_IN_TABLE = 64

COLUMNS: dict[str, str] = {
    "customer": "the log's own identifier",
    "frequency": "purchase days (pareto_nbd) or purchases (drift) since the clock started",
    "recency_weeks": "weeks from the clock's start to the last of them, 0 without one",
    "age_weeks": "weeks from the clock's start to the end of the log",
    "p_alive": "probability of still being a customer at the end of the log",
    "p_alive_low": "its interval over parameter draws",
    "p_alive_high": "its interval over parameter draws",
    "expected_purchases": "in the weeks asked for, as counted in frequency",
    "expected_purchases_low": "credible interval of the customer's expected count",
    "expected_purchases_high": "credible interval of the customer's expected count",
    "residual_value": "discounted, in currency units, over the horizon asked for",
    "residual_value_low": "credible interval of the customer's expected value",
    "residual_value_high": "credible interval of the customer's expected value",
    "gap_weeks": "weeks since the last purchase, or since the clock's start",
    "gap_unusual": "1 - P(a gap at least this long | still a customer, history before the gap)",
    "unusual": "whether gap_unusual is at least the alarm level",
}


@dataclass(frozen=True)
class Question:
    """What is asked of every customer.

    Attributes
    ----------
    weeks : int
        Period of the expected purchases.
    residual_weeks : int
        Horizon of the residual value.
    annual_discount : float
        Yearly rate at which value is discounted, continuously: a purchase in t years counts
        (1 + rate)^-t.
    margin : float
        Share of what is paid that counts as value; 1 is revenue.
    confidence : float
        Probability of the intervals, equal tails.
    alarm : float
        From which `gap_unusual` a silence is flagged. A customer who is still there and in its
        usual mood is flagged with probability 1 - alarm, a gap.

    Raises
    ------
    InputError
        For a value out of range.
    """

    weeks: int = 13
    residual_weeks: int = 104
    annual_discount: float = 0.10
    margin: float = 1.0
    confidence: float = 0.90
    alarm: float = 0.95

    def __post_init__(self) -> None:
        for name, ok, allowed in (
            ("weeks", 1 <= self.weeks <= 520, "1 to 520"),
            ("residual_weeks", 1 <= self.residual_weeks <= 2600, "1 to 2,600"),
            ("annual_discount", 0 <= self.annual_discount <= 1, "0 to 1"),
            ("margin", 0 < self.margin <= 1, "above 0, at most 1"),
            ("confidence", 0.5 <= self.confidence < 1, "at least .5, below 1"),
            ("alarm", 0.5 <= self.alarm < 1, "at least .5, below 1"),
        ):
            if not ok:
                raise InputError(f"{name}={getattr(self, name)!r} must be {allowed}")

    @property
    def weekly_discount(self) -> float:
        """Rate per week, continuous."""
        return float(np.log1p(self.annual_discount) / WEEKS_PER_YEAR)


_Rows = tuple[npt.NDArray[Any], Floats, Floats, Floats]


class _Model(Protocol):
    def rows(self, log: TransactionLog) -> _Rows:
        """Frequency, recency and age (weeks), and the columns of `OUT`."""


class CustomerTable:
    """Figures of any number of customers, some at a time.

    Parameters
    ----------
    posterior : Posterior
        `pareto_nbd` with `gamma_gamma`, or `drift` with `lognormal_gamma`: the spend model must
        count what the purchase model counts, purchase days or purchases.
    origin : {"first_purchase", "log_start"}
        Origin of the logs to come; that of the log the posterior was fitted to.
    question : Question
        Periods, discount and levels.
    draws : int, optional
        Posterior draws to average over, evenly spaced among those there are; default `DRAWS`. A
        posterior without draws gives its mode.

    Raises
    ------
    InputError
        If the models do not go together, a draw has an infinite mean basket, or the origin is
        another one than that of the fit.
    """

    def __init__(
        self,
        posterior: Posterior,
        origin: Origin,
        question: Question | None = None,
        draws: int | None = None,
    ) -> None:
        question = question or Question()
        wanted = SPEND_OF.get(posterior.purchase_model)
        if posterior.spend_model != wanted:
            raise InputError(
                f"posterior: {posterior.purchase_model} with {posterior.spend_model}; "
                f"allowed: {' or '.join(f'{a} with {b}' for a, b in SPEND_OF.items())} "
                "(purchase days are not baskets)"
            )
        fitted = posterior.attributes.get("origin", origin)
        if fitted != origin:
            raise InputError(
                f"origin is {origin!r} but the posterior was fitted with {fitted!r}; allowed: "
                f"{fitted} (data.origin={fitted}), or a posterior of such a log"
            )
        self.question = question
        self.draws = _chosen(posterior.n_draws, draws or DRAWS[posterior.purchase_model])
        values = [posterior.values(draw) for draw in self.draws]
        pareto = posterior.purchase_model == "pareto_nbd"
        self._model: _Model = (_Pareto if pareto else _Drift)(values, question)

    def of(self, log: TransactionLog) -> dict[str, npt.NDArray[Any]]:
        """The columns in `COLUMNS` of a log's customers; shape (n,) each."""
        frequency, recency, age, out = self._model.rows(log)
        found = {
            "customer": log.customer_label,
            "frequency": frequency.astype(np.int64),
            "recency_weeks": recency,
            "age_weeks": age,
        }
        found |= {name: out[:, at] for at, name in enumerate(OUT)}
        found["gap_weeks"] = age - recency
        found["unusual"] = found["gap_unusual"] >= self.question.alarm
        return {name: found[name] for name in COLUMNS}


def _chosen(available: int, wanted: int) -> list[int]:
    """Evenly spaced draws; the mode where there are none."""
    if available == 0:
        return [0]
    spaced = np.linspace(1, available, min(wanted, available)).round()
    return [int(draw) for draw in np.unique(spaced)]


def _points(draws: int, dimensions: int) -> Floats:
    """Evenly spread points of the unit cube, shape (draws, points, dimensions).

    Roberts' R sequence: multiples of the powers of 1 / g, g the root of g^(d + 1) = g + 1.
    http://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/
    """
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (dimensions + 1))
    step = root ** -np.arange(1.0, dimensions + 1)
    each = -(-POINTS // draws)
    points = (0.5 + np.arange(1, draws * each + 1)[:, None] * step) % 1
    return np.asarray(points.reshape(draws, each, dimensions), np.float64)


class _Pareto:
    """Pareto/NBD and Gamma-Gamma in closed form.

    Given the parameters, the history (x, t_x, T) and that the customer is alive, its rate is
    Gamma(r + x, a + T), its hazard Gamma(s, b + T), and independent [1]_; its mean spend is
    p / Gamma(q + p x, gamma + x z) [2]_.

    References
    ----------
    .. [1] Fader and Hardie (2005). A note on deriving the Pareto/NBD model.
       http://www.brucehardie.com/notes/009/
    .. [2] Fader and Hardie (2013). The Gamma-Gamma model of monetary value.
       http://www.brucehardie.com/notes/025/
    """

    def __init__(self, values: Sequence[dict[str, float]], question: Question) -> None:
        from scipy.special import gammaincinv

        names = ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate",
                 "spend_within_shape", "spend_shape", "spend_scale")  # fmt: skip
        self._p = np.array([[draw[name] for name in names] for draw in values])
        if (self._p[:, 5] <= 1).any():
            raise InputError(
                f"posterior: spend_shape is {self._p[:, 5].min():.3g} in a draw, so that the mean "
                "basket of a customer without repeat purchase is infinite; allowed: above 1"
            )
        self._question = question
        self._points = _points(len(values), 3)
        self._lifetimes = gammaincinv(self._p[:, [2]], self._points[:, :, 1])
        self._nodes, self._weights = quadrature()
        self._by_frequency: dict[int, tuple[Floats, Floats]] = {}
        self._by_age: dict[float, tuple[Floats, Floats, Floats, Floats]] = {}

    def rows(self, log: TransactionLog) -> _Rows:
        history = log.summary()
        x = history.frequency
        # Row 0 is that of frequency 0, which also stands for customers without spend.
        frequencies, x_row = np.unique(np.append(x, 0), return_inverse=True)
        x_row = x_row[:-1]
        ages, age_row = np.unique(history.age, return_inverse=True)
        rates, spends = (
            np.stack(part)
            for part in zip(*(self._frequency(int(k)) for k in frequencies), strict=True)
        )
        by_age = [self._age(float(t)) for t in ages]
        count, value, mean_count, mean_value = (
            np.stack(part) for part in zip(*by_age, strict=True)
        )
        tail = (1 - self._question.confidence) / 2
        # What depends on the history alone is computed once for each of them.
        days = log.end_time // SECONDS_PER_DAY + 2
        last = np.rint(history.recency * 7).astype(np.int64)
        packed = (x * days + last) * len(ages) + age_row
        _, at, row = np.unique(packed, return_index=True, return_inverse=True)
        alive = np.empty((len(at), len(self._p)))
        distinct = np.empty((len(at), len(OUT)))
        pareto_histories(
            x[at].astype(float), history.recency[at], history.age[at], x_row[at], age_row[at],
            self._p, rates, count, mean_count, self._nodes, self._weights, tail, alive, distinct,
        )  # fmt: skip
        out = distinct[row]
        pareto_values(
            x.astype(float), np.nan_to_num(history.mean_spend), row, x_row, age_row, self._p,
            rates, spends, value, mean_value, tail, alive, out,
        )  # fmt: skip
        return x, history.recency, history.age, out

    def _frequency(self, x: int) -> tuple[Floats, Floats]:
        """Quantiles of the standard gamma with shapes r + x and q + p x; shape (draws, points)."""
        from scipy.special import gammaincinv

        if x not in self._by_frequency:
            r, p, q = self._p[:, [0]], self._p[:, [4]], self._p[:, [5]]
            self._by_frequency[x] = (
                gammaincinv(r + x, self._points[:, :, 0]),
                gammaincinv(q + p * x, self._points[:, :, 2]),
            )
        return self._by_frequency[x]

    def _age(self, age: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Per unit of the standard gamma rate: purchases and value, at the points and on average.

        Shapes (draws, points) twice, then (draws,) twice; of customers who are alive.
        """
        if age not in self._by_age:
            a, s, b = (self._p[:, [at]] for at in (1, 2, 3))
            hazard = np.maximum(self._lifetimes / (b + age), 1e-300)
            ask, rate = self._question, self._question.weekly_discount
            count = -np.expm1(-hazard * ask.weeks) / hazard
            value = -np.expm1(-(hazard + rate) * ask.residual_weeks) / (hazard + rate)
            node, weight = np.polynomial.legendre.leggauss(64)

            def mean(weeks: int, discount: float) -> Floats:
                """Discounted weeks still alive, integrated on the log scale of b + age + t."""
                span = np.log1p(weeks / (b + age))
                u = span * (node + 1) / 2
                t = (b + age) * np.expm1(u)
                inside = np.exp((1 - s) * u - discount * t) * (b + age)
                return np.asarray((inside * weight).sum(axis=1) * span[:, 0] / 2, np.float64)

            self._by_age[age] = (
                count / (a + age),
                ask.margin * value / (a + age),
                mean(ask.weeks, 0.0) / (a + age)[:, 0],
                ask.margin * mean(ask.residual_weeks, rate) / (a + age)[:, 0],
            )
        return self._by_age[age]


class _Drift:
    """Drifting rate on a grid, one hazard, lognormal-Gamma baskets.

    The log rate's distance from its mean, in stationary standard deviations, moves on a grid by a
    step up, down or none a week with the process's mean and variance [1]_: three multiplications a
    node instead of one for each pair of nodes. Against a dense move on a finer grid, expected
    purchases of 400 households differ by .02 %, and by 1.5 % for the one whose habit jumps most.

    Every customer has the mean hazard, as in the fit. A customer's log mean basket given its
    baskets is taken as normal around its mode.

    References
    ----------
    .. [1] Hull and White (1994). Numerical procedures for implementing term structure models I.
       Journal of Derivatives 2(1), 7-16.
    """

    def __init__(self, values: Sequence[dict[str, float]], question: Question) -> None:
        from scipy.special import gammaln, ndtri

        ask, draws = question, len(values)
        get = {name: np.array([draw[name] for draw in values]) for name in values[0]}
        sd, rho = get["rate_log_sd"], np.exp(-1 / get["drift_time_constant"])
        stay = np.exp(-get["dropout_shape"] / get["dropout_rate"])
        centre = np.log(get["rate_mean"]) - sd**2 / 2
        innovation = np.sqrt(1 - rho**2)
        # A step of sqrt(3) innovations; finer where a week moves far, so that p_mid stays above 0.
        step = np.minimum(np.sqrt(3) * innovation, COARSEST_STEP)
        nodes = int(min(2 * np.ceil(GRID_REACH / step.min()) + 1, MOST_NODES))
        step = np.maximum(step, 2 * GRID_REACH / (nodes - 1))
        substeps = np.maximum(np.ceil(-2 * np.log(rho) / step**2 / 0.6), 1).max()
        if substeps > 1:
            # The rate changes by more than a step a week: several moves of the grid a week.
            rho = rho ** (1 / substeps)
            innovation = np.sqrt(1 - rho**2)
        grid = (np.arange(nodes) - nodes // 2) * step[:, None]
        shift = (rho[:, None] - 1) * grid / step[:, None]
        variance = ((innovation / step) ** 2)[:, None] + shift**2
        self._up, self._down = (variance + shift) / 2, (variance - shift) / 2
        if (self._up < 0).any() or (self._down < 0).any() or (variance > 1).any():
            raise InputError(
                "posterior: drift_time_constant is "
                f"{get['drift_time_constant'].min():.3g} weeks in a draw; allowed: at least 1"
            )
        self._moves = int(substeps)
        self._start = np.exp(-(grid**2) / 2)
        self._start /= self._start.sum(axis=1, keepdims=True)
        self._log_rate = centre[:, None] + sd[:, None] * grid
        count = np.arange(COUNTS_IN_TABLE)[None, :, None]
        log_rate = self._log_rate[:, None, :]
        self._likelihood = np.exp(count * log_rate - np.exp(log_rate) - gammaln(count + 1))
        self._stay = stay
        weekly = rho**substeps

        def ahead(weeks: int, discount: float) -> Floats:
            """Expected (discounted) purchases of who is alive at a node; shape (draws, nodes)."""
            total = np.zeros_like(grid)
            for week in range(1, weeks + 1):
                left = (weekly**week)[:, None]
                spread = sd[:, None] ** 2 * (1 - left**2) / 2
                rate = np.exp(centre[:, None] + sd[:, None] * left * grid + spread)
                total += stay[:, None] ** (week - 1) * rate * np.exp(-discount * (week - 0.5))
            return np.asarray(total, np.float64)

        self._log_count = np.log(ahead(ask.weeks, 0.0))
        self._log_value = np.log(ask.margin * ahead(ask.residual_weeks, ask.weekly_discount))
        points = _points(draws, 2)
        self._where = np.sort(points[:, :, 0], axis=1)
        order = np.argsort(points[:, :, 0], axis=1)
        self._basket_score = ndtri(np.take_along_axis(points[:, :, 1], order, axis=1))
        names = ("spend_log_mean", "spend_log_sd", "spend_rate_slope", "spend_within_shape")
        self._spend = np.array([[draw[name] for name in names] for draw in values])
        self._question = question

    def rows(self, log: TransactionLog) -> _Rows:
        counts = log.weekly_counts()
        n = log.n_customers
        start = np.zeros(n, np.int64)
        clock = np.zeros(n)
        if log.origin == "first_purchase":
            first = log.first_time()
            start, clock = first // SECONDS_PER_WEEK + 1, first / SECONDS_PER_WEEK
        spend = spend_of_everybody(log)
        out = np.empty((n, len(OUT)))
        tail = (1 - self._question.confidence) / 2
        drift_rows(
            counts, start, spend.baskets, spend.spend, spend.log_rate, self._spend,
            self._start, self._up, self._down, self._moves, self._likelihood, self._log_rate,
            self._stay, self._log_count, self._log_value, self._where, self._basket_score, tail,
            out,
        )  # fmt: skip
        purchases = np.bincount(log.customer, minlength=n)
        last = clock.copy()
        if log.n_transactions:
            np.maximum.at(last, log.customer, log.time / SECONDS_PER_WEEK)
        frequency = purchases
        if log.origin == "first_purchase":
            frequency = np.maximum(purchases - 1, 0)
        age = log.end_time / SECONDS_PER_WEEK - clock
        return frequency, last - clock, np.maximum(age, 0.0), out
