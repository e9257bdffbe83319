"""How customers respond: ``intensities`` gives rates and means, ``realise`` samples them.

Every number here comes from ``BehaviourParameters``; sources and ranges are in conf/response and
conf/world. With neutral parameters the model is exactly Pareto/NBD (Schmittlein, Morrison &
Colombo 1987) with gamma or lognormal heterogeneity.
"""

import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.compiled import kernel
from agents.records import KINDS, N_KINDS, Field, record_dtype
from agents.rng import MAX_RATE, normal, poisson, uniform, unit_gamma, unit_lognormal

SPEND_FAMILIES = ("gamma", "lognormal")
MAX_BASKET = 8e6  # minor units; 255 a week fit 32 bits


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError naming the parameter, its value and its range."""
    if not low <= value <= high:
        raise ValueError(f"{name}={value!r} is outside [{low}, {high}]")


@dataclass(frozen=True)
class KindEffects:
    """One number per reward kind."""

    discount: float = 0.0
    points: float = 0.0
    free_item: float = 0.0
    recognition: float = 0.0

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in the order of ``KINDS``."""
        return tuple(float(getattr(self, kind)) for kind in KINDS)


@dataclass(frozen=True)
class ResponseParameters:
    """A response world: what the firm's acts do to behaviour. Defaults: nothing at all.

    Effects are changes of the log purchase rate or log hazard unless stated otherwise.
    """

    name: str = "null"
    offer_log_rate: KindEffects = KindEffects()
    offer_log_rate_sd: float = 0.0
    basket_uplift: KindEffects = KindEffects()
    redemption_logit: KindEffects = KindEffects(-1.0, -1.0, -1.0, -1.0)
    redemption_sd: float = 2.08
    redemption_rate_slope: float = 0.68
    tier_log_rate: float = 0.0
    tier_log_hazard: float = 0.0
    goal_gradient: float = 0.0
    momentum_log_rate: float = 0.0
    momentum_weeks: float = 2.0
    pull_forward: float = 0.0
    pull_forward_weeks: float = 2.0
    fatigue_log_rate: float = 0.0
    fatigue_log_hazard: float = 0.0
    fatigue_weeks: float = 4.0
    reward_log_hazard: float = 0.0
    reward_weeks: float = 13.0
    opt_out_per_contact: float = 0.002
    points_use_probability: float = 0.3

    def __post_init__(self) -> None:
        for label in ("offer_log_rate", "basket_uplift"):
            for kind, value in zip(KINDS, getattr(self, label).values, strict=True):
                check_range(f"{label}.{kind}", value, -2.0, 2.0)
        for label in ("tier_log_rate", "tier_log_hazard", "goal_gradient", "momentum_log_rate"):
            check_range(label, getattr(self, label), -2.0, 2.0)
        for label in ("fatigue_log_rate", "fatigue_log_hazard", "reward_log_hazard"):
            check_range(label, getattr(self, label), -2.0, 2.0)
        check_range("pull_forward", self.pull_forward, 0.0, 2.0)
        check_range("offer_log_rate_sd", self.offer_log_rate_sd, 0.0, 2.0)
        check_range("redemption_sd", self.redemption_sd, 0.0, 10.0)
        for label in ("momentum_weeks", "pull_forward_weeks", "fatigue_weeks", "reward_weeks"):
            check_range(label, getattr(self, label), 0.1, 520.0)
        for label in ("opt_out_per_contact", "points_use_probability"):
            check_range(label, getattr(self, label), 0.0, 1.0)


@dataclass(frozen=True)
class Dynamics:
    """How customers move on their own, from the posterior and the world.

    ``drift_sd`` is the stationary sd of the log rate, ``drift_weeks`` its time constant;
    0 weeks switches drift off. ``max_basket`` caps a basket, in minor units.
    """

    drift_sd: float = 0.0
    drift_weeks: float = 0.0
    spend_family: str = "gamma"
    log_rate_centre: float = 0.0
    close_account_probability: float = 0.1
    max_basket: float = MAX_BASKET

    def __post_init__(self) -> None:
        check_range("drift_sd", self.drift_sd, 0.0, 5.0)
        check_range("drift_weeks", self.drift_weeks, 0.0, 1e6)
        # 255 baskets a week must fit 32-bit minor units.
        check_range("max_basket", self.max_basket, 1.0, MAX_BASKET)
        check_range("close_account_probability", self.close_account_probability, 0.0, 1.0)
        if self.spend_family not in SPEND_FAMILIES:
            raise ValueError(f"spend_family={self.spend_family!r}: choose one of {SPEND_FAMILIES}")

    @property
    def drift_keep(self) -> float:
        """Share of the drift that survives a week."""
        return math.exp(-1.0 / self.drift_weeks) if self.drift_weeks > 0 else 1.0

    @property
    def drift_step(self) -> float:
        """Weekly innovation sd."""
        return self.drift_sd * math.sqrt(1.0 - self.drift_keep**2)


_SCALARS = (
    "offer_log_rate_sd",
    "redemption_sd",
    "redemption_rate_slope",
    "tier_log_rate",
    "tier_log_hazard",
    "goal_gradient",
    "momentum_log_rate",
    "momentum_keep",
    "pull_forward",
    "pull_forward_keep",
    "fatigue_log_rate",
    "fatigue_log_hazard",
    "fatigue_keep",
    "reward_log_hazard",
    "reward_keep",
    "opt_out_per_contact",
    "points_use_probability",
    "drift_keep",
    "drift_step",
    "log_rate_centre",
    "close_account_probability",
    "max_basket",
)

BEHAVIOUR = record_dtype(
    (
        *(Field(name, "f8", (), "", "see ResponseParameters and Dynamics") for name in _SCALARS),
        Field("offer_log_rate", "f8", (N_KINDS,), "log", "mean effect of an opened offer"),
        Field("basket_uplift", "f8", (N_KINDS,), "log", "effect of an opened offer on baskets"),
        Field("redemption_logit", "f8", (N_KINDS,), "logit", "intercept of the intention"),
        Field("lognormal_spend", "u1", (), "flag", "baskets lognormal rather than gamma"),
    )
)


def behaviour_record(response: ResponseParameters, dynamics: Dynamics) -> NDArray[np.void]:
    """Compiled form of the parameters, shape (1,)."""
    record = np.zeros(1, BEHAVIOUR)
    for label in ("momentum", "pull_forward", "fatigue", "reward"):
        record[f"{label}_keep"] = math.exp(-1.0 / getattr(response, f"{label}_weeks"))
    for name in _SCALARS:
        for source in (response, dynamics):
            if hasattr(source, name):
                record[name] = getattr(source, name)
    for name in ("offer_log_rate", "basket_uplift", "redemption_logit"):
        record[name][0] = getattr(response, name).values
    record["lognormal_spend"] = dynamics.spend_family == "lognormal"
    return record


Stimulus = namedtuple(
    "Stimulus",
    (
        "season_log_rate",  # exogenous, log
        "season_spend",  # exogenous, factor on baskets
        "offer_kind",  # index into KINDS of an opened open offer, -1 = none
        "offer_strength",  # multiple of the kind's effect
        "tier",  # present tier, 0 = base or not enrolled
        "goal_progress",  # share of the points for the next reward, 0-1
        "contact_channel",  # index into CHANNELS of this week's contact, -1 = none
        "contact_kind",  # index into KINDS of this week's contact, -1 = none
    ),
)

Intensities = namedtuple(
    "Intensities",
    (
        "rate",  # purchases per week while alive
        "hazard",  # dropout per week
        "spend_mean",  # minor units per basket at shelf price
        "attention",  # probability of opening this week's contact
        "intention",  # probability of meaning to redeem this week's offer once opened
        "opt_out",  # probability of leaving the channel after a contact
        "use_points",  # probability of redeeming a reward in a week with a purchase
    ),
)

Realised = namedtuple("Realised", ("purchases", "alive_fraction", "survives"))


@kernel
def intensities(traits, state, stimulus, behaviour):  # type: ignore[no-untyped-def]
    """Rates, probabilities and conditional means of one customer-week; no randomness.

    Parameters are a TRAITS row, a STATE row, a Stimulus and the BEHAVIOUR record. Units are those
    of ``Intensities``. Attention and intention must be known before the purchase rate: call with
    ``offer_kind`` -1 for them, then again with the opened offer (docs/behaviour in DESIGN §5).
    """
    log_rate = (
        traits.log_rate
        + state.drift
        + stimulus.season_log_rate
        + behaviour.tier_log_rate * stimulus.tier
        + behaviour.goal_gradient * traits.goal_gradient * stimulus.goal_progress
        + behaviour.momentum_log_rate * state.momentum
        + behaviour.fatigue_log_rate * traits.fatigue_sensitivity * state.fatigue
        - behaviour.pull_forward * state.pull_forward
    )
    spend = traits.spend_mean * stimulus.season_spend
    if stimulus.offer_kind >= 0:
        kind = stimulus.offer_kind
        log_rate += stimulus.offer_strength * (
            behaviour.offer_log_rate[kind] + behaviour.offer_log_rate_sd * traits.response[kind]
        )
        spend *= math.exp(stimulus.offer_strength * behaviour.basket_uplift[kind])
    log_hazard = (
        behaviour.reward_log_hazard * min(state.recent_reward, 1.0)
        + behaviour.tier_log_hazard * stimulus.tier
        + behaviour.fatigue_log_hazard * traits.fatigue_sensitivity * state.fatigue
    )
    return Intensities(
        min(math.exp(log_rate), MAX_RATE),
        traits.hazard * (math.exp(log_hazard) if log_hazard != 0.0 else 1.0),
        spend,
        attention(traits, stimulus.contact_channel),
        intention(traits, state, stimulus.contact_kind, behaviour),
        behaviour.opt_out_per_contact * (1.0 + state.fatigue),
        behaviour.points_use_probability,
    )


@kernel
def attention(traits, channel):  # type: ignore[no-untyped-def]
    """Probability that a contact on this channel is opened; 0 without a contact."""
    if channel < 0:
        return 0.0
    return float(traits.openness[channel])


@kernel
def intention(traits, state, kind, behaviour):  # type: ignore[no-untyped-def]
    """Probability that an opened offer of this kind is meant to be redeemed (logit in log rate)."""
    if kind < 0:
        return 0.0
    logit = (
        behaviour.redemption_logit[kind]
        + behaviour.redemption_sd * traits.redemption
        + behaviour.redemption_rate_slope
        * (traits.log_rate + state.drift - behaviour.log_rate_centre)
    )
    return 1.0 / (1.0 + math.exp(-logit))


@kernel
def realise(expected, count_word, death_word):  # type: ignore[no-untyped-def]
    """Death time within the week, then the number of purchases while alive.

    Exactly Pareto/NBD: T ~ Exponential(hazard), purchases ~ Poisson(rate × min(T, 1)). One word
    each, by inversion: monotone in rate and hazard for the same luck.
    """
    fraction = 1.0
    survives = True
    u = uniform(death_word)
    # 1 - math.exp(-h) <= h: most survivors need no logarithm.
    if u < expected.hazard:
        lifetime = -math.log(1.0 - u) / expected.hazard
        if lifetime < 1.0:
            fraction = lifetime
            survives = False
    return Realised(poisson(expected.rate * fraction, count_word), fraction, survives)


@kernel
def basket(expected, traits, behaviour, words, key):  # type: ignore[no-untyped-def]
    """One basket at shelf price in minor units: the mean times a unit-mean draw, rounded."""
    if behaviour.lognormal_spend:
        draw = unit_lognormal(traits.spend_shape, words)
    else:
        draw = unit_gamma(float(traits.spend_shape), words, key)
    return max(1, int(min(expected.spend_mean * draw, behaviour.max_basket) + 0.5))


@kernel
def begin_week(state, behaviour):  # type: ignore[no-untyped-def]
    """Let the customer's memories fade, once per week before anything new happens."""
    state.fatigue *= behaviour.fatigue_keep
    state.momentum *= behaviour.momentum_keep
    state.pull_forward *= behaviour.pull_forward_keep
    state.recent_reward *= behaviour.reward_keep


@kernel
def end_week(state, behaviour, drift_word):  # type: ignore[no-untyped-def]
    """Move the Ornstein-Uhlenbeck log rate by one week (exact discretisation)."""
    if behaviour.drift_step > 0.0:
        state.drift = behaviour.drift_keep * state.drift + behaviour.drift_step * normal(drift_word)
