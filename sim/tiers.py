"""Tiers: what qualifies for them, their reviews, rise and fall.

What qualifies now is ``profile.qualifying``, kept by QUALIFY events. Where a window rolls,
``account.qualifying`` holds its quarters before the running one, which has the rest.
"""

import numpy as np

from agents.compiled import kernel
from agents.profile import QUALIFY, TIER, post, residual_value
from agents.records import QUALIFYING_SLOTS, WEEKS_PER_QUARTER
from sim.kept import kept_tier, reach
from sim.programme import POINTS_BALANCE, POINTS_EARNED, PREDICTED_VALUE, SPEND

QUARTERS_PER_YEAR = 4
_YEAR = float(QUARTERS_PER_YEAR * WEEKS_PER_QUARTER)
_MOST = 2e9  # fits 32 bits


@kernel
def tier_for(amount, programme):  # type: ignore[no-untyped-def]
    """Highest tier whose threshold the amount reaches."""
    tier = 0
    for at in range(1, programme.n_tiers):
        tier += amount >= programme.threshold[at]  # thresholds rise
    return tier


@kernel
def qualify(profile, log, customer, time, programme, spend, points):  # type: ignore[no-untyped-def]
    """Count purchases towards a tier: their base, or the points they earned."""
    if programme.tier_basis > POINTS_EARNED:
        return
    amount = spend if programme.tier_basis == SPEND else points
    post(profile, log, customer, time, QUALIFY, 0, 0, amount)


@kernel
def lapse(account, profile, quarter, window_quarters):  # type: ignore[no-untyped-def]
    """At a quarter's end the oldest of the window lapses and the running one joins the others;
    returns what lapses.
    """
    running = np.int64(profile.qualifying)
    for slot in range(QUALIFYING_SLOTS):
        running -= account.qualifying[slot]
    oldest = (quarter + 1 - window_quarters + QUALIFYING_SLOTS) % QUALIFYING_SLOTS
    lapsed = np.int64(account.qualifying[oldest])
    account.qualifying[oldest] = 0
    account.qualifying[quarter % QUALIFYING_SLOTS] += running
    return lapsed


@kernel
def close_tiers(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, filter, margin_share
):
    """Bring the qualifying amount up to date, then rise or, at a review, fall.

    A predicted value is that of the last week close with this week's baskets added to the mean:
    the fold closes this week only after the programme.
    """
    quarter = week // WEEKS_PER_QUARTER
    calendar = programme.calendar_window != 0
    review = (week + 1) % WEEKS_PER_QUARTER == 0
    if calendar:
        review = review and (quarter + 1) % QUARTERS_PER_YEAR == 0
    basis = programme.tier_basis
    qualifying = np.int64(profile.qualifying)
    change = np.int64(0)
    if basis == POINTS_BALANCE:
        change = np.int64(profile.points) - qualifying
    elif review:
        if basis == PREDICTED_VALUE:
            value = residual_value(profile, filter, margin_share, _YEAR)
            change = np.int64(min(value, _MOST) + 0.5) - qualifying
        elif not calendar:
            change = -lapse(account, profile, quarter, programme.window_quarters)
    qualifying += change
    # Without asking whether anything changed: nobody could predict the answer.
    move_tier(account, profile, outcome, log, customer, time, week, programme, qualifying, review)
    if review and calendar and basis <= POINTS_EARNED:
        change = -qualifying
    if change != 0:
        post(profile, log, customer, time, QUALIFY, 0, 0, change)


@kernel
def move_tier(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, amount, review
):
    """Tiers rise as soon as deserved and fall at reviews only, after the reviews of grace."""
    deserved = tier_for(amount, programme)
    if week < programme.kept_last:
        deserved = max(deserved, kept_tier(account, amount, programme, week))
    present = np.int64(account.tier)
    tier = present
    if deserved > present:
        tier = deserved
    elif review:
        if deserved == present or programme.falls == 0:
            account.grace = 0
        elif account.grace < programme.grace_reviews:
            account.grace += 1
        else:
            tier = present - 1 if programme.soft_landing else deserved
    if tier != present:
        account.tier = tier
        account.grace = 0
        reach(account, tier)
        outcome.tier_change = 1 if tier > present else -1
        post(profile, log, customer, time, TIER, tier, 0, 0)
