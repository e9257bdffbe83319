"""The compiled week of the environment is, bit for bit, the engine, the features and the masks."""

import copy
import dataclasses

import numba
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.profile import residual_value
from agents.records import OUTCOME
from envs import step
from envs.constraints.masks import blocking
from envs.constraints.parameters import ConstraintParameters, ContactCap, OfferBudget
from envs.features import VALUE_WEEKS, observe
from envs.offers import OfferVectorEnv
from sim.engine import Engine
from sim.ledger import MICRO, cash_cost, profit


def lived(env, customers, actions):
    """The cohort after a week, by ``Engine``, world by world."""
    after = customers._replace(outcome=np.zeros(customers.n, OUTCOME)).take(slice(None))
    for at, world in enumerate(env.task.worlds):
        rows = np.flatnonzero(env.episodes.world == at)
        part = after.take(rows)
        Engine(part, world.rules(), env.episodes.key).advance(actions[rows])
        after.put(rows, part)
    return after


def money(cohort):
    outcome = cohort.outcome
    return profit(outcome["margin"], cash_cost(outcome), outcome["liability_change"]) / 100.0


def slow_step(env, actions):
    """A week without restarts by the parts that every other run uses."""
    env = copy.deepcopy(env)
    ids = env.customers.state["replica"].astype(np.uint64)
    executed = env._shared.within(actions, env._blocked, ids, env._weeks)
    own = lived(env, env.customers, executed)
    reward = money(own)
    closed = own.account["closed"] > 0
    if env.task.paired:
        twins = lived(
            env, env.episodes.twins._replace(traits=env.customers.traits), np.zeros_like(actions)
        )
        reward = reward - money(twins)
        closed &= twins.account["closed"] > 0
    weeks = own.state["week"].astype(np.int64)
    late = weeks - env.episodes.first_week[env.episodes.world] >= env.task.horizon
    budget = env.task.constraints.offer_budget
    held = int(own.account["commitment"].sum(dtype=np.int64))
    settled = int(env.episodes.settled.sum() + own.outcome["settled"].sum())
    limit = budget.reservable(own.n, settled)
    left = budget.free_share(own.n, None if limit is None else max(0, limit - held))
    observation = np.empty((own.n, env.single_observation_space.shape[0]), np.float32)
    residual = np.zeros(own.n)
    for at, world in enumerate(env.task.worlds):
        rows, rules = np.flatnonzero(env.episodes.world == at), world.rules()
        observation[rows] = observe(
            own.profile[rows], weeks[rows], rules, left, env._shared._refused
        )
        for row in rows[(closed | late)[rows]]:
            residual[row] = residual_value(
                own.profile[row], rules["filter"][0], rules["margin_share"][0] / 10_000, VALUE_WEEKS
            )
    outcome = own.outcome
    return {
        "observation": observation,
        "reward": reward,
        "terminated": closed,
        "truncated": late & ~closed,
        "mask": blocking(own.account, own.profile, env.table, env._shared.record) == 0,
        "executed": executed,
        "residual": residual / 100.0,
        "offer_budget": outcome["settled"] / 100.0,
        "contact_cap": (outcome["action"] > 0).astype(float),
        "discount_exposure": outcome["discount"] / 100.0,
        "liability_alarm": outcome["liability_change"] / MICRO / 100.0,
    }


def fast_step(env, actions):
    observation, reward, terminated, truncated, info = env.step(actions)
    return {
        "observation": observation,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "mask": info["action_mask"],
        "executed": info["executed"],
        "residual": info["residual_value"],
        **info["costs"],
    }


BUDGET = ConstraintParameters(OfferBudget(30.0, total_weeks=4.0), ContactCap(4, 8))


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("which", ["short", "varied", "budget"])
def test_a_week_has_the_bits_of_the_slow_route(which, paired, request, any_allowed):
    task = request.getfixturevalue("short" if which == "budget" else which)
    task = dataclasses.replace(task, paired=paired)
    if which == "budget":
        task = dataclasses.replace(task, constraints=BUDGET)
    env = OfferVectorEnv(150, task, AutoresetMode.DISABLED)
    _, info = env.reset(seed=1)
    rng = np.random.default_rng(0)
    ends, refused = 0, 0.0
    for _ in range(20):
        actions = any_allowed(info["action_mask"], rng)
        actions[:5] = env.table.n - 1  # allowed or not
        expected = slow_step(env, actions)
        found = fast_step(env, actions)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name, strict=True)
        info = {"action_mask": found["mask"]}
        ended = found["terminated"] | found["truncated"]
        ends += int(ended.sum())
        refused = max(refused, env._shared._refused)
        if ended.any():
            _, info = env.reset(options={"reset_mask": ended})
    assert ends > 150
    assert (refused > 0) == (which == "budget")


def test_threads_and_chunks_change_no_bit(short, any_allowed, monkeypatch):
    def run(parallel_from, threads):
        monkeypatch.setattr(step, "PARALLEL_FROM", parallel_from)
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            env = OfferVectorEnv(700, dataclasses.replace(short, paired=True), "SameStep")
            _, info = env.reset(seed=2)
            rng, seen = np.random.default_rng(0), []
            for _ in range(12):
                observation, reward, *_, info = env.step(any_allowed(info["action_mask"], rng))
                seen.append(np.column_stack([observation, reward]))
        finally:
            numba.set_num_threads(before)
        return np.stack(seen)

    alone = run(10**9, 1)
    together = run(1, numba.config.NUMBA_NUM_THREADS)
    np.testing.assert_array_equal(alone, together)


def test_what_is_returned_is_never_written_again(short, any_allowed):
    env = OfferVectorEnv(50, short, "SameStep")
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(20):
        out = env.step(any_allowed(info["action_mask"], rng))
        info = out[-1]
        arrays = [*out[:-1], info["action_mask"], info["executed"], info["residual_value"]]
        arrays += list(info["costs"].values())
        kept.append((arrays, copy.deepcopy(arrays)))
    for arrays, copies in kept:
        for array, before in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(array, before)
