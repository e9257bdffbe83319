"""A designer beside programmes that never change, and what each of its levers does."""

import dataclasses

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.task import DesignTask, draw_cohort
from envs.task import default_world
from policies.design.episodes import play, play_levers_alone, profits_beside
from sim.goalposts import Goalposts
from sim.ledger import points_outstanding
from sim.market import LoyaltyMarket
from sim.programme import ProgrammeParameters

SEED = 5


@pytest.fixture(scope="module")
def task():
    world = default_world()
    meaner = dataclasses.replace(world.programme, points_per_unit=0.5)
    return DesignTask(
        (world, world._replace(programme=meaner)), draw_cohort(150, 1), horizon=4, warmup=2,
        paired=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def env(task):
    return ProgrammeDesignEnv(task)


def moving(env, *levers, quarters=range(99)):
    """A designer who moves levers up, in some quarters."""
    action = np.array([name in levers for name in env.levers.names], np.float32)
    at = iter(range(99))
    return lambda kpis: action if next(at) in quarters else np.zeros_like(action)


def test_a_designer_who_changes_nothing_has_no_lift_and_no_levers(env):
    played = play(env, moving(env), SEED)
    assert (played.lift, played.released) == (0.0, 0.0)
    assert play_levers_alone(env, played, SEED) == {}


def test_lift_needs_a_twin(task):
    alone = ProgrammeDesignEnv(dataclasses.replace(task, paired=False))
    with pytest.raises(ValueError, match="twin"):
        play(alone, moving(alone), SEED)


def test_a_lever_alone_is_the_whole_where_no_other_moves(env):
    played = play(env, moving(env, "earn_rate"), SEED)
    (alone,) = play_levers_alone(env, played, SEED).items()
    assert (alone[0], alone[1].lift) == ("earn_rate", played.lift)
    assert played.lift != 0


def test_each_lever_is_tried_without_the_others(env):
    both = play(env, moving(env, "earn_rate", "price_reward"), SEED)
    alone = play_levers_alone(env, both, SEED)
    assert set(alone) == {"earn_rate", "price_reward"}
    for name, one in alone.items():
        assert one.lift == play(env, moving(env, name), SEED).lift
    assert alone["earn_rate"].released == 0 < alone["price_reward"].released


def test_a_lever_that_repeats_its_moves_has_them_in_their_quarters(env, task):
    late = play(env, moving(env, "earn_rate", quarters=[task.horizon - 1]), SEED)
    alone = play_levers_alone(env, late, SEED)["earn_rate"]
    assert alone.lift == late.lift != play(env, moving(env, "earn_rate"), SEED).lift


def test_what_is_released_is_what_points_lose_in_worth_less_what_is_kept(task):
    """By the books around one change, here, and as an episode adds it up."""
    env = ProgrammeDesignEnv(task)
    released = play(env, moving(env, "price_reward", quarters=[0]), SEED).released
    env.reset(seed=SEED)
    start = env.running.market
    dearer = env.levers.move(
        moving(env, "price_reward")(None), env.running.design, env.running.standing
    ).design.programme
    market = LoyaltyMarket(start.world, start.customers, start.engine.key)
    market.advance(13)
    before, points = market.ledger.liability_per_point, points_outstanding(market.customers)
    market.change_programme(dearer, Goalposts())
    lost = points * (before - market.ledger.liability_per_point) - market.ledger.kept_liability
    assert market.ledger.kept_liability > 0
    assert released == pytest.approx(lost / 1e8 / market.customers.n)
    assert released > 0


def test_a_change_that_holds_after_the_last_quarter_releases_nothing_yet(env, task):
    late = play(env, moving(env, "price_reward", quarters=[task.horizon - 1]), SEED)
    assert (late.lift, late.released) == (0.0, 0.0)


def test_cheaper_rewards_release_less_than_nothing(env):
    cheaper = moving(env, "price_reward")
    assert play(env, lambda kpis: -cheaper(kpis), SEED).released < 0


def test_profits_beside_are_those_of_the_environment_and_its_warm_up(task):
    """Two routes: the environment's quarters after its warm-up, and the market by itself."""
    env = ProgrammeDesignEnv(dataclasses.replace(task, paired=False))
    terms = {str(at): world.programme for at, world in enumerate(task.worlds)}
    seen = set()
    for seed in range(5, 8):
        env.reset(seed=seed)
        own, still = env.world, moving(env)
        seen.add(own)
        expected = sum(env.step(still(None))[1] for _ in range(task.horizon))
        running = task.run(own, task.cohort.take(slice(None)), derive_seed(0, "train"))
        expected += sum(running.live().profit for _ in range(task.warmup)) / 1e2 / task.cohort.n
        found = profits_beside(env, terms | {"nothing": ProgrammeParameters()}, seed)
        assert found[str(own)] == pytest.approx(expected)
        assert found[str(1 - own)] != pytest.approx(expected)
        assert found["nothing"] != found["0"]
    assert seen == {0, 1}, "give seeds that see both worlds"


def test_what_a_warm_up_owed_is_no_gain_of_dearer_rewards_later(task):
    """Where nothing moves anybody and nobody redeems, only what is owed at the end counts: a price
    that is raised owes what one that was always high owes, and what members keep.
    """
    world = default_world()
    response = dataclasses.replace(world.response.without(), off=("offers", "goal_gradient"))
    far = dataclasses.replace(
        world.programme,
        rewards=tuple(dataclasses.replace(r, points_price=10**5) for r in world.programme.rewards),
    )
    still = dataclasses.replace(
        task, worlds=(world._replace(response=response, programme=far),), warmup=2
    )
    env = ProgrammeDesignEnv(still)
    played = play(env, moving(env, "price_reward", quarters=[0]), SEED)
    dearer = env.running.market.world.programme
    profits = profits_beside(env, {"far": far, "dearer": dearer}, SEED)
    assert played.released > 0
    assert profits["far"] + played.lift == pytest.approx(profits["dearer"])
