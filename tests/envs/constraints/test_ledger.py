"""The ledger says what each constraint was used for, and finds what a missing one lets through."""

import json

import numpy as np
import pytest

from agents.records import ACCOUNT, PROFILE
from agents.rng import derive_seed
from envs.constraints.entries import fairness_entry_row
from envs.constraints.fairness import FairnessBooks
from envs.constraints.ledger import ViolationLedger
from envs.constraints.names import Constraint
from envs.constraints.parameters import (
    ChannelLimits,
    ConstraintParameters,
    ContactCap,
    DiscountExposure,
    Fairness,
    LiabilityAlarm,
    OfferBudget,
    PriceSpread,
)
from envs.decision import GovernedPolicy
from envs.features import CENTRE, FEATURE_NAMES, observe
from sim.goalposts import Goalposts
from sim.ledger import MICRO
from sim.market import LoyaltyMarket

EVERYTHING = ConstraintParameters(
    OfferBudget(30.0),
    ContactCap(2, 6),
    discount_exposure=DiscountExposure(0.01),
    liability_alarm=LiabilityAlarm(1e-4, stops_bonus_points=True),
    quiet_weeks=1,
    by_channel={"push": ChannelLimits(ContactCap(1, 8))},
    price_spread=PriceSpread(0.12),
    fairness=Fairness(minimum=20),
)


class Noise:
    """Random scores; keeps what it saw."""

    name = "noise"

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.seen = []

    def propose(self, observation, mask, context):
        self.seen.append(observation)
        return self.rng.normal(size=mask.shape)


def run(world, customers, parameters, weeks=20):
    governed = GovernedPolicy(Noise(), parameters, customers.n)
    market = LoyaltyMarket(world, customers, derive_seed(1, "evaluate"), decider=governed)
    bound = np.zeros(len(Constraint), int)
    for _ in range(weeks):
        market.step()
        bound += np.bincount(governed.last.binding, minlength=len(Constraint))
    market.finish()
    return governed, bound


def ledger_of(parameters, table, n=3):
    account, profile = np.zeros(n, ACCOUNT), np.zeros(n, PROFILE)
    account["enrolled"] = 1
    account["consent"] = 1
    return ViolationLedger(parameters, table, n, profile), account, profile


def test_every_constraint_has_a_row_with_use_slack_and_what_it_bound(world, population):
    governed, bound = run(world, population(500), EVERYTHING)
    rows = {row["constraint"]: row for row in governed.audit.rows()}
    assert set(rows) == {
        "account_closed", "not_enrolled", "consent", "opt_out", "vulnerable", "offer_open",
        "contact_cap", "contact_cap/push", "quiet_weeks", "price_spread", "liability_alarm",
        "offer_budget", "discount_exposure", "fairness",
    }  # fmt: skip
    assert {row["kind"] for row in rows.values()} == {"mask", "hard budget", "expected"}
    assert all(row["violations"] == 0 for row in rows.values())
    for code in Constraint:
        name = code.name.lower()
        if name in rows:
            assert rows[name]["bound"] == bound[code], name
    budget = rows["offer_budget"]
    assert 0 < budget["use_mean"] <= budget["use_peak"] <= 1
    assert budget["slack"] == pytest.approx(1 - budget["use_peak"])
    assert budget["checked"] == 20
    assert rows["discount_exposure"]["use_peak"] > 0
    assert rows["liability_alarm"]["breaches"] > 0  # it sounded, which is no violation
    json.dumps(list(rows.values()), allow_nan=False)


def test_features_off_the_list_reach_no_policy(world, population):
    allowed = ("p_alive", "tier", "season")
    customers = population(50)
    governed = GovernedPolicy(Noise(), ConstraintParameters(features=allowed), customers.n)
    market = LoyaltyMarket(world, customers, derive_seed(1, "evaluate"), decider=governed)
    market.advance(5)
    seen = np.concatenate(governed.policy.seen)
    for at, name in enumerate(FEATURE_NAMES):
        if name in allowed:
            continue
        assert (seen[:, at] == CENTRE[at]).all(), name
    full = observe(customers.profile, market.week, market.engine.rules)
    held = observe(customers.profile, market.week, market.engine.rules, allowed=allowed)
    at = [FEATURE_NAMES.index(name) for name in allowed]
    np.testing.assert_array_equal(full[:, at], held[:, at])
    assert (full != held).any()


def test_caps_and_quiet_weeks_are_counted_per_channel_in_the_ledgers_own_diary(world):
    table = world.table
    channels = table.actions["channel"]
    email = int(np.flatnonzero(channels == 0)[0])
    push = int(np.flatnonzero(channels == 2)[0])
    parameters = ConstraintParameters(
        by_channel={"push": ChannelLimits(ContactCap(1, 3), quiet_weeks=1)}
    )
    ledger, account, profile = ledger_of(parameters, table)
    weeks = [(push, email, 0), (0, email, push), (push, push, push)]
    for actions in weeks:
        ledger.decided(np.array(actions), account, profile)
    # The first again within three weeks; the last again at once.
    assert ledger.violations["contact_cap/push"] == 2
    assert ledger.violations["quiet_weeks/push"] == 1


def test_discounts_beyond_the_exposure_are_found(world):
    table = world.table
    parameters = ConstraintParameters(discount_exposure=DiscountExposure(0.1))
    ledger, account, profile = ledger_of(parameters, table)
    discount = np.array([1, 0, 0])
    assert table.offers["kind"][table.actions["offer"][1]] == 0
    ledger.settled_week(0, revenue=100_000)
    ledger.decided(discount, account, profile)
    assert ledger.total_violations == 0
    ledger.settled_week(0, revenue=0, discounts=9_900)
    ledger.decided(discount, account, profile)
    assert ledger.violations["discount_exposure"] == 1
    ledger.decided(0 * discount, account, profile)  # nobody made it worse
    assert ledger.violations["discount_exposure"] == 1


def test_points_offered_while_the_alarm_stops_them_are_found(world):
    table = world.table
    kinds = table.offers["kind"][table.actions["offer"]]
    points = 1 + int(np.flatnonzero(kinds[1:] == 1)[0])
    parameters = ConstraintParameters(
        liability_alarm=LiabilityAlarm(0.1, weeks=13, stops_bonus_points=True)
    )
    ledger, account, profile = ledger_of(parameters, table)
    ledger.settled_week(0, revenue=1000)
    actions = np.array([points, 1, 0])
    ledger.decided(actions, account, profile, liability=100 * MICRO)
    ledger.decided(actions, account, profile, liability=101 * MICRO)
    entry = ledger.entries["liability_alarm"]
    assert (entry.violations, entry.breaches, entry.checked) == (1, 1, 2)


def test_fairness_has_the_ratios_that_can_be_worked_out_by_hand():
    books = FairnessBooks(400)
    group = np.repeat([0, 1], 200)
    eligible = np.tile([True, True, True, False], 100)
    offered = np.zeros(400, bool)
    offered[np.flatnonzero(eligible & (group == 0))[:60]] = True
    offered[np.flatnonzero(eligible & (group == 1))[:30]] = True
    value = np.where(group == 0, 100, 300)
    books.add(group, eligible, offered, value)
    found = books.figures(Fairness(least_ratio=0.5, minimum=100))
    assert found["offer_rate_ratio"] == pytest.approx(0.5)
    assert found["offer_rate_difference"] == pytest.approx(0.2)
    assert found["value_ratio"] == pytest.approx(40 / 60)
    assert found["value_difference"] == pytest.approx(20)
    assert found["kept"]
    assert not books.figures(Fairness(least_ratio=0.51, minimum=100))["kept"]
    assert not books.figures(Fairness(0.5, largest_difference=0.19, minimum=100))["kept"]
    assert books.figures(Fairness(0.5, largest_difference=0.2, minimum=100))["kept"]
    assert not books.figures(Fairness(0.5, largest_value_difference=19.9, minimum=100))["kept"]
    assert books.figures(Fairness(0.5, largest_value_difference=20, minimum=100))["kept"]


def test_a_difference_of_value_counts_for_groups_that_are_large_enough_and_shows_its_use():
    books = FairnessBooks(300)
    group = np.repeat([0, 1, 2], [140, 140, 20])
    everyone = np.ones(300, bool)
    books.add(group, everyone, everyone, np.array([100, 90, 900])[group])
    limits = Fairness(0.5, largest_value_difference=8, minimum=100)
    found = books.figures(limits)
    assert found["value_difference"] == pytest.approx(10)
    assert not found["kept"]
    row = fairness_entry_row(found, ConstraintParameters(fairness=limits))
    assert row["breaches"] == 1
    assert row["use_peak"] == pytest.approx(1.25)
    assert row["slack"] == pytest.approx(-0.25)
    assert "of value at most 0.08" in row["limit"]
    assert books.figures(Fairness(0.5, None, 10.0))["kept"]


def test_small_groups_are_not_judged():
    books = FairnessBooks(150)
    group = np.repeat([0, 1], [140, 10])
    everyone = np.ones(150, bool)
    books.add(group, everyone, group == 0, np.full(150, 10))
    found = books.figures(Fairness(minimum=20))
    assert (found["judged"], found["kept"], found["offer_rate_ratio"]) == (1, True, None)
    assert books.figures(Fairness(minimum=10))["offer_rate_ratio"] == 0


def test_unfair_policies_are_seen(world, population):
    class OneGroup(Noise):
        def propose(self, observation, mask, context):
            favoured = customers.account["group"] == 0
            return np.where(favoured[:, None], 1.0, -1.0) * np.ones(mask.shape)

    customers = population(600)
    parameters = ConstraintParameters(fairness=Fairness(minimum=50))
    governed = GovernedPolicy(OneGroup(), parameters, customers.n)
    market = LoyaltyMarket(world, customers, derive_seed(1, "evaluate"), decider=governed)
    market.advance(4)
    row = governed.audit.rows()[-1]
    assert (row["constraint"], row["breaches"]) == ("fairness", 1)
    assert row["figures"]["offer_rate_ratio"] == 0
    assert row["violations"] == 0  # expected, not hard


def test_goalposts_have_the_agreed_defaults():
    assert Goalposts() == Goalposts(notice_weeks=13, close_share=0.2, grandfathering_weeks=52)
