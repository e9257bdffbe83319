"""Branches share customers and luck, so that a lift is exact, and nothing else is compared."""

from dataclasses import replace

import numpy as np
import pytest

from agents.network import word_of_mouth
from agents.records import Customers, empty_customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from experiments.twins import (
    ALWAYS,
    COFFEE,
    COUPON,
    EMAIL,
    KEY,
    Planned,
    friends,
    quiet_world,
    twins,
)
from sim.branch_totals import OUTCOMES, TOTALS, RunningTotals
from sim.counterfactual import (
    Branch,
    BranchRun,
    branch_values,
    paired,
    paired_run,
    run_branches,
)
from sim.market import LoyaltyMarket
from sim.programme import ProgrammeParameters
from sim.world import World

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [outcome.name for outcome in OUTCOMES]


def offers(n: int, weeks: int = 30, seed: int = 5) -> Planned:
    """A firm that sends any of the 15 offers to anybody, now and then."""
    draws = np.random.default_rng(seed).integers(0, 60, (weeks, n))
    return Planned(dict(enumerate(np.where(draws < 16, draws, 0))))


@pytest.fixture(scope="module")
def plain(world: World) -> World:
    """Another programme and another response than that of ``world``."""
    return world._replace(
        programme=ProgrammeParameters("plain", True),
        response=ResponseParameters(),
    )


@pytest.fixture(scope="module")
def three(world: World, plain: World, population) -> list[BranchRun]:
    """No offers, offers, and another programme, for 200 customers over 30 weeks."""
    branches = [
        Branch("none", world),
        Branch("offers", world, offers(200)),
        Branch("plain", plain),
    ]
    return run_branches(branches, population(200), KEY, 30, keep=("purchases", "gross"))


# --------------------------------------------------------------------------------- exactness


def test_a_branch_is_the_market_run_alone(three, world, plain, population) -> None:
    for run, decider in zip(three, (None, offers(200), None), strict=True):
        market = LoyaltyMarket(run.branch.world, population(200), KEY, decider=decider)
        gross = np.zeros(200, np.int64)
        for week in range(30):
            market.step()
            gross += market.customers.outcome["gross"]
            np.testing.assert_array_equal(
                run.kept["purchases"][week], market.customers.outcome["purchases"]
            )
        np.testing.assert_array_equal(run.totals.gross, gross)
        assert run.frame.equals(market.datacollector.get_model_vars_dataframe())


def test_totals_of_customers_add_up_to_those_of_the_weeks(three) -> None:
    for run in three:
        for name in (
            "purchases", "revenue", "margin", "reward_cost", "profit", "contacts", "redeemed",
            "opted_out", "points_earned", "points_redeemed", "points_expired", "rewards",
            "reserved", "settled",
        ):  # fmt: skip
            total = run.frame[name].sum()
            assert run.totals.outcome(name).sum() == pytest.approx(total, abs=1e-6), name
        stocks = run.frame.iloc[-1]
        assert run.totals.open.sum() == stocks["customers"]
        assert (run.totals.alive & run.totals.open).sum() == stocks["alive"]
        owed = run.frame["liability_change"].sum() / 1e6
        assert run.totals.liability_change.sum() == pytest.approx(owed)
        recent = run.kept["purchases"][-13:].sum(axis=0) > 0
        np.testing.assert_array_equal(run.totals.active, recent)
        assert recent.sum() < (run.kept["purchases"].sum(axis=0) > 0).sum()


def test_active_is_who_bought_in_the_last_thirteen_weeks() -> None:
    customers = empty_customers(3)
    running = RunningTotals(3, 20)
    for week in range(20):
        customers.outcome["purchases"] = [week == 6, week == 7, week == 19]
        running.add(customers.outcome)
    totals = running.close(customers)
    assert totals.purchases.tolist() == [1, 1, 1]
    assert totals.active.tolist() == [False, True, True]


def test_every_outcome_is_an_array_over_customers(three) -> None:
    totals = three[1].totals
    for outcome in OUTCOMES:
        values = totals.outcome(outcome.name)
        assert (values.shape, values.dtype) == ((200,), np.float64)
        assert outcome.unit
        assert outcome.meaning
    assert set(TOTALS.names or ()) - {"recent"} >= set(NAMES) & set(TOTALS.names or ())
    with pytest.raises(ValueError, match="outcome='proft': choose one of purchases, revenue"):
        totals.outcome("proft")
    with pytest.raises(AttributeError, match="has no outcome 'proft'"):
        totals.proft  # noqa: B018


def test_the_same_policy_in_both_branches_lifts_nobody_at_all(society, population) -> None:
    customers = population(150, prospects=0.3)
    branches = [Branch(name, society, offers(150)) for name in ("one", "two")]
    pair = paired(*run_branches(branches, customers, KEY, 30, direct=("two",))[::-1])
    for name in NAMES:
        for effect in ("total", "direct", "spillover"):
            assert not pair.lift(name, effect).any(), (name, effect)
    assert not pair.weekly_lift.any()


def test_the_order_of_branches_changes_no_digit(world, plain, population) -> None:
    def run(order: slice) -> dict[str, BranchRun]:
        branches = [Branch("offers", world, offers(100)), Branch("plain", plain)][order]
        runs = run_branches(branches, population(100), KEY, 20)
        return {one.branch.name: one for one in runs}

    ahead, back = run(slice(None)), run(slice(None, None, -1))
    one = paired(ahead["offers"], ahead["plain"])
    other = paired(back["plain"], back["offers"])
    for name in NAMES:
        np.testing.assert_array_equal(one.lift(name), -other.lift(name))
        if name not in ("opted_out", "open", "active"):
            assert one.lift(name).any(), name
    np.testing.assert_array_equal(one.weekly_lift, -other.weekly_lift)


def test_neither_further_branches_nor_other_customers_change_a_lift(
    three, world, population
) -> None:
    many = paired(three[1], three[0])
    few = population(50)
    plan = {week: actions[:50] for week, actions in offers(200).plan.items()}
    alone = paired_run(world, few, KEY, Planned(plan), 30)
    for name in NAMES:
        np.testing.assert_array_equal(alone.lift(name), many.lift(name)[:50], name)


def test_a_further_mechanism_changes_no_draw_of_a_lift(three, world, population) -> None:
    silent = world._replace(off=("survey",))
    without = paired_run(silent, population(200), KEY, offers(200), 30)
    asked = paired(three[1], three[0])
    assert three[0].frame["answers"].sum() > 0
    for name in NAMES:
        np.testing.assert_array_equal(without.lift(name), asked.lift(name), name)


def test_what_was_measured_against_another_control_of_the_same_name_is_left_out(
    world, plain, population
) -> None:
    offered = Branch("offers", world, offers(30))
    control, treated = run_branches(
        [Branch("none", world), offered], population(30), KEY, 5, direct=("offers",)
    )
    (other,) = run_branches([Branch("none", plain)], population(30), KEY, 5)
    assert paired(treated, control).direct is not None
    assert paired(treated, control).deadweight is not None
    assert paired(treated, other).direct is None
    assert paired(treated, other).deadweight is None


def test_weekly_lifts_are_the_mean_lift_by_week(three) -> None:
    pair = paired(three[1], three[0])
    assert pair.weekly_lift.shape == (30,)
    assert pair.weekly_lift.sum() == pytest.approx(pair.lift("profit").mean())
    gain = three[1].kept["gross"].astype(float) - three[0].kept["gross"]
    frames = three[1].frame["gross"] - three[0].frame["gross"]
    np.testing.assert_allclose(gain.sum(axis=1), frames)


# ------------------------------------------------------------------------------ worlds and luck


def test_a_known_cost_is_the_lift_of_everybody_where_nothing_moves_anybody() -> None:
    rules = quiet_world(offers=(COFFEE,))
    rules = rules._replace(book=replace(rules.book, contact_cost={"email": 0.25}))
    pair = paired_run(rules, twins(300), KEY, Planned({2: EMAIL, 5: EMAIL}), 10)
    assert (pair.lift("profit") == -50.0).all()
    assert (pair.lift("offer_cost") == 50.0).all()
    assert not pair.lift("purchases").any()
    assert pair.deadweight is not None
    assert not pair.deadweight.any()
    assert pair.control.purchases.std() > 0


def test_deadweight_is_what_offers_paid_for_purchases_made_anyway() -> None:
    """Always redeemed, moving nobody: all of it is deadweight; worth it by its size otherwise."""
    effects = {"redemption_logit": KindEffects(ALWAYS, ALWAYS, ALWAYS, ALWAYS)}
    still = paired_run(
        quiet_world(effects, offers=(COUPON,)), twins(500), KEY, Planned({0: EMAIL}), 3
    )
    assert still.treated.redeemed_cost.sum() > 0
    np.testing.assert_array_equal(still.deadweight, still.treated.redeemed_cost)
    moved = paired_run(
        quiet_world(effects | {"offer_log_rate": KindEffects(discount=2.0)}, offers=(COUPON,)),
        twins(500, rate=0.3), KEY, Planned({0: EMAIL}), 3,
    )  # fmt: skip
    redeemed = moved.treated.redeemed > 0
    bought = moved.control.sums["purchases"] > 0
    assert (redeemed & ~bought).sum() > 20
    assert 0 < moved.deadweight.sum() < moved.treated.redeemed_cost.sum()
    assert (moved.deadweight[redeemed & ~bought] == 0).all()


def test_deadweight_has_no_meaning_against_offers_or_another_world(world, plain, population):
    def pair(control: Branch) -> object:
        treated = Branch("treated", world, offers(50))
        runs = run_branches([control, treated], population(50), KEY, 8)
        return paired(runs[1], runs[0]).deadweight

    assert pair(Branch("none", world)) is not None
    assert pair(Branch("other", world, offers(50, seed=9))) is None
    assert pair(Branch("plain", plain)) is None
    assert pair(Branch("luck", world._replace(off=("survey",)))) is None


def test_replicas_are_independent_luck_of_the_same_customers() -> None:
    """Twins differ in luck alone: replicas correlate as strangers do (one alarm in 12,000)."""
    rules = quiet_world()
    branches = [Branch(str(one), rules, replica=one) for one in (0, 1, 2)]
    runs = run_branches(branches, twins(4000), KEY, 4)
    totals = np.array([run.totals.purchases for run in runs])
    correlation = np.corrcoef(totals)
    assert abs(correlation[np.triu_indices(3, 1)]).max() < 4.2 / np.sqrt(4000)
    (again,) = run_branches([Branch("again", rules, replica=2)], twins(4000), KEY, 4)
    np.testing.assert_array_equal(again.totals.purchases, totals[2])


def test_branches_on_independent_luck_keep_the_network(society, population) -> None:
    seen = []
    branches = [Branch("one", society), Branch("two", society, replica=7)]
    run_branches(branches, population(60), KEY, 1, watch=seen.append)
    (first, second) = seen[0]
    assert first.network is second.network
    graph = word_of_mouth(population(60), society.network, KEY)
    np.testing.assert_array_equal(first.network.neighbours, graph.neighbours)
    off = Branch("off", society._replace(off=("word_of_mouth",)))
    for network in (None, friends(60)):
        seen.clear()
        both = [Branch("on", society), off]
        run_branches(both, population(60), KEY, 1, network=network, watch=seen.append)
        assert (seen[0][0].network is None, seen[0][1].network is None) == (False, True)


@pytest.mark.parametrize("prospects", [0.0, 0.3])
def test_a_warm_up_is_lived_in_each_branchs_own_world(
    society, plain, population, prospects
) -> None:
    customers = population(80, prospects=prospects)
    ticks: list[int] = []
    branches = [
        Branch("none", society),
        Branch("offers", society, offers(80, 40)),
        Branch("plain", plain._replace(network=society.network)),
    ]
    runs = run_branches(branches, customers, KEY, 10, warmup_weeks=15, tell=lambda: ticks.append(1))
    assert len(ticks) == 25
    assert (customers.state["week"] == 0).all()
    for run, decider in zip(runs, (None, offers(80, 40), None), strict=True):
        market = LoyaltyMarket(run.branch.world, customers.take(slice(None)), KEY)
        market.advance(15)
        market.firm.decider = decider
        assert run.starting == market.stocks
        market.advance(10)
        whole = market.datacollector.get_model_vars_dataframe().iloc[15:].reset_index(drop=True)
        assert run.frame.equals(whole)


# ------------------------------------------------------------------------------------ refusals


def test_branches_of_other_customers_weeks_or_luck_do_not_pair(world, population) -> None:
    def run(customers: Customers, key: np.uint64 = KEY, weeks: int = 2, **more: int) -> BranchRun:
        return run_branches([Branch("some", world, **more)], customers, key, weeks)[0]

    one = run(population(20))
    assert not paired(run(population(20)), one).lift("profit").any()
    with pytest.raises(ValueError, match="'some' and 'some' have different customers"):
        paired(run(population(20, first_id=100)), one)
    with pytest.raises(ValueError, match="cover different weeks"):
        paired(run(population(20), weeks=3), one)
    with pytest.raises(ValueError, match="met different luck"):
        paired(run(population(20), key=derive_seed(1, "world")), one)
    with pytest.raises(ValueError, match="met different luck"):
        paired(run(population(20), replica=3), one)
    later = population(20)
    later.state["week"] = 1
    with pytest.raises(ValueError, match="cover different weeks"):
        paired(run(later), one)


def test_what_cannot_be_run_side_by_side_is_refused_by_name(world, population) -> None:
    decider = offers(5)
    shop = world._replace(categories=("hot", "cold"))
    for branches, options, message in (
        ([], {}, "branches is empty"),
        ([Branch("a", world), Branch("a", world)], {}, "a name of its own"),
        ([Branch("a", world, decider), Branch("b", world, decider)], {}, "share one decider"),
        ([Branch("a", world), Branch("b", shop)], {}, "different categories apart"),
        ([Branch("a", world)], {"weeks": 0}, "weeks=0 must be at least 1"),
        ([Branch("a", world)], {"warmup_weeks": -1}, "warmup_weeks=-1 must be at least 0"),
        ([Branch("a", world)], {"direct": ["a"]}, "direct='a' is no branch beside the first"),
        (
            [Branch("a", world), Branch("b", world, replica=4)],
            {"direct": ["b"]},
            "on its luck: choose among none",
        ),
        ([Branch("a", world)], {"keep": ["profit"]}, "keep='profit': choose among"),
    ):
        with pytest.raises(ValueError, match=message):
            run_branches(branches, population(5), KEY, **({"weeks": 1} | options))
    with pytest.raises(ValueError, match=r"replica=-1 must be 0 to 2\*\*32 - 1"):
        Branch("a", world, replica=-1)


def test_a_lift_that_was_not_measured_is_refused(three) -> None:
    pair = paired(three[1], three[0])
    with pytest.raises(ValueError, match="effect='direct' was not run"):
        pair.lift("profit", "direct")
    with pytest.raises(ValueError, match="effect='indirect': choose one of total"):
        pair.lift("profit", "indirect")
    assert paired(three[1], three[2]).deadweight is None  # it was measured against the first


# ------------------------------------------------------------------------------- action values


def test_values_of_actions_are_paired_runs_of_a_single_offer(world, population) -> None:
    customers = population(40)
    customers.account["consent"] = 1
    value, cost = branch_values(world, customers, KEY, weeks=6, replicas=2, first_replica=3)
    assert not value[:, 0].any()
    assert not cost[:, 0].any()
    for action in (1, 9, 13):
        gains, costs = np.zeros(40), np.zeros(40)
        for replica in (3, 4):
            start = customers.take(slice(None))
            start.state["replica"] = replica
            pair = paired_run(world, start, KEY, Planned({0: np.full(40, action)}), 6)
            gains += pair.lift("profit") + pair.lift("settled")
            costs += pair.treated.settled
        np.testing.assert_allclose(value[:, action], gains / 2, atol=1e-9)
        np.testing.assert_array_equal(cost[:, action], costs / 2)
        assert gains.any()
