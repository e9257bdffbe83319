"""One week of a block of customers: the only place where the order of events is written.

The Mesa path (a block of one customer), the parallel engine, counterfactual branches and
environments all call ``step_block``; docs/contracts.md §5 lists the steps. Whatever is drawn or
computed for everybody alike is done for the whole block (``sim.block``), the rest customer by
customer by the scalar rules of ``sim.steps``, ``sim.points`` and ``sim.tiers``.
"""

import numpy as np

from agents.behaviour import (
    basket,
    basket_draw,
    begin_week,
    enrolment,
    live_through,
    main_category,
    opt_out,
    seconds_within,
)
from agents.compiled import block_kernel, kernel, prefetch
from agents.mechanisms import PLUGGED, plugged_memory
from agents.profile import close_profile, count_category, log_of, share_before
from agents.records import SECONDS_PER_WEEK
from agents.rng import BASKET, block, uniform
from agents.rng import JOIN as JOIN_DRAW
from sim.block import (
    BLOCK,
    address,
    boost_gamma,
    count_purchases,
    draw_baskets,
    draw_categories,
    draw_contacts,
    draw_gamma,
    draw_lognormal,
    draw_week,
    drift_and_beliefs,
    is_due,
    list_baskets,
    list_eventful,
    price_baskets,
    settle_counts,
    settle_draws,
    weigh_up,
)
from sim.expectation import address_contacts, book, foresee, spare, turn_contacts
from sim.ledger import BASIS, share_of
from sim.points import close_programme_week, grant, points_for, reward_ready
from sim.steps import (
    LAST_SECOND,
    approach,
    basket_category,
    category_luck,
    clear,
    end_offer,
    enrol,
    leave,
    open_offer,
    opt_out_of,
    purchase,
    purchase_plainly,
    renew,
    survey,
)
from sim.stimuli import (
    expect,
    expect_members,
    expect_offers,
    expect_plugged,
    redeems_points,
)

ANY_PLUGGED = len(PLUGGED) > 0


@kernel
def awake(state, account, profile, outcome, rules):  # type: ignore[no-untyped-def]
    """Step 0: memories fade; points for newcomers of last week are credited."""
    clear(outcome)
    begin_week(state, rules.behaviour)
    if state.referrals > 0:
        points = rules.programme.referral_points
        if rules.programme.active and account.enrolled and account.closed == 0 and points > 0:
            grant(account, profile, outcome, rules.programme, state.week, state.referrals * points)
        state.referrals = 0


@kernel
def buy(traits, state, account, profile, outcome, log, work, i, index, second, gross, u, rules):  # type: ignore[no-untyped-def]
    """Step 3: one purchase; the first of a week may redeem points."""
    ready = reward_ready(account, profile, rules.programme)
    redeems = (index == 0) & redeems_points(ready, work.redeem_word[i], rules)
    purchase(
        traits, state, account, profile, outcome, log, state.week, second, gross,
        basket_category(traits, rules, u), redeems, rules,
    )  # fmt: skip


@kernel
def eventful_week(traits, state, account, profile, outcome, log, work, i, rules, key):  # type: ignore[no-untyped-def]
    """Steps 3 to 7 as far as few customers have them: baskets beyond the list, enrolling, leaving,
    joining, fees, surveys.
    """
    behaviour = rules.behaviour
    programme = rules.programme
    week = state.week
    if state.prospect:
        approach(traits, state, account, profile, outcome, log, rules, key)
        return
    if work.lives[i]:
        for index in range(work.listed[i], work.purchases[i]):
            words = block(key, traits.id, week, BASKET, index, state.replica)
            draw = basket_draw(traits, behaviour, words, key)
            buy(
                traits, state, account, profile, outcome, log, work, i, index,
                seconds_within(uniform(words[0]), work.fraction[i]),
                basket(work.spend[i], draw, behaviour.max_basket),
                category_luck(traits, state, week, index, key), rules,
            )  # fmt: skip
        if (
            work.purchases[i] > 0
            and programme.active
            and account.enrolled == 0
            and behaviour.enrol_probability > 0.0
        ):
            drawn = block(key, traits.id, week, JOIN_DRAW, 0, state.replica)
            if uniform(drawn[0]) < enrolment(traits, state, behaviour):
                enrol(account, profile, outcome, week, programme)
        if work.fraction[i] < 1.0:
            leave(traits, state, account, profile, outcome, log, rules, key)
    if account.closed == 0:
        if is_due(traits.id, week, behaviour.period_weeks):
            renew(traits, state, account, profile, outcome, log, rules, key)
        if state.alive and is_due(traits.id, week, behaviour.every_weeks):
            survey(traits, state, profile, outcome, log, rules, key)


@block_kernel
def wake(traits, state, account, profile, outcome, actions, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 0 for the block; returns how many are contacted, listed in ``contact_row``."""
    last = traits.shape[0] - 1
    contacts = 0
    for i in range(n):
        row = np.uint64(top + i)
        soon = np.uint64(min(top + i + BLOCK, last))
        prefetch(state[soon])
        prefetch(account[soon])
        prefetch(profile[soon])
        awake(state[row], account[row], profile[row], outcome[i], rules)
        # Listed without asking; it counts if there is a contact.
        work.contact_row[contacts] = i
        contacts += (actions[row] > 0) & (account[row].closed == 0) & (state[row].prospect == 0)
    for k in range(contacts):
        i = work.contact_row[k]
        work.contact_customer[k] = work.customer[i]
        work.contact_week[k] = work.week[i]
        work.contact_replica[k] = work.replica[i]
    return contacts


@block_kernel
def contact(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, actions, top, n, work, rules
):
    """Step 1: the firm's messages arrive."""
    for k in range(n):
        i = work.contact_row[k]
        row = np.uint64(top + i)
        open_offer(
            traits[row], state[row], account[row], profile[row], outcome[i],
            log_of(log, row), actions[row], rules, work.attending[k], work.intending[k],
        )  # fmt: skip


@block_kernel
def buy_baskets(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, top, n, work, rules
):
    """Step 3 for the baskets on the list; plain ones are added up for ``book_baskets``."""
    for k in range(n):
        i = work.basket_row[k]
        row = np.uint64(top + i)
        gross = work.basket_gross[k]
        if work.plain[i]:
            work.gross[i] += gross
            work.margin[i] += share_of(gross, rules.margin_share)
            work.points[i] += points_for(gross, work.multiplier[i], rules.programme)
            work.latest[i] = max(work.latest[i], work.basket_second[k])
            if rules.behaviour.categories > 0:
                count_category(
                    profile[row], main_category(traits[row], rules.behaviour, work.basket_main[k])
                )
        else:
            buy(
                traits[row], state[row], account[row], profile[row], outcome[i], log_of(log, row),
                work, i, work.basket_index[k], work.basket_second[k], gross, work.basket_main[k],
                rules,
            )  # fmt: skip


@block_kernel
def leave_channels(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, actions, top, n, work, rules
):
    """Opt-outs of the contacted."""
    for k in range(n):
        i = work.contact_row[k]
        row = np.uint64(top + i)
        if work.lives[i] and work.opting_out[k] < opt_out(state[row], rules.behaviour):
            opt_out_of(
                profile[row], account[row], outcome[i], log_of(log, row),
                traits[row].id, state[row].week, rules.actions.channel[actions[row]],
            )  # fmt: skip


@block_kernel
def book_baskets(traits, state, account, profile, outcome, log, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 3 for plain baskets: what ``buy_baskets`` added up."""
    last = traits.shape[0] - 1
    for i in range(n):
        row = np.uint64(top + i)
        soon = np.uint64(min(top + i + BLOCK, last))
        prefetch(traits[soon])
        purchase_plainly(
            traits[row], state[row], account[row], profile[row], outcome[i], log_of(log, row),
            work.listed[i] * work.plain[i], work.latest[i], work.gross[i], work.margin[i],
            work.points[i], rules,
        )  # fmt: skip


@block_kernel
def live_eventful_weeks(traits, state, account, profile, outcome, log, top, n, work, rules, key):  # type: ignore[no-untyped-def]
    """``eventful_week`` for the rows on the list."""
    for k in range(n):
        i = work.eventful_row[k]
        row = np.uint64(top + i)
        eventful_week(
            traits[row], state[row], account[row], profile[row], outcome[i], log_of(log, row),
            work, i, rules, key,
        )  # fmt: skip


@block_kernel
def close_programme(traits, state, account, profile, outcome, log, top, n, rules):  # type: ignore[no-untyped-def]
    """Step 6: the week of members of a programme that runs."""
    for i in range(n):
        row = np.uint64(top + i)
        if account[row].enrolled and account[row].closed == 0:
            week = state[row].week
            close_programme_week(
                account[row], profile[row], outcome[i], log_of(log, row), traits[row].id,
                np.int64(week) * SECONDS_PER_WEEK + LAST_SECOND, week, rules.programme,
                rules.filter, rules.margin_share / BASIS,
            )  # fmt: skip


@block_kernel
def leave_behind(traits, state, account, outcome, top, n, work, rules):  # type: ignore[no-untyped-def]
    """Step 7 for those who lived: what the week leaves behind."""
    behaviour = rules.behaviour
    for i in range(n):
        if work.lives[i]:
            row = np.uint64(top + i)
            week = outcome[i]
            opened = -1
            if week.opened:
                opened = rules.offers.kind[account[row].offer - 1]
            live_through(
                traits[row], state[row], week, week.action > 0, opened,
                week.rewards + week.redeemed, behaviour,
            )  # fmt: skip
            plugged_memory(state[row], week, behaviour.plugged)


@block_kernel
def close_offers(state, account, profile, outcome, top, n, work):  # type: ignore[no-untyped-def]
    """Step 8: open offers may end."""
    for k in range(n):
        i = work.offer_row[k]
        row = np.uint64(top + i)
        end_offer(state[row], account[row], profile[row], outcome[i])


@block_kernel
def read_beliefs(state, profile, top, n, work, rules):  # type: ignore[no-untyped-def]
    """What ``drift_and_beliefs`` needs."""
    for i in range(n):
        row = np.uint64(top + i)
        one = profile[row]
        monday = np.int64(work.week[i]) * SECONDS_PER_WEEK
        work.drift[i] = state[row].drift
        work.exposure[i] = rules.calendar.exposure[work.of_year[i]]
        work.odds[i] = one.dead_odds
        work.count[i] = one.effective_repeats
        work.spent[i] = one.exposure
        work.age[i] = one.age
        work.bought[i] = one.week_purchases
        work.begin[i] = share_before(one.joined, monday)
        work.last[i] = share_before(one.last_purchase, monday)


@block_kernel
def close(state, profile, top, n, work, drifts):  # type: ignore[no-untyped-def]
    """The week closes in the fold; the clock moves on."""
    for i in range(n):
        row = np.uint64(top + i)
        one = state[row]
        if drifts and work.lives[i]:
            one.drift = work.drift[i]
        seen = profile[row]
        if seen.joined >= 0:
            close_profile(seen, work.odds[i], work.count[i], work.spent[i], work.age[i])
        one.week += 1


@kernel
def step_block(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, actions, top, n, work, rules, key,
    scores=None, truth=None,
):  # fmt: skip
    """Advance up to ``BLOCK`` customers by one week under allowed actions.

    Parameters
    ----------
    traits, state, account, profile
        All customers' rows; those of the block are changed, but for traits.
    outcome
        Rows of the block, shape (n,), overwritten.
    log
        LOG rows to write events to, one a customer, or one without room for all.
    actions
        Row of the action table for each customer; 0 = nothing.
    top, n
        First row of the block, and number of rows.
    work
        WORK record, overwritten.
    rules, key
        RULES record; 64-bit seed.
    scores, truth
        SCORE rows of all customers and the RULES record they are scored by, to add expectations
        to (``sim.expectation``); nobody leaves then. Where there are none, the compiler drops
        all that concerns them.
    """
    behaviour = rules.behaviour
    address(traits, state, top, n, work)
    draw_week(work, n, key)
    if scores is not None:
        spare(work, n)
    contacts = wake(traits, state, account, profile, outcome, actions, top, n, work, rules)
    if contacts > 0:
        if scores is not None:
            address_contacts(top, contacts, work, scores)
        draw_contacts(work, contacts, key)
        if scores is not None:
            turn_contacts(top, contacts, work, scores)
        contact(traits, state, account, profile, outcome, log, actions, top, contacts, work, rules)
    offers = expect(traits, state, account, log, top, n, work, rules)
    if rules.programme.active:
        expect_members(account, profile, top, n, work, rules)
    if offers > 0:
        expect_offers(traits, account, top, offers, work, rules)
    if ANY_PLUGGED:
        expect_plugged(traits, state, account, profile, top, n, work, rules)
    weigh_up(work, n, behaviour)
    count_purchases(work, n)
    if scores is not None:
        foresee(traits, state, account, profile, top, n, work, rules, truth, scores)
    settle_counts(work, n)
    baskets = list_baskets(work, n)
    draw_baskets(work, baskets, key)
    if behaviour.lognormal_spend:
        draw_lognormal(work, baskets)
    else:
        if draw_gamma(work, baskets) > 0:
            boost_gamma(work, baskets)
        settle_draws(traits, top, baskets, work, behaviour, key)
    price_baskets(work, baskets, behaviour.max_basket)
    if behaviour.categories > 0:
        draw_categories(work, baskets, key)
    buy_baskets(traits, state, account, profile, outcome, log, top, baskets, work, rules)
    if contacts > 0:
        leave_channels(
            traits, state, account, profile, outcome, log, actions, top, contacts, work, rules
        )
    book_baskets(traits, state, account, profile, outcome, log, top, n, work, rules)
    eventful = list_eventful(work, n, rules)
    if eventful > 0:
        live_eventful_weeks(
            traits, state, account, profile, outcome, log, top, eventful, work, rules, key
        )
    if rules.programme.active:
        close_programme(traits, state, account, profile, outcome, log, top, n, rules)
    leave_behind(traits, state, account, outcome, top, n, work, rules)
    if scores is not None:
        book(account, profile, outcome, top, n, work, rules, scores)
    if offers > 0:
        close_offers(state, account, profile, outcome, top, offers, work)
    read_beliefs(state, profile, top, n, work, rules)
    drift_and_beliefs(work, n, behaviour, rules.filter)
    close(state, profile, top, n, work, behaviour.drift_step > 0.0)
