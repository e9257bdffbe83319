"""One kernel: agents and engine, any number of threads, any company: the same bits."""

from dataclasses import replace

import numba
import numpy as np
import pytest

from agents.dynamics import Dynamics
from agents.population import GROCERY, dynamics_from, filter_from
from agents.profile import PURCHASE
from agents.records import Customers
from agents.response import ResponseParameters
from agents.rng import derive_seed
from sim.market import FirmView, LoyaltyMarket
from sim.programme import Reward, Tier
from sim.scenario import SeasonParameters, calendar
from sim.world import World

KEY = derive_seed(3, "world")
YEAR = 52


class Scattergun:
    """Something else for everyone now and then: each action, many customers, every week."""

    def decide(self, view: FirmView) -> np.ndarray:
        turn = view.customer_id.astype(np.int64) * 7 + view.week * 11
        free = (view.account["offer"] == 0) & (view.account["closed"] == 0) & (turn % 3 == 0)
        return np.where(free, turn % view.table.n, 0)


def lived(world: World, customers: Customers, weeks: int = YEAR, **options) -> LoyaltyMarket:
    market = LoyaltyMarket(world, customers, KEY, decider=Scattergun(), **options)
    market.advance(weeks)
    return market


def assert_same_bits(ours: Customers, theirs: Customers) -> None:
    """Field by field: numpy leaves the padding of a copied record undefined."""
    for name, mine, other in zip(Customers._fields, ours, theirs, strict=True):
        for field in mine.dtype.names:
            assert mine[field].tobytes() == other[field].tobytes(), f"{name}.{field}"


# What cannot be on together with vouchers and tiers by spend in a rolling window.
OTHER_RULES = {
    "rewards": (Reward("mug", 70, 2.0, multiple=True), Reward("dinner", 700, 15.0)),
    "redemption_weeks": 2,
    "expiry_quarters": 1,
    "tier_basis": "points_balance",
    "tiers": (Tier("base", 0), Tier("silver", 40, 1.25), Tier("gold", 120, 1.5)),
    "downgrade": "grace",
    "soft_landing": True,
}


@pytest.mark.parametrize("other", [False, True], ids=["vouchers", "orders"])
def test_agents_and_engine_live_the_same_year_with_any_number_of_threads(
    society, population, other: bool
) -> None:
    if other:
        society = society._replace(programme=replace(society.programme, **OTHER_RULES))
    reference = lived(society, population(3000, prospects=0.2), mode="agents")
    frame = reference.datacollector.get_model_vars_dataframe()
    for name, least in {
        "contacts": 15_000, "redeemed": 1_000, "rewards": 2_000, "voucher": 1_000, "fees": 1_000,
        "enrolled": 50, "joined": 50, "referred": 20, "left": 200, "closed": 100, "answers": 500,
        "rose": 500, "fell": 1, "opted_out": 50, "points_expired": 1,
    }.items():  # fmt: skip
        # Everything does happen; orders are no vouchers.
        assert frame[name].sum() >= (0 if other and name == "voucher" else least), name
    threads = numba.get_num_threads()
    try:
        for count in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
            numba.set_num_threads(count)
            market = lived(society, population(3000, prospects=0.2), mode="engine")
            assert_same_bits(market.customers, reference.customers)
            assert market.datacollector.get_model_vars_dataframe().equals(frame)
    finally:
        numba.set_num_threads(threads)


def test_other_customers_change_no_record(world, population) -> None:
    many, few = lived(world, population(900)), lived(world, population(300))
    assert_same_bits(many.customers.take(slice(0, 300)), few.customers)
    late = lived(world, population(300, first_id=600))
    assert_same_bits(many.customers.take(slice(600, 900)), late.customers)


def test_the_order_of_the_customers_changes_no_record(world, population) -> None:
    order = np.random.default_rng(0).permutation(300)
    shuffled = lived(world, population(300).take(order))
    assert_same_bits(shuffled.customers, lived(world, population(300)).customers.take(order))


def test_a_key_or_a_replica_is_another_luck(world, population) -> None:
    base = lived(world, population(300)).customers.profile["revenue"]
    other = population(300)
    other.state["replica"] = 1
    assert (lived(world, other).customers.profile["revenue"] != base).mean() > 0.5
    market = LoyaltyMarket(world, population(300), derive_seed(4, "world"), decider=Scattergun())
    market.advance(YEAR)
    assert (market.customers.profile["revenue"] != base).mean() > 0.5


def plain(**changes) -> World:
    """No offers, programme or drift: what a mechanism is switched on against."""
    dynamics = dynamics_from(GROCERY, close_account_probability=0.0)
    world = World(ResponseParameters(), dynamics, filter_from(GROCERY))
    return world._replace(**changes)


def baskets(world: World, customers: Customers, weeks: int = 12) -> dict[tuple, float]:
    """Basket over its mean by (customer, week, number of the purchase)."""
    mean = customers.traits["spend_mean"].astype(float)
    market = LoyaltyMarket(world, customers, KEY, recording=True)
    found = {}
    for week in range(weeks):
        market.step()
        bought = market.events()
        bought = bought[bought["kind"] == PURCHASE]
        bought = bought[np.lexsort((bought["sequence"], bought["customer"]))]
        first = np.searchsorted(bought["customer"], bought["customer"])
        for at, event in enumerate(bought):
            who = int(event["customer"])
            found[who, week, at - int(first[at])] = event["amount"] / mean[who]
    return found


def test_another_purchase_moves_no_other_basket(population) -> None:
    base = baskets(plain(), population(400))
    busy = population(400)
    busy.traits["log_rate"] += np.log(1.5)
    more = baskets(plain(), busy)
    assert len(more) > 1.3 * len(base)
    assert base == {address: more[address] for address in base}


def test_every_purchase_of_a_week_has_a_basket_of_its_own(population) -> None:
    found = baskets(plain(), population(400))
    seconds = [address for address in found if address[2] == 1]
    assert len(seconds) > 500
    same = [found[who, week, 0] == found[who, week, 1] for who, week, _ in seconds]
    assert np.mean(same) < 0.02


def test_a_mechanism_that_moves_the_mean_keeps_the_luck_of_every_basket(population) -> None:
    base = baskets(plain(), population(400), weeks=52)
    season = SeasonParameters(christmas_weeks=26, christmas_spend=1.0)
    dear = baskets(plain(season=season), population(400), weeks=52)
    assert base.keys() == dear.keys()
    factor = calendar(season)["spend"]
    assert factor.max() == pytest.approx(2 * factor.min())
    cent = 1 / population(400).traits["spend_mean"].astype(float)
    for (who, week, index), size in base.items():
        assert abs(dear[who, week, index] - factor[week] * size) <= 1.5 * cent[who]


def test_drift_offers_and_programme_move_no_death(world, population) -> None:
    def deaths(rules: World, decider=None) -> np.ndarray:
        market = LoyaltyMarket(rules, population(1000), KEY, decider=decider)
        alive = []
        for _ in range(YEAR):
            market.step()
            alive.append(market.customers.state["alive"].copy())
        return np.array(alive)

    base = deaths(plain())
    assert 0.02 < 1 - base[-1].mean() < 0.5
    still = plain(dynamics=Dynamics(close_account_probability=0.0))
    np.testing.assert_array_equal(deaths(still), base)
    marketed = plain(programme=world.programme, book=world.book, categories=world.categories)
    np.testing.assert_array_equal(deaths(marketed, Scattergun()), base)
