"""What can happen to one customer within a week, each as a scalar rule.

``sim.week`` calls them in order; docs/contracts.md §5 lists the steps.
"""

import numpy as np

from agents.behaviour import (
    Stimulus,
    answers,
    attention,
    basket,
    basket_draw,
    cancelling,
    intensities,
    intention,
    joining,
    main_category,
)
from agents.compiled import kernel
from agents.elementary import exp
from agents.profile import (
    CLOSE_ACCOUNT,
    CONTACT,
    JOIN,
    LAST_USE,
    OPEN,
    OPT_OUT,
    PURCHASE,
    REDEEM_OFFER,
    RENEW,
    SURVEY,
    fold_purchases,
    post,
)
from agents.records import DISCOUNT, FREE_ITEM, POINTS_OFFER, SECONDS_PER_WEEK
from agents.rng import BASKET, CATEGORY, EXIT, block, uniform
from agents.rng import JOIN as JOIN_DRAW
from agents.rng import SURVEY as SURVEY_DRAW
from sim.ledger import BASIS, release, reserve, settle, share_of
from sim.points import book_earned, earn, forfeit, grant, redeem_reward
from sim.scenario import WEEKS_PER_YEAR

_CONTACT_DELAY = 3600
_OPEN_DELAY = 7200
LAST_SECOND = SECONDS_PER_WEEK - 1


@kernel
def open_offer(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, action, rules, attending, intending
):
    """Step 1: contact, reservation, attention and the intention to redeem."""
    at = rules.actions.offer[action]
    kind = rules.offers.kind[at]
    channel = rules.actions.channel[action]
    weeks = rules.offers.weeks[at]
    time = np.int64(state.week) * SECONDS_PER_WEEK
    outcome.action = action
    if account.offer > 0:  # masks forbid it; a branch may still ask
        release(account, outcome)
    account.offer = at + 1
    account.offer_uses_left = rules.offers.uses[at]
    account.offer_opened = 0
    state.intends_redemption = 0
    cap = rules.offers.cap[at] * rules.offers.uses[at]
    reserve(account, outcome, cap, rules.actions.contact_cost[action])
    post(
        profile, log, traits.id, time + _CONTACT_DELAY,
        CONTACT, kind, channel, weeks,
    )  # fmt: skip
    if state.alive and attending < attention(traits, channel, rules.behaviour):
        account.offer_opened = 1
        outcome.opened = 1
        post(
            profile, log, traits.id, time + _OPEN_DELAY,
            OPEN, kind, channel, 0,
        )  # fmt: skip
        if intending < intention(traits, state, kind, rules.behaviour):
            state.intends_redemption = 1


@kernel
def redeem_offer(traits, state, account, profile, outcome, log, time, gross, rules):  # type: ignore[no-untyped-def]
    """Use the open offer on one basket; returns the discount in minor units."""
    at = account.offer - 1
    kind = rules.offers.kind[at]
    # Caps of points offers may have risen since this one was issued: its own was reserved.
    cap = min(np.int64(rules.offers.cap[at]), np.int64(account.commitment))
    discount = np.int64(0)
    cost = np.int64(0)
    if kind == DISCOUNT:
        part = gross
        category = rules.offers.category[at]
        if category >= 0:
            part = share_of(gross, int(traits.category[category] * BASIS + 0.5))
        discount = min(cap, share_of(part, rules.offers.depth[at]))
        outcome.discount += discount
        cost = discount
    elif kind == POINTS_OFFER:
        if account.enrolled:
            cost = cap
            grant(account, profile, outcome, rules.programme, state.week, rules.offers.points[at])
    elif kind == FREE_ITEM:
        cost = np.int64(rules.offers.item_cost[at])
        outcome.item_cost += cost
    account.offer_uses_left -= 1
    settle(account, outcome, cap, cost)
    outcome.redeemed += 1
    state.pull_forward += 1.0
    last = LAST_USE if account.offer_uses_left == 0 else 0
    post(profile, log, traits.id, time, REDEEM_OFFER, kind, last, cost)
    return discount


@kernel
def basket_category(traits, rules, u):  # type: ignore[no-untyped-def]
    """Main category of a basket as events tell it: its number + 1, 0 where none are told apart."""
    if rules.behaviour.categories == 0:
        return 0
    return 1 + main_category(traits, rules.behaviour, u)


@kernel
def category_luck(traits, state, week, index, key):  # type: ignore[no-untyped-def]
    """Uniform that decides on a basket's main category."""
    return uniform(block(key, traits.id, week, CATEGORY, index, state.replica)[0])


@kernel
def purchase(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, week, within, gross, category, redeems, rules
):
    """Step 3: one basket, with redemption of the open offer and of points, and points earned.

    Parameters
    ----------
    week
        Of the purchase.
    within
        Second of the week.
    gross
        Minor units at shelf price.
    category
        As ``basket_category`` gives it.
    redeems
        Whether the customer redeems a reward on this basket.
    """
    time = np.int64(week) * SECONDS_PER_WEEK + within
    discount = np.int64(0)
    voucher = np.int64(0)
    if state.intends_redemption and account.offer_uses_left > 0:
        discount = redeem_offer(traits, state, account, profile, outcome, log, time, gross, rules)
    if redeems:
        voucher = redeem_reward(
            account, profile, outcome, log, traits.id, time, week, rules.programme, gross - discount
        )
    outcome.purchases += 1
    outcome.gross += gross
    outcome.margin += share_of(gross, rules.margin_share)
    post(profile, log, traits.id, time, PURCHASE, category, 0, gross - discount - voucher)
    if rules.programme.active and account.enrolled:
        earn(
            account, profile, outcome, log, traits.id, time, week, rules.programme,
            gross, discount, voucher,
        )  # fmt: skip


@kernel
def purchase_plainly(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, number, last, gross, margin, points, rules
):
    """``purchase`` for several baskets at once that redeem nothing and are not written down.

    Parameters
    ----------
    number
        Of baskets.
    last
        Second of the week of the last one; before the first week if there are none.
    gross, margin, points
        Of all of them, each rounded by basket.
    """
    time = np.int64(state.week) * SECONDS_PER_WEEK + last
    outcome.purchases += number
    outcome.gross += gross
    outcome.margin += margin
    fold_purchases(profile, number, time, gross)
    if (number > 0) & (rules.programme.active != 0) & (account.enrolled != 0):
        book_earned(
            account, profile, outcome, log, traits.id, time, state.week, rules.programme,
            number, gross, points,
        )  # fmt: skip


@kernel
def enrol(account, profile, outcome, week, programme):  # type: ignore[no-untyped-def]
    """Become a member of the programme, with its welcome points."""
    account.enrolled = 1
    outcome.enrolled = 1
    if programme.welcome_points > 0:
        grant(account, profile, outcome, programme, week, programme.welcome_points)


@kernel
def approach(traits, state, account, profile, outcome, log, rules, key):  # type: ignore[no-untyped-def]
    """A prospect may become a customer, with a first basket at the week's end.

    Newcomers who came through neighbours enrol at once, where customers enrol at all.
    """
    behaviour = rules.behaviour
    week = state.week
    unasked, asked = joining(state, behaviour)
    hazard = unasked + asked
    if hazard <= 0.0:
        return
    words = block(key, traits.id, week, JOIN_DRAW, 0, state.replica)
    u = uniform(words[0])
    probability = 1.0 - exp(-hazard)
    if u >= probability:
        return
    state.prospect = 0
    outcome.joined = 2 if u * hazard < probability * asked else 1
    time = np.int64(week) * SECONDS_PER_WEEK + LAST_SECOND
    of_year = week % WEEKS_PER_YEAR
    stimulus = Stimulus(
        rules.calendar.log_rate[of_year], rules.calendar.spend[of_year],
        0.0, -1, 0.0, -1, 0, 0, 0.0, 0, -1, -1,
    )  # fmt: skip
    expected = intensities(traits, state, stimulus, behaviour)
    words = block(key, traits.id, week, BASKET, 0, state.replica)
    gross = basket(
        expected.spend_mean, basket_draw(traits, behaviour, words, key), behaviour.max_basket
    )
    outcome.purchases = 1
    outcome.gross = gross
    outcome.margin = share_of(gross, rules.margin_share)
    category = basket_category(traits, rules, category_luck(traits, state, week, 0, key))
    post(profile, log, traits.id, time, JOIN, category, 0, gross)
    if rules.programme.active and outcome.joined == 2 and behaviour.enrol_probability > 0.0:
        enrol(account, profile, outcome, week, rules.programme)
        earn(account, profile, outcome, log, traits.id, time, week, rules.programme, gross, 0, 0)


@kernel
def opt_out_of(profile, account, outcome, log, customer, week, channel):  # type: ignore[no-untyped-def]
    """Leave a channel."""
    account.consent[channel] = 0
    outcome.opted_out = 1
    time = np.int64(week) * SECONDS_PER_WEEK + LAST_SECOND
    post(profile, log, customer, time, OPT_OUT, 0, channel, 0)


@kernel
def end_offer(state, account, profile, outcome):  # type: ignore[no-untyped-def]
    """An open offer ends after its last week or use, or with the account; what is left of it is
    released. The fold counts its weeks.
    """
    if profile.offer_weeks_left <= 1 or account.offer_uses_left == 0 or account.closed:
        release(account, outcome)
        account.offer = 0
        account.offer_opened = 0
        state.intends_redemption = 0


@kernel
def close_account(traits, state, account, profile, outcome, log, programme):  # type: ignore[no-untyped-def]
    """The account ends, with its points: the only exit that a firm observes."""
    account.closed = 1
    outcome.closed = 1
    time = np.int64(state.week) * SECONDS_PER_WEEK + LAST_SECOND
    if programme.active:
        forfeit(account, profile, outcome, log, traits.id, time, programme)
    post(profile, log, traits.id, time, CLOSE_ACCOUNT, 0, 0, 0)


@kernel
def leave(traits, state, account, profile, outcome, log, rules, key):  # type: ignore[no-untyped-def]
    """Step 7, death: silent, unless the customer also closes the account."""
    state.alive = 0
    outcome.left = 1
    words = block(key, traits.id, state.week, EXIT, 0, state.replica)
    if uniform(words[0]) < rules.behaviour.close_account_probability:
        close_account(traits, state, account, profile, outcome, log, rules.programme)


@kernel
def renew(traits, state, account, profile, outcome, log, rules, key):  # type: ignore[no-untyped-def]
    """The fee is due: subscribers pay or cancel, those who silently left do not pay."""
    behaviour = rules.behaviour
    stays = state.alive > 0
    if stays and behaviour.cancel_probability > 0.0:
        words = block(key, traits.id, state.week, EXIT, 0, state.replica)
        if uniform(words[1]) < cancelling(state, behaviour):
            state.alive = 0
            outcome.left = 1
            stays = False
    if not stays:
        close_account(traits, state, account, profile, outcome, log, rules.programme)
        return
    outcome.fees = behaviour.fee
    outcome.margin += behaviour.fee_margin
    time = np.int64(state.week) * SECONDS_PER_WEEK + LAST_SECOND
    post(profile, log, traits.id, time, RENEW, 0, 0, behaviour.fee)


@kernel
def survey(traits, state, profile, outcome, log, rules, key):  # type: ignore[no-untyped-def]
    """Ask; whoever answers does so with noise."""
    words = block(key, traits.id, state.week, SURVEY_DRAW, 0, state.replica)
    if uniform(words[0]) < rules.behaviour.answer_probability:
        nps, csat = answers(state, rules.behaviour, words)
        outcome.nps = nps + 1
        outcome.csat = csat
        time = np.int64(state.week) * SECONDS_PER_WEEK + LAST_SECOND
        post(profile, log, traits.id, time, SURVEY, 0, 0, nps)
        post(profile, log, traits.id, time, SURVEY, 1, 0, csat)


@kernel
def clear(outcome):  # type: ignore[no-untyped-def]
    """Zero the week's outcome."""
    outcome.liability_change = 0
    outcome.purchases = 0
    outcome.gross = 0
    outcome.discount = 0
    outcome.margin = 0
    outcome.item_cost = 0
    outcome.contact_cost = 0
    outcome.reward_cost = 0
    outcome.voucher = 0
    outcome.fees = 0
    outcome.points_earned = 0
    outcome.points_redeemed = 0
    outcome.points_expired = 0
    outcome.reserved = 0
    outcome.settled = 0
    outcome.released = 0
    outcome.action = 0
    outcome.opened = 0
    outcome.redeemed = 0
    outcome.opted_out = 0
    outcome.closed = 0
    outcome.rewards = 0
    outcome.tier_change = 0
    outcome.left = 0
    outcome.joined = 0
    outcome.enrolled = 0
    outcome.nps = 0
    outcome.csat = 0
