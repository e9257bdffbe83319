"""A designer beside programmes that never change, and what each of its levers does."""

import dataclasses

import numpy as np
import pytest

from envs.design.environment import ProgrammeDesignEnv
from envs.design.task import DesignTask, draw_cohort
from envs.task import default_world
from policies.design.episodes import effect_of_levers, lift_of, profits_beside
from sim.programme import ProgrammeParameters

SEEDS = range(5, 8)


@pytest.fixture(scope="module")
def task():
    world = default_world()
    meaner = dataclasses.replace(world.programme, points_per_unit=0.5)
    return DesignTask(
        (world, world._replace(programme=meaner)), draw_cohort(150, 1), horizon=4, warmup=2,
        paired=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def names(task):
    return ProgrammeDesignEnv(task).levers.names


def moving(names, *levers):
    action = np.array([name in levers for name in names], np.float32)
    return lambda kpis: action


def test_a_designer_who_changes_nothing_has_no_lift_and_no_levers(task, names):
    assert (lift_of(task, moving(names), SEEDS) == 0.0).all()
    assert effect_of_levers(task, moving(names), SEEDS) == {}


def test_lift_needs_a_twin(task, names):
    alone = dataclasses.replace(task, paired=False)
    with pytest.raises(ValueError, match="twin"):
        lift_of(alone, moving(names), SEEDS)
    with pytest.raises(ValueError, match="twin"):
        effect_of_levers(alone, moving(names), SEEDS)


def test_a_lever_alone_is_the_whole_where_no_other_moves(task, names):
    act = moving(names, "earn_rate")
    effects = effect_of_levers(task, act, SEEDS)
    assert list(effects) == ["earn_rate"]
    np.testing.assert_array_equal(effects["earn_rate"], lift_of(task, act, SEEDS))
    assert (effects["earn_rate"] != 0).any()


def test_each_lever_is_tried_without_the_others(task, names):
    both = effect_of_levers(task, moving(names, "earn_rate", "price_reward"), SEEDS)
    assert set(both) == {"earn_rate", "price_reward"}
    for name, effect in both.items():
        np.testing.assert_array_equal(effect, lift_of(task, moving(names, name), SEEDS))


def test_a_lever_that_repeats_its_moves_has_them_in_their_quarters(task, names):
    quarters = []

    def late(kpis):
        quarters.append(1)
        moves = len(quarters) % task.horizon == 0  # in each episode's last quarter only
        return moving(names, *(["earn_rate"] if moves else []))(kpis)

    effects = effect_of_levers(task, late, SEEDS)
    early = lift_of(task, moving(names, "earn_rate"), SEEDS)
    assert not np.array_equal(effects["earn_rate"], early)


def test_profits_beside_are_those_of_the_environment(task, names):
    """Two routes: the environment's quarters, and the market by itself."""
    env = ProgrammeDesignEnv(dataclasses.replace(task, paired=False))
    expected = np.zeros((2, len(SEEDS)))
    for at, seed in enumerate(SEEDS):
        env.reset(seed=seed)
        for _ in range(task.horizon):
            expected[env.world, at] += env.step(moving(names)(None))[1]
    lived = (expected != 0).argmax(0)
    assert set(lived) == {0, 1}, "give seeds that see both worlds"
    terms = {str(at): world.programme for at, world in enumerate(task.worlds)}
    found = profits_beside(task, terms | {"nothing": ProgrammeParameters()}, SEEDS)
    for at, world in enumerate(lived):
        assert found[str(world)][at] == pytest.approx(expected[world, at])
        assert found[str(1 - world)][at] != pytest.approx(expected[world, at])
    assert (found["nothing"] != found["0"]).all()
