"""The direct effect of a row is that of branching it alone, exactly; the rest is spill-over."""

from dataclasses import replace

import numpy as np
import pytest
from sampling import LIMIT

from agents.network import talk
from agents.response import KindEffects
from experiments.twins import (
    ALWAYS,
    COFFEE,
    EMAIL,
    KEY,
    TENTH,
    Planned,
    as_prospects,
    friends,
    plain_programme,
    quiet_world,
    twins,
)
from sim.branch_totals import OUTCOMES, RunningTotals
from sim.counterfactual import Branch, PairedRun, branch_values, paired, run_branches
from sim.engine import Engine
from sim.market import LoyaltyMarket
from sim.scenario import CompetitorParameters
from sim.world import World

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [outcome.name for outcome in OUTCOMES]
WEEKS = 30


@pytest.fixture(scope="module")
def lively(society: World) -> World:
    """Much talk, many who join through friends, and who leave."""
    return society._replace(
        response=replace(
            society.response,
            neighbour_log_rate=0.1,
            referral_hazard=0.2,
            contact_log_hazard=0.8,
            redemption_logit=KindEffects(3.0, 3.0, 3.0, 3.0),
        )
    )


def pair_of(
    world: World, control: World, customers, decider, weeks=WEEKS, against=None, **more
) -> PairedRun:
    branches = [Branch("control", control, against), Branch("treated", world, decider)]
    runs = run_branches(branches, customers, KEY, weeks, direct=("treated",), **more)
    return paired(runs[1], runs[0])


def branched_alone(row, world, control, start, plan, others_plan):
    """Totals of one row that alone lives in ``world`` under ``plan``, step by step.

    Every week starts from the control market's rows, this one aside: whatever it told others is
    taken back.
    """
    market = LoyaltyMarket(control, start.take(slice(None)), KEY, decider=Planned(others_plan))
    mine = start.take(np.array([row]))
    running = RunningTotals(1, WEEKS)
    for week in range(WEEKS):
        others = market.customers.take(slice(None))
        market.step()
        reaction = market.engine.rules["competitor"]
        engines = Engine(others, control.rules(), KEY), Engine(mine, world.rules(), KEY)
        chosen = others_plan[week], plan[week][[row]]
        for engine, actions in zip(engines, chosen, strict=True):
            engine.rules["competitor"] = reaction
            engine.advance(actions)
        running.add(mine.outcome)
        others.put(np.array([row]), mine)
        talk(market.network, others, control.rules()["behaviour"], week, KEY)
        mine = others.take(np.array([row]))
    return running.close(mine), mine


def some_offers(n: int, seed: int) -> dict[int, np.ndarray]:
    draws = np.random.default_rng(seed).integers(0, 40, (WEEKS, n))
    return dict(enumerate(np.where(draws < 16, draws, 0)))


@pytest.mark.parametrize("against", ["no offers", "offers", "another programme"])
def test_one_pass_gives_what_branching_each_row_alone_gives_bit_for_bit(
    lively, population, against
) -> None:
    n = 60
    control, others_plan = lively, dict.fromkeys(range(WEEKS), np.zeros(n, int))
    if against == "another programme":
        control = lively._replace(programme=plain_programme(5, referral_points=3))
    if against == "offers":  # which rivals answer
        others_plan = some_offers(n, 6)
    start = population(n, prospects=0.3)
    start.account["enrolled"] |= start.state["prospect"] == 0
    plan = some_offers(n, 2)
    pair = pair_of(lively, control, start, Planned(plan), against=Planned(others_plan))
    alone = Branch("control", control, Planned(others_plan))
    assert run_branches([alone], start, KEY, WEEKS)[0].frame["referred"].sum() >= 5
    assert pair.direct is not None
    for row in range(n):
        alone, _ = branched_alone(row, lively, control, start, plan, others_plan)
        assert pair.direct.sums[row] == alone.sums[0], row
        for flag in ("alive", "active", "open"):
            assert getattr(pair.direct, flag)[row] == getattr(alone, flag)[0]
    for name in ("purchases", "profit", "points_earned", "alive"):
        assert pair.lift(name, "spillover").any(), name
        whole = pair.lift(name, "direct") + pair.lift(name, "spillover")
        np.testing.assert_allclose(whole, pair.lift(name), atol=1e-9)


@pytest.mark.parametrize("driven", ["by the treatment", "by the control"])
def test_newcomers_who_come_anyway_are_credited_as_if_the_row_alone_were_branched(driven) -> None:
    """Contact drives the second of three friends away; the first comes and credits who is left."""
    n = 6000
    place = np.arange(n) % 3
    effects = {
        "referral_hazard": 0.2, "buzz_weeks": 520.0, "enrol_probability": 1e-9,
        "contact_log_hazard": 2.0,
    }  # fmt: skip
    rules = quiet_world(
        effects, offers=(TENTH,),
        programme=plain_programme(referral_points=70, points_per_unit=0.0),
    )  # fmt: skip
    customers = as_prospects(twins(n), place == 0)
    customers.state["buzz"] = place == 0
    customers.traits["hazard"] = np.where(place == 1, 0.05, 0.0)
    contacts = Planned({0: (place == 1) * EMAIL})
    deciders = (contacts, None) if driven == "by the treatment" else (None, contacts)
    treated, against = deciders
    pair = pair_of(rules, rules, customers, treated, 12, against=against, network=friends(n, 3))
    sign = -1 if driven == "by the treatment" else 1
    direct, spill = (pair.lift("points_earned", effect) for effect in ("direct", "spillover"))
    assert set(np.unique(direct[place == 1])) == {0.0, 70.0 * sign}
    assert not direct[place == 2].any()  # whoever gets no offer has no direct effect
    assert set(np.unique(spill[place == 2])) == {0.0, -70.0 * sign}
    np.testing.assert_array_equal(spill[place == 2], -direct[place == 1])
    assert not spill[place == 1].any()
    assert not pair.lift("points_earned")[place == 0].any()


def test_where_nobody_meets_anybody_direct_and_total_are_the_same_exactly(
    world, population
) -> None:
    plan = Planned(some_offers(150, 3))
    pair = pair_of(world, world._replace(programme=plain_programme()), population(150), plan)
    for name in NAMES:
        np.testing.assert_array_equal(pair.lift(name, "direct"), pair.lift(name), name)
        assert not pair.lift(name, "spillover").any()
    assert pair.lift("profit").any()


def test_what_friends_tell_comes_on_top_of_the_direct_effect() -> None:
    effects = {"neighbour_log_rate": 0.2, "redemption_logit": KindEffects(free_item=ALWAYS)}
    rules = quiet_world(effects, offers=(COFFEE,))
    n = 4000
    pair = pair_of(
        rules, rules, twins(n), Planned({0: (np.arange(n) % 2) * EMAIL}), 6, network=friends(n)
    )
    assert not pair.lift("purchases", "direct").any()  # an item by itself moves nobody
    spill = pair.lift("purchases", "spillover")
    assert not spill[1::2].any()  # they told, their friends had nothing to tell
    assert spill[::2].mean() > LIMIT * spill[::2].std() / np.sqrt(n / 2)


def test_friends_of_those_whom_contact_drives_away_go_too() -> None:
    effects = {"contact_log_hazard": 1.5, "contagion_log_hazard": 1.0}
    rules = quiet_world(effects, offers=(TENTH,))
    n = 6000
    pair = pair_of(
        rules, rules, twins(n, hazard=0.02), Planned({0: EMAIL}), 12, network=friends(n, 3)
    )
    for effect in ("direct", "spillover"):
        lift = pair.lift("alive", effect)
        assert lift.mean() < -LIMIT * lift.std() / np.sqrt(n), effect


def test_rivals_who_answer_are_no_part_of_the_direct_effect() -> None:
    rules = quiet_world(
        {"competitor_log_rate": -0.5, "offer_log_rate": KindEffects(discount=0.3)},
        offers=(TENTH,), competitor=CompetitorParameters(reaction=1.0),
    )  # fmt: skip
    n = 4000
    pair = pair_of(rules, rules, twins(n), Planned(dict.fromkeys(range(6), EMAIL)), 6)
    direct, spill = pair.lift("purchases", "direct"), pair.lift("purchases", "spillover")
    assert direct.mean() > LIMIT * direct.std() / np.sqrt(n)
    assert spill.mean() < -LIMIT * spill.std() / np.sqrt(n)


def test_asking_for_direct_effects_changes_no_digit_of_the_branches(world, population) -> None:
    """Rivals answer in the control only, so that their answer must not get into the other."""
    control = world._replace(competitor=CompetitorParameters(reaction=1.0))
    branches = [Branch("control", control, Planned(some_offers(80, 1))), Branch("treated", world)]
    runs = [
        run_branches(branches, population(80), KEY, WEEKS, direct=direct)
        for direct in ((), ("treated",))
    ]
    for without, asked in zip(*runs, strict=True):
        np.testing.assert_array_equal(without.totals.sums, asked.totals.sums)
        assert without.frame.equals(asked.frame)
    pair = paired(*runs[1][::-1])
    assert pair.lift("purchases", "spillover").sum() > 0  # nobody answers in the treated market


def test_values_of_actions_are_direct_effects(lively, population) -> None:
    """Friends who talk and leave are the same in every branch, as in a market without offers."""
    customers = population(50)
    customers.account["consent"] = 1
    LoyaltyMarket(lively, customers, KEY).advance(10)
    value, cost = branch_values(lively, customers, KEY, weeks=8, replicas=1, first_replica=5)
    start = customers.take(slice(None))
    start.state["replica"] = 5
    for action in (1, 13):
        pair = pair_of(lively, lively, start, Planned({10: np.full(50, action)}), 8)
        gain = pair.lift("profit", "direct") + pair.direct.settled - pair.control.settled
        np.testing.assert_allclose(value[:, action], gain, atol=1e-9)
        np.testing.assert_array_equal(cost[:, action], pair.direct.settled)
        assert pair.lift("profit", "spillover").any()
