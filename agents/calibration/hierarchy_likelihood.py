"""Log-likelihood of the correlated lognormal hierarchy, and its gradient.

Log purchase rate, log dropout hazard and log mean basket of a customer are jointly normal,
around means that may depend on covariates. Given them, purchases and dropout are those of
Pareto/NBD and baskets are lognormal.
"""

from __future__ import annotations

import numpy as np

from agents.calibration.customer_histories import CustomerHistories
from agents.calibration.likelihood import Floats, summed
from agents.compiled import threaded_kernel
from agents.elementary import exp, log

HAZARD_STEP = 0.6
HAZARD_LOGS = (-16.0, 4.0)
RATE_STEP = 1.3
"""In standard deviations of the most active customer's log rate: trapezoids err by 1e-5."""
NARROW = 0.65
"""Steps that a spread must have at least, given the other one."""
RATE_REACH = (7.0, 4.0)
"""Logs below the rate of one purchase in the longest history, and above the highest rate."""
NEGLIGIBLE = 1e-12
"""Likelihood of a node over the highest of its customer: below it the node is left out."""
_BLOCK = 64
_SUMS = 8
_BLOCKS_AT_ONCE = 16


class CorrelatedLognormal:
    """The hierarchy's log-likelihood, integrated over each customer's log rate and log hazard.

    The individual likelihood [1]_ does not depend on the parameters, so it is tabulated once on
    a grid of log rates and log hazards; trapezoids on it converge exponentially, as integrands
    are smooth and vanish at the ends. The log mean basket is integrated in closed form. Where
    customers hardly differ the grid is too coarse for the prior: `too_narrow` says so.

    Parameters
    ----------
    data : CustomerHistories
        One row per customer.

    References
    ----------
    .. [1] Fader and Hardie (2005). A note on deriving the Pareto/NBD model.
       http://www.brucehardie.com/notes/009/
    .. [2] Abe (2009). "Counting your customers" one by one: a hierarchical Bayes extension to
       the Pareto/NBD model. Marketing Science 28(3), 541-553.
    """

    def __init__(self, data: CustomerHistories) -> None:
        order = np.lexsort((data.age, data.recency, data.frequency))
        self._x = data.frequency[order].astype(np.float64)
        self._t_x, self._T = data.recency[order], data.age[order]
        self._n = data.baskets[order].astype(np.float64)
        self._mean_log = np.where(self._n > 0, data.mean_log_spend[order], 0.0)
        self._squares = np.where(self._n > 0, data.log_spend_squares[order], 0.0)
        self._covariates = np.ascontiguousarray(data.covariates[order], np.float64)
        coefficients = self._covariates.shape[1]
        self.names = (
            "rate_log_mean", "rate_log_sd", "dropout_log_mean", "dropout_log_sd",
            "rate_dropout_correlation", "spend_log_mean", "spend_log_sd",
            "rate_spend_correlation", "dropout_spend_partial_correlation", "spend_within_log_sd",
            *(
                f"{trait}_covariate_{at}"
                for trait in ("rate", "dropout", "spend")
                for at in range(coefficients)
            ),
        )  # fmt: skip
        self._tabulate()

    def _tabulate(self) -> None:
        """Individual likelihoods over their highest, on the grid's nodes, block by block."""
        most = max(float(self._x.max()), 1.0)
        low = np.log(1 / self._T.max()) - RATE_REACH[0]
        high = np.log((most + 1) / max(float(self._T[-1]), 1.0)) + RATE_REACH[1]
        log_rate = np.arange(low, high, RATE_STEP / np.sqrt(most + 1))
        log_hazard = np.arange(*HAZARD_LOGS, HAZARD_STEP)
        self._rate_step = float(log_rate[1] - log_rate[0])
        cell = self._rate_step * HAZARD_STEP
        grid = np.stack(np.meshgrid(log_rate, log_hazard, indexing="ij"), axis=-1).reshape(-1, 2)
        rate, hazard = np.exp(grid).T
        leave = rate + hazard
        tables, nodes, starts = [], [], [0]
        self._constant = 0.0
        for top in range(0, len(self._x), _BLOCK):
            x, t_x, T = (part[top : top + _BLOCK, None] for part in (self._x, self._t_x, self._T))
            likelihood = (
                x * grid[:, 0] - leave * t_x
                + np.log((hazard + rate * np.exp(-leave * (T - t_x))) / leave)
            )  # fmt: skip
            highest = likelihood.max(axis=1, keepdims=True)
            self._constant += float(highest.sum())
            likelihood = np.exp(likelihood - highest)
            kept = np.flatnonzero(likelihood.max(axis=0) > NEGLIGIBLE)
            table = np.zeros((len(kept), _BLOCK), np.float32)
            table[:, : len(x)] = likelihood[:, kept].T
            tables.append(table)
            nodes.append(kept)
            starts.append(starts[-1] + len(kept))
        self._table, self._starts = np.concatenate(tables), np.array(starts)
        self._node = grid[np.concatenate(nodes)]
        self._constant += len(self._x) * np.log(cell / (2 * np.pi))

    def too_narrow(self, parameters: Floats) -> str:
        """Which spread is too small for the grid, empty if none is.

        At 1.5 steps a sd, and less, trapezoids of a normal density err by more than .02 in the
        log-likelihood of a few hundred customers.
        """
        s1, s2, rho = parameters[1], parameters[3], parameters[4]
        kappa = np.sqrt(1 - rho**2)
        for name, spread, step in (
            ("rates", s1 * kappa, self._rate_step), ("dropout hazards", s2 * kappa, HAZARD_STEP),
        ):  # fmt: skip
            if spread < NARROW * step:
                return name
        return ""

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """Value and gradient in the order of `names`."""
        m1, s1, m2, s2, rho, m3, s3, a, partial, within = (float(p) for p in parameters[:10])
        shift = np.array([m1, m2, m3]) + self._covariates @ parameters[10:].reshape(3, -1).T
        rows = np.empty((len(self._x), 3))
        blocks = len(self._starts) - 1

        def kernel(first: int, last: int, out: Floats) -> None:
            _hierarchy(
                self._table, self._node, self._starts, self._n, self._mean_log, self._squares,
                shift, s1, s2, rho, s3, a, partial, within, first, last, out, rows,
            )  # fmt: skip

        sums = summed(kernel, blocks, _SUMS, _BLOCKS_AT_ONCE)
        means = rows.sum(axis=0)
        gradient = np.array([means[0], sums[1], means[1], sums[2], sums[3], means[2], *sums[4:8]])
        return self._constant + float(sums[0]), np.concatenate(
            [gradient, (rows.T @ self._covariates).reshape(-1)]
        )


@threaded_kernel
def _hierarchy(  # type: ignore[no-untyped-def]
    table, node, starts, baskets, mean_log, squares, shift, s1, s2, rho, s3, a, partial, within,
    first, last, out, rows,
):  # fmt: skip
    """Add value and gradient of blocks first..last-1 to ``out``; per row those of the means.

    ``out`` holds the value and the derivatives in s1, s2, rho, s3, a, partial and within.
    """
    customers = baskets.size
    kappa = np.sqrt(1.0 - rho**2)
    free = np.sqrt(1.0 - a**2)
    b = partial * free
    own = free**2 * (1.0 - partial**2)
    z, precision = np.empty(_BLOCK), np.empty(_BLOCK)
    m1, m2, m3 = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    total, e1, e2 = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    e11, e22, e12 = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    d, dd, d1, d2 = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    for block in range(first, last):
        top = block * _BLOCK
        size = min(_BLOCK, customers - top)
        for i in range(_BLOCK):
            k = min(top + i, customers - 1)
            some = baskets[k] > 0
            z[i] = mean_log[k] + within**2 / 2.0
            precision[i] = some / (s3**2 * own + within**2 / max(baskets[k], 1.0))
            m1[i], m2[i], m3[i] = shift[k, 0], shift[k, 1], shift[k, 2]
        for sums in (total, e1, e2, e11, e22, e12, d, dd, d1, d2):
            sums[:] = 0.0
        for j in range(starts[block], starts[block + 1]):
            log_rate, log_hazard = node[j, 0], node[j, 1]
            row = table[j]
            for i in range(_BLOCK):
                u = (log_rate - m1[i]) / s1
                v = ((log_hazard - m2[i]) / s2 - rho * u) / kappa
                away = z[i] - m3[i] - s3 * (a * u + b * v)
                pull = away * precision[i]
                density = row[i] * exp(-0.5 * (u * u + v * v + away * pull))
                total[i] += density
                e1[i] += density * u
                e2[i] += density * v
                e11[i] += density * u * u
                e22[i] += density * v * v
                e12[i] += density * u * v
                d[i] += density * pull
                dd[i] += density * pull * pull
                d1[i] += density * pull * u
                d2[i] += density * pull * v
        across = s3 * (b * rho / kappa - a) / s1
        for i in range(size):
            k = top + i
            n = baskets[k]
            mass = 1.0 / max(total[i], 1e-290)
            m_e1, m_e2, m_d = e1[i] * mass, e2[i] * mass, d[i] * mass
            m_11, m_22, m_12 = e11[i] * mass, e22[i] * mass, e12[i] * mass
            m_d1, m_d2 = d1[i] * mass, d2[i] * mass
            by_variance = 0.5 * (dd[i] * mass - precision[i])
            value = log(max(total[i], 1e-290)) - log(s1 * s2 * kappa)
            if n > 0:
                value += (
                    0.5 * log(precision[i]) - (n - 1.0) * log(within)
                    - squares[k] / (2.0 * within**2) - 0.5 * log(n)
                    - 0.5 * n * np.log(2.0 * np.pi) - n * mean_log[k]
                )  # fmt: skip
                out[7] += (
                    -m_d * within + by_variance * 2.0 * within / n
                    - (n - 1.0) / within + squares[k] / within**3
                )  # fmt: skip
            out[0] += value
            out[1] += (m_11 - rho / kappa * m_12 - 1.0) / s1 + across * m_d1
            out[2] += (m_22 + rho / kappa * m_12 - s3 * b * (m_d2 + rho / kappa * m_d1) - 1.0) / s2
            out[3] += (m_12 - s3 * b * m_d1) / kappa - rho / kappa**2 * (m_22 - s3 * b * m_d2 - 1.0)
            out[4] += a * m_d1 + b * m_d2 + by_variance * 2.0 * s3 * own
            out[5] += s3 * (m_d1 - m_d2 * partial * a / free) - (
                by_variance * s3**2 * 2.0 * a * (1.0 - partial**2)
            )
            out[6] += s3 * m_d2 * free - by_variance * s3**2 * 2.0 * partial * free**2
            rows[k, 0] = (m_e1 - rho / kappa * m_e2) / s1 + across * m_d
            rows[k, 1] = (m_e2 - s3 * b * m_d) / (kappa * s2)
            rows[k, 2] = m_d
