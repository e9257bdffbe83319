"""Levers: what an action asks for, and that nothing it asks for is out of order."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.design.levers import Design, LeverParameters, Levers, even_split
from envs.task import default_world
from sim.programme import ProgrammeParameters, Reward, Tier
from sim.redesign import check_change

WORLD = default_world()
START = Design(WORLD.programme, 0.25, even_split(WORLD.book))
LEVERS = Levers(START, WORLD.book, LeverParameters())


def pull(**values: float) -> np.ndarray:
    action = np.zeros(LEVERS.n)
    for name, value in values.items():
        action[LEVERS.names.index(name)] = value
    return action


def test_the_levers_are_those_of_the_programme_and_its_offers() -> None:
    assert LEVERS.names == (
        "threshold_silver", "threshold_gold", "multiplier_silver", "multiplier_gold",
        "price_reward", "earn_rate", "budget", "split_discount", "split_points",
        "split_recognition",
    )  # fmt: skip


def test_action_zero_and_the_dead_band_change_nothing() -> None:
    assert LEVERS.move(np.zeros(LEVERS.n), START) == START
    assert LEVERS.move(np.full(LEVERS.n, 0.099), START) == START
    assert LEVERS.move(np.full(LEVERS.n, -0.1), START) != START


def test_one_is_a_step_up_and_minus_one_takes_it_back() -> None:
    up = LEVERS.move(pull(price_reward=1), START)
    assert up.programme.rewards[0].points_price == 625
    assert LEVERS.move(pull(price_reward=-1), up) == START
    dear = LEVERS.move(pull(budget=1), START)
    assert dear.weekly_budget == pytest.approx(0.3125)


def test_a_threshold_lever_moves_the_gap_and_so_all_tiers_above() -> None:
    tiers = LEVERS.move(pull(threshold_silver=1), START).programme.tiers
    assert [tier.threshold for tier in tiers] == [0, 2250, 4050]
    tiers = LEVERS.move(pull(multiplier_silver=1), START).programme.tiers
    assert [tier.multiplier for tier in tiers] == [1.0, 1.35, 1.6]


def test_the_split_is_one_in_all_and_follows_its_levers() -> None:
    split = LEVERS.move(pull(split_discount=1), START).split
    assert sum(split) == pytest.approx(1)
    assert split[0] == pytest.approx(1.25 / 3.25)


@given(st.lists(st.lists(st.floats(-1, 1), min_size=10, max_size=10), min_size=1, max_size=20))
def test_any_actions_keep_order_and_reach(actions) -> None:
    design = START
    for action in actions:
        design = LEVERS.move(action, design)  # ProgrammeParameters refuses what does not rise
        check_change(START.programme, design.programme)
    tiers = design.programme.tiers
    assert all(a.multiplier <= b.multiplier for a, b in itertools.pairwise(tiers))
    assert 125 <= design.programme.rewards[0].points_price <= 2000
    assert 0.25 <= design.programme.points_per_unit <= 4
    assert 450 <= tiers[1].threshold <= 7200
    assert sum(design.split) == pytest.approx(1)
    assert min(design.split) > 0


@pytest.mark.parametrize("action", [1.0, -1.0])
def test_the_ends_stay_valid_for_ever(action) -> None:
    design = START
    for _ in range(60):
        design = LEVERS.move(np.full(LEVERS.n, action), design)
    assert LEVERS.move(np.full(LEVERS.n, action), design) == design or action > 0


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(10, np.nan), "threshold_silver=nan"),
        (pull(earn_rate=1.01), "earn_rate=1.01"),
        (np.zeros(9), r"shape \(9,\)"),
    ],
)
def test_what_is_no_action_is_named(action, message) -> None:
    with pytest.raises(ValueError, match=message):
        LEVERS.move(action, START)


def test_what_a_programme_lacks_has_no_lever() -> None:
    stamps = ProgrammeParameters(
        "stamps",
        active=True,
        points_per_unit=0.0,
        points_per_purchase=1,
        redemption_weeks=1,
        rewards=(Reward("coffee", 10, 2.0, multiple=True),),
        tiers=(Tier("base", 0),),
    )
    levers = Levers(Design(stamps, 0.0, ()), WORLD.book, LeverParameters())
    assert levers.names == ()


@pytest.mark.parametrize(("name", "value"), [("step", -0.1), ("dead_band", 1.0), ("reach", 0.5)])
def test_lever_parameters_out_of_range_are_named(name, value) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}"):
        LeverParameters(**{name: value})
