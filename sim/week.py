"""One customer, one week: the only place where the order of events is written.

The Mesa path, the parallel engine, counterfactual branches and environments all call
``step_customer``; docs/contracts.md §5 lists the steps.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.behaviour import (
    BEHAVIOUR,
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
    FILTER,
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
from agents.records import SECONDS_PER_WEEK
from agents.rng import BASKET, EXIT, WEEK, block, uniform
from agents.rng import CONTACT as CONTACT_DRAW
from sim.ledger import release, reserve, settle, share_of
from sim.offers import ACTION, MAX_ACTIONS, MAX_OFFERS, OFFER, ActionTable, OfferBook, action_table
from sim.programme import (
    PROGRAMME,
    ProgrammeParameters,
    close_programme_week,
    earn,
    goal_progress,
    grant,
    programme_record,
    qualify,
    redeem_reward,
)
from sim.scenario import CALENDAR, WEEKS_PER_YEAR, SeasonParameters, calendar

DISCOUNT, POINTS_KIND, FREE_ITEM = 0, 1, 2
_CONTACT_DELAY = 3600
_OPEN_DELAY = 7200
_LAST_SECOND = SECONDS_PER_WEEK - 1


def _columns(dtype: np.dtype[np.void], rows: int) -> np.dtype[np.void]:
    """Record that holds a table by columns, each of shape (rows,)."""
    return np.dtype([(name, dtype[name], (rows,)) for name in dtype.names or ()], align=True)


# Every rule of a world in one record. Scalar rules take records only: passing arrays between
# compiled functions costs two atomic reference counts each, more than the rules themselves.
RULES = np.dtype(
    [
        ("behaviour", BEHAVIOUR),
        ("programme", PROGRAMME),
        ("filter", FILTER),
        ("margin_share", "i8"),
        ("offers", _columns(OFFER, MAX_OFFERS)),
        ("actions", _columns(ACTION, MAX_ACTIONS)),
        ("n_actions", "i8"),
        ("calendar", _columns(CALENDAR, WEEKS_PER_YEAR)),
    ],
    align=True,
)
Rules = NDArray[np.void]  # shape (1,), dtype RULES


def starting_in(rules: Rules, week_of_year: int) -> Rules:
    """Copy of the rules whose week 0 is that week of the year."""
    turned = rules.copy()
    for name in CALENDAR.names or ():
        turned["calendar"][name] = np.roll(rules["calendar"][name], -week_of_year, axis=1)
    return turned


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
        """Compiled form for the kernels, shape (1,), dtype RULES."""
        rules = np.zeros(1, RULES)
        table = self.table
        rules["behaviour"] = behaviour_record(self.response, self.dynamics)
        rules["programme"] = programme_record(self.programme)
        rules["filter"] = filter_record(self.filter)
        rules["margin_share"] = round(self.contribution_margin * 10_000)
        rules["n_actions"] = table.n
        columns: tuple[tuple[str, NDArray[Any]], ...] = (
            ("offers", table.offers),
            ("actions", table.actions),
            ("calendar", calendar(self.season)),
        )
        for part, rows in columns:
            for name in rows.dtype.names or ():
                rules[part][name][0, : rows.size] = rows[name]
        return rules


@kernel
def open_offer(traits, state, account, profile, outcome, log, action, rules, words):  # type: ignore[no-untyped-def]
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
    account.offer_weeks_left = weeks
    account.offer_uses_left = rules.offers.uses[at]
    account.offer_opened = 0
    state.intends_redemption = 0
    cap = rules.offers.cap[at] * rules.offers.uses[at]
    reserve(account, outcome, cap, rules.actions.contact_cost[action])
    post(
        profile, log, traits.id, time + _CONTACT_DELAY,
        CONTACT, kind, channel, weeks,
    )  # fmt: skip
    stimulus = Stimulus(0.0, 1.0, -1, 0.0, 0, 0.0, channel, kind)
    expected = intensities(traits, state, stimulus, rules.behaviour)
    if state.alive and uniform(words[0]) < expected.attention:
        account.offer_opened = 1
        outcome.opened = 1
        post(
            profile, log, traits.id, time + _OPEN_DELAY,
            OPEN, kind, channel, 0,
        )  # fmt: skip
        if uniform(words[1]) < expected.intention:
            state.intends_redemption = 1


@kernel
def redeem_offer(traits, state, account, profile, outcome, log, time, gross, rules):  # type: ignore[no-untyped-def]
    """Use the open offer on one basket; returns the discount in minor units."""
    at = account.offer - 1
    kind = rules.offers.kind[at]
    cap = np.int64(rules.offers.cap[at])
    discount = np.int64(0)
    cost = np.int64(0)
    if kind == DISCOUNT:
        discount = min(cap, share_of(gross, rules.offers.depth[at]))
        outcome.discount += discount
        cost = discount
    elif kind == POINTS_KIND:
        if account.enrolled:
            cost = cap
            grant(account, outcome, rules.programme, state.week, rules.offers.points[at])
    elif kind == FREE_ITEM:
        cost = np.int64(rules.offers.item_cost[at])
        outcome.item_cost += cost
    account.offer_uses_left -= 1
    settle(account, outcome, cap, cost)
    outcome.redeemed += 1
    state.pull_forward += 1.0
    state.recent_reward += 1.0
    last = LAST_USE if account.offer_uses_left == 0 else 0
    post(profile, log, traits.id, time, REDEEM_OFFER, kind, last, cost)
    return discount


@kernel
def purchase(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, expected, week, index, span, rules, key
):
    """Step 3: one basket, with redemption of the open offer and points."""
    words = block(key, traits.id, week, BASKET, index, state.replica)
    within = min(int(uniform(words[0]) * span * SECONDS_PER_WEEK), _LAST_SECOND)
    time = np.int64(week) * SECONDS_PER_WEEK + within
    gross = basket(expected, traits, rules.behaviour, words, key)
    discount = np.int64(0)
    if account.offer > 0 and account.offer_uses_left > 0 and state.intends_redemption:
        discount = redeem_offer(traits, state, account, profile, outcome, log, time, gross, rules)
    revenue = gross - discount
    outcome.purchases += 1
    outcome.gross += gross
    outcome.margin += share_of(gross, rules.margin_share)
    post(profile, log, traits.id, time, PURCHASE, 0, 0, revenue)
    if rules.programme.active and account.enrolled:
        earn(account, outcome, rules.programme, week, revenue)
        qualify(account, profile, log, traits.id, time, week, revenue)


@kernel
def leave(traits, state, account, profile, outcome, log, rules, key):  # type: ignore[no-untyped-def]
    """Step 7, death: silent, unless the customer also closes the account."""
    state.alive = 0
    words = block(key, traits.id, state.week, EXIT, 0, state.replica)
    if uniform(words[0]) < rules.behaviour.close_account_probability:
        account.closed = 1
        outcome.closed = 1
        time = np.int64(state.week) * SECONDS_PER_WEEK + _LAST_SECOND
        post(profile, log, traits.id, time, CLOSE_ACCOUNT, 0, 0, 0)


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
def step_customer(traits, state, account, profile, outcome, log, action, rules, key):  # type: ignore[no-untyped-def]
    """Advance one customer by one week under an allowed action.

    Parameters
    ----------
    traits, state, account, profile, outcome
        The customer's rows; all but traits are changed.
    log
        LOG row to write events to; its room may be 0.
    action
        Row of the action table; 0 = nothing.
    rules, key
        RULES record; 64-bit seed.
    """
    clear(outcome)
    behaviour = rules.behaviour
    programme = rules.programme
    week = state.week
    of_year = week % WEEKS_PER_YEAR
    channel = -1
    begin_week(state, behaviour)
    if action > 0 and account.closed == 0:
        channel = rules.actions.channel[action]
        contact_words = block(key, traits.id, week, CONTACT_DRAW, 0, state.replica)
        open_offer(traits, state, account, profile, outcome, log, action, rules, contact_words)
    if state.alive:
        offer_kind = -1
        strength = 0.0
        if account.offer > 0 and account.offer_opened:
            offer_kind = rules.offers.kind[account.offer - 1]
            strength = rules.offers.strength[account.offer - 1]
        stimulus = Stimulus(
            rules.calendar.log_rate[of_year],
            rules.calendar.spend[of_year],
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
                traits, state, account, profile, outcome, log,
                expected, week, index, realised.alive_fraction, rules, key,
            )  # fmt: skip
        if (
            realised.purchases > 0
            and programme.active
            and account.points >= programme.points_price
            and uniform(words[3]) < expected.use_points
        ):
            redeem_reward(
                account, profile, outcome, log, traits.id,
                np.int64(week) * SECONDS_PER_WEEK + _LAST_SECOND, week, programme,
            )  # fmt: skip
            state.momentum += 1.0
            state.recent_reward += 1.0
        if outcome.opened:
            state.fatigue += 1.0
        if channel >= 0 and uniform(contact_words[2]) < expected.opt_out:
            account.consent[channel] = 0
            outcome.opted_out = 1
            post(
                profile, log, traits.id,
                np.int64(week) * SECONDS_PER_WEEK + _LAST_SECOND, OPT_OUT, 0, channel, 0,
            )  # fmt: skip
        end_week(state, behaviour, words[2])
        if not realised.survives:
            leave(traits, state, account, profile, outcome, log, rules, key)
    if programme.active and account.enrolled:
        close_programme_week(
            account, profile, outcome, log, traits.id,
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
    week_close(profile, rules.filter, week, rules.calendar.exposure[of_year])
    state.week = week + 1
