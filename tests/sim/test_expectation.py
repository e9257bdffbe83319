"""Scores by expectations have the mean of what is sampled, and far less noise."""

from dataclasses import replace

import numpy as np
import pytest

from agents.network import NetworkParameters
from agents.population import GROCERY, dynamics_from, filter_from
from agents.records import CHANNELS, Customers
from agents.response import ResponseParameters
from agents.rng import derive_seed
from sim.counterfactual import branch_values
from sim.engine import Engine
from sim.expected_engine import ExpectedEngine, ExpectedMarket
from sim.expected_values import expected_branches, expected_values, spread
from sim.market import LoyaltyMarket
from sim.scenario import CompetitorParameters
from sim.world import World

KEY = derive_seed(3, "plan")
REPLICAS = 12


def begun(world: World, customers: Customers, weeks: int = 20) -> Customers:
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    Engine(customers, world.rules(), KEY).run(weeks)
    return customers


@pytest.fixture(scope="module")
def plain() -> World:
    """No offers, programme or drift."""
    dynamics = replace(dynamics_from(GROCERY), drift_sd=0.0, drift_weeks=0.0)
    return World(ResponseParameters(), dynamics, filter_from(GROCERY))


@pytest.fixture(scope="module")
def mailed(world: World) -> World:
    """All offers of the everything-world, by one channel."""
    return world._replace(book=replace(world.book, channels=("sms",)))


@pytest.fixture(scope="module")
def subscribers(society: World) -> World:
    """A fee and cancelling; nobody to talk to, no rivals who answer."""
    return society._replace(
        network=NetworkParameters(), competitor=CompetitorParameters(), off=("joining",)
    )


@pytest.mark.parametrize("name", ["world", "subscribers"])
def test_expected_profit_is_the_mean_of_sampled_profit(name, request, population) -> None:
    """Paired by customer and replica; one alarm in 15,000 for each of three means."""
    world = request.getfixturevalue(name)
    start = begun(world, population(1500))
    start.traits["hazard"] *= 5
    actions = np.arange(start.n) % world.table.n
    rules = world.rules()
    differences = {"profit": [], "settled": [], "purchases": []}
    for replica in range(1, REPLICAS + 1):
        expected, sampled = start.take(slice(None)), start.take(slice(None))
        for rows in (expected, sampled):
            rows.state["replica"] = replica
        scored = ExpectedEngine(expected, rules, KEY)
        engine = Engine(sampled, rules, KEY)
        total = {name: np.zeros(start.n) for name in differences}
        for week in range(6):
            chosen = actions if week in (0, 4) else None
            scored.advance(chosen)
            engine.advance(chosen)
            week = sampled.outcome
            cash = sum(week[c].astype(float) for c in ("discount", "item_cost", "contact_cost"))
            total["profit"] += week["margin"] - cash - week["reward_cost"]
            total["profit"] -= week["liability_change"] / 1e6
            total["settled"] += week["settled"]
            total["purchases"] += week["purchases"]
        for outcome, found in differences.items():
            found.append(scored.scores[outcome] - total[outcome])
    for outcome, found in differences.items():
        by_customer = np.mean(found, axis=0)
        error = by_customer.std(ddof=1) / np.sqrt(start.n)
        assert abs(by_customer.mean()) < 4.0 * error, outcome
    assert (scored.scores["survival"][start.state["alive"] > 0] < 1).all()


def test_expected_values_have_the_mean_of_sampled_ones_and_less_variance(
    mailed, population
) -> None:
    """On luck of their own; one alarm in 2,500 for each of five actions."""
    start = begun(mailed, population(400))
    everything = np.ones((start.n, mailed.table.n), bool)
    value, cost = branch_values(mailed, start, KEY, 5, 16, first_replica=500)
    sampled = value - cost
    found = expected_values(mailed, start, everything, KEY, 5, 4)
    again = expected_values(mailed, start, everything, KEY, 5, 4, first_replica=50)
    assert not found.gain[:, 0].any()
    difference = (found.gain + again.gain) / 2 - sampled
    error = difference.std(axis=0, ddof=1) / np.sqrt(start.n)
    assert (np.abs(difference.mean(axis=0))[1:] < 4.0 * error[1:]).all()
    noise = ((found.gain - again.gain) / np.sqrt(2)).std(axis=0)[1:]  # of 4 replicas
    later, spent = branch_values(mailed, start, KEY, 5, 4, first_replica=900)
    early, paid = branch_values(mailed, start, KEY, 5, 4, first_replica=950)
    drawn = ((later - spent - early + paid) / np.sqrt(2)).std(axis=0)[1:]
    assert (drawn > 1.5 * noise).all()
    assert np.median(np.square(drawn / noise)) > 5


def test_replicas_spread_attention_evenly(mailed, population) -> None:
    """Of 16 replicas as many open a message as the probability says, within one or two."""
    start = begun(mailed, population(200))
    opened = np.zeros(start.n)
    for replica in range(16):
        rows = start.take(slice(None))
        rows.state["replica"] = 1 + replica
        engine = ExpectedEngine(rows, mailed.rules(), KEY, spread(replica, 16), 1)
        engine.advance(np.full(start.n, 1))
        opened += rows.outcome["opened"]
    alive = start.state["alive"] > 0
    openness = start.traits["openness"][:, CHANNELS.index("sms")]
    assert np.abs(opened - 16 * openness)[alive].max() <= 1.0
    points = np.array([spread(replica, 8) for replica in range(8)])
    np.testing.assert_array_equal(np.sort(points, axis=0), np.arange(8)[:, None] / 8 * [1, 1])


def test_survival_is_exponential_in_the_hazard_where_nothing_moves_it(plain, population) -> None:
    customers = population(50)
    customers.state["drift"] = 0.0
    engine = ExpectedEngine(customers, plain.rules(), KEY)
    engine.run(30)
    expected = np.exp(-30 * customers.traits["hazard"].astype(float))
    np.testing.assert_allclose(engine.scores["survival"], expected, rtol=1e-9)
    assert (customers.state["alive"] == 1).all()
    lived = (1 - expected) / customers.traits["hazard"]
    bought = lived * np.exp(customers.traits["log_rate"].astype(float))
    np.testing.assert_allclose(engine.scores["purchases"], bought, rtol=1e-6)


def test_those_who_left_bring_minus_the_cost_of_a_message(mailed, population) -> None:
    start = begun(mailed, population(40))
    start.state["alive"] = 0
    start.account["offer"] = 0
    start.profile["points"] = 0
    start.account["lots"] = start.account["pending"] = 0
    found = expected_values(mailed, start, np.ones((40, mailed.table.n), bool), KEY, 3, 2)
    np.testing.assert_allclose(found.gain[:, 1:], -5.0)
    np.testing.assert_allclose(found.cost[:, 1:], 5.0)


def test_only_allowed_actions_are_branched(mailed, population) -> None:
    start = begun(mailed, population(20))
    allowed = np.zeros((20, mailed.table.n), bool)
    allowed[::2, 3] = True
    found = expected_values(mailed, start, allowed, KEY, 2, 2)
    assert np.isfinite(found.gain).sum() == 20
    assert np.isfinite(found.gain[::2, [0, 3]]).all()
    nobody = expected_values(mailed, start, np.zeros_like(allowed), KEY, 2, 2)
    assert np.isnan(nobody.gain).all()


def test_a_continuation_acts_in_the_weeks_after(mailed, population) -> None:
    start = begun(mailed, population(30))
    seen = []

    def follow(account, profile, week):
        seen.append(week.copy())
        return np.zeros(week.shape, np.uint8)

    rows = np.arange(30)
    nothing = np.zeros(30, np.uint8)
    one = expected_branches(mailed, start, rows, nothing, KEY, 4, 1, follow=follow)
    two = expected_branches(mailed, start, rows, nothing, KEY, 4, 1)
    np.testing.assert_array_equal(one.profit, two.profit)
    assert [int(week[0]) for week in seen] == [21, 22, 23]


def test_margin_after_a_branch_is_rate_times_discounted_life(plain, population) -> None:
    customers = population(30)
    customers.state["drift"] = 0.0
    engine = ExpectedEngine(customers, plain.rules(), KEY)
    engine.add_onward(13.0)
    traits = customers.traits
    hazard = traits["hazard"].astype(float)
    weekly = np.exp(traits["log_rate"].astype(float)) * traits["spend_mean"] * 0.25
    expected = weekly * (1 - np.exp(-13 * hazard)) / hazard
    np.testing.assert_allclose(engine.scores["profit"], expected, rtol=1e-5)


def test_a_market_scored_by_expectations_is_otherwise_the_market(plain, population) -> None:
    """Where nobody leaves, books and customers are the same to the bit."""
    customers: list[Customers] = []
    frames = []
    for kind in (LoyaltyMarket, ExpectedMarket):
        own = population(60)
        own.traits["hazard"] = 0.0
        market = kind(plain, own, KEY)
        for _ in range(4):
            market.step()
        customers.append(own)
        frames.append(market.datacollector.get_model_vars_dataframe())
    assert frames[0].equals(frames[1])
    for one, two in zip(*customers, strict=True):
        assert (one == two).all()


def test_branches_need_a_week_and_a_replica(mailed, population) -> None:
    rows = np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="weeks=0"):
        expected_branches(mailed, population(1), rows, rows, KEY, 0, 1)
    with pytest.raises(ValueError, match="replicas=0"):
        expected_branches(mailed, population(1), rows, rows, KEY, 1, 0)
