"""Domain randomisation: worlds and pools by seed and episode, never told, fixed on request."""

import dataclasses

import numpy as np
import pytest

from agents.population import GROCERY, filter_from
from envs.constraints.parameters import ConstraintParameters, OfferBudget
from envs.offers import OfferVectorEnv
from envs.task import OfferTask, starts
from sim.engine import Engine
from sim.offers import OfferBook


def worlds_of(env, seed, episodes=4):
    env.reset(seed=seed)
    seen = [env.episodes.world.copy()]
    for _ in range(episodes * env.task.horizon):
        env.step(np.zeros(env.num_envs, int))
    seen.append(env.episodes.world.copy())
    return np.stack(seen)


def test_every_episode_draws_a_world_by_seed_row_and_episode(varied):
    env = OfferVectorEnv(300, varied, "SameStep")
    first, again, other = (worlds_of(env, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()
    # 300 draws of three worlds: 5 standard deviations are a false alarm in a million.
    for drawn in first:
        assert abs(np.bincount(drawn, minlength=3) - 100).max() < 5 * np.sqrt(300 * 2 / 9)


def test_an_episode_starts_from_the_pool_of_its_world_and_lives_by_its_rules(varied):
    env = OfferVectorEnv(120, varied, "SameStep")
    env.reset(seed=0)
    for at, pool in enumerate(varied.pools):
        rows = env.episodes.world == at
        assert rows.any()
        assert set(env.customers.traits["id"][rows]) <= set(pool.traits["id"][starts(pool)])
        assert (env.customers.state["week"][rows] == pool.state["week"][0]).all()


def test_no_key_of_info_tells_the_world(varied, any_allowed):
    env = OfferVectorEnv(40, varied, "SameStep")
    _, info = env.reset(seed=0)
    rng, keys = np.random.default_rng(0), set(info)
    for _ in range(20):
        *_, info = env.step(any_allowed(info["action_mask"], rng))
        keys |= set(info)
    assert keys == {
        "action_mask", "executed", "cost", "costs", "residual_value",
        "final_obs", "_final_obs", "final_info", "_final_info",
    }  # fmt: skip


def test_evaluation_fixes_the_world_by_option_or_by_task(varied):
    env = OfferVectorEnv(50, varied, "SameStep")
    env.reset(seed=0, options={"world": 2})
    for _ in range(3 * varied.horizon):
        env.step(np.zeros(50, int))
        assert (env.episodes.world == 2).all()
    env.reset(seed=0)
    assert len(set(env.episodes.world)) == 3
    alone = varied.in_world(1)
    assert alone.worlds == varied.worlds[1:2]
    assert alone.pools == (varied.pools[1],)
    with pytest.raises(ValueError, match=r"world'\]=3 must be a number in 0\.\.2"):
        env.reset(options={"world": 3})


def test_a_shared_pool_serves_every_world(short, world):
    louder = world._replace(response=dataclasses.replace(world.response, goal_gradient=1.5))
    task = dataclasses.replace(short, worlds=(world, louder))
    env = OfferVectorEnv(60, task, "SameStep")
    env.reset(seed=0)
    assert set(env.episodes.world) == {0, 1}


def test_worlds_that_a_firm_could_tell_apart_are_refused(short, world):
    def refused(message, **changes):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(short, worlds=(world, world._replace(**changes)))

    fewer = OfferBook("fewer", world.book.offers[:2], channels=world.book.channels)
    refused(r"worlds\[1\] has actions \('nothing', ", book=fewer)
    calm = tuple(dataclasses.replace(offer, pressure=False) for offer in world.book.offers)
    refused("differ in pressure", book=dataclasses.replace(world.book, offers=calm))
    refused(r"worlds\[1\]\.filter", filter=dataclasses.replace(filter_from(GROCERY), keep=0.9))
    refused("another programme", programme=dataclasses.replace(world.programme, welcome_points=1))


def test_offers_cost_the_same_in_every_world(short, world):
    dearer = dataclasses.replace(world.book.offers[0], cap=9.0)
    book = dataclasses.replace(world.book, offers=(dearer, *world.book.offers[1:]))
    worlds = (world, world._replace(book=book))
    with pytest.raises(ValueError, match="offers differ in cap"):
        dataclasses.replace(
            short, worlds=worlds, constraints=ConstraintParameters(OfferBudget(50.0))
        )


def test_bad_tasks_are_named(short, world):
    closed = short.pool.take(slice(None))
    closed.account["closed"] = 1
    for arguments, message in (
        (((), short.pool), "worlds is empty"),
        (((world,), closed), "pool 0 has no customer"),
        (((world,), (short.pool, short.pool)), "2 pools for 1 worlds"),
    ):
        with pytest.raises(ValueError, match=message):
            OfferTask(*arguments)
    with pytest.raises(ValueError, match="horizon=0"):
        OfferTask((world,), short.pool, horizon=0)


def test_prospects_and_closed_accounts_start_no_episode(world, population):
    pool = population(200, prospects=0.5)
    Engine(pool, world.rules(), np.uint64(0)).run(4)
    pool.account["closed"][:20] = 1
    env = OfferVectorEnv(400, OfferTask((world,), pool))
    env.reset(seed=0)
    assert (env.customers.account["closed"] == 0).all()
    assert (env.customers.profile["joined"] >= 0).all()
