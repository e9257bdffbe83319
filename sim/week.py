"""One customer, one week: the only place where the order of events is written.

The Mesa path, the parallel engine, counterfactual branches and environments all call
``step_customer``; docs/contracts.md §5 lists the steps.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.behaviour import (
    Dynamics,
    ResponseParameters,
    Stimulus,
    basket,
    begin_week,
    behaviour_record,
    end_week,
    intensities,
    realise,
)
from agents.compiled import kernel
from agents.profile import (
    CLOSE_ACCOUNT,
    CONTACT,
    LAST_USE,
    OPEN,
    OPT_OUT,
    PURCHASE,
    REDEEM_OFFER,
    FilterParameters,
    filter_record,
    post,
    week_close,
)
from agents.records import SECONDS_PER_WEEK, Field, record_dtype
from agents.rng import BASKET, EXIT, WEEK, block, uniform
from agents.rng import CONTACT as CONTACT_DRAW
from sim.ledger import release, reserve, settle, share_of
from sim.offers import ActionTable, OfferBook, action_table
from sim.programme import (
    ProgrammeParameters,
    close_programme_week,
    earn,
    goal_progress,
    grant,
    programme_record,
    qualify,
    redeem_reward,
)
from sim.scenario import WEEKS_PER_YEAR, SeasonParameters, calendar

MARGIN = record_dtype((Field("share", "i8", (), "basis points", "contribution margin of gross"),))
DISCOUNT, POINTS_KIND, FREE_ITEM = 0, 1, 2
_CONTACT_DELAY = 3600
_OPEN_DELAY = 7200
_LAST_SECOND = SECONDS_PER_WEEK - 1


class Rules(NamedTuple):
    """Every rule of a world in compiled form; parameter records have shape (1,)."""

    behaviour: NDArray[np.void]
    programme: NDArray[np.void]
    offers: NDArray[np.void]
    actions: NDArray[np.void]
    calendar: NDArray[np.void]
    filter: NDArray[np.void]
    margin: NDArray[np.void]


class World(NamedTuple):
    """What a market is made of, as parameters; ``rules()`` compiles it."""

    response: ResponseParameters
    dynamics: Dynamics
    filter: FilterParameters
    season: SeasonParameters = SeasonParameters()
    programme: ProgrammeParameters = ProgrammeParameters()
    book: OfferBook = OfferBook()
    contribution_margin: float = 0.25

    @property
    def table(self) -> ActionTable:
        """Flat action table under this programme."""
        return action_table(self.book, self.programme)

    def rules(self) -> Rules:
        """Compiled form for the kernels."""
        margin = np.zeros(1, MARGIN)
        margin["share"] = round(self.contribution_margin * 10_000)
        table = self.table
        return Rules(
            behaviour_record(self.response, self.dynamics),
            programme_record(self.programme),
            table.offers,
            table.actions,
            calendar(self.season),
            filter_record(self.filter),
            margin,
        )


@kernel
def open_offer(traits, state, account, profile, outcome, log, cursor, action, rules, words):  # type: ignore[no-untyped-def]
    """Step 1: contact, reservation, attention and the intention to redeem."""
    chosen = rules.actions[action]
    offer = rules.offers[chosen.offer]
    time = np.int64(state.week) * SECONDS_PER_WEEK
    outcome.action = action
    if account.offer > 0:  # masks forbid it; a branch may still ask
        release(account, outcome)
    account.offer = chosen.offer + 1
    account.offer_weeks_left = offer.weeks
    account.offer_uses_left = offer.uses
    account.offer_opened = 0
    state.intends_redemption = 0
    reserve(account, outcome, offer.cap * offer.uses, chosen.contact_cost)
    post(
        profile, log, cursor, traits.id, time + _CONTACT_DELAY,
        CONTACT, offer.kind, chosen.channel, offer.weeks,
    )  # fmt: skip
    stimulus = Stimulus(0.0, 1.0, -1, 0.0, 0, 0.0, chosen.channel, offer.kind)
    expected = intensities(traits, state, stimulus, rules.behaviour[0])
    if state.alive and uniform(words[0]) < expected.attention:
        account.offer_opened = 1
        outcome.opened = 1
        post(
            profile, log, cursor, traits.id, time + _OPEN_DELAY,
            OPEN, offer.kind, chosen.channel, 0,
        )  # fmt: skip
        if uniform(words[1]) < expected.intention:
            state.intends_redemption = 1


@kernel
def redeem_offer(traits, state, account, profile, outcome, log, cursor, time, gross, rules):  # type: ignore[no-untyped-def]
    """Use the open offer on one basket; returns the discount in minor units."""
    offer = rules.offers[account.offer - 1]
    discount = np.int64(0)
    cost = np.int64(0)
    if offer.kind == DISCOUNT:
        discount = min(np.int64(offer.cap), share_of(gross, offer.depth))
        cost = discount
    elif offer.kind == POINTS_KIND:
        if account.enrolled:
            cost = np.int64(offer.cap)
            grant(account, outcome, rules.programme[0], state.week, offer.points)
    elif offer.kind == FREE_ITEM:
        cost = np.int64(offer.item_cost)
        outcome.item_cost += cost
    account.offer_uses_left -= 1
    settle(account, outcome, offer.cap, cost)
    outcome.redeemed += 1
    state.pull_forward += 1.0
    state.recent_reward += 1.0
    last = LAST_USE if account.offer_uses_left == 0 else 0
    post(profile, log, cursor, traits.id, time, REDEEM_OFFER, offer.kind, last, cost)
    return discount


@kernel
def purchase(
    traits, state, account, profile, outcome, log, cursor, expected, index, span, rules, key
):  # type: ignore[no-untyped-def]
    """Step 3: one basket, with redemption of the open offer and points; returns its time."""
    words = block(key, traits.id, state.week, BASKET, index, state.replica)
    within = min(np.int64(uniform(words[0]) * span * SECONDS_PER_WEEK), _LAST_SECOND)
    time = np.int64(state.week) * SECONDS_PER_WEEK + within
    gross = basket(expected, traits, rules.behaviour[0], words, key)
    discount = np.int64(0)
    if account.offer > 0 and account.offer_uses_left > 0 and state.intends_redemption:
        discount = redeem_offer(
            traits, state, account, profile, outcome, log, cursor, time, gross, rules
        )
    revenue = gross - discount
    outcome.purchases += 1
    outcome.gross += gross
    outcome.discount += discount
    outcome.margin += share_of(gross, rules.margin[0].share)
    post(profile, log, cursor, traits.id, time, PURCHASE, 0, 0, revenue)
    if rules.programme[0].active and account.enrolled:
        earn(account, outcome, rules.programme[0], state.week, revenue)
        qualify(account, profile, log, cursor, traits.id, time, state.week, revenue)
    return time


@kernel
def leave(traits, state, account, profile, outcome, log, cursor, rules, key):  # type: ignore[no-untyped-def]
    """Step 7, death: silent, unless the customer also closes the account."""
    state.alive = 0
    words = block(key, traits.id, state.week, EXIT, 0, state.replica)
    if uniform(words[0]) < rules.behaviour[0].close_account_probability:
        account.closed = 1
        outcome.closed = 1
        time = np.int64(state.week) * SECONDS_PER_WEEK + _LAST_SECOND
        post(profile, log, cursor, traits.id, time, CLOSE_ACCOUNT, 0, 0, 0)


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


@kernel
def step_customer(traits, state, account, profile, outcome, log, cursor, action, rules, key):  # type: ignore[no-untyped-def]
    """Advance one customer by one week under an allowed action.

    Parameters
    ----------
    traits, state, account, profile, outcome
        The customer's rows; all but traits are changed.
    log, cursor
        EVENT rows to write to, shape (k,), k may be 0, and their counter, shape (1,).
    action
        Row of the action table; 0 = nothing.
    rules, key
        Compiled Rules; 64-bit seed.
    """
    clear(outcome)
    behaviour = rules.behaviour[0]
    programme = rules.programme[0]
    week = state.week
    season = rules.calendar[week % WEEKS_PER_YEAR]
    channel = -1
    begin_week(state, behaviour)
    if action > 0 and account.closed == 0:
        channel = rules.actions[action].channel
        contact_words = block(key, traits.id, week, CONTACT_DRAW, 0, state.replica)
        open_offer(
            traits, state, account, profile, outcome, log, cursor, action, rules, contact_words
        )
    if state.alive:
        offer_kind = -1
        strength = 0.0
        if account.offer > 0 and account.offer_opened:
            offer_kind = rules.offers[account.offer - 1].kind
            strength = rules.offers[account.offer - 1].strength
        stimulus = Stimulus(
            season.log_rate,
            season.spend,
            offer_kind,
            strength,
            account.tier,
            goal_progress(account, programme),
            -1,
            -1,
        )
        expected = intensities(traits, state, stimulus, behaviour)
        words = block(key, traits.id, week, WEEK, 0, state.replica)
        realised = realise(expected, words[0], words[1])
        for index in range(realised.purchases):
            purchase(
                traits, state, account, profile, outcome, log, cursor,
                expected, index, realised.alive_fraction, rules, key,
            )  # fmt: skip
        if (
            realised.purchases > 0
            and programme.active
            and account.points >= programme.points_price
            and uniform(words[3]) < expected.use_points
        ):
            redeem_reward(
                account, profile, outcome, log, cursor, traits.id,
                np.int64(week) * SECONDS_PER_WEEK + _LAST_SECOND, week, programme,
            )  # fmt: skip
            state.momentum += 1.0
            state.recent_reward += 1.0
        if outcome.opened:
            state.fatigue += 1.0
            if uniform(contact_words[2]) < expected.opt_out:
                account.consent[channel] = 0
                outcome.opted_out = 1
                post(
                    profile, log, cursor, traits.id,
                    np.int64(week) * SECONDS_PER_WEEK + _LAST_SECOND, OPT_OUT, 0, channel, 0,
                )  # fmt: skip
        end_week(state, behaviour, words[2])
        if not realised.survives:
            leave(traits, state, account, profile, outcome, log, cursor, rules, key)
    if programme.active and account.enrolled:
        close_programme_week(
            account, profile, outcome, log, cursor, traits.id,
            np.int64(week) * SECONDS_PER_WEEK + _LAST_SECOND, week, programme,
        )  # fmt: skip
    if account.offer > 0:
        account.offer_weeks_left -= 1
        if account.offer_weeks_left == 0 or account.offer_uses_left == 0 or account.closed:
            release(account, outcome)
            account.offer = 0
            account.offer_weeks_left = 0
            account.offer_opened = 0
            state.intends_redemption = 0
    week_close(profile, rules.filter[0], week, season.exposure)
    state.week = week + 1
