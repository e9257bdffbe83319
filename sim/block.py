"""What is drawn and computed for a whole block of customers alike, in loops that vectorise.

``WORK`` is the space of one block: columns of ``BLOCK`` rows, small enough for the cache. Each
loop is compiled apart and has no branches, so that the compiler turns it into vector
instructions; what a loop cannot settle is left to the scalar rule, which gives the same bits.
``sim.week`` says in which order they run.
"""

import math

import numpy as np

from agents.behaviour import basket, basket_draw, drifted, realise, seconds_within
from agents.compiled import block_kernel, kernel
from agents.effects import Stirred, loaded_effects, log_rate_and_hazard
from agents.elementary import exp
from agents.profile import loaded_prior, week_beliefs
from agents.records import Field, record_dtype
from agents.rng import (
    BASKET,
    CATEGORY,
    CONTACT,
    LOW_COUNTS,
    MAX_RATE,
    WEEK,
    block,
    gamma_attempt,
    gamma_boosted,
    low_poisson,
    normal,
    uniform,
    unit_lognormal,
)

BLOCK = 64
_BASKETS = 4 * BLOCK
_AT_ONCE = 4
_TURNS = np.uint64(0xFFFF)
NEVER = -(2**40)  # seconds; before all weeks

_ROW, _BASKET = (BLOCK,), (_BASKETS,)
_WIDE = ("season", "competitor", "closeness", "offer")
_WHOLE = ("member", "tier", "reward_ready", "waits", "contacted")
_STIRRED = tuple(
    (name, "f8" if name in _WIDE else "i4" if name in _WHOLE else "f4") for name in Stirred._fields
)
WORK = record_dtype(
    (
        Field("lives", "i8", _ROW, "flag", "a customer who is there when the week begins"),
        Field("prospect", "i8", _ROW, "flag", "not a customer yet"),
        Field("eventful", "i8", _ROW, "flag", "one of the things may happen that happen to few"),
        Field("eventful_row", "i8", _ROW, "", "row of an eventful week"),
        Field("customer", "u8", _ROW, "", "id"),
        Field("week", "u8", _ROW, "week", "clock"),
        Field("replica", "u8", _ROW, "", "of the luck"),
        Field("count_word", "u8", _ROW, "", "WEEK block, word 0"),
        Field("death_word", "u8", _ROW, "", "WEEK block, word 1"),
        Field("drift_word", "u8", _ROW, "", "WEEK block, word 2"),
        Field("redeem_word", "u8", _ROW, "", "WEEK block, word 3"),
        *(Field(name, kind, _ROW, "", "see Stirred") for name, kind in _STIRRED),
        Field("more_rate", "f8", _ROW, "log", "of plug-ins, on the purchase rate"),
        Field("more_hazard", "f8", _ROW, "log", "of plug-ins, on the dropout hazard"),
        Field("log_rate", "f8", _ROW, "log 1/week", "purchase rate"),
        Field("log_hazard", "f8", _ROW, "log", "factor on the dropout hazard"),
        Field("rate", "f8", _ROW, "1/week", "purchase rate"),
        Field("hazard", "f8", _ROW, "1/week", "dropout hazard"),
        Field("spend", "f8", _ROW, "minor units", "mean basket"),
        Field("fraction", "f8", _ROW, "share", "of the week lived through"),
        Field("purchases", "i8", _ROW, "purchases", "of the week"),
        Field("unsettled", "i8", _ROW, "flag", "may die this week, or buys often"),
        Field("listed", "i8", _ROW, "purchases", "on the list of baskets"),
        Field("spend_shape", "f8", _ROW, "", "gamma shape of baskets, or log sd"),
        Field("plain", "i8", _ROW, "flag", "baskets redeem nothing and are not written down"),
        Field("multiplier", "i8", _ROW, "basis points", "on points of baskets, 0 = earns none"),
        Field("gross", "i8", _ROW, "minor units", "plain baskets of the week at shelf price"),
        Field("margin", "i8", _ROW, "minor units", "of the plain baskets"),
        Field("points", "i8", _ROW, "points", "that the plain baskets earn"),
        Field("latest", "i8", _ROW, "seconds", "of the week, last plain basket, or NEVER"),
        Field("drift", "f8", _ROW, "log", "deviation of the log rate"),
        Field("odds", "f8", _ROW, "odds", "of having left, as the firm sees it"),
        Field("count", "f8", _ROW, "purchases", "effective repeats"),
        Field("spent", "f8", _ROW, "weeks", "effective exposure"),
        Field("age", "f8", _ROW, "weeks", "since joining"),
        Field("bought", "f8", _ROW, "purchases", "events of the week"),
        Field("begin", "f8", _ROW, "share", "of the week before joining"),
        Field("last", "f8", _ROW, "share", "of the week before the last purchase"),
        Field("exposure", "f8", _ROW, "factor", "season's, on the purchase rate"),
        Field("basket_row", "u8", _BASKET, "", "row of the block"),
        Field("basket_customer", "u8", _BASKET, "", "id"),
        Field("basket_week", "u8", _BASKET, "week", "clock"),
        Field("basket_replica", "u8", _BASKET, "", "of the luck"),
        Field("basket_shape", "f8", _BASKET, "", "gamma shape, or log sd"),
        Field("basket_index", "u8", _BASKET, "", "of the purchase in its week"),
        Field("basket_boost", "f8", _BASKET, "", "uniform, brings gamma draws to a shape below 1"),
        Field("basket_spend", "f8", _BASKET, "minor units", "mean basket"),
        Field("basket_fraction", "f8", _BASKET, "share", "of the week lived through"),
        Field("basket_gross", "i8", _BASKET, "minor units", "at shelf price"),
        Field("basket_second", "i8", _BASKET, "seconds", "of the week"),
        Field("basket_main", "f8", _BASKET, "", "uniform, decides on the main category"),
        Field("of_year", "i8", _ROW, "week", "of the year"),
        Field("offer_row", "i8", _ROW, "", "row of an open offer"),
        Field("contact_row", "i8", _ROW, "", "row of a contact"),
        Field("contact_customer", "u8", _ROW, "", "id"),
        Field("contact_week", "u8", _ROW, "week", "clock"),
        Field("contact_replica", "u8", _ROW, "", "of the luck"),
        Field("attending", "f8", _ROW, "", "uniform, decides on attention"),
        Field("intending", "f8", _ROW, "", "uniform, decides on the intention to redeem"),
        Field("opting_out", "f8", _ROW, "", "uniform, decides on leaving the channel"),
        Field("within", "f8", _BASKET, "share", "of the time lived through"),
        Field("normal", "f8", _BASKET, "", "standard normal of the draw"),
        Field("uniform", "f8", _BASKET, "", "decides whether a gamma draw is accepted"),
        Field("draw", "f8", _BASKET, "", "basket over its mean"),
        Field("drawn", "i8", _BASKET, "flag", "the gamma draw holds"),
    )
)


@block_kernel
def address(traits, state, top, n, work):  # type: ignore[no-untyped-def]
    """What the rows' draws depend on, and their fixed traits."""
    for i in range(n):
        row = np.uint64(top + i)
        one = traits[row]
        work.customer[i] = one.id
        work.hazard[i] = one.hazard
        work.spend_shape[i] = one.spend_shape
        work.week[i] = state[row].week
        work.replica[i] = state[row].replica


@block_kernel
def draw_week(work, n, key):  # type: ignore[no-untyped-def]
    """The week's four words of every row."""
    for i in range(n):
        words = block(key, work.customer[i], work.week[i], WEEK, 0, work.replica[i])
        work.count_word[i] = words[0]
        work.death_word[i] = words[1]
        work.drift_word[i] = words[2]
        work.redeem_word[i] = words[3]


@block_kernel
def draw_contacts(work, n, key):  # type: ignore[no-untyped-def]
    """Luck of the contacts on the list."""
    for k in range(n):
        words = block(
            key, work.contact_customer[k], work.contact_week[k], CONTACT, 0,
            work.contact_replica[k],
        )  # fmt: skip
        work.attending[k] = uniform(words[0])
        work.intending[k] = uniform(words[1])
        work.opting_out[k] = uniform(words[2])


@block_kernel
def weigh_up(work, n, behaviour):  # type: ignore[no-untyped-def]
    """Logarithms of rate and hazard from what stirs each row."""
    effects = loaded_effects(behaviour)
    for i in range(n):
        stirred = Stirred(
            work.own[i],
            work.season[i],
            work.competitor[i],
            work.member[i],
            work.tier[i],
            work.reward_ready[i],
            work.closeness[i],
            work.offer[i],
            work.waits[i],
            work.contacted[i],
            work.goal_gradient[i],
            work.price_sensitivity[i],
            work.fatigue_sensitivity[i],
            work.fatigue[i],
            work.momentum[i],
            work.recent_reward[i],
            work.pull_forward[i],
            work.deals[i],
            work.no_deals[i],
            work.satisfaction[i],
            work.tier_change[i],
            work.buzz[i],
            work.defections[i],
        )
        log_rate, log_hazard = log_rate_and_hazard(stirred, effects)
        work.log_rate[i] = log_rate + work.more_rate[i]
        work.log_hazard[i] = log_hazard + work.more_hazard[i]


@block_kernel
def count_purchases(work, n):  # type: ignore[no-untyped-def]
    """Rates from their logarithms, then purchases of those who survive the week and buy less
    than ``LOW_COUNTS`` times; the others are left to ``settle_counts``.
    """
    for i in range(n):
        rate = min(exp(work.log_rate[i]), MAX_RATE)
        hazard = work.hazard[i] * exp(work.log_hazard[i])
        count = low_poisson(rate, work.count_word[i])
        may_die = uniform(work.death_word[i]) < hazard
        work.rate[i] = rate
        work.hazard[i] = hazard
        work.fraction[i] = 1.0
        work.purchases[i] = count * work.lives[i]
        work.unsettled[i] = ((count == LOW_COUNTS) | may_die) & (work.lives[i] != 0)


@block_kernel
def settle_counts(work, n):  # type: ignore[no-untyped-def]
    """Purchases of those who may die this week or buy often."""
    for i in range(n):
        if work.unsettled[i]:
            realised = realise(work.rate[i], work.hazard[i], work.count_word[i], work.death_word[i])
            work.purchases[i] = realised.purchases
            work.fraction[i] = realised.alive_fraction


@block_kernel
def list_baskets(work, n):  # type: ignore[no-untyped-def]
    """Put the block's baskets on the list, row by row; returns its length."""
    listed = 0
    for i in range(n):
        purchases = work.purchases[i]
        if listed + max(purchases, _AT_ONCE) > _BASKETS:
            break
        # The first few at once, so that most rows need no loop; the next row overwrites.
        for index in range(_AT_ONCE):
            work.basket_row[listed + index] = i
            work.basket_index[listed + index] = index
        for index in range(_AT_ONCE, purchases):
            work.basket_row[listed + index] = i
            work.basket_index[listed + index] = index
        listed += purchases
        work.listed[i] = purchases
    for k in range(listed):
        i = work.basket_row[k]
        work.basket_customer[k] = work.customer[i]
        work.basket_week[k] = work.week[i]
        work.basket_replica[k] = work.replica[i]
        work.basket_shape[k] = work.spend_shape[i]
        work.basket_spend[k] = work.spend[i]
        work.basket_fraction[k] = work.fraction[i]
    return listed


@block_kernel
def draw_baskets(work, n, key):  # type: ignore[no-untyped-def]
    """Times and normals of the baskets on the list."""
    for k in range(n):
        words = block(
            key, work.basket_customer[k], work.basket_week[k], BASKET, work.basket_index[k],
            work.basket_replica[k],
        )  # fmt: skip
        work.within[k] = uniform(words[0])
        work.basket_boost[k] = uniform(words[1])
        work.normal[k] = normal(words[2])
        work.uniform[k] = uniform(words[3])


@block_kernel
def draw_gamma(work, n):  # type: ignore[no-untyped-def]
    """Unit-mean gamma draws, but for a shape below 1 those of shape + 1; what needs a second
    attempt is marked as not drawn. Returns how many have a shape below 1.
    """
    low = 0
    for k in range(n):
        shape = work.basket_shape[k]
        draw, accepted = gamma_attempt(
            shape if shape >= 1.0 else shape + 1.0, work.normal[k], work.uniform[k]
        )
        work.draw[k] = draw
        work.drawn[k] = accepted
        low += shape < 1.0
    return low


@block_kernel
def boost_gamma(work, n):  # type: ignore[no-untyped-def]
    """Bring draws to a shape below 1."""
    for k in range(n):
        shape = work.basket_shape[k]
        draw = work.draw[k]
        boosted = gamma_boosted(shape, draw, work.basket_boost[k])
        work.draw[k] = boosted if shape < 1.0 else draw


@block_kernel
def draw_lognormal(work, n):  # type: ignore[no-untyped-def]
    """Unit-mean lognormal draws."""
    for k in range(n):
        work.draw[k] = unit_lognormal(work.basket_shape[k], work.normal[k])


@block_kernel
def settle_draws(traits, top, n, work, behaviour, key):  # type: ignore[no-untyped-def]
    """Baskets whose first attempt at a gamma draw failed."""
    for k in range(n):
        if work.drawn[k] == 0:
            words = block(
                key, work.basket_customer[k], work.basket_week[k], BASKET, work.basket_index[k],
                work.basket_replica[k],
            )  # fmt: skip
            work.draw[k] = basket_draw(
                traits[np.uint64(top + work.basket_row[k])], behaviour, words, key
            )


@block_kernel
def price_baskets(work, n, most):  # type: ignore[no-untyped-def]
    """What the baskets on the list cost, and when they were bought; ``most`` is the cap."""
    for k in range(n):
        work.basket_gross[k] = basket(work.basket_spend[k], work.draw[k], most)
        work.basket_second[k] = seconds_within(work.within[k], work.basket_fraction[k])


@block_kernel
def draw_categories(work, n, key):  # type: ignore[no-untyped-def]
    """Luck of the main categories of the baskets on the list."""
    for k in range(n):
        words = block(
            key, work.basket_customer[k], work.basket_week[k], CATEGORY, work.basket_index[k],
            work.basket_replica[k],
        )  # fmt: skip
        work.basket_main[k] = uniform(words[0])


@kernel
def is_due(customer, week, every):  # type: ignore[no-untyped-def]
    """Does this week bring what comes every so many weeks, 0 = never? Customers take turns by id.

    Branch-free, with a division of whole numbers in floating point, which vectorises.
    """
    count = np.float64(np.int64(week) + np.int64(np.uint64(customer) & _TURNS))
    every = np.float64(every)
    return (every > 0.0) & (math.floor(count / every) * every == count)


@block_kernel
def list_eventful(work, n, rules):  # type: ignore[no-untyped-def]
    """List rows to which something may happen that happens to few; returns how many."""
    fee, survey = rules.behaviour.period_weeks, rules.behaviour.every_weeks
    enrols = (rules.programme.active != 0) & (rules.behaviour.enrol_probability > 0.0)
    for i in range(n):
        due = is_due(work.customer[i], work.week[i], fee)
        due |= is_due(work.customer[i], work.week[i], survey)
        joins = (work.purchases[i] > 0) & enrols & (work.member[i] == 0)
        unlisted = work.purchases[i] > work.listed[i]
        leaves = work.fraction[i] < 1.0
        work.eventful[i] = due | joins | unlisted | leaves | (work.prospect[i] != 0)
    eventful = 0
    for i in range(n):
        work.eventful_row[eventful] = i
        eventful += work.eventful[i]
    return eventful


@block_kernel
def drift_and_beliefs(work, n, behaviour, filter):  # type: ignore[no-untyped-def]
    """The week's end for every row: drift of the rate, and what the firm believes."""
    keep, step = behaviour.drift_keep, behaviour.drift_step
    prior = loaded_prior(filter)
    for i in range(n):
        work.drift[i] = drifted(work.drift[i], keep, step, work.drift_word[i])
    for i in range(n):
        odds, count, spent, age = week_beliefs(
            work.odds[i], work.count[i], work.spent[i], work.age[i], work.bought[i],
            work.begin[i], work.last[i], work.exposure[i], prior,
        )  # fmt: skip
        work.odds[i] = odds
        work.count[i] = count
        work.spent[i] = spent
        work.age[i] = age
