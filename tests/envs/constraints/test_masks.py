"""Each mask blocks what its words say, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.records import ACCOUNT, CHANNELS, CONTACT_WEEKS, PROFILE
from envs.constraints.masks import blocking, blocking_row, limits_record
from envs.constraints.names import Constraint, all_but
from envs.constraints.parameters import (
    ChannelLimits,
    ConstraintParameters,
    ContactCap,
    LiabilityAlarm,
    OfferBudget,
    PriceSpread,
    as_plain,
    constraints_from,
)
from sim.offers import Offer, OfferBook, action_table
from sim.programme import ProgrammeParameters

BOOK = OfferBook(
    "test",
    (
        Offer("five", "discount", depth=0.05, cap=3.0),
        Offer("fifteen", "discount", depth=0.15, cap=9.0, pressure=True),
        Offer("drinks", "discount", depth=0.30, cap=6.0, category="drinks"),
        Offer("points", "points", points=200),
        Offer("thanks", "recognition"),
    ),
    CHANNELS,
)
CATEGORIES = ("fresh", "drinks")
TABLE = action_table(BOOK, ProgrammeParameters("points", active=True), CATEGORIES)
SMS = CHANNELS.index("sms")


def member(n=1):
    account, profile = np.zeros(n, ACCOUNT), np.zeros(n, PROFILE)
    account["enrolled"] = 1
    account["consent"] = 1
    return account, profile


def codes(account, profile, parameters=None, **changed):
    limits = limits_record(parameters or ConstraintParameters(**changed), CATEGORIES)
    return blocking(account, profile, TABLE, limits)


def offers(codes_of_one, code):
    """Names of the offers, and of the channels, that a constraint blocks."""
    blocked = [TABLE.labels[at].split("/") for at in np.flatnonzero(codes_of_one == code)]
    return {offer for offer, _ in blocked}, {channel for _, channel in blocked}


def history(weeks):
    """Bits of contacts so many weeks ago."""
    return sum(1 << week for week in weeks)


def test_a_member_who_consents_may_get_anything():
    assert (codes(*member()) == 0).all()


@given(
    st.lists(st.integers(1, CONTACT_WEEKS - 1), unique=True),
    st.integers(0, 6),
    st.integers(1, CONTACT_WEEKS),
)
def test_a_cap_counts_contacts_of_any_channel_in_its_window(weeks, contacts, window):
    account, profile = member()
    for week in weeks:  # shared out among the channels
        profile["contacts"][0, week % len(CHANNELS)] |= 1 << week
    found = codes(account, profile, contact_cap=ContactCap(contacts, window))[0, 1:]
    recent = sum(week < window for week in weeks)
    expected = Constraint.CONTACT_CAP if recent + 1 > contacts else 0
    assert (found == expected).all()


@given(st.lists(st.integers(1, CONTACT_WEEKS - 1), unique=True), st.integers(0, CONTACT_WEEKS - 1))
def test_quiet_weeks_silence_every_channel_after_a_contact(weeks, quiet):
    account, profile = member()
    profile["contacts"][0, SMS] = history(weeks)
    found = codes(account, profile, quiet_weeks=quiet)[0, 1:]
    silenced = any(week <= quiet for week in weeks)
    assert (found == (Constraint.QUIET_WEEKS if silenced else 0)).all()


@given(
    st.lists(st.integers(1, CONTACT_WEEKS - 1), unique=True),
    st.integers(0, 4),
    st.integers(1, CONTACT_WEEKS),
    st.integers(0, CONTACT_WEEKS - 1),
)
def test_limits_of_a_channel_count_that_channel_only(weeks, contacts, window, quiet):
    account, profile = member()
    profile["contacts"][0, SMS] = history(weeks)
    profile["contacts"][0, 0] = history(range(1, CONTACT_WEEKS))
    limits = {"sms": ChannelLimits(ContactCap(contacts, window), quiet)}
    found = codes(account, profile, by_channel=limits)[0]
    by_sms = TABLE.actions["channel"] == SMS
    assert (found[~by_sms] == 0).all()
    capped = sum(week < window for week in weeks) + 1 > contacts
    silenced = any(week <= quiet for week in weeks)
    expected = Constraint.CONTACT_CAP if capped else Constraint.QUIET_WEEKS if silenced else 0
    assert (found[by_sms] == expected).all()


def test_consent_and_opt_out_are_told_apart():
    account, profile = member()
    account["consent"][0] = (0, 0, 1)
    profile["opted_out"] = 1 << SMS
    found = codes(account, profile)[0]
    by = {name: set(found[TABLE.actions["channel"] == at]) for at, name in enumerate(CHANNELS)}
    assert by == {"email": {Constraint.CONSENT}, "sms": {Constraint.OPT_OUT}, "push": {0}}


def test_an_opt_out_is_respected_where_consent_is_not_asked_for():
    account, profile = member()
    profile["opted_out"] = 1 << SMS
    off = codes(account, profile, consent=False)[0]
    assert (off[TABLE.actions["channel"] == SMS] == Constraint.OPT_OUT).all()


def test_pressure_and_rising_spend_are_kept_from_the_vulnerable():
    account, profile = member(3)
    account["vulnerable"] = (1, 1, 0)
    profile["revenue_fast"] = (100, 200, 200)
    profile["revenue_slow"] = 100
    found = codes(account, profile)
    assert offers(found[0], Constraint.VULNERABLE)[0] == {"fifteen"}
    assert offers(found[1], Constraint.VULNERABLE)[0] == {"five", "fifteen", "drinks"}
    assert (found[2] == 0).all()


@pytest.mark.parametrize(
    ("spread", "blocked"),
    [
        (PriceSpread(0.30), set()),
        (PriceSpread(0.15), {"drinks"}),
        (PriceSpread(0.10), {"fifteen", "drinks"}),
        (PriceSpread(0.10, {"drinks": 0.30}), {"fifteen"}),
        # An offer on everything is one on drinks too.
        (PriceSpread(0.30, {"drinks": 0.10}), {"fifteen", "drinks"}),
        (PriceSpread(0.0), {"five", "fifteen", "drinks"}),
    ],
)
def test_no_personal_discount_is_deeper_than_the_spread(spread, blocked):
    found = codes(*member(), price_spread=spread)[0]
    assert offers(found, Constraint.PRICE_SPREAD)[0] == blocked
    assert set(found) <= {0, Constraint.PRICE_SPREAD}


def test_the_alarm_stops_offers_of_points_and_nothing_else():
    limits = limits_record(ConstraintParameters(), CATEGORIES)
    limits["points_stopped"] = 1
    found = blocking(*member(), TABLE, limits)[0]
    assert offers(found, Constraint.LIABILITY_ALARM)[0] == {"points"}


def test_one_row_and_a_batch_are_blocked_alike(population):
    customers = population(200)
    rng = np.random.default_rng(1)
    customers.profile["contacts"] = rng.integers(0, 2**16, (200, len(CHANNELS)))
    customers.profile["opted_out"] = rng.integers(0, 8, 200)
    parameters = ConstraintParameters(
        contact_cap=ContactCap(2, 4), by_channel={"push": ChannelLimits(None, 2)}
    )
    limits = limits_record(parameters, CATEGORIES)
    batch = blocking(customers.account, customers.profile, TABLE, limits)
    one = np.zeros(TABLE.n, np.uint8)
    for row in range(200):
        blocking_row(
            customers.account[row], customers.profile[row], TABLE.actions, TABLE.offers, limits[0],
            one,
        )  # fmt: skip
        np.testing.assert_array_equal(one, batch[row])


@pytest.mark.parametrize("code", [code for code in Constraint if 0 < code < 11])
def test_a_constraint_that_is_left_out_blocks_nothing(population, code):
    customers = population(300)
    rng = np.random.default_rng(2)
    customers.profile["contacts"] = rng.integers(0, 2**16, (300, len(CHANNELS)))
    customers.account["offer"] = rng.integers(0, 2, 300)
    parameters = ConstraintParameters(contact_cap=ContactCap(2, 4), quiet_weeks=1)
    limits = limits_record(parameters, CATEGORIES, all_but(code))
    assert code not in blocking(customers.account, customers.profile, TABLE, limits)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ContactCap(1, 0), r"contact_cap\.weeks=0"),
        (lambda: ContactCap(1, 17), r"contact_cap\.weeks=17"),
        (lambda: OfferBudget(-1), "weekly_per_customer=-1"),
        (lambda: OfferBudget(1, mode="average"), "mode='average'"),
        (lambda: OfferBudget(1, delta=0.9), r"delta=0\.9"),
        (lambda: ConstraintParameters(quiet_weeks=16), "quiet_weeks=16"),
        (lambda: ConstraintParameters(by_channel={"post": ChannelLimits()}), "by_channel='post'"),
        (lambda: ConstraintParameters(features=("group",)), "features='group'"),
        (lambda: PriceSpread(0.1, {"drinks": 2.0}), r"by_category\.drinks=2"),
        (lambda: LiabilityAlarm(0.1, weeks=0), r"liability_alarm\.weeks=0"),
    ],
)
def test_limits_out_of_range_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_spread_of_a_category_that_is_not_there_is_refused():
    parameters = ConstraintParameters(price_spread=PriceSpread(0.1, {"wine": 0.1}))
    with pytest.raises(ValueError, match=r"by_category\.wine: this world has fresh, drinks"):
        limits_record(parameters, CATEGORIES)


def test_parameters_survive_their_plain_form():
    parameters = ConstraintParameters(
        OfferBudget(10.0, mode="tail"),
        ContactCap(1, 2),
        by_channel={"sms": ChannelLimits(ContactCap(1, 3), 2)},
        price_spread=PriceSpread(0.2, {"drinks": 0.3}),
        features=("age", "tier"),
    )
    assert constraints_from(as_plain(parameters)) == parameters
