"""Why an assumption can change nothing in a market: its mechanism has nothing to work on.

What is idle here changes no bit of any KPI, at no value of its range and whatever the other
assumptions are; tests hold that. ``SWITCHES`` are the exception: whether there is a subscription,
a survey, … is what a world is, and no guess about it.
"""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.response import RESPONSE_FIELDS
from experiments.config import SimulateConfig
from experiments.worlds import population_of
from sim.programme import ProgrammeParameters

SWITCHES = (
    "world.competitor.every_weeks",
    "world.membership.prospect_share",
    "world.network.kind",
    "world.subscription.fee",
    "world.survey.every_weeks",
)


@dataclass(frozen=True)
class Market:
    """What decides on which mechanisms can work.

    Attributes
    ----------
    programmes
        Those that run, of the ones compared.
    offers
        Are offers made on any side?
    surveyed
        Survey KPIs that are asked for.
    off
        Mechanisms that are switched off, by the run or by the response world.
    """

    config: SimulateConfig
    programmes: tuple[ProgrammeParameters, ...]
    offers: bool
    surveyed: tuple[str, ...]
    off: frozenset[str]
    spend_model: str

    @classmethod
    def of(cls, sides: Sequence[SimulateConfig], kpis: Sequence[str]) -> "Market":
        """Of one side or of both, for the KPIs that are asked for."""
        config = sides[0]
        return cls(
            config,
            tuple(side.programme for side in sides if side.programme.active),
            any(side.policy != "no_offers" for side in sides),
            tuple(name for name in ("nps", "csat") if name in kpis),
            frozenset((*config.off, *config.response.off)),
            population_of(config).spend_model,
        )


def idle(key: str, market: Market) -> str | None:
    """Why a key can change nothing in this market; None if it can."""
    for patterns, reason in _RULES:
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns):
            found = reason(market, key)
            if found is not None:
                return found
    return _switched_off(key, market)


# ------------------------------------------------------------------------------------- rules


def _no_offers(market: Market, key: str) -> str | None:
    return None if market.offers else "no offers are made (policy=no_offers)"


def _no_programme(market: Market, key: str) -> str | None:
    return None if market.programmes else "no programme runs"


def _neither(market: Market, key: str) -> str | None:
    if market.offers or market.programmes:
        return None
    return "no programme runs and no offers are made"


def _no_kind(market: Market, key: str) -> str | None:
    kinds = {offer.kind for offer in market.config.offers.offers}
    if not market.programmes:
        kinds -= {"points"}
    wanted = "discount" if key.startswith("response.deal_") else key.rpartition(".")[2]
    wanted = "recognition" if key.endswith("satisfaction_recognition") else wanted
    return None if wanted in kinds else f"no offer of the kind {wanted} can be made"


def _no_channel(market: Market, key: str) -> str | None:
    channel = key.rpartition(".")[2]
    known = channel in market.config.offers.channels
    return None if known else f"no offers go by {channel}"


def _no_category(market: Market, key: str) -> str | None:
    some = any(offer.category for offer in market.config.offers.offers)
    return None if some else "no offer is for one category"


def _no_tiers(market: Market, key: str) -> str | None:
    some = any(len(one.tiers) > 1 for one in market.programmes)
    return None if some else "no programme that runs has several tiers"


def _no_falls(market: Market, key: str) -> str | None:
    some = any(len(one.tiers) > 1 and one.downgrade != "none" for one in market.programmes)
    return None if some else "nobody falls to a lower tier (downgrade=none)"


def _no_campaigns(market: Market, key: str) -> str | None:
    if market.config.world.competitor.every_weeks > 0:
        return None
    return "rivals have no campaigns in this world (world.competitor.every_weeks=0)"


def _no_rivals(market: Market, key: str) -> str | None:
    return None if market.offers else _no_campaigns(market, key)


def _no_network(market: Market, key: str) -> str | None:
    if "word_of_mouth" in market.off:
        return "word_of_mouth is switched off"
    if market.config.world.network.kind != "none":
        return None
    return "nobody talks to anybody in this world (world.network.kind=none)"


def _no_prospects(market: Market, key: str) -> str | None:
    if market.config.world.membership.prospect_share > 0:
        return None
    return "this world has no prospects (world.membership.prospect_share=0)"


def _no_fee(market: Market, key: str) -> str | None:
    if market.config.world.subscription.fee > 0:
        return None
    return "this world has no subscription (world.subscription.fee=0)"


def _no_survey(market: Market, key: str) -> str | None:
    if market.config.world.survey.every_weeks == 0:
        return "there is no survey in this world (world.survey.every_weeks=0)"
    for name in ("nps", "csat"):
        if f".{name}_" in key and name not in market.surveyed:
            return f"moves {name} alone, which is not among kpis"
    return None if market.surveyed else "moves nps and csat alone, which are not among kpis"


def _no_baskets(market: Market, key: str) -> str | None:
    return "visits have no baskets" if market.spend_model == "none" else None


def _no_parameter(market: Market, key: str) -> str | None:
    if market.config.posterior is not None:
        return "customers are drawn from the fitted posterior"
    name = key.rpartition(".")[2]
    if name not in market.config.world.population.parameters:
        return f"the models of the world's customers lack {name}"
    return None


def _unprotected(market: Market, key: str) -> str | None:
    on = market.config.constraints.vulnerable
    return None if on else "the rule for vulnerable customers is off (constraints.vulnerable)"


def _audit_only(market: Market, key: str) -> str | None:
    return "read by audits of fairness alone: it changes nothing that happens"


_OF_OFFERS = (
    "response.inattention", "response.offer_log_rate*", "response.basket_uplift.*",
    "response.category_match", "response.redemption_*", "response.pull_forward*",
    "response.fatigue_*", "response.deal_*", "response.contact_*", "response.opt_out_*",
    "response.satisfaction_recognition", "response.satisfaction_contact",
    "response.competitor_reaction", "world.competitor.reaction",
    "world.membership.consent_share.*", "world.membership.openness*",
    "world.membership.fatigue_sd", "world.membership.deal_learning_sd",
    "world.membership.rate_correlation.fatigue", "world.membership.rate_correlation.deal_learning",
    "world.membership.rate_correlation.redemption", "world.membership.vulnerable_share",
    "world.membership.category_concentration",
)  # fmt: skip
_OF_PROGRAMMES = (
    "response.points_use_probability", "response.member_log_rate", "response.enrol_*",
    "response.tier_*", "response.downgrade_log_hazard", "response.satisfaction_downgrade",
    "response.goal_gradient*", "response.momentum_*", "world.membership.goal_gradient_sd",
    "world.membership.rate_correlation.goal_gradient", "programme.*",
)  # fmt: skip
_OF_EITHER = (
    "response.saturation", "response.reward_*", "response.satisfaction_*", "world.survey.*_slope",
    "response.neighbour_log_rate", "response.buzz_weeks", "response.referral_hazard",
    "world.membership.influence_sd", "world.membership.rate_correlation.influence",
    "world.membership.enrolled_share", "world.membership.enrolment_slope",
)  # fmt: skip

_RULES: tuple[tuple[tuple[str, ...], Callable[[Market, str], str | None]], ...] = (
    (("world.membership.groups",), _audit_only),
    (("world.population.*",), _no_parameter),
    (_OF_OFFERS, _no_offers),
    (_OF_PROGRAMMES, _no_programme),
    (
        (
            "response.neighbour_log_rate", "response.buzz_weeks", "response.contagion_*",
            "response.referral_hazard", "world.network.*", "world.membership.influence_sd",
            "world.membership.rate_correlation.influence",
        ),
        _no_network,
    ),
    (_OF_EITHER, _neither),
    (
        (
            "response.offer_log_rate.*", "response.basket_uplift.*", "response.redemption_logit.*",
            "response.deal_*", "response.satisfaction_recognition",
        ),
        _no_kind,
    ),
    (("world.membership.consent_share.*", "world.membership.openness.*"), _no_channel),
    (("response.category_match", "world.membership.category_concentration"), _no_category),
    (
        ("response.tier_*", "response.downgrade_log_hazard", "response.satisfaction_downgrade"),
        _no_tiers,
    ),
    (("response.downgrade_log_hazard", "response.satisfaction_downgrade"), _no_falls),
    (
        (
            "world.competitor.every_weeks", "world.competitor.first_week",
            "world.competitor.weeks", "world.competitor.intensity",
        ),
        _no_campaigns,
    ),
    (
        (
            "response.competitor_log_*", "world.membership.price_sensitivity_sd",
            "world.membership.rate_correlation.price_sensitivity",
        ),
        _no_rivals,
    ),
    (
        ("response.referral_hazard", "world.join_hazard", "world.membership.prospect_share"),
        _no_prospects,
    ),
    (("world.subscription.*",), _no_fee),
    (("world.survey.*",), _no_survey),
    (
        (
            "world.contribution_margin", "world.season.spend_amplitude",
            "world.season.christmas_spend", "response.basket_uplift.*",
            "world.population.parameters.spend_*",
        ),
        _no_baskets,
    ),
    (("world.membership.vulnerable_share",), _unprotected),
)  # fmt: skip

# Parameters that work through other mechanisms than the one whose field they are.
_THROUGH = {
    "response.fatigue_weeks": ("fatigue", "satisfaction", "opt_out"),
    "response.buzz_weeks": ("neighbours", "referral"),
    "world.membership.influence_sd": ("neighbours", "referral"),
    "world.membership.rate_correlation.influence": ("neighbours", "referral"),
    "world.membership.price_sensitivity_sd": (
        "offers", "basket_uplift", "deal_waiting", "competitor",
    ),
    "world.membership.rate_correlation.price_sensitivity": (
        "offers", "basket_uplift", "deal_waiting", "competitor",
    ),
    "world.membership.goal_gradient_sd": ("goal_gradient",),
    "world.membership.rate_correlation.goal_gradient": ("goal_gradient",),
    "world.membership.fatigue_sd": ("fatigue",),
    "world.membership.rate_correlation.fatigue": ("fatigue",),
    "world.membership.deal_learning_sd": ("deal_waiting",),
    "world.membership.rate_correlation.deal_learning": ("deal_waiting",),
    "world.membership.rate_correlation.redemption": ("redemption",),
    "world.membership.openness.email": ("attention",),
    "world.membership.openness.sms": ("attention",),
    "world.membership.openness.push": ("attention",),
    "world.membership.openness_concentration": ("attention",),
    "world.competitor.every_weeks": ("competitor",),
    "world.competitor.first_week": ("competitor",),
    "world.competitor.weeks": ("competitor",),
    "world.competitor.intensity": ("competitor",),
    "world.competitor.reaction": ("competitor",),
    "world.population.parameters.drift_time_constant": ("drift",),
    "world.join_hazard": ("joining",),
}  # fmt: skip
_SURROUNDINGS = {
    "world.season.": "season",
    "world.survey.": "survey",
    "world.subscription.": "subscription",
}


def _mechanisms(key: str) -> tuple[str, ...]:
    """Mechanisms that a key works through, of those that can be switched off."""
    if key in _THROUGH:
        return _THROUGH[key]
    if key.startswith("response."):
        field = RESPONSE_FIELDS.get(key.split(".")[1])
        return () if field is None else (field["mechanism"],)
    return tuple(name for start, name in _SURROUNDINGS.items() if key.startswith(start))


def _switched_off(key: str, market: Market) -> str | None:
    through = _mechanisms(key)
    if through and all(name in market.off for name in through):
        return f"{' and '.join(through)} switched off"
    return None
