"""What moves purchase rate and hazard: what stirs a customer (``Stirred``), how strongly it does
(``Effects``), and the sums of both. docs/behaviour.md has the equations.

``sim.block`` gathers what stirs a block of customers by column and weighs it up in one loop; by
itself ``agents.behaviour.log_intensities`` does the same for one customer.
"""

from collections import namedtuple

from agents.compiled import kernel
from agents.elementary import exp
from agents.records import DISCOUNT

MOST_BUZZ = 3.0

Stirred = namedtuple(
    "Stirred",
    (
        "own",  # log purchases per week, drift included
        "season",  # log
        "competitor",  # strength of rivals' campaigns
        "member",  # 1 = member of a programme that runs
        "tier",  # 0 = base
        "reward_ready",  # 1 = a reward can be had
        "closeness",  # of a goal, 0-1
        "offer",  # pull of the opened offer, log
        "waits",  # 0 = holds an opened discount, waits for no other
        "contacted",  # 1 = a contact of late
        "goal_gradient",  # from here on as in TRAITS and STATE
        "price_sensitivity",
        "fatigue_sensitivity",
        "fatigue",
        "momentum",
        "recent_reward",
        "pull_forward",
        "deals",
        "no_deals",
        "satisfaction",
        "tier_change",
        "buzz",
        "defections",
    ),
)

Effects = namedtuple(
    "Effects",
    (
        "member_log_rate",
        "tier_log_rate",
        "tier_change_log_rate",
        "goal_gradient",
        "momentum_log_rate",
        "saturation",
        "log_rate_centre",
        "fatigue_log_rate",
        "pull_forward",
        "competitor_log_rate",
        "neighbour_log_rate",
        "deal_waiting",
        "deal_prior",
        "deal_prior_weeks",
        "reward_log_hazard",
        "tier_log_hazard",
        "downgrade_log_hazard",
        "fatigue_log_hazard",
        "satisfaction_log_hazard",
        "competitor_log_hazard",
        "contagion_log_hazard",
        "contact_log_hazard",
    ),
)


@kernel
def loaded_effects(behaviour):  # type: ignore[no-untyped-def]
    """What ``log_rate_and_hazard`` needs of BEHAVIOUR, read once for a loop over rows."""
    return Effects(
        behaviour.member_log_rate,
        behaviour.tier_log_rate,
        behaviour.tier_change_log_rate,
        behaviour.goal_gradient,
        behaviour.momentum_log_rate,
        behaviour.saturation,
        behaviour.log_rate_centre,
        behaviour.fatigue_log_rate,
        behaviour.pull_forward,
        behaviour.competitor_log_rate,
        behaviour.neighbour_log_rate,
        behaviour.deal_waiting,
        behaviour.deal_prior,
        behaviour.deal_prior_weeks,
        behaviour.reward_log_hazard,
        behaviour.tier_log_hazard,
        behaviour.downgrade_log_hazard,
        behaviour.fatigue_log_hazard,
        behaviour.satisfaction_log_hazard,
        behaviour.competitor_log_hazard,
        behaviour.contagion_log_hazard,
        behaviour.contact_log_hazard,
    )


@kernel
def closeness(progress, behaviour):  # type: ignore[no-untyped-def]
    """Pull of a goal: progress (0-1) to the power of the gradient's shape; 1 is a straight line."""
    pull = progress
    for _ in range(behaviour.goal_gradient_shape - 1):
        pull *= progress
    return pull


@kernel
def category_fit(traits, category, behaviour):  # type: ignore[no-untyped-def]
    """How well an offer for one category suits this customer, mean 1; 1 for offers for all."""
    if category < 0 or behaviour.categories == 0:
        return 1.0
    fit = traits.category[category] / behaviour.category_share[category]
    return 1.0 + behaviour.category_match * (fit - 1.0)


@kernel
def waiting(stirred, effects):  # type: ignore[no-untyped-def]
    """Fall of the log rate at full price while waiting for a discount.

    Mean of a Beta belief that a week brings a discount, above its prior mean: the log that the
    base rate was fitted to had its usual discounts. 0 for who never saw one.
    """
    prior = effects.deal_prior
    known = effects.deal_prior_weeks + stirred.deals + stirred.no_deals
    belief = (prior * effects.deal_prior_weeks + stirred.deals) / known
    seen = stirred.deals > 0.0
    return seen * (effects.deal_waiting * stirred.price_sensitivity * max(belief - prior, 0.0))


@kernel
def offer_effect(traits, kind, strength, category, behaviour):  # type: ignore[no-untyped-def]
    """Pull of an opened offer (log) and its factor on baskets."""
    strength *= category_fit(traits, category, behaviour)
    if kind == DISCOUNT:
        strength *= traits.price_sensitivity
    pull = strength * (
        behaviour.offer_log_rate[kind] + behaviour.offer_log_rate_sd * traits.response[kind]
    )
    return pull, exp(strength * behaviour.basket_uplift[kind])


@kernel
def stirred_by(traits, state, stimulus, behaviour):  # type: ignore[no-untyped-def]
    """What stirs a customer this week (``Stirred``), and their mean basket (minor units)."""
    kind = stimulus.offer_kind
    offer, factor = 0.0, 1.0
    if kind >= 0:
        offer, factor = offer_effect(
            traits, kind, stimulus.offer_strength, stimulus.offer_category, behaviour
        )
    stirred = Stirred(
        traits.log_rate + state.drift,
        stimulus.season_log_rate,
        stimulus.competitor,
        stimulus.enrolled,
        stimulus.tier,
        stimulus.reward_ready,
        closeness(stimulus.goal_progress, behaviour),
        offer,
        1 if kind != DISCOUNT else 0,
        1 if state.contact_weeks > 0 else 0,
        traits.goal_gradient,
        traits.price_sensitivity,
        traits.fatigue_sensitivity,
        state.fatigue,
        state.momentum,
        state.recent_reward,
        state.pull_forward,
        state.deals,
        state.no_deals,
        state.satisfaction,
        state.tier_change,
        state.buzz,
        state.defections,
    )
    return stirred, traits.spend_mean * stimulus.season_spend * factor


@kernel
def log_rate_and_hazard(stirred, effects):  # type: ignore[no-untyped-def]
    """Log purchase rate and log factor on the hazard; branch-free, without plug-ins.

    ``effects`` are ``Effects`` or the BEHAVIOUR record.
    """
    own = stirred.own
    # What the firm offers; heavy buyers have less room to grow.
    pull = (
        effects.member_log_rate * stirred.member
        + effects.tier_log_rate * stirred.tier
        + effects.tier_change_log_rate * stirred.tier_change
        + effects.goal_gradient * stirred.goal_gradient * stirred.closeness
        + effects.momentum_log_rate * (stirred.momentum + stirred.reward_ready)
        + stirred.offer
    )
    pull *= min(max(1.0 - effects.saturation * (own - effects.log_rate_centre), 0.0), 2.0)
    log_rate = (
        own
        + stirred.season
        + pull
        + effects.fatigue_log_rate * stirred.fatigue_sensitivity * stirred.fatigue
        - effects.pull_forward * stirred.pull_forward
        + effects.competitor_log_rate * stirred.price_sensitivity * stirred.competitor
        + effects.neighbour_log_rate * min(stirred.buzz, MOST_BUZZ)
        - stirred.waits * waiting(stirred, effects)
    )
    log_hazard = (
        effects.reward_log_hazard * min(stirred.recent_reward, 1.0)
        + effects.tier_log_hazard * stirred.tier
        + effects.downgrade_log_hazard * max(-stirred.tier_change, 0.0)
        + effects.fatigue_log_hazard * stirred.fatigue_sensitivity * stirred.fatigue
        + effects.satisfaction_log_hazard * stirred.satisfaction
        + effects.competitor_log_hazard * stirred.price_sensitivity * stirred.competitor
        + effects.contagion_log_hazard * stirred.defections
        + effects.contact_log_hazard * stirred.contacted
    )
    return log_rate, log_hazard
