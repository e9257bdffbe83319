"""Levers: what an action asks for, and that nothing it asks for is out of order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.design.levers import Design, LeverParameters, Levers, even_split
from envs.task import default_world
from sim.goalposts import Goalposts
from sim.notices import Notices
from sim.programme import ProgrammeParameters, Reward, Tier
from sim.redesign import better_of, check_change

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
    assert LEVERS.move(np.zeros(LEVERS.n), START) == (START, {})
    assert LEVERS.move(np.full(LEVERS.n, 0.099), START).design == START
    assert LEVERS.move(np.full(LEVERS.n, -0.1), START).design != START


def test_one_is_a_step_up_and_minus_one_takes_it_back() -> None:
    up = LEVERS.move(pull(price_reward=1), START).design
    assert up.programme.rewards[0].points_price == 625
    assert LEVERS.move(pull(price_reward=-1), up).design == START
    dear = LEVERS.move(pull(budget=1), START).design
    assert dear.weekly_budget == pytest.approx(0.3125)


def test_a_threshold_lever_moves_the_gap_and_so_all_tiers_above() -> None:
    tiers = LEVERS.move(pull(threshold_silver=1), START).design.programme.tiers
    assert [tier.threshold for tier in tiers] == [0, 2250, 4050]
    tiers = LEVERS.move(pull(multiplier_silver=1), START).design.programme.tiers
    assert [tier.multiplier for tier in tiers] == [1.0, 1.35, 1.6]


def test_the_split_is_one_in_all_and_follows_its_levers() -> None:
    split = LEVERS.move(pull(split_discount=1), START).design.split
    assert sum(split) == pytest.approx(1)
    assert split[0] == pytest.approx(1.25 / 3.25)


@given(st.lists(st.lists(st.floats(-1, 1), min_size=10, max_size=10), min_size=1, max_size=20))
def test_any_actions_keep_order_and_reach(actions) -> None:
    design = START
    for action in actions:
        design = LEVERS.move(
            action, design
        ).design  # ProgrammeParameters refuses what does not rise
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
        design = LEVERS.move(np.full(LEVERS.n, action), design).design
    assert LEVERS.move(np.full(LEVERS.n, action), design).design == design or action > 0


GENEROUS = Design(
    replace(
        WORLD.programme,
        points_per_unit=50.0,
        tiers=(Tier("base", 0), Tier("silver", 1800, 1.25), Tier("gold", 3600, 1.9)),
    ),
    0.25,
    even_split(WORLD.book),
)


def test_points_per_unit_are_clamped_beside_every_term_that_stands_and_the_reason_is_told() -> None:
    levers = Levers(GENEROUS, WORLD.book, LeverParameters())
    lower = levers.move(pull(earn_rate=-1), GENEROUS).design
    assert lower.programme.points_per_unit == 40
    # With the rate of today a higher multiplier would be 50 x 2.1.
    moved = levers.move(pull(multiplier_gold=1, multiplier_silver=1), lower, (GENEROUS.programme,))
    assert [tier.multiplier for tier in moved.design.programme.tiers] == [1.0, 1.35, 2.0]
    assert set(moved.clamped) == {"multiplier_gold"}
    assert "100 points per unit" in moved.clamped["multiplier_gold"]
    better_of(GENEROUS.programme, moved.design.programme)
    with pytest.raises(ValueError, match="points_per_unit x multiplier"):
        better_of(
            GENEROUS.programme,
            levers.move(pull(multiplier_gold=1, multiplier_silver=1), lower).design.programme,
        )
    # And with the multipliers of today a higher rate.
    fewer = levers.move(pull(multiplier_gold=-1), GENEROUS).design
    moved = levers.move(pull(earn_rate=1), fewer, (GENEROUS.programme,))
    assert moved.design.programme.points_per_unit == pytest.approx(100 / 1.9, abs=0.001)
    assert set(moved.clamped) == {"earn_rate"}


@given(
    st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=10, max_size=10),
        min_size=1,
        max_size=20,
    )
)
def test_any_actions_keep_points_per_unit_within_bounds_while_changes_wait(actions) -> None:
    levers = Levers(GENEROUS, WORLD.book, LeverParameters())
    notices = Notices(GENEROUS.programme, Goalposts())
    design = GENEROUS
    for quarter, action in enumerate(actions):
        notices.due(13 * quarter)
        standing = (notices.in_force, *(notice.programme for notice in notices.pending))
        before = design._replace(programme=notices.latest)
        design = levers.move(action, before, standing).design
        notices.announce(design.programme, 13 * quarter)  # raises where terms do not fit


def test_the_dearest_point_is_that_of_the_lowest_price_within_reach() -> None:
    now = START.programme.point_cost
    assert LEVERS.dearest_points(START, (START.programme,), 1) == pytest.approx([now, 1.25 * now])
    up = LEVERS.move(pull(price_reward=1), START).design
    assert LEVERS.dearest_points(up, (START.programme,), 0) == [now]
    assert LEVERS.dearest_points(START, (), 60)[-1] == pytest.approx(4 * now)


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
