"""What a policy sees: one table of features, computed from PROFILE by one compiled function.

The simulator, the environments, evaluation and production scoring all call ``observe``. Features
are in natural units; scaling by ``centre`` and ``scale`` belongs to the policy's network and is
exported with it.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.profile import (
    contact_history,
    expected_basket,
    expected_rate,
    offer_lift,
    p_alive,
    residual_value,
    weeks_contacted,
)
from agents.records import CHANNELS, KINDS, N_CHANNELS, N_KINDS, SECONDS_PER_WEEK
from sim.points import reward_progress
from sim.scenario import WEEKS_PER_YEAR
from sim.world import Rules

VALUE_WEEKS = 13


class Feature(NamedTuple):
    """One column of the observation."""

    name: str
    unit: str
    low: float
    high: float
    centre: float
    scale: float
    purpose: str


FEATURES: tuple[Feature, ...] = (
    Feature("p_alive", "probability", 0, 1, 0.8, 0.25, "has the customer silently left?"),
    Feature("expected_rate", "1/week", 0, 60, 1.0, 1.0, "purchases to expect while alive"),
    Feature("expected_basket", "currency", 0, 1e5, 30, 30, "basket to expect"),
    Feature("residual_value", "currency", 0, 1e6, 100, 150, "margin to expect in 13 weeks"),
    Feature("weeks_since_purchase", "weeks", 0, 520, 3, 6, "recency"),
    Feature("gap_ratio", "purchases", 0, 520, 1, 2, "purchases missed since the last one"),
    Feature("age", "weeks", 0, 5200, 60, 40, "time known"),
    Feature("repeats", "purchases", 0, 1e5, 60, 80, "frequency"),
    Feature("purchases_fast", "1/week", 0, 255, 1.0, 1.2, "purchases of about 4 weeks"),
    Feature("revenue_fast", "currency/week", 0, 1e6, 30, 45, "revenue of about 4 weeks"),
    Feature("revenue_slow", "currency/week", 0, 1e6, 30, 40, "revenue of about 26 weeks"),
    Feature("spend_trend", "ratio", 0, 20, 1.0, 0.7, "recent against longer revenue"),
    Feature("rewards_worth", "rewards", 0, 1000, 0.7, 1.0, "points balance in cheapest rewards"),
    Feature("goal_progress", "share", 0, 1, 0.5, 0.35, "share of the next reward earned"),
    Feature("tier", "tier", 0, 6, 0.7, 0.8, "status"),
    Feature("next_tier_gap", "share", 0, 1, 0.4, 0.35, "share missing for the next tier"),
    Feature("contacts_4", "contacts", 0, 4, 0.5, 0.8, "contacts of the last 4 weeks"),
    Feature("contacts_13", "contacts", 0, 13, 1.5, 2, "contacts of the last 13 weeks"),
    *(
        Feature(f"open_rate_{c}", "probability", 0, 1, 0.35, 0.15, f"attention by {c}, shrunk")
        for c in CHANNELS
    ),
    *(
        Feature(f"redemption_rate_{k}", "probability", 0, 1, 0.1, 0.1, f"use of {k}, shrunk")
        for k in KINDS
    ),
    Feature("offer_lift", "ratio", 0, 20, 1.0, 0.4, "purchases with offers over usual"),
    Feature("offer_weeks", "weeks", 0, 65535, 4, 6, "weeks with an open offer so far"),
    Feature("offer_weeks_left", "weeks", 0, 52, 0.3, 0.7, "validity of the open offer"),
    Feature("season", "log", -2, 3, 0.0, 0.05, "season of the coming week"),
    Feature("budget_left", "share", 0, 1, 0.7, 0.3, "offer budget free this week"),
    Feature("budget_refused", "share", 0, 1, 0.3, 0.4, "asked commitment refused last week"),
)
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)
N_FEATURES = len(FEATURES)
LOW = np.array([f.low for f in FEATURES], np.float32)
HIGH = np.array([f.high for f in FEATURES], np.float32)
CENTRE = np.array([f.centre for f in FEATURES], np.float32)
SCALE = np.array([f.scale for f in FEATURES], np.float32)

_OPEN_PRIOR, _OPEN_WEIGHT = 0.35, 4.0
_REDEEM_PRIOR, _REDEEM_WEIGHT = 0.1, 4.0


def feature_facts(allowed: tuple[str, ...] | None) -> list[dict[str, str | bool]]:
    """Name, unit and purpose of every feature, and whether policies may use it (None: all)."""
    return [
        {
            "name": feature.name,
            "unit": feature.unit,
            "purpose": feature.purpose,
            "allowed": allowed is None or feature.name in allowed,
        }
        for feature in FEATURES
    ]


def column(name: str) -> int:
    """Index of a feature by name."""
    return FEATURE_NAMES.index(name)


@kernel
def open_rate(profile, channel):  # type: ignore[no-untyped-def]
    """Share of a channel's messages that were opened, shrunk; defined without any message."""
    return (profile.opened[channel] + _OPEN_PRIOR * _OPEN_WEIGHT) / (
        profile.messages[channel] + _OPEN_WEIGHT
    )


@kernel
def redemption_rate(profile, kind):  # type: ignore[no-untyped-def]
    """Uses of a kind of offer per offer sent, shrunk, at most 1; defined without any offer."""
    return min(
        1.0,
        (profile.redeemed[kind] + _REDEEM_PRIOR * _REDEEM_WEIGHT)
        / (profile.sent[kind] + _REDEEM_WEIGHT),
    )


@kernel
def observe_row(profile, week, rules, budget_left, budget_refused, out):  # type: ignore[no-untyped-def]
    """Features of one customer at the start of ``week``; ``out`` shape (N_FEATURES,) float32."""
    parameters = rules.filter
    programme = rules.programme
    now = np.int64(week) * SECONDS_PER_WEEK
    rate = expected_rate(profile, parameters)
    since = max(0.0, (now - profile.last_purchase) / SECONDS_PER_WEEK)
    out[0] = p_alive(profile)
    out[1] = rate
    out[2] = expected_basket(profile, parameters) / 100.0
    out[3] = residual_value(profile, parameters, rules.margin_share / 10_000.0, VALUE_WEEKS) / 100.0
    out[4] = since
    out[5] = since * rate
    out[6] = profile.age
    out[7] = profile.repeats
    out[8] = profile.purchases_fast
    out[9] = profile.revenue_fast / 100.0
    out[10] = profile.revenue_slow / 100.0
    out[11] = (profile.revenue_fast + 100.0) / (profile.revenue_slow + 100.0)
    out[12] = 0.0
    out[13] = 0.0
    out[15] = 0.0
    if programme.active:
        if programme.n_rewards > 0:
            out[12] = profile.points / programme.reward_price[0]
        out[13] = reward_progress(profile.points, programme)
        if profile.tier + 1 < programme.n_tiers:
            goal = float(programme.threshold[profile.tier + 1])
            out[15] = min(1.0, max(0.0, (goal - profile.qualifying) / goal))
    out[14] = profile.tier
    history = contact_history(profile)
    out[16] = weeks_contacted(history, 4)
    out[17] = weeks_contacted(history, 13)
    at = 18
    for channel in range(N_CHANNELS):
        out[at] = open_rate(profile, channel)
        at += 1
    for kind in range(N_KINDS):
        out[at] = redemption_rate(profile, kind)
        at += 1
    out[at] = offer_lift(profile, parameters)
    out[at + 1] = profile.offer_weeks
    out[at + 2] = profile.offer_weeks_left
    out[at + 3] = rules.calendar.log_rate[week % WEEKS_PER_YEAR]
    out[at + 4] = budget_left
    out[at + 5] = budget_refused
    for feature in range(N_FEATURES):
        out[feature] = min(max(out[feature], LOW[feature]), HIGH[feature])


@parallel_kernel
def _observe(profile, weeks, rules, budget_left, budget_refused, out):  # type: ignore[no-untyped-def]
    for row in prange(profile.shape[0]):
        observe_row(profile[row], weeks[row], rules[0], budget_left, budget_refused, out[row])


def observe(
    profile: NDArray[np.void],
    week: int | NDArray[np.integer],
    rules: Rules,
    budget_left: float = 1.0,
    budget_refused: float = 0.0,
    allowed: tuple[str, ...] | None = None,
) -> NDArray[np.float32]:
    """Observation of a cohort.

    Parameters
    ----------
    profile
        PROFILE rows, shape (n,).
    week
        The week about to start, one for all or shape (n,).
    rules
        Programme, filter and calendar.
    budget_left, budget_refused
        Share of this week's offer budget that is free; share of the commitment asked for last
        week that the budget refused. Shares, so that they mean the same in training, evaluation
        and serving, whatever the policy's scale of scores.
    allowed
        Names of the features that may be used, None: all. The others have their typical value
        (``CENTRE``) for everybody, so that nothing can be learned from them.

    Returns
    -------
    float32, shape (n, N_FEATURES), in the units of ``FEATURES`` and within their ranges.
    """
    n = profile.shape[0]
    weeks = np.ascontiguousarray(np.broadcast_to(np.asarray(week, np.int64), (n,)))
    if not math.isfinite(budget_left) or not math.isfinite(budget_refused):
        raise ValueError(f"{budget_left=}, {budget_refused=} must be finite")
    out = np.empty((n, N_FEATURES), np.float32)
    _observe(profile, weeks, rules, float(budget_left), float(budget_refused), out)
    withhold(out, allowed)
    return out


def withhold(observation: NDArray[np.float32], allowed: tuple[str, ...] | None) -> None:
    """Give features that may not be used their typical value, in place; None: all may be used."""
    if allowed is not None:
        withheld = [at for at, name in enumerate(FEATURE_NAMES) if name not in allowed]
        observation[:, withheld] = CENTRE[withheld]
