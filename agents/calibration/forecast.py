"""What a fitted model expects each customer of a log to buy next: the hold-out check."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.calibration.posterior import Posterior

QUADRATURE_NODES = 24
GRID_NODES = 121
GRID_REACH = 5.0

Floats = npt.NDArray[np.float64]


def expected_purchases(
    posterior: Posterior, log: TransactionLog, weeks: float, draw: int = 0
) -> Floats:
    """Expected purchases of each customer in the weeks after the log, given its history.

    Parameters
    ----------
    posterior : Posterior
        Fitted to this log, or to one of the same business.
    log : TransactionLog
        Histories to condition on.
    weeks : float
        Forecast period; whole weeks for the drift model.
    draw : int
        Joint draw of the parameters, 0 is the mode.

    Returns
    -------
    float64, shape (n,)
        For Pareto/NBD, purchase days (a log's days count once).
    """
    values = posterior.values(draw)
    if posterior.purchase_model == "pareto_nbd":
        return _pareto_nbd(values, log, weeks)
    return _drift(values, log, int(weeks))


def _pareto_nbd(values: dict[str, float], log: TransactionLog, weeks: float) -> Floats:
    """Schmittlein, Morrison and Colombo (1987), eq. 22, times P(alive) by quadrature."""
    r, a = values["rate_shape"], values["rate_rate"]
    s, b = values["dropout_shape"], values["dropout_rate"]
    history = log.summary()
    x, t_x, T = history.frequency.astype(float), history.recency, history.age
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2
    q = r + s + x
    w_T = ((a + t_x) / (a + T)) ** q
    w = w_T[:, None] + (1 - w_T)[:, None] * nodes
    shifted = (a + t_x)[:, None] * w ** (-1 / q)[:, None]
    integral = (1 - w_T) * (((shifted / (b - a + shifted)) ** (s + 1)) @ weights)
    dead_odds = (
        s / q * integral * np.exp((r + x) * np.log(a + T) + s * np.log(b + T) - q * np.log(a + t_x))
    )
    span = np.log1p(weeks / (b + T))
    exposure = span if abs(s - 1) < 1e-9 else -np.expm1(-(s - 1) * span) / (s - 1)
    return np.asarray((r + x) * (b + T) / (a + T) * exposure / (1 + dead_odds))


def _drift(values: dict[str, float], log: TransactionLog, weeks: int) -> Floats:
    """Forward filter of the log rate on a grid, with the mean hazard for every customer."""
    from scipy.special import gammaln

    sd, tau = values["rate_log_sd"], values["drift_time_constant"]
    stay = np.exp(-values["dropout_shape"] / values["dropout_rate"])
    grid = np.linspace(-GRID_REACH, GRID_REACH, GRID_NODES)
    centre = np.log(values["rate_mean"]) - sd**2 / 2
    log_rate = centre + sd * grid
    rho = np.exp(-1 / tau)
    move = np.exp(-((grid[None, :] - rho * grid[:, None]) ** 2) / (2 * (1 - rho**2)))
    move /= move.sum(axis=1, keepdims=True)
    counts = log.weekly_counts().astype(float)
    start = np.zeros(log.n_customers, np.int64)
    if log.origin == "first_purchase":
        start = log.first_time() // SECONDS_PER_WEEK + 1
    stationary = np.exp(-(grid**2) / 2)
    alive = np.tile(stationary / stationary.sum(), (log.n_customers, 1))
    dead = np.zeros(log.n_customers)
    for week in range(log.weeks):
        on = start <= week
        n = counts[on, week][:, None]
        seen = (alive[on] @ move) * np.exp(n * log_rate - np.exp(log_rate) - gammaln(n + 1))
        gone = dead[on] * (n[:, 0] == 0)
        total = seen.sum(axis=1) + gone
        gone = (gone + (1 - stay) * seen.sum(axis=1)) / total
        alive[on], dead[on] = stay * seen / total[:, None], gone
    expected = np.zeros(GRID_NODES)
    for ahead in range(1, weeks + 1):
        left = rho**ahead
        mean_rate = np.exp(centre + sd * left * grid + sd**2 * (1 - left**2) / 2)
        expected += stay ** (ahead - 1) * mean_rate
    return np.asarray(alive @ expected)
