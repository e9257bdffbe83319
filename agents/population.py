"""Draw a synthetic population from a posterior: joint, correlated, one address per trait."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from agents.compiled import kernel
from agents.dynamics import Dynamics
from agents.profile import JOIN, FilterParameters, fold
from agents.ranges import check_range
from agents.records import CHANNELS, KINDS, N_CATEGORIES, Customers, empty_customers
from agents.rng import Purpose, draw_normals, draw_uniforms

_RATE, _HAZARD, _SPEND, _GOAL, _FATIGUE, _REDEMPTION, _PRICE, _DEALS, _INFLUENCE = range(9)
_RESPONSE = 16
_OPENNESS = 32
_CATEGORY = 48
_ENROLLED, _VULNERABLE, _GROUP, _PROSPECT = range(4)
_CONSENT = 8
_MINOR = 100.0
# Customers drawn at a time: temporaries of a thread (about 0.5 MB each) stay in its cache.
_CHUNK = 65_536


class PosteriorLike(Protocol):
    """What is read of a posterior file (agents.calibration.posterior.Posterior)."""

    @property
    def purchase_model(self) -> str:
        """Model of purchases: pareto_nbd, lognormal or drift."""

    @property
    def spend_model(self) -> str:
        """Model of baskets: gamma_gamma, lognormal_gamma, lognormal, or none (visits without)."""

    @property
    def parameters(self) -> dict[str, NDArray[np.float64]]:
        """Draws by name, index 0 the mode."""


@dataclass(frozen=True)
class PopulationParameters:
    """A posterior written down by hand: one draw of each parameter (see DATA sources in docs)."""

    purchase_model: str
    spend_model: str
    parameters: dict[str, NDArray[np.float64]]


def _parameters(**values: float) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([value]) for name, value in values.items()}


# Measured on Complete Journey (dropout shape assumed), for work that has no log at hand.
GROCERY = PopulationParameters(
    "drift",
    "lognormal_gamma",
    _parameters(
        rate_mean=1.21,
        rate_log_sd=0.94,
        drift_time_constant=154.0,
        dropout_shape=0.6,
        dropout_rate=870.0,
        spend_log_mean=3.30,
        spend_log_sd=0.60,
        spend_rate_slope=-0.045,
        spend_within_shape=1.2,
    ),
)
# Published maximum-likelihood estimates on CDNOW (Fader, Hardie & Lee 2005).
MUSIC_STORE = PopulationParameters(
    "pareto_nbd",
    "gamma_gamma",
    _parameters(
        rate_shape=0.553,
        rate_rate=10.578,
        dropout_shape=0.606,
        dropout_rate=11.669,
        spend_within_shape=6.25,
        spend_shape=3.74,
        spend_scale=15.44,
    ),
)


# Log-normal traits of mean 1 and the number of their normal score.
_CORRELATED = {
    "goal_gradient": _GOAL,
    "fatigue": _FATIGUE,
    "price_sensitivity": _PRICE,
    "deal_learning": _DEALS,
    "influence": _INFLUENCE,
}


@dataclass(frozen=True)
class MembershipParameters:
    """Assumptions about customers that a transaction log does not tell.

    Shares are of the population. ``enrolment_slope`` is the change of the enrolment logit per
    standard deviation of the log rate: heavy buyers enrol themselves. ``category_shares`` names
    the categories and their mean share of baskets (up to 4, sum 1; none: categories are not told
    apart). ``rate_correlation`` correlates a trait's normal score with that of the purchase rate.
    ``prospect_share`` are people who are not customers yet. ``*_sd`` are sds of log traits whose
    mean is 1.
    """

    enrolled_share: float = 0.8
    enrolment_slope: float = 0.5
    consent_share: dict[str, float] = field(
        default_factory=lambda: {"email": 0.7, "sms": 0.3, "push": 0.4}
    )
    openness: dict[str, float] = field(
        default_factory=lambda: {"email": 0.35, "sms": 0.5, "push": 0.25}
    )
    openness_concentration: float = 4.0
    goal_gradient_sd: float = 0.5
    fatigue_sd: float = 0.5
    price_sensitivity_sd: float = 0.3
    deal_learning_sd: float = 0.3
    influence_sd: float = 0.8
    rate_correlation: dict[str, float] = field(default_factory=dict)
    category_shares: dict[str, float] = field(default_factory=dict)
    category_concentration: float = 4.0
    vulnerable_share: float = 0.05
    groups: int = 2
    prospect_share: float = 0.0

    def __post_init__(self) -> None:
        check_range("enrolled_share", self.enrolled_share, 0.0, 1.0)
        check_range("enrolment_slope", self.enrolment_slope, -5.0, 5.0)
        check_range("vulnerable_share", self.vulnerable_share, 0.0, 1.0)
        check_range("openness_concentration", self.openness_concentration, 0.1, 1e4)
        for name in _CORRELATED:
            check_range(f"{name}_sd", getattr(self, f"{name}_sd"), 0.0, 3.0)
        for name, value in self.rate_correlation.items():
            if name not in (*_CORRELATED, "redemption"):
                raise ValueError(f"rate_correlation.{name}: choose among {_CORRELATED}")
            check_range(f"rate_correlation.{name}", value, -1.0, 1.0)
        check_range("category_concentration", self.category_concentration, 0.1, 1e4)
        check_range("number of categories", len(self.category_shares), 0, N_CATEGORIES)
        for name, share in self.category_shares.items():
            check_range(f"category_shares.{name}", share, 1e-6, 1.0)
        if self.category_shares:
            check_range("sum of category_shares", sum(self.category_shares.values()), 0.999, 1.001)
        check_range("prospect_share", self.prospect_share, 0.0, 1.0)
        check_range("groups", self.groups, 1, 255)
        for label in ("consent_share", "openness"):
            for channel, share in getattr(self, label).items():
                if channel not in CHANNELS:
                    raise ValueError(f"{label}.{channel}: choose among {CHANNELS}")
                check_range(f"{label}.{channel}", share, 0.0, 1.0)


def _parameter(posterior: PosteriorLike, name: str, draw: int) -> float:
    return float(posterior.parameters[name][draw])


def rate_moments(posterior: PosteriorLike, draw: int = 0) -> tuple[float, float]:
    """Mean purchase rate per week and sd of the log rate across customers."""
    if posterior.purchase_model == "drift":
        return (
            _parameter(posterior, "rate_mean", draw),
            _parameter(posterior, "rate_log_sd", draw),
        )
    if posterior.purchase_model == "lognormal":
        sd = _parameter(posterior, "rate_log_sd", draw)
        return math.exp(_parameter(posterior, "rate_log_mean", draw) + sd**2 / 2), sd
    shape = _parameter(posterior, "rate_shape", draw)
    return shape / _parameter(posterior, "rate_rate", draw), math.sqrt(
        float(special.polygamma(1, shape))
    )


def mean_basket(posterior: PosteriorLike, draw: int = 0) -> float:
    """Expected basket of a random customer, minor units."""
    p = {name: float(values[draw]) for name, values in posterior.parameters.items()}
    if posterior.spend_model == "none":
        return 0.0
    if posterior.spend_model == "gamma_gamma":
        return _MINOR * p["spend_within_shape"] * p["spend_scale"] / max(p["spend_shape"] - 1, 0.1)
    if posterior.spend_model == "lognormal":
        return _MINOR * math.exp(p["spend_log_mean"] + p["spend_log_sd"] ** 2 / 2)
    mean, sd = rate_moments(posterior, draw)
    log_rate = math.log(mean) - sd**2 / 2
    return _MINOR * math.exp(
        p["spend_log_mean"] + p["spend_rate_slope"] * log_rate + p["spend_log_sd"] ** 2 / 2
    )


def dynamics_from(posterior: PosteriorLike, draw: int = 0, **own: Any) -> Dynamics:
    """How this population moves on its own; ``own`` are further fields of ``Dynamics``."""
    mean, sd = rate_moments(posterior, draw)
    drifting = posterior.purchase_model == "drift"
    return Dynamics(
        drift_sd=sd if drifting else 0.0,
        drift_weeks=_parameter(posterior, "drift_time_constant", draw) if drifting else 0.0,
        spend_family="lognormal" if posterior.spend_model == "lognormal" else "gamma",
        log_rate_centre=math.log(mean) - sd**2 / 2 if drifting else math.log(mean),
        **own,
    )


def filter_from(posterior: PosteriorLike, draw: int = 0) -> FilterParameters:
    """Prior of the firm's P(alive) recursion.

    Under drift the gamma prior matches the lognormal's mean and variance, and the weekly discount
    is the steady-state gain of a local-level filter: keep = 1 - sqrt(innovation variance × mean
    rate) (West & Harrison 1997, Bayesian Forecasting and Dynamic Models, ch. 2). In the static
    hierarchy gammas match mean and variance of the logs: dropout varies so much there that a
    gamma of the same variance would put nearly everybody at no hazard at all.
    """
    if posterior.purchase_model == "lognormal":
        p = {name: float(values[draw]) for name, values in posterior.parameters.items()}
        return FilterParameters(
            *_gamma_of_logs(p["rate_log_mean"], p["rate_log_sd"]),
            *_gamma_of_logs(p["dropout_log_mean"], p["dropout_log_sd"]),
            spend_prior_mean=mean_basket(posterior, draw),
        )
    dropout = (
        _parameter(posterior, "dropout_shape", draw),
        _parameter(posterior, "dropout_rate", draw),
    )
    spend = mean_basket(posterior, draw)
    if posterior.purchase_model == "drift":
        mean, sd = rate_moments(posterior, draw)
        shape = 1.0 / math.expm1(sd**2)
        innovation = dynamics_from(posterior, draw).drift_step ** 2
        keep = max(0.5, 1.0 - math.sqrt(innovation * mean))
        return FilterParameters(shape, shape / mean, *dropout, keep=keep, spend_prior_mean=spend)
    return FilterParameters(
        _parameter(posterior, "rate_shape", draw),
        _parameter(posterior, "rate_rate", draw),
        *dropout,
        spend_prior_mean=spend,
    )


def _gamma_of_logs(mean: float, sd: float) -> tuple[float, float]:
    """Shape and rate of the gamma whose logarithm has this mean and standard deviation."""
    log_shape = optimize.brentq(
        lambda at: float(special.polygamma(1, math.exp(at))) - sd**2, -7.0, 28.0
    )
    shape = math.exp(log_shape)
    return shape, math.exp(float(special.digamma(shape)) - mean)


def draw_population(
    posterior: PosteriorLike,
    n: int,
    key: np.uint64,
    membership: MembershipParameters | None = None,
    first_id: int = 0,
    draw: int = 0,
) -> Customers:
    """Synthetic customers at week 0, all just joined.

    Parameters
    ----------
    posterior
        Parameters; ``draw`` chooses the posterior draw, 0 is the mode.
    n, first_id
        Customers ``first_id`` to ``first_id + n - 1``; a customer's draws depend on its id alone.
    key
        ``derive_seed(seed, "population")``.
    membership
        Assumptions beyond the log.

    Returns
    -------
    Customers
        Traits are joint through a Gaussian copula; margins follow the posterior. Prospects have
        not joined.

    Raises
    ------
    ValueError
        If the correlations of the lognormal hierarchy are those of no three variables.
    """
    membership = membership or MembershipParameters()
    customers = empty_customers(n)
    parameters = {name: float(values[draw]) for name, values in posterior.parameters.items()}

    def fill(rows: slice) -> None:
        chunk = Customers(*(part[rows] for part in customers))
        start = first_id + rows.start
        chunk.traits["id"] = np.arange(start, start + chunk.n, dtype=np.uint64)
        _fill(chunk, posterior, parameters, membership, key)

    chunks = [slice(at, at + _CHUNK) for at in range(0, n, _CHUNK)]
    # scipy's inverse distribution functions, which take most of the time, release the GIL.
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        try:
            list(pool.map(fill, chunks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return customers


def _fill(
    customers: Customers,
    posterior: PosteriorLike,
    p: dict[str, float],
    membership: MembershipParameters,
    key: np.uint64,
) -> None:
    """Draw the customers of these rows, whose ids are set."""
    traits, account = customers.traits, customers.account
    ids = np.ascontiguousarray(traits["id"])
    n = ids.size

    def z(index: int, rate_correlation: float = 0.0) -> NDArray[np.float64]:
        score = draw_normals(key, ids, Purpose.TRAITS, index)
        if rate_correlation:
            score = rate_correlation * rate_z + math.sqrt(1 - rate_correlation**2) * score
        return score

    def u(index: int) -> NDArray[np.float64]:
        return draw_uniforms(key, ids, Purpose.ACCOUNT, index)

    rate_z = z(_RATE)
    if posterior.purchase_model == "drift":
        log_rate = np.full(n, math.log(p["rate_mean"]) - p["rate_log_sd"] ** 2 / 2)
        drift = p["rate_log_sd"] * rate_z
    elif posterior.purchase_model == "lognormal":
        log_rate = p["rate_log_mean"] + p["rate_log_sd"] * rate_z
        drift = np.zeros(n)
    else:
        rate = special.gammaincinv(p["rate_shape"], special.ndtr(rate_z)) / p["rate_rate"]
        log_rate = np.log(np.maximum(rate, 1e-30))
        drift = np.zeros(n)
    traits["log_rate"] = log_rate
    customers.state["drift"] = drift
    customers.state["habit"] = np.exp(log_rate + drift)  # visits as usual before week 0
    hazard_z, spend_z = z(_HAZARD), z(_SPEND)
    if posterior.purchase_model == "lognormal":
        across = p["rate_dropout_correlation"]
        apart = math.sqrt(1 - across**2)
        traits["hazard"] = np.exp(
            p["dropout_log_mean"] + p["dropout_log_sd"] * (across * rate_z + apart * hazard_z)
        )
        by_rate = p["rate_spend_correlation"]
        by_hazard = (p["dropout_spend_correlation"] - across * by_rate) / apart
        own = 1 - by_rate**2 - by_hazard**2
        if own < -1e-9:
            raise ValueError(
                f"correlations {across:g} (rate, dropout), {by_rate:g} (rate, spend) and "
                f"{p['dropout_spend_correlation']:g} (dropout, spend) exclude each other"
            )
        spend_z *= math.sqrt(max(own, 0.0))
        spend_z += by_rate * rate_z + by_hazard * hazard_z
    else:
        dropout = special.gammaincinv(p["dropout_shape"], special.ndtr(hazard_z))
        traits["hazard"] = dropout / p["dropout_rate"]
    if posterior.spend_model == "gamma_gamma":
        precision = special.gammaincinv(p["spend_shape"], special.ndtr(-spend_z)) / p["spend_scale"]
        mean = p["spend_within_shape"] / np.maximum(precision, 1e-12)
    elif posterior.spend_model == "none":
        mean = np.zeros(n)
    elif posterior.spend_model == "lognormal":
        mean = np.exp(p["spend_log_mean"] + p["spend_log_sd"] * spend_z)
    else:
        mean = np.exp(
            p["spend_log_mean"]
            + p["spend_rate_slope"] * (log_rate + drift)
            + p["spend_log_sd"] * spend_z
        )
    traits["spend_mean"] = _MINOR * mean
    within = "spend_within_log_sd" if posterior.spend_model == "lognormal" else "spend_within_shape"
    traits["spend_shape"] = p.get(within, 1.0)
    for kind in range(len(KINDS)):
        traits["response"][:, kind] = z(_RESPONSE + kind)
    for at, channel in enumerate(CHANNELS):
        share = min(max(membership.openness.get(channel, 0.0), 1e-6), 1 - 1e-6)
        k = membership.openness_concentration
        traits["openness"][:, at] = special.betaincinv(
            share * k, (1 - share) * k, special.ndtr(z(_OPENNESS + at))
        )
        account["consent"][:, at] = u(_CONSENT + at) < membership.consent_share.get(channel, 0.0)
    for name, index in _CORRELATED.items():
        sd = getattr(membership, f"{name}_sd")
        score = z(index, membership.rate_correlation.get(name, 0.0))
        trait = "fatigue_sensitivity" if name == "fatigue" else name
        traits[trait] = np.exp(sd * score - sd**2 / 2)
    traits["redemption"] = z(_REDEMPTION, membership.rate_correlation.get("redemption", 0.0))
    shares = tuple(membership.category_shares.values())
    if shares:
        for at, mean in enumerate(shares):
            shape = mean * membership.category_concentration * len(shares)
            traits["category"][:, at] = special.gammaincinv(
                shape, draw_uniforms(key, ids, Purpose.TRAITS, _CATEGORY + at)
            )
        traits["category"] /= np.maximum(traits["category"].sum(axis=1, keepdims=True), 1e-30)
    share = min(max(membership.enrolled_share, 1e-9), 1 - 1e-9)
    logit = math.log(share / (1 - share)) + membership.enrolment_slope * rate_z
    account["enrolled"] = u(_ENROLLED) < special.expit(logit)
    account["vulnerable"] = u(_VULNERABLE) < membership.vulnerable_share
    account["group"] = np.minimum(u(_GROUP) * membership.groups, membership.groups - 1)
    customers.state["alive"] = 1
    prospect = u(_PROSPECT) < membership.prospect_share
    customers.state["prospect"] = prospect
    account["enrolled"] &= ~prospect
    _join(customers.profile, customers.state)


@kernel
def _join(profile, state):  # type: ignore[no-untyped-def]
    for row in range(profile.shape[0]):
        if state[row].prospect == 0:
            fold(profile[row], JOIN, 0, 0, 0, 0)
