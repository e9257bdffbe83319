"""A member's points: earned, pending, in FIFO lots, redeemed for rewards, expired.

A lot is the points that matured in one quarter; the balance, their sum, is ``profile.points``,
kept by POINTS events. Points are a liability from the moment they are issued until they are
redeemed or expire; points earmarked for an order are still outstanding.
"""

import numpy as np

from agents.compiled import kernel
from agents.profile import EARN, EXPIRE, POINTS, REDEEM, post
from agents.records import LOT_SLOTS, PENDING_SLOTS, WEEKS_PER_QUARTER
from sim.kept import let_go, lowest_price, multiplier_for, price_for, use_price
from sim.ledger import BASIS, accrue
from sim.programme import PAID, SHELF
from sim.tiers import close_tiers, qualify

_MICRO_BASIS = np.uint64(100 * 1000 * BASIS)
_MOST_COST = 1_000_000_000  # minor units of items at once, so that a week's cost fits 32 bits
_MOST_HELD = 400_000_000  # points; five times that, balance and pending, fits 32 bits
_BOUGHT = 128  # in account.streak during a week: a purchase counted; the week's close takes it off


@kernel
def reward_progress(points, programme):  # type: ignore[no-untyped-def]
    """Share of the way to the cheapest reward that ``points`` do not reach; 1 if they reach all."""
    for at in range(programme.n_rewards):
        if points < programme.reward_price[at]:
            return points / programme.reward_price[at]
    return 1.0 if programme.n_rewards > 0 else 0.0


@kernel
def own_progress(account, points, programme):  # type: ignore[no-untyped-def]
    """``reward_progress`` at this member's prices, which need not rise."""
    if account.kept == 0:
        return reward_progress(points, programme)
    goal = np.int64(0)
    for at in range(programme.n_rewards):
        price = price_for(account, programme, at)
        if points < price and (goal == 0 or price < goal):
            goal = price
    if goal > 0:
        return points / goal
    return 1.0 if programme.n_rewards > 0 else 0.0


@kernel
def goal_progress(account, profile, programme):  # type: ignore[no-untyped-def]
    """Share of the way to the nearest goal, 0 to 1: the next reward or the running challenge.

    A reward that can be had is no goal any more.
    """
    if programme.active == 0 or account.enrolled == 0:
        return 0.0
    points = max(np.int64(0), spendable(account, profile))
    progress = own_progress(account, points, programme)
    if progress == 1.0:  # all can be had: the way to one more of the dearest
        dearest = programme.reward_price[programme.n_rewards - 1]
        progress = (points % dearest) / dearest
    if account.challenge < programme.challenge_purchases:
        progress = max(progress, account.challenge / programme.challenge_purchases)
    return progress


@kernel
def spendable(account, profile):  # type: ignore[no-untyped-def]
    """Balance less what is earmarked; below 0 where earmarked points expired."""
    return np.int64(profile.points) - account.ordered


@kernel
def reward_ready(account, profile, programme):  # type: ignore[no-untyped-def]
    """Can the member redeem: is the cheapest reward affordable and no order open?"""
    # No short circuits: the parts are cheap, and together they are easier to predict.
    return (
        (programme.active != 0)
        & (account.enrolled != 0)
        & (programme.n_rewards > 0)
        & (account.ordered == 0)
        & (profile.points >= lowest_price(account, programme))
    )


@kernel
def grant(account, profile, outcome, programme, week, points):  # type: ignore[no-untyped-def]
    """Issue points as pending; they are a liability from this moment.

    Nobody is granted more than ``_MOST_HELD``, so that a balance fits 32 bits whatever the rules.
    """
    slot = week % PENDING_SLOTS
    held = np.int64(profile.points) + account.pending[slot]
    points = min(np.int64(points), max(np.int64(0), _MOST_HELD - held))
    account.pending[slot] += points
    outcome.points_earned += points
    accrue(outcome, points, programme.liability_per_point)


@kernel
def points_for(base, multiplier, programme):  # type: ignore[no-untyped-def]
    """Points of a purchase: on its base in minor units and for itself, times the multiplier in
    basis points, rounded down.
    """
    milli = np.int64(base) * programme.points_per_unit + programme.points_per_purchase * 100_000
    return np.int64(np.uint64(milli * multiplier) // _MICRO_BASIS)


@kernel
def earn(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, gross, discount, voucher
):
    """One purchase: points on the base of ``earn_on``; it counts for tier, challenge, streak."""
    base = np.int64(gross)
    if programme.earn_on > SHELF:
        base -= discount
    if programme.earn_on == PAID:
        base -= voucher
    points = points_for(base, multiplier_for(account, programme), programme)
    book_earned(account, profile, outcome, log, customer, time, week, programme, 1, base, points)


@kernel
def book_earned(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, purchases, base, points
):
    """Book one or more purchases with the points they earn, tier, challenge and streak.

    All at once or one by one comes to the same: everything is added up, up to a limit.
    """
    qualify(profile, log, customer, time, programme, base, points)
    if account.challenge < programme.challenge_purchases:
        counted = min(account.challenge + purchases, programme.challenge_purchases)
        account.challenge = counted
        if counted == programme.challenge_purchases:
            points += programme.challenge_points
    if programme.streak_weeks > 0:
        account.streak |= _BOUGHT
    grant(account, profile, outcome, programme, week, points)


@kernel
def take_oldest(account, week, points):  # type: ignore[no-untyped-def]
    """Take points from the lots, oldest first; the balance must suffice."""
    quarter = week // WEEKS_PER_QUARTER
    for age in range(LOT_SLOTS - 1, -1, -1):
        slot = (quarter - age + LOT_SLOTS) % LOT_SLOTS
        taken = min(points, account.lots[slot])
        account.lots[slot] -= taken
        points -= taken


@kernel
def hand_out(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, points, cost
):
    """Hand out a reward: points FIFO from the lots, cash cost booked, liability released."""
    take_oldest(account, week, points)
    outcome.points_redeemed += points
    outcome.reward_cost += cost
    outcome.rewards += 1
    accrue(outcome, -points, programme.liability_per_point)
    post(profile, log, customer, time, POINTS, REDEEM, 0, -points)


@kernel
def dearest_reward(account, profile, programme, due):  # type: ignore[no-untyped-def]
    """The dearest reward affordable, -1 if none; a basket that costs nothing takes no voucher."""
    for at in range(programme.n_rewards - 1, -1, -1):
        if spendable(account, profile) >= price_for(account, programme, at) and (
            due > 0 or programme.reward_voucher[at] == 0
        ):
            return at
    return -1


@kernel
def redeem_reward(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, due
):
    """Redeem or order the dearest affordable reward; returns the money off the basket.

    Parameters
    ----------
    due
        What the basket at hand still costs, minor units.
    """
    at = dearest_reward(account, profile, programme, due)
    if at < 0 or account.ordered > 0:
        return np.int64(0)
    price = price_for(account, programme, at)
    use_price(account, at)
    cost = programme.reward_cost[at]
    voucher = programme.reward_voucher[at] != 0
    units = np.int64(1)
    if programme.reward_multiple[at]:
        units = np.int64(profile.points) // price
        if voucher:
            units = min(units, max(np.int64(1), np.int64(due) // cost))
        elif cost > 0:
            units = min(units, _MOST_COST // cost)
    if programme.redemption_weeks > 0:
        account.ordered = units * price
        account.order_reward = at
        account.order_weeks = programme.redemption_weeks
        return np.int64(0)
    cost *= units
    money_off = np.int64(0)
    if voucher:
        cost = min(cost, np.int64(due))
        money_off = cost
        outcome.voucher += cost
    hand_out(account, profile, outcome, log, customer, time, week, programme, units * price, cost)
    return money_off


@kernel
def close_order(account, profile, outcome, log, customer, time, week, programme):  # type: ignore[no-untyped-def]
    """Bring an order a week nearer; when due, hand it out or, the points gone, cancel it."""
    if account.order_weeks > 0:
        account.order_weeks -= 1
        return
    points = np.int64(account.ordered)
    at = account.order_reward
    account.ordered = 0
    account.order_reward = 0
    if profile.points >= points:
        units = np.int64(1)
        if programme.reward_multiple[at]:
            units = points // programme.reward_price[at]
        cost = units * programme.reward_cost[at]
        hand_out(account, profile, outcome, log, customer, time, week, programme, points, cost)


@kernel
def mature(account, profile, log, customer, time, week, programme):  # type: ignore[no-untyped-def]
    """Points that stop pending join the lot of this quarter, or the only lot."""
    slot = (week - programme.pending_weeks + PENDING_SLOTS) % PENDING_SLOTS
    matured = account.pending[slot]
    account.pending[slot] = 0
    lot = 0
    if programme.expiry_quarters > 0:
        lot = (week // WEEKS_PER_QUARTER) % LOT_SLOTS
    account.lots[lot] += matured
    # Nothing may mature, which is no event; where none are written down it does not matter.
    if matured > 0 or log.room == 0:
        post(profile, log, customer, time, POINTS, EARN, 0, matured)


@kernel
def expire(account, profile, outcome, log, customer, time, week, programme):  # type: ignore[no-untyped-def]
    """At a quarter's end the oldest lot expires; what an order spares of it joins the next lot."""
    quarter = week // WEEKS_PER_QUARTER
    slot = (quarter - programme.expiry_quarters + LOT_SLOTS) % LOT_SLOTS
    expired = np.int64(account.lots[slot])
    account.lots[slot] = 0
    if programme.expiry_spares_ordered:
        spared = min(expired, np.int64(account.ordered))
        account.lots[(slot + 1) % LOT_SLOTS] += spared
        expired -= spared
    if expired > 0:
        outcome.points_expired += expired
        accrue(outcome, -expired, programme.liability_per_point)
        post(profile, log, customer, time, POINTS, EXPIRE, 0, -expired)


@kernel
def forfeit(account, profile, outcome, log, customer, time, programme):  # type: ignore[no-untyped-def]
    """All points of an account that is closed expire, pending and ordered ones too."""
    balance = np.int64(profile.points)
    lost = balance
    for slot in range(PENDING_SLOTS):
        lost += account.pending[slot]
        account.pending[slot] = 0
    for slot in range(LOT_SLOTS):
        account.lots[slot] = 0
    account.ordered = 0
    account.order_weeks = 0
    account.kept = 0
    if lost > 0:
        outcome.points_expired += lost
        accrue(outcome, -lost, programme.liability_per_point)
        post(profile, log, customer, time, POINTS, EXPIRE, 0, -balance)


@kernel
def close_streak(account, profile, outcome, programme, week):  # type: ignore[no-untyped-def]
    """Count a week with a purchase, or start again."""
    weeks = max(0, account.streak - _BOUGHT + 1)
    if weeks >= programme.streak_weeks:
        grant(account, profile, outcome, programme, week, programme.streak_points)
        weeks = 0
    account.streak = weeks


@kernel
def close_programme_week(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme, filter, margin_share
):
    """Close a member's week: streak, maturing, orders, expiry, challenge, tier, terms kept.

    The streak comes first, so that its bonus pends like any other points of the week. The fold
    closes its week only afterwards.

    Parameters
    ----------
    filter, margin_share
        FILTER record and contribution margin (a share), for tiers by predicted value.
    """
    if programme.streak_weeks > 0:
        close_streak(account, profile, outcome, programme, week)
    mature(account, profile, log, customer, time, week, programme)
    if account.ordered > 0:
        close_order(account, profile, outcome, log, customer, time, week, programme)
    if programme.expiry_quarters > 0 and (week + 1) % WEEKS_PER_QUARTER == 0:
        expire(account, profile, outcome, log, customer, time, week, programme)
    if account.challenge > 0 and (week + 1) % programme.challenge_weeks == 0:
        account.challenge = 0
    close_tiers(
        account, profile, outcome, log, customer, time, week, programme, filter, margin_share
    )
    let_go(account, programme, week)
