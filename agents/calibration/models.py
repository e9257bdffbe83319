"""The PyMC models: purchase (Pareto/NBD, BG/NBD, hierarchy, drift) and spend.

Each function returns a `pymc.Model` whose free variables are untransformed scalars, mostly logs
(`log_…`) or inverse hyperbolic tangents (`atanh_…`) of parameters, so that a mode, a Laplace
approximation and NUTS all work on the same model. Its attribute `priors` says what was assumed of
each parameter (`Prior`), by name. Rates are per week.

`priors` is "weak" (those of each function), "flat", or a mapping of some parameters to a `Prior` of
one's own, which is weak for the others: weak priors may be centred on the data, one's own never
are, so data can be simulated from them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from agents.calibration.customer_histories import CustomerHistories
from agents.calibration.hierarchy_likelihood import CorrelatedLognormal
from agents.calibration.likelihood import potential
from agents.calibration.purchase_likelihoods import BGNBD, ParetoNBD
from agents.calibration.spend_likelihoods import GammaGamma, LognormalGamma
from agents.calibration.sufficient import CountMoments, PurchaseHistories, SpendTotals

if TYPE_CHECKING:
    import pymc as pm

Priors = Literal["weak", "flat"]

PRIOR_HAZARD = 0.0007
DROPOUT_SHAPE = 0.6
COVARIATE_SD = 0.5
EARLY_SHARE = 1 / 8


class Prior(NamedTuple):
    """A parameter's prior: normal on a scale, `linear`, `log` or `atanh`; sd inf where flat."""

    scale: str
    centre: float
    sd: float


ChosenPriors = Priors | Mapping[str, Prior]


def _assumed(name: str, scale: str, centre: float, sd: float, priors: ChosenPriors) -> Prior:
    """The parameter's prior, written down on the model at hand.

    Raises
    ------
    ValueError
        If one's own prior is on another scale.
    """
    pm, _ = _pymc()
    model = pm.modelcontext(None)
    if not hasattr(model, "priors"):
        model.priors = {}
    prior = Prior(scale, centre, np.inf if priors == "flat" else sd)
    if isinstance(priors, Mapping):
        prior = priors.get(name, prior)
        if prior.scale != scale:
            raise ValueError(f"prior of {name} is on scale {prior.scale!r}; allowed: {scale!r}")
    model.priors[name] = prior
    return prior


def _pymc() -> tuple[Any, Any]:
    """Pymc and pytensor.tensor, without the notice that ArviZ prints when imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import pymc
        import pytensor.tensor
    return pymc, pytensor.tensor


def _free(name: str, prior: Prior) -> Any:
    """Free variable with its prior."""
    pm, _ = _pymc()
    if np.isinf(prior.sd):
        return pm.Flat(name, initval=prior.centre)
    return pm.Normal(name, prior.centre, prior.sd, initval=prior.centre)


def _signed(name: str, centre: float, sd: float, priors: ChosenPriors) -> Any:
    """Parameter of any value with prior Normal(centre, sd), or flat."""
    return _free(name, _assumed(name, "linear", centre, sd, priors))


def _positive(name: str, centre: float, sd: float, priors: ChosenPriors) -> Any:
    """Positive parameter: a free log with prior Normal(log centre, sd), or flat."""
    pm, pt = _pymc()
    prior = _assumed(name, "log", float(np.log(centre)), sd, priors)
    return pm.Deterministic(name, pt.exp(_free(f"log_{name}", prior)))


def _correlation(name: str, priors: ChosenPriors) -> Any:
    """Correlation: a free inverse hyperbolic tangent with prior Normal(0, .5), or flat."""
    pm, pt = _pymc()
    prior = _assumed(name, "atanh", 0.0, 0.5, priors)
    return pm.Deterministic(name, pt.tanh(_free(f"atanh_{name}", prior)))


def pareto_nbd(data: PurchaseHistories, priors: ChosenPriors = "weak") -> pm.Model:
    """Pareto/NBD, see `ParetoNBD`.

    Shape and rate of dropout lie on a curved ridge: logs tell the hazard s / (beta + t) of those
    who have stayed for a while, t, but hardly s and beta. So that hazard is free in place of s,
    at an eighth of the mean age; priors stay on s and beta.

    Priors: log r ~ N(0, 1.5), log alpha ~ N(log 10, 2), log s ~ N(0, 1), log beta ~ N(log 20, 2).
    """
    pm, pt = _pymc()
    while_ago = float(np.average(data.age, weights=data.customers)) * EARLY_SHARE
    with pm.Model() as model:
        rate_shape = _positive("rate_shape", 1.0, 1.5, priors)
        rate_rate = _positive("rate_rate", 10.0, 2.0, priors)
        beta = _positive("dropout_rate", 20.0, 2.0, priors)
        hazard = pm.Flat("log_early_hazard", initval=float(-np.log(20.0 + while_ago)))
        log_shape = hazard + pt.log(beta + while_ago)
        shape = pm.Deterministic("dropout_shape", pt.exp(log_shape))
        prior = _assumed("dropout_shape", "log", 0.0, 1.0, priors)
        if np.isfinite(prior.sd):
            shape_prior = pm.Normal.dist(prior.centre, prior.sd)
            pm.Potential("prior_of_dropout_shape", pm.logp(shape_prior, log_shape))
        potential(ParetoNBD(data), rate_shape, rate_rate, shape, beta)
    return model


def bg_nbd(data: PurchaseHistories, priors: ChosenPriors = "weak") -> pm.Model:
    """BG/NBD, see `BGNBD`: a reference to compare with, which the simulator does not play.

    Priors: log r ~ N(0, 1.5), log alpha ~ N(log 10, 2), log a ~ N(0, 1.5), log b ~ N(log 3, 1.5).
    """
    pm, _ = _pymc()
    with pm.Model() as model:
        potential(
            BGNBD(data),
            _positive("rate_shape", 1.0, 1.5, priors),
            _positive("rate_rate", 10.0, 2.0, priors),
            _positive("dropout_a", 1.0, 1.5, priors),
            _positive("dropout_b", 3.0, 1.5, priors),
        )
    return model


def lognormal(data: CustomerHistories, priors: ChosenPriors = "weak") -> pm.Model:
    """Correlated lognormal rate, dropout and mean basket, see `CorrelatedLognormal`.

    Covariates shift the three means. Priors: rate_log_mean ~ N(log observed rate, 2),
    dropout_log_mean ~ N(log 1/50, 2), spend_log_mean ~ N(log mean basket, 2); log sds
    ~ N(log 1.2, .5), N(log 1.5, .5), N(log .6, .5) and N(log .6, .5) within customers; inverse
    hyperbolic tangents of the correlations ~ N(0, .5); covariates' coefficients ~ N(0, .5).
    """
    pm, _ = _pymc()
    rate = float((data.frequency.sum() + 1) / (data.age.sum() + 1))
    paid = data.baskets > 0
    basket = float(np.average(data.mean_log_spend[paid], weights=data.baskets[paid]))
    likelihood = CorrelatedLognormal(data)
    with pm.Model() as model:
        across = _correlation("rate_spend_correlation", priors)
        partial = _correlation("dropout_spend_partial_correlation", priors)
        parameters = [
            _signed("rate_log_mean", float(np.log(rate)), 2.0, priors),
            _positive("rate_log_sd", 1.2, 0.5, priors),
            _signed("dropout_log_mean", float(np.log(1 / 50)), 2.0, priors),
            _positive("dropout_log_sd", 1.5, 0.5, priors),
            _correlation("rate_dropout_correlation", priors),
            _signed("spend_log_mean", basket, 2.0, priors),
            _positive("spend_log_sd", 0.6, 0.5, priors),
            across,
            partial,
            _positive("spend_within_log_sd", 0.6, 0.5, priors),
        ]
        known = len(parameters)
        parameters += [
            _signed(name, 0.0, COVARIATE_SD, priors) for name in likelihood.names[known:]
        ]
        potential(likelihood, *parameters)
    model.too_narrow = likelihood.too_narrow
    return model


def drift(data: CountMoments, priors: ChosenPriors = "weak") -> pm.Model:
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
        m = _positive("rate_mean", data.mean_count, 2.0, priors)
        sd = _positive("rate_log_sd", 0.8, 1.0, priors)
        tau = _positive("drift_time_constant", 100.0, 1.5, priors)
        hazard = _positive("hazard", PRIOR_HAZARD, 0.7, "weak")
        correlation = pt.exp(-np.concatenate([[0.0], data.lags]) / tau)
        expected = pt.concatenate([pt.stack([pt.log(m), pt.log(m)]), sd**2 * correlation])
        expected = expected + sign * hazard * data.age
        residual = (factor * (data.moments - expected)).sum(axis=1)
        pm.Potential("likelihood", constant - (residual**2).sum() / 2)
    return model


def gamma_gamma(
    frequency: npt.NDArray[np.int64],
    mean_spend: npt.NDArray[np.float64],
    priors: ChosenPriors = "weak",
) -> pm.Model:
    """Gamma-Gamma, see `GammaGamma`.

    Priors: log p ~ N(log 4, 1), log q ~ N(log 3, 1), log gamma ~ N(log mean spend, 2).
    """
    pm, _ = _pymc()
    with pm.Model() as model:
        potential(
            GammaGamma(frequency, mean_spend),
            _positive("spend_within_shape", 4.0, 1.0, priors),
            _positive("spend_shape", 3.0, 1.0, priors),
            _positive("spend_scale", float(mean_spend.mean()), 2.0, priors),
        )
    return model


def lognormal_gamma(data: SpendTotals, priors: ChosenPriors = "weak") -> pm.Model:
    """Lognormal mean basket, gamma baskets, see `LognormalGamma`.

    Priors: spend_log_mean ~ N(log mean basket, 3), spend_rate_slope ~ N(0, .5),
    log spend_log_sd ~ N(log .6, 1), log spend_within_shape ~ N(0, 1).
    """
    pm, _ = _pymc()
    basket = float(np.log(data.spend.sum() / data.baskets.sum()))
    with pm.Model() as model:
        potential(
            LognormalGamma(data),
            _signed("spend_log_mean", basket, 3.0, priors),
            _signed("spend_rate_slope", 0.0, 0.5, priors),
            _positive("spend_log_sd", 0.6, 1.0, priors),
            _positive("spend_within_shape", 1.0, 1.0, priors),
        )
    return model
