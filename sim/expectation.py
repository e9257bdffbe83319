"""Scoring a week by expectations: conditional means in place of what is drawn (Rao-Blackwell).

A scored row lives as any other row does, through ``sim.week.step_block``, but does not leave:
its ``survival`` is the probability that it is still there, and weighs all that follows. What a
week brings is added as its mean given the state when purchases are about to be drawn:

- margin: rate × expected share of the week lived through × mean basket × margin share;
- cost of the open offer: expected uses × mean cost of a use, capped discounts in closed form;
- what the programme owes and hands out: as drawn, because its rules are many, but with mean-zero
  corrections (control variates) for the points of the baskets, bonus points and item rewards,
  which take out nearly all of its noise and add no bias whatever the rules.

All of it comes from the rates, hazards and mean baskets that ``sim.block.weigh_up`` gave this very
week. So the expected score is the expected profit, with these exceptions of second
order in the hazard: programme costs within the week of leaving are taken in proportion to the
time lived; points of those who left expire unseen; and messages go on to those who left as they
would to those who stayed.
"""

import numpy as np

from agents.baskets import mean_basket_below, mean_of_first
from agents.behaviour import cancelling
from agents.compiled import block_kernel, kernel
from agents.elementary import exp
from agents.records import (
    DISCOUNT,
    FREE_ITEM,
    PENDING_SLOTS,
    POINTS_OFFER,
    Field,
    record_dtype,
)
from sim.kept import multiplier_for, price_for
from sim.ledger import BASIS, MICRO
from sim.points import dearest_reward, points_for, reward_ready

_SURELY_STAYS = np.uint64(0xFFFFFFFF)  # a word of luck with which nobody leaves
_PROBE = 100_000_000  # minor units; the slope of points over such a span hides their rounding

SCORE = record_dtype(
    (
        Field("survival", "f8", (), "probability", "of being still there when the week begins"),
        Field("profit", "f8", (), "minor units", "expected so far"),
        Field("settled", "f8", (), "minor units", "expected offer cost so far"),
        Field("purchases", "f8", (), "purchases", "expected so far"),
        Field("luck", "u8", (), "", "replica whose draws decide on contacts, before the turn"),
        Field("attending_turn", "f8", (), "share", "added to the draw for attention, modulo 1"),
        Field("intending_turn", "f8", (), "share", "the same for the intention to redeem"),
        Field("stays", "f8", (), "probability", "of surviving this week"),
        Field("cancels", "f8", (), "probability", "of cancelling if a fee is due this week"),
        Field("lived", "f8", (), "share", "of this week, expected"),
        Field("gross", "f8", (), "minor units", "expected this week by one who stays"),
        Field("uses", "f8", (), "uses", "of the open offer, expected by one who stays"),
        Field("rewards", "f8", (), "probability", "of an item reward, by one who stays"),
        Field("gross_owes", "f8", (), "share", "of gross that its points are worth"),
        Field("use_owes", "f8", (), "minor units", "what points of one use are worth"),
        Field("reward_costs", "f8", (), "minor units", "what an item costs beyond its points"),
    )
)


@block_kernel
def spare(work, n):  # type: ignore[no-untyped-def]
    """Nobody leaves this week."""
    for i in range(n):
        work.death_word[i] = _SURELY_STAYS


@block_kernel
def address_contacts(top, n, work, scores):  # type: ignore[no-untyped-def]
    """Contacts have luck of their own, common to replicas whose turns spread them evenly."""
    for k in range(n):
        work.contact_replica[k] = scores[np.uint64(top + work.contact_row[k])].luck


@block_kernel
def turn_contacts(top, n, work, scores):  # type: ignore[no-untyped-def]
    """Rotate the draws of contacts (Cranley & Patterson 1976); each stays uniform."""
    for k in range(n):
        score = scores[np.uint64(top + work.contact_row[k])]
        attending = work.attending[k] + score.attending_turn
        intending = work.intending[k] + score.intending_turn
        work.attending[k] = attending - (attending >= 1.0)
        work.intending[k] = intending - (intending >= 1.0)


@kernel
def mean_use_cost(traits, account, at, mean, rules):  # type: ignore[no-untyped-def]
    """Expected cost of one use of an offer, as ``sim.steps.redeem_offer`` settles it."""
    kind = rules.offers.kind[at]
    if kind == DISCOUNT:
        depth = rules.offers.depth[at] / BASIS
        category = rules.offers.category[at]
        if category >= 0:
            depth *= int(traits.category[category] * BASIS + 0.5) / BASIS
        if depth <= 0.0:
            return 0.0
        cap = min(rules.offers.cap[at] / depth, rules.behaviour.max_basket)
        return depth * mean_basket_below(traits, mean, cap, rules.behaviour)
    if kind == POINTS_OFFER:
        return 1.0 * rules.offers.cap[at] if account.enrolled else 0.0
    if kind == FREE_ITEM:
        return 1.0 * rules.offers.item_cost[at]
    return 0.0


@kernel
def foresee_programme(account, profile, programme, rate, rules, score):  # type: ignore[no-untyped-def]
    """What the corrections of ``book_one`` need."""
    owed = programme.liability_per_point / MICRO
    multiplier = multiplier_for(account, programme)
    points = points_for(_PROBE, multiplier, programme) - points_for(0, multiplier, programme)
    score.gross_owes = points * owed / _PROBE
    if reward_ready(account, profile, programme) and programme.redemption_weeks == 0:
        at = dearest_reward(account, profile, programme, 1)
        if not programme.reward_voucher[at] and not programme.reward_multiple[at]:
            score.rewards = rules.behaviour.points_use_probability * (1.0 - exp(-rate))
            price = price_for(account, programme, at)
            score.reward_costs = programme.reward_cost[at] - price * owed


@kernel
def foresee_one(traits, state, account, profile, work, i, rules, truth, score):  # type: ignore[no-untyped-def]
    """Means of the coming purchases of a customer who is there; the contact has been made."""
    rate, hazard = work.rate[i], work.hazard[i]
    score.stays = exp(-hazard)
    score.lived = (1.0 - score.stays) / hazard if hazard > 1e-6 else 1.0 - 0.5 * hazard
    score.cancels = cancelling(state, truth.behaviour)
    mean = mean_basket_below(traits, work.spend[i], rules.behaviour.max_basket, rules.behaviour)
    score.gross = rate * mean
    score.uses = score.rewards = 0.0
    score.gross_owes = score.use_owes = score.reward_costs = 0.0
    bought = rate * score.lived
    profit = bought * mean * rules.margin_share / BASIS
    if state.intends_redemption and account.offer_uses_left > 0:
        at = account.offer - 1
        left = account.offer_uses_left
        cost = mean_of_first(bought, left) * mean_use_cost(
            traits, account, at, work.spend[i], rules
        )
        score.settled += score.survival * cost
        score.uses = mean_of_first(rate, left)
        if rules.offers.kind[at] == POINTS_OFFER:
            if account.enrolled:
                worth = rules.offers.points[at] * rules.programme.liability_per_point
                score.use_owes = worth / MICRO
        else:
            profit -= cost
    if rules.programme.active and account.enrolled:
        foresee_programme(account, profile, rules.programme, rate, rules, score)
    score.purchases += score.survival * bought
    score.profit += score.survival * profit


@block_kernel
def foresee(traits, state, account, profile, top, n, work, rules, truth, scores):  # type: ignore[no-untyped-def]
    """Add what purchases are expected to bring; after ``count_purchases``, before any basket.

    ``truth`` are the rules with the probability of cancelling that ``rules`` leave out.
    """
    for i in range(n):
        if work.lives[i]:
            row = np.uint64(top + i)
            foresee_one(
                traits[row], state[row], account[row], profile[row], work, i, rules, truth,
                scores[row],
            )  # fmt: skip


@kernel
def book_one(account, profile, outcome, lives, rules, score):  # type: ignore[no-untyped-def]
    """Add messages, programme costs and fees of a week that was lived; weigh what comes next."""
    owed = outcome.liability_change / MICRO
    if not lives:
        cash = np.int64(outcome.discount) + outcome.item_cost + outcome.reward_cost
        score.profit += outcome.margin - cash - outcome.contact_cost - owed
        score.settled += outcome.settled
        return
    score.profit -= outcome.contact_cost
    score.settled += outcome.contact_cost
    owed += score.gross_owes * (score.gross - outcome.gross)
    owed += score.use_owes * (score.uses - outcome.redeemed)
    owed += outcome.reward_cost
    if score.rewards > 0.0:
        owed += score.reward_costs * (score.rewards - outcome.rewards)
    score.profit -= score.survival * score.lived * owed
    leaves = (1.0 - score.stays) * rules.behaviour.close_account_probability
    stays = score.stays
    if outcome.fees > 0:
        leaves += stays * score.cancels
        stays *= 1.0 - score.cancels
        score.profit += score.survival * stays * rules.behaviour.fee_margin
    if rules.programme.active and account.enrolled:
        points = np.int64(profile.points)
        for slot in range(PENDING_SLOTS):
            points += account.pending[slot]
        forfeited = points * (rules.programme.liability_per_point / MICRO)
        score.profit += score.survival * leaves * forfeited
    score.survival *= stays


@block_kernel
def book(account, profile, outcome, top, n, work, rules, scores):  # type: ignore[no-untyped-def]
    """``book_one`` for the block, after the week's last step."""
    for i in range(n):
        row = np.uint64(top + i)
        book_one(account[row], profile[row], outcome[i], work.lives[i], rules, scores[row])
