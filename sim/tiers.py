"""Tiers: what qualifies for them, their reviews, rise and fall.

``account.qualifying`` holds what was spent or earned by quarter; a balance or a predicted value
stands in its first place alone. Its sum is always ``profile.qualifying``, kept by QUALIFY events.
"""

import numpy as np

from agents.compiled import kernel
from agents.profile import QUALIFY, TIER, post, residual_value
from agents.records import QUALIFYING_SLOTS, WEEKS_PER_QUARTER
from sim.programme import POINTS_BALANCE, POINTS_EARNED, PREDICTED_VALUE, SPEND

QUARTERS_PER_YEAR = 4
_YEAR = float(QUARTERS_PER_YEAR * WEEKS_PER_QUARTER)
_MOST = 2e9  # fits 32 bits


@kernel
def qualifying(account):  # type: ignore[no-untyped-def]
    """What qualifies for a tier now, in minor units or points."""
    total = np.int64(0)
    for slot in range(QUALIFYING_SLOTS):
        total += account.qualifying[slot]
    return total


@kernel
def tier_for(amount, programme):  # type: ignore[no-untyped-def]
    """Highest tier whose threshold the amount reaches."""
    tier = 0
    for at in range(1, programme.n_tiers):
        tier += amount >= programme.threshold[at]  # thresholds rise
    return tier


@kernel
def qualify(account, profile, log, customer, time, week, programme, spend, points):  # type: ignore[no-untyped-def]
    """Count a purchase towards a tier: its base, or the points it earned."""
    if programme.tier_basis > POINTS_EARNED:
        return
    amount = spend if programme.tier_basis == SPEND else points
    account.qualifying[(week // WEEKS_PER_QUARTER) % QUALIFYING_SLOTS] += amount
    post(profile, log, customer, time, QUALIFY, 0, 0, amount)


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
    change = np.int64(0)
    slot = 0
    if basis == POINTS_BALANCE:
        change = np.int64(account.points) - account.qualifying[0]
    elif review:
        if basis == PREDICTED_VALUE:
            value = residual_value(profile, filter, margin_share, _YEAR)
            change = np.int64(min(value, _MOST) + 0.5) - account.qualifying[0]
        elif not calendar:
            slot = (quarter + 1 - programme.window_quarters + QUALIFYING_SLOTS) % QUALIFYING_SLOTS
            change = -np.int64(account.qualifying[slot])
    account.qualifying[slot] += change
    # Without asking whether anything changed: nobody could predict the answer.
    amount = qualifying(account)
    move_tier(account, profile, outcome, log, customer, time, programme, amount, review)
    if review and calendar and basis <= POINTS_EARNED:
        for at in range(QUALIFYING_SLOTS):
            account.qualifying[at] = 0
        change = -amount
    if change != 0:
        post(profile, log, customer, time, QUALIFY, 0, 0, change)


@kernel
def move_tier(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, programme, amount, review
):
    """Tiers rise as soon as deserved and fall at reviews only, after the reviews of grace."""
    deserved = tier_for(amount, programme)
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
        outcome.tier_change = 1 if tier > present else -1
        post(profile, log, customer, time, TIER, tier, 0, 0)
