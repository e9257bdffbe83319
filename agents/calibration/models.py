"""The PyMC models: purchase (Pareto/NBD, drift) and spend (Gamma-Gamma, lognormal-Gamma).

Each function returns a `pymc.Model` whose free variables are the natural logs of positive
parameters (or a parameter itself where it may be negative), so a mode, a Laplace approximation
and NUTS all work on the same model. Rates are per week.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agents.calibration.sufficient import CountMoments, PurchaseHistories, SpendTotals

if TYPE_CHECKING:
    import pymc as pm

Priors = Literal["weak", "flat"]

PRIOR_HAZARD = 0.0007
DROPOUT_SHAPE = 0.6
QUADRATURE_NODES = 24
SPEND_NODES = 15


def _pymc() -> tuple[Any, Any]:
    """Pymc and pytensor.tensor, without the notice that ArviZ prints when imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import pymc
        import pytensor.tensor
    return pymc, pytensor.tensor


def _log_parameter(name: str, centre: float, sd: float, priors: Priors) -> Any:
    """Positive parameter: a free log with prior Normal(log centre, sd), or flat."""
    pm, pt = _pymc()
    initial = float(np.log(centre))
    if priors == "flat":
        free = pm.Flat(f"log_{name}", initval=initial)
    else:
        free = pm.Normal(f"log_{name}", initial, sd, initval=initial)
    return pm.Deterministic(name, pt.exp(free))


def pareto_nbd(data: PurchaseHistories, priors: Priors = "weak") -> pm.Model:
    """Pareto/NBD [1]_: purchases Poisson while alive, both rates gamma across customers.

    With q = r + s + x, the substitution w = ((a + y) / (a + t_x))^-q turns the dropout integral
    of [2]_ into one whose integrand is constant when alpha = beta, so that 24 Gauss-Legendre
    nodes give the closed form's log-likelihood on CDNOW to 1e-4.

    Priors: log r ~ N(0, 1.5), log alpha ~ N(log 10, 2), log s ~ N(0, 1), log beta ~ N(log 20, 2).

    References
    ----------
    .. [1] Schmittlein, Morrison and Colombo (1987). Counting your customers.
       Management Science 33(1), 1-24.
    .. [2] Fader and Hardie (2005). A note on deriving the Pareto/NBD model.
       http://www.brucehardie.com/notes/009/
    """
    pm, pt = _pymc()
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2
    x = data.frequency.astype(float)
    t_x, T = data.recency, data.age
    with pm.Model() as model:
        r = _log_parameter("rate_shape", 1.0, 1.5, priors)
        a = _log_parameter("rate_rate", 10.0, 2.0, priors)
        s = _log_parameter("dropout_shape", 1.0, 1.0, priors)
        b = _log_parameter("dropout_rate", 20.0, 2.0, priors)
        counting = pt.gammaln(r + x) - pt.gammaln(r) + r * pt.log(a) + s * pt.log(b)
        alive = -(r + x) * pt.log(a + T) - s * pt.log(b + T)
        q = r + s + x
        w_T = ((a + t_x) / (a + T)) ** q
        w = w_T[:, None] + (1 - w_T)[:, None] * nodes[None, :]
        shifted = (a + t_x)[:, None] * w ** (-1 / q)[:, None]
        mean = ((shifted / (b - a + shifted)) ** (s + 1) * weights).sum(axis=1)
        dead = pt.log(s / q) - q * pt.log(a + t_x) + pt.log((1 - w_T) * mean + 1e-300)
        either = pt.maximum(alive, dead) + pt.log1p(pt.exp(-pt.abs(alive - dead)))
        likelihood = counting + either
        pm.Potential("likelihood", (data.customers * likelihood).sum())
    return model


def drift(data: CountMoments, priors: Priors = "weak") -> pm.Model:
    """Log purchase rate is a stationary Ornstein-Uhlenbeck process; counts per week are Poisson.

    The log rate has mean log m - sd^2/2, standard deviation sd and correlation exp(-lag / tau)
    at a lag in weeks. Then, with hazard h and customers of age t, log E[n] = log m - h t,
    log E[n(n-1)] / E[n]^2 = sd^2 + h t and log E[n_t n_{t+lag}] / E[n_t] E[n_{t+lag}] =
    sd^2 exp(-lag / tau) + h t. These log moments are normal around the model's with their
    covariance over customers: a synthetic likelihood [1]_. A pairwise composite likelihood of the
    same counts puts its weight on the shape of the distribution instead: on grocery data, whose
    weekly trips are more regular than Poisson, it overstates variance and time constant.

    Assumptions: every customer is alive when its clock starts and drops out with one hazard; a
    moment is evaluated at its mean age. Season and trend common to all customers cancel in the
    ratios but enter the early and late means, so the hazard's prior is informative and kept when
    `priors` is flat. Priors: log m ~ N(log observed mean, 2), log sd ~ N(log .8, 1),
    log tau ~ N(log 100, 1.5), log h ~ N(log .0007, .7).

    References
    ----------
    .. [1] Wood (2010). Statistical inference for noisy nonlinear ecological dynamic systems.
       Nature 466, 1102-1104.
    """
    pm, pt = _pymc()
    factor = np.linalg.inv(np.linalg.cholesky(data.covariance))
    constant = np.log(np.diag(factor)).sum() - len(factor) * np.log(2 * np.pi) / 2
    # Sign of h t, and which moments hold log m and sd^2.
    sign = np.array([-1.0, -1.0] + [1.0] * (1 + len(data.lags)))
    with pm.Model() as model:
        m = _log_parameter("rate_mean", data.mean_count, 2.0, priors)
        sd = _log_parameter("rate_log_sd", 0.8, 1.0, priors)
        tau = _log_parameter("drift_time_constant", 100.0, 1.5, priors)
        hazard = _log_parameter("hazard", PRIOR_HAZARD, 0.7, "weak")
        correlation = pt.exp(-np.concatenate([[0.0], data.lags]) / tau)
        expected = pt.concatenate([pt.stack([pt.log(m), pt.log(m)]), sd**2 * correlation])
        expected = expected + sign * hazard * data.age
        residual = (factor * (data.moments - expected)).sum(axis=1)
        pm.Potential("likelihood", constant - (residual**2).sum() / 2)
    return model


def gamma_gamma(frequency: Any, mean_spend: Any, priors: Priors = "weak") -> pm.Model:
    """Gamma-Gamma spend [1]_ in closed form on mean spend and number of repeat purchases.

    Priors: log p ~ N(log 4, 1), log q ~ N(log 3, 1), log gamma ~ N(log mean spend, 2).

    References
    ----------
    .. [1] Fader and Hardie (2013). The Gamma-Gamma model of monetary value.
       http://www.brucehardie.com/notes/025/
    """
    pm, pt = _pymc()
    x, z = np.asarray(frequency, float), np.asarray(mean_spend, float)
    with pm.Model() as model:
        p = _log_parameter("spend_within_shape", 4.0, 1.0, priors)
        q = _log_parameter("spend_shape", 3.0, 1.0, priors)
        g = _log_parameter("spend_scale", float(z.mean()), 2.0, priors)
        likelihood = (
            pt.gammaln(p * x + q)
            - pt.gammaln(p * x)
            - pt.gammaln(q)
            + q * pt.log(g)
            + (p * x - 1) * np.log(z)
            + (p * x) * np.log(x)
            - (p * x + q) * pt.log(g + x * z)
        )
        pm.Potential("likelihood", likelihood.sum())
    return model


def lognormal_gamma(data: SpendTotals, priors: Priors = "weak") -> pm.Model:
    """Customer's log mean basket is normal around a line in its log rate; baskets are gamma.

    log M ~ N(spend_log_mean + spend_rate_slope * log rate, spend_log_sd) and, given M, a basket
    is Gamma with shape `spend_within_shape` and mean M. The integral over M is adaptive
    Gauss-Hermite, centred one Newton step from the precision-weighted mean.

    Priors: spend_log_mean ~ N(log mean basket, 3), spend_rate_slope ~ N(0, .5),
    log spend_log_sd ~ N(log .6, 1), log spend_within_shape ~ N(0, 1).
    """
    pm, pt = _pymc()
    node, node_weight = np.polynomial.hermite.hermgauss(SPEND_NODES)
    n, total = data.baskets, data.spend
    log_mean_basket = float(np.log(total.sum() / n.sum()))
    with pm.Model() as model:
        if priors == "flat":
            level = pm.Flat("spend_log_mean", initval=log_mean_basket)
            slope = pm.Flat("spend_rate_slope", initval=0.0)
        else:
            level = pm.Normal("spend_log_mean", log_mean_basket, 3.0, initval=log_mean_basket)
            slope = pm.Normal("spend_rate_slope", 0.0, 0.5, initval=0.0)
        sd = _log_parameter("spend_log_sd", 0.6, 1.0, priors)
        k = _log_parameter("spend_within_shape", 1.0, 1.0, priors)
        centre = level + slope * data.log_rate
        precision = n * k + 1 / sd**2
        mode = (n * k * np.log(total / n) + centre / sd**2) / precision
        pull = k * total * pt.exp(-mode)
        mode = mode + (pull - n * k - (mode - centre) / sd**2) / (pull + 1 / sd**2)
        width = 1 / pt.sqrt(k * total * pt.exp(-mode) + 1 / sd**2)
        log_m = mode[:, None] + np.sqrt(2) * width[:, None] * node[None, :]
        distance = (log_m - centre[:, None]) * (1 / sd)
        integrand = (
            -(n * k)[:, None] * log_m
            - k * total[:, None] * pt.exp(-log_m)
            - distance * distance / 2
            + (node**2 + np.log(node_weight))[None, :]
        )
        peak = integrand.max(axis=1)
        likelihood = (
            n * (k * pt.log(k) - pt.gammaln(k))
            + (k - 1) * data.log_spend
            + peak
            + pt.log(pt.exp(integrand - peak[:, None]).sum(axis=1))
            + pt.log(width / sd)
            - 0.5 * np.log(np.pi)
        )
        pm.Potential("likelihood", likelihood.sum())
    return model
