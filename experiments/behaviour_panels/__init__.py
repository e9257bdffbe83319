"""What the figures of docs/behaviour.md show, computed by the rules themselves.

Every curve comes from ``intensities`` and its companions called on single records, or from a small
simulated run; sizes are those of the response world ``literature`` unless an axis says otherwise.
"""

from collections.abc import Callable

from experiments.behaviour_panels import contacts, offers, programme, surroundings
from experiments.behaviour_panels.rules import Panel, Panels, Series

__all__ = ["FIGURES", "Panel", "Panels", "Series"]

FIGURES: dict[str, Callable[[], Panels]] = {
    "attention": offers.attention,
    "offers": offers.offers,
    "basket_uplift": offers.basket_uplift,
    "category": offers.category,
    "redemption": offers.redemption,
    "membership": programme.membership,
    "enrolment": programme.enrolment,
    "tier": programme.tier,
    "tier_change": programme.tier_change,
    "goal_gradient": programme.goal_gradient,
    "momentum": programme.momentum,
    "saturation": programme.saturation,
    "pull_forward": offers.pull_forward,
    "fatigue": contacts.fatigue,
    "deal_waiting": offers.deal_waiting,
    "reward_retention": contacts.reward_retention,
    "proactive_contact": contacts.proactive_contact,
    "opt_out": contacts.opt_out,
    "satisfaction": contacts.satisfaction,
    "competitor": surroundings.competitor,
    "neighbours": surroundings.neighbours,
    "contagion": surroundings.contagion,
    "referral": surroundings.referral,
    "season": surroundings.season,
    "drift": surroundings.drift,
    "survey": contacts.survey,
    "subscription": programme.subscription,
    "word_of_mouth": surroundings.graph,
    "joining": surroundings.newcomers,
}
