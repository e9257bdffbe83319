"""How customers respond: ``intensities`` gives rates and means, ``realise`` samples them.

Equations, figures and sources are in docs/behaviour.md; the numbers in conf/behaviour/table.yaml.
With neutral parameters the model is exactly Pareto/NBD (Schmittlein, Morrison & Colombo 1987)
with gamma or lognormal heterogeneity.
"""

import math
from collections import namedtuple
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from agents.compiled import kernel
from agents.dynamics import Dynamics, SurveyParameters
from agents.effects import MOST_BUZZ, log_rate_and_hazard, stirred_by
from agents.elementary import exp, log
from agents.mechanisms import MAX_PLUGGED, PLUGGED, plugged_effect
from agents.records import (
    DISCOUNT,
    N_CATEGORIES,
    N_KINDS,
    RECOGNITION,
    SECONDS_PER_WEEK,
    Field,
    record_dtype,
)
from agents.response import RESPONSE_FIELDS, ResponseParameters
from agents.rng import MAX_RATE, normal, poisson, uniform, unit_gamma, unit_lognormal

_MEMORIES = (
    "momentum",
    "pull_forward",
    "fatigue",
    "reward",
    "deal_memory",
    "satisfaction",
    "tier_change",
    "buzz",
    "contagion",
)
_BY_KIND = ("offer_log_rate", "basket_uplift", "redemption_logit")
_EFFECTS = tuple(
    name
    for name in RESPONSE_FIELDS
    if name not in (*_BY_KIND, "goal_gradient_shape") and not name.endswith("_weeks")
)
_OWN = (
    "drift_keep",
    "drift_step",
    "log_rate_centre",
    "close_account_probability",
    "max_basket",
    "join_hazard",
)
_SURVEY = tuple(f.name for f in fields(SurveyParameters))
_HABIT_KEEP = math.exp(-1.0 / 4.0)

BEHAVIOUR = record_dtype(
    (
        *(Field(name, "f8", (), "", "see ResponseParameters") for name in _EFFECTS),
        *(Field(f"{name}_keep", "f4", (), "share", "left after a week") for name in _MEMORIES),
        *(Field(name, "f8", (), "", "see Dynamics") for name in _OWN),
        *(Field(name, "f8", (), "", "see SurveyParameters") for name in _SURVEY),
        Field("contact_weeks", "i8", (), "weeks", "that a contact raises churn"),
        Field("goal_gradient_shape", "i8", (), "", "power of the progress towards a goal"),
        Field("deal_prior_weeks", "f8", (), "weeks", "weight of the prior belief about deals"),
        Field("offer_log_rate", "f8", (N_KINDS,), "log", "mean effect of an opened offer"),
        Field("basket_uplift", "f8", (N_KINDS,), "log", "effect of an opened offer on baskets"),
        Field("redemption_logit", "f8", (N_KINDS,), "logit", "intercept of the intention"),
        Field("plugged", "f8", (MAX_PLUGGED,), "", "parameters of plugged-in mechanisms"),
        Field("cancel_probability", "f8", (), "probability", "of cancelling at a renewal"),
        Field("habit_effect", "f8", (), "log per visit", "of visits on cancelling"),
        Field("period_weeks", "i8", (), "weeks", "between two fees, 0 = no subscription"),
        Field("fee", "i8", (), "minor units", "subscription fee"),
        Field("fee_margin", "i8", (), "minor units", "margin of the fee"),
        Field("categories", "i8", (), "", "number of categories, 0 = none are told apart"),
        Field("category_share", "f8", (N_CATEGORIES,), "share", "mean share of each"),
        Field("lognormal_spend", "u1", (), "flag", "baskets lognormal rather than gamma"),
    )
)


def behaviour_record(response: ResponseParameters, dynamics: Dynamics) -> NDArray[np.void]:
    """Compiled form of the parameters, shape (1,)."""
    response = response.without()
    record = np.zeros(1, BEHAVIOUR)
    for label in _MEMORIES:
        weeks = f"{label}_weeks"
        record[f"{label}_keep"] = math.exp(-1.0 / getattr(response, weeks))
    for name in (*_EFFECTS, "contact_weeks", "deal_prior_weeks", "goal_gradient_shape"):
        record[name] = getattr(response, name)
    for name in _BY_KIND:
        record[name][0] = getattr(response, name).values
    for name in _OWN:
        record[name] = getattr(dynamics, name)
    record["categories"] = len(dynamics.category_shares)
    record["category_share"][0, : len(dynamics.category_shares)] = dynamics.category_shares
    for name in _SURVEY:
        record[name] = getattr(dynamics.survey, name)
    names = [name for one in PLUGGED for name in one.parameters]
    for at, name in enumerate(names):
        record["plugged"][0, at] = response.plugged.get(name, 0.0)
    record["lognormal_spend"] = dynamics.spend_family == "lognormal"
    subscription = dynamics.subscription
    if subscription.fee > 0:
        record["fee"] = round(subscription.fee * 100)
        record["fee_margin"] = round(subscription.fee * 100 * subscription.margin)
        for name in ("period_weeks", "cancel_probability", "habit_effect"):
            record[name] = getattr(subscription, name)
    return record


Stimulus = namedtuple(
    "Stimulus",
    (
        "season_log_rate",  # exogenous, log
        "season_spend",  # exogenous, factor on baskets
        "competitor",  # exogenous, strength of rivals' campaigns, 0 = none
        "offer_kind",  # index into KINDS of an opened open offer, -1 = none
        "offer_strength",  # multiple of the kind's effect
        "offer_category",  # category the opened offer is for, -1 = all
        "tier",  # present tier, 0 = base or not enrolled
        "enrolled",  # 1 = member of a programme that runs
        "goal_progress",  # share of the way to the next reward, 0-1
        "reward_ready",  # 1 = a reward can be had for the points there are
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
def log_intensities(traits, state, stimulus, behaviour):  # type: ignore[no-untyped-def]
    """Log purchase rate, log factor on the hazard, and mean basket (minor units)."""
    stirred, spend = stirred_by(traits, state, stimulus, behaviour)
    log_rate, log_hazard = log_rate_and_hazard(stirred, behaviour)
    more_rate, more_hazard = plugged_effect(traits, state, stimulus, behaviour.plugged)
    return log_rate + more_rate, log_hazard + more_hazard, spend


@kernel
def intensities(traits, state, stimulus, behaviour):  # type: ignore[no-untyped-def]
    """Rates, probabilities and conditional means of one customer-week; no randomness.

    Parameters are a TRAITS row, a STATE row, a Stimulus and the BEHAVIOUR record. Units are those
    of ``Intensities``. Attention and intention must be known before the purchase rate: call with
    ``offer_kind`` -1 for them, then again with the opened offer.
    """
    log_rate, log_hazard, spend = log_intensities(traits, state, stimulus, behaviour)
    return Intensities(
        min(exp(log_rate), MAX_RATE),
        traits.hazard * exp(log_hazard),
        spend,
        attention(traits, stimulus.contact_channel, behaviour),
        intention(traits, state, stimulus.contact_kind, behaviour),
        opt_out(state, behaviour),
        behaviour.points_use_probability,
    )


@kernel
def opt_out(state, behaviour):  # type: ignore[no-untyped-def]
    """Probability of leaving the channel after a contact; fatigue raises it."""
    return behaviour.opt_out_per_contact * (1.0 + state.fatigue)


@kernel
def attention(traits, channel, behaviour):  # type: ignore[no-untyped-def]
    """Probability that a contact on this channel is opened; 0 without a contact."""
    if channel < 0:
        return 0.0
    return 1.0 - behaviour.inattention * (1.0 - traits.openness[channel])


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
    return 1.0 / (1.0 + exp(-logit))


@kernel
def enrolment(traits, state, behaviour):  # type: ignore[no-untyped-def]
    """Probability that a non-member enrols in a week with a purchase; heavy buyers rather do."""
    own = traits.log_rate + state.drift - behaviour.log_rate_centre
    return behaviour.enrol_probability * exp(behaviour.enrol_rate_slope * own)


@kernel
def joining(state, behaviour):  # type: ignore[no-untyped-def]
    """Hazards per week at which a prospect joins: unasked, and through neighbours."""
    return behaviour.join_hazard, behaviour.referral_hazard * min(state.buzz, MOST_BUZZ)


@kernel
def cancelling(state, behaviour):  # type: ignore[no-untyped-def]
    """Probability that a subscriber cancels when the fee is due."""
    return behaviour.cancel_probability * exp(-behaviour.habit_effect * state.habit)


@kernel
def answers(state, behaviour, words):  # type: ignore[no-untyped-def]
    """Answers to a survey: recommendation 0-10 and satisfaction 1-5, rounded and clipped."""
    nps = behaviour.nps_mean + behaviour.nps_slope * state.satisfaction
    nps += behaviour.nps_noise * normal(words[1])
    csat = behaviour.csat_mean + behaviour.csat_slope * state.satisfaction
    csat += behaviour.csat_noise * normal(words[2])
    return int(min(max(nps, 0.0), 10.0) + 0.5), int(min(max(csat, 1.0), 5.0) + 0.5)


@kernel
def realise(rate, hazard, count_word, death_word):  # type: ignore[no-untyped-def]
    """Death time within the week, then the number of purchases while alive.

    Exactly Pareto/NBD: T ~ Exponential(hazard), purchases ~ Poisson(rate × min(T, 1)). One word
    each, by inversion: monotone in rate and hazard for the same luck.
    """
    fraction = 1.0
    u = uniform(death_word)
    if u < hazard:  # 1 - exp(-h) <= h: most survivors need no logarithm
        fraction = min(-log(1.0 - u) / hazard, 1.0)
    return Realised(poisson(rate * fraction, count_word), fraction, fraction >= 1.0)


@kernel
def basket(mean, draw, most):  # type: ignore[no-untyped-def]
    """One basket at shelf price in minor units: the mean times a unit-mean draw, rounded.

    A mean of 0 is a visit without a basket; ``most`` caps a basket. Branch-free.
    """
    return max(int(mean > 0.0), int(min(mean * draw, most) + 0.5))


@kernel
def seconds_within(u, span):  # type: ignore[no-untyped-def]
    """Second of the week of a purchase, uniform over the share ``span`` that was lived through."""
    return min(int(u * span * SECONDS_PER_WEEK), SECONDS_PER_WEEK - 1)


@kernel
def basket_draw(traits, behaviour, words, key):  # type: ignore[no-untyped-def]
    """How a basket compares with the customer's mean, mean 1; from its block of words."""
    if behaviour.lognormal_spend:
        return unit_lognormal(np.float64(traits.spend_shape), normal(words[2]))
    return unit_gamma(np.float64(traits.spend_shape), words, key)


@kernel
def main_category(traits, behaviour, u):  # type: ignore[no-untyped-def]
    """Category that most of a basket is from, drawn by the customer's shares with a uniform."""
    category = 0
    left = u
    for at in range(behaviour.categories - 1):
        left -= traits.category[at]
        category += left >= 0.0  # shares are positive: once below 0 it stays there
    return category


@kernel
def begin_week(state, behaviour):  # type: ignore[no-untyped-def]
    """Let the customer's memories fade, once per week before anything new happens."""
    # All are read before any is written, which lets the compiler take them together.
    fatigue = state.fatigue * behaviour.fatigue_keep
    momentum = state.momentum * behaviour.momentum_keep
    recent_reward = state.recent_reward * behaviour.reward_keep
    pull_forward = state.pull_forward * behaviour.pull_forward_keep
    deals = state.deals * behaviour.deal_memory_keep
    no_deals = state.no_deals * behaviour.deal_memory_keep
    satisfaction = state.satisfaction * behaviour.satisfaction_keep
    tier_change = state.tier_change * behaviour.tier_change_keep
    state.fatigue = fatigue
    state.momentum = momentum
    state.recent_reward = recent_reward
    state.pull_forward = pull_forward
    state.deals = deals
    state.no_deals = no_deals
    state.satisfaction = satisfaction
    state.tier_change = tier_change
    if state.contact_weeks > 0:
        state.contact_weeks -= 1


@kernel
def live_through(traits, state, outcome, contacted, kind, rewards, behaviour):  # type: ignore[no-untyped-def]
    """What the week leaves behind: fatigue, belief about deals, satisfaction, habit.

    ``kind`` is that of this week's opened offer (-1 = none), ``rewards`` those received.
    """
    state.momentum += outcome.rewards
    state.recent_reward += rewards
    state.habit = _HABIT_KEEP * state.habit + (1.0 - _HABIT_KEEP) * outcome.purchases
    if kind >= 0:
        state.fatigue += 1.0
        state.satisfaction += behaviour.satisfaction_contact * state.fatigue
    if kind == RECOGNITION:
        state.satisfaction += behaviour.satisfaction_recognition
    if kind == DISCOUNT:
        state.deals += traits.deal_learning
    else:
        state.no_deals += traits.deal_learning
    if contacted:
        state.contact_weeks = behaviour.contact_weeks + 1  # the next week's start takes one off
    if rewards > 0:
        state.satisfaction += behaviour.satisfaction_reward * rewards
    change = outcome.tier_change
    if change != 0:
        state.tier_change += change
        if change < 0:
            state.satisfaction += behaviour.satisfaction_downgrade


@kernel
def drifted(drift, keep, step, word):  # type: ignore[no-untyped-def]
    """The Ornstein-Uhlenbeck log rate a week later (exact discretisation)."""
    return keep * drift + step * normal(word)
