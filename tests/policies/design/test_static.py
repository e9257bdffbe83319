"""Static designs: levers move what they say, and a search finds what pays."""

import dataclasses

import numpy as np
import pytest

from agents.population import GROCERY, draw_population
from agents.rng import derive_seed
from envs.task import default_world
from policies.design.static import (
    SearchParameters,
    compare,
    designed,
    effect_of_rules,
    levers_of,
    search,
)
from sim.programme import Reward

KEY = derive_seed(3, "plan")


@pytest.fixture(scope="module")
def world():
    """Nothing moves anybody, so a programme only costs."""
    neutral = default_world()
    programme = dataclasses.replace(
        neutral.programme, rewards=(Reward("item", points_price=500, unit_cost=5.0),)
    )
    return neutral._replace(
        response=dataclasses.replace(neutral.response.without(), off=("offers", "goal_gradient")),
        programme=programme,
    )


@pytest.fixture(scope="module")
def customers():
    found = draw_population(GROCERY, 300, derive_seed(3, "population"))
    found.account["enrolled"] = 1
    return found


def test_a_lever_at_its_end_is_four_times_or_a_fourth(world):
    preset = world.programme
    dearer = designed(preset, {"price_item": 1.0})
    cheaper = designed(preset, {"price_item": -1.0})
    assert [p.rewards[0].points_price for p in (dearer, cheaper)] == [2000, 125]
    assert dearer.tiers == preset.tiers
    assert designed(preset, {}) == preset


def test_an_unknown_lever_is_refused_by_name(world):
    with pytest.raises(ValueError, match="height"):
        designed(world.programme, {"height": 1.0})


def test_every_lever_moves_the_programme(world):
    for name in levers_of(world.programme).names:
        assert designed(world.programme, {name: 0.5}) != world.programme, name


def test_no_programme_brings_exactly_nothing_above_none(world, customers):
    idle = dataclasses.replace(world.programme, active=False)
    gain = compare(world, {"idle": idle}, customers, KEY, 26)["idle"]
    assert gain == (0.0, 0.0, 0.0)


def test_where_nothing_moves_anybody_the_search_makes_the_programme_mean(world, customers):
    presets = {"tiered": world.programme}
    still = compare(world, presets, customers, KEY, 52)["tiered"].mean
    assert still < 0
    found = search((world,), presets, customers, KEY, SearchParameters(25, 52), seed=1)
    assert len(found.history) == 25
    assert found.history[0]["moves"] == {}
    assert found.history[0]["gain"] == pytest.approx(still)
    assert still < found.gain < 0
    worth = found.programme.points_per_unit / found.programme.rewards[0].points_price
    assert worth < world.programme.points_per_unit / world.programme.rewards[0].points_price


def test_an_interrupted_search_goes_on(world, customers, tmp_path):
    presets = {"tiered": world.programme}
    journal = tmp_path / "trials.log"
    first = search((world,), presets, customers, KEY, SearchParameters(3, 13), 1, journal)
    again = search((world,), presets, customers, KEY, SearchParameters(5, 13), 1, journal)
    assert again.history[:3] == first.history
    assert len(again.history) == 5


def test_the_same_seed_finds_the_same_design(world, customers):
    presets = {"tiered": world.programme}
    one, two = (
        search((world,), presets, customers, KEY, SearchParameters(12, 13), seed=4)
        for _ in range(2)
    )
    assert one == two


def test_the_effect_of_a_rule_is_that_of_the_rule_alone(world, customers):
    moves = {"price_item": 1.0, "multiplier_gold": -0.5}
    effects = effect_of_rules(world, world.programme, moves, customers, KEY, 52)
    alone = designed(world.programme, {"price_item": 1.0})
    both = compare(world, {"alone": alone, "tiered": world.programme}, customers, KEY, 52)
    assert effects["price_item"].mean == pytest.approx(both["alone"].mean - both["tiered"].mean)
    assert list(effects) == list(moves)
    assert np.isfinite(effects["multiplier_gold"].low)
