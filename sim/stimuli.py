"""Step 2 of a week: what stirs the customers of a block, gathered by column for ``sim.block``."""

import numpy as np

from agents.behaviour import Stimulus
from agents.compiled import block_kernel, kernel
from agents.effects import closeness, offer_effect
from agents.mechanisms import plugged_effect
from agents.profile import log_of
from agents.records import DISCOUNT
from agents.rng import uniform
from sim.block import NEVER
from sim.kept import multiplier_for
from sim.points import goal_progress, reward_ready
from sim.scenario import WEEKS_PER_YEAR


@kernel
def stimulus_of(account, profile, of_year, rules):  # type: ignore[no-untyped-def]
    """What acts on a customer this week, contacts apart."""
    programme = rules.programme
    kind = -1
    strength = 0.0
    category = -1
    if account.offer_opened:
        kind = rules.offers.kind[account.offer - 1]
        strength = rules.offers.strength[account.offer - 1]
        category = rules.offers.category[account.offer - 1]
    return Stimulus(
        rules.calendar.log_rate[of_year],
        rules.calendar.spend[of_year],
        rules.calendar.competitor[of_year] + rules.competitor,
        kind,
        strength,
        category,
        account.tier,
        1 if programme.active and account.enrolled else 0,
        goal_progress(account, profile, programme),
        1 if reward_ready(account, profile, programme) else 0,
        -1,
        -1,
    )


@kernel
def redeems_points(ready, word, rules):  # type: ignore[no-untyped-def]
    """Does the first basket of this week redeem points, where a reward can be had?"""
    return ready & (uniform(word) < rules.behaviour.points_use_probability)


@block_kernel
def expect(traits, state, account, log, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 2: what stirs the customers, programme and offers apart; returns how many hold an open
    offer, listed in ``offer_row``.
    """
    offers = 0
    of_year = 0
    for i in range(n):
        row = np.uint64(top + i)
        trait, one, held = traits[row], state[row], account[row]
        if i == 0 or work.week[i] != work.week[i - 1]:
            of_year = one.week % WEEKS_PER_YEAR
        work.of_year[i] = of_year
        work.prospect[i] = one.prospect
        work.lives[i] = (one.alive != 0) & (one.prospect == 0)
        work.offer_row[offers] = i
        offers += held.offer > 0
        work.plain[i] = (log_of(log, row).room == 0) & (
            (one.intends_redemption == 0) | (held.offer_uses_left == 0)
        )
        work.spend[i] = trait.spend_mean * rules.calendar.spend[of_year]
        work.own[i] = trait.log_rate + one.drift
        work.season[i] = rules.calendar.log_rate[of_year]
        work.competitor[i] = rules.calendar.competitor[of_year] + rules.competitor
        work.contacted[i] = one.contact_weeks > 0
        work.tier[i] = held.tier
        work.goal_gradient[i] = trait.goal_gradient
        work.price_sensitivity[i] = trait.price_sensitivity
        work.fatigue_sensitivity[i] = trait.fatigue_sensitivity
        work.fatigue[i] = one.fatigue
        work.momentum[i] = one.momentum
        work.recent_reward[i] = one.recent_reward
        work.pull_forward[i] = one.pull_forward
        work.deals[i] = one.deals
        work.no_deals[i] = one.no_deals
        work.satisfaction[i] = one.satisfaction
        work.tier_change[i] = one.tier_change
        work.buzz[i] = one.buzz
        work.defections[i] = one.defections
    for i in range(n):
        work.waits[i] = 1
        work.offer[i] = 0.0
        work.member[i] = 0
        work.reward_ready[i] = 0
        work.closeness[i] = 0.0
        work.more_rate[i] = 0.0
        work.more_hazard[i] = 0.0
        work.multiplier[i] = 0
        work.gross[i] = 0
        work.margin[i] = 0
        work.points[i] = 0
        work.latest[i] = NEVER
        work.listed[i] = 0
    return offers


@block_kernel
def expect_members(account, profile, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 2 for members of a programme that runs."""
    programme = rules.programme
    for i in range(n):
        row = np.uint64(top + i)
        own = account[row]
        if own.enrolled:
            ready = reward_ready(own, profile[row], programme)
            work.member[i] = 1
            work.reward_ready[i] = ready
            work.plain[i] &= not redeems_points(ready, work.redeem_word[i], rules)
            work.closeness[i] = closeness(
                goal_progress(own, profile[row], programme), rules.behaviour
            )
            work.multiplier[i] = multiplier_for(own, programme)


@block_kernel
def expect_offers(traits, account, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 2 for holders of an open offer."""
    for k in range(n):
        i = work.offer_row[k]
        row = np.uint64(top + i)
        at = account[row].offer - 1
        if account[row].offer_opened:
            kind = rules.offers.kind[at]
            pull, factor = offer_effect(
                traits[row], kind, rules.offers.strength[at], rules.offers.category[at],
                rules.behaviour,
            )  # fmt: skip
            work.offer[i] = pull
            work.spend[i] *= factor
            work.waits[i] = kind != DISCOUNT


@block_kernel
def expect_plugged(traits, state, account, profile, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 2, the effects of plug-ins."""
    for i in range(n):
        if work.lives[i]:
            row = np.uint64(top + i)
            stimulus = stimulus_of(account[row], profile[row], work.of_year[i], rules)
            more_rate, more_hazard = plugged_effect(
                traits[row], state[row], stimulus, rules.behaviour.plugged
            )
            work.more_rate[i] = more_rate
            work.more_hazard[i] = more_hazard
