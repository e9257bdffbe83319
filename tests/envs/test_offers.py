"""The offer environments keep Gymnasium's and SB3's contracts, and their own."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs
from envs.constraints.parameters import ConstraintParameters, ContactCap, OfferBudget
from envs.features import HIGH, LOW
from envs.offers import OfferVectorEnv
from envs.sb3 import OfferVecEnv
from envs.single_offer import OfferEnv

ID = "loyaltylab/Offers-v0"


def random_allowed(mask, rng):
    return np.array([rng.choice(np.flatnonzero(row)) for row in mask])


def rollout(env, seed, weeks=50):
    observation, info = env.reset(seed=seed)
    rng = np.random.default_rng(0)
    seen = [observation.copy()]
    for _ in range(weeks):
        action = random_allowed(info["action_mask"], rng)
        observation, reward, terminated, truncated, info = env.step(action)
        seen.append(np.column_stack([observation, reward, terminated, truncated]))
    return seen


def test_a_registered_id_makes_one_and_many():
    assert envs.register is not None
    single = gym.make(ID)
    many = gym.make_vec(ID, num_envs=3)
    assert isinstance(single.unwrapped, OfferEnv)
    assert isinstance(many.unwrapped, OfferVectorEnv)
    assert single.observation_space == many.single_observation_space
    observation, _ = many.reset(seed=0)
    assert observation.shape == (3, single.observation_space.shape[0])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_seed_fixes_every_element_of_a_trajectory(task, mode):
    first = rollout(OfferVectorEnv(40, task, mode), seed=3)
    again = rollout(OfferVectorEnv(40, task, mode), seed=3)
    other = rollout(OfferVectorEnv(40, task, mode), seed=4)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


def test_a_single_customer_is_the_first_row_of_many(task):
    single, many = OfferEnv(task), OfferVectorEnv(1, task, AutoresetMode.DISABLED)
    one, _ = single.reset(seed=9)
    all_rows, _ = many.reset(seed=9)
    np.testing.assert_array_equal(one, all_rows[0])
    for action in (0, 1, 0, 2):
        one, reward, *_ = single.step(action)
        all_rows, rewards, *_ = many.step(np.array([action]))
        np.testing.assert_array_equal(one, all_rows[0])
        assert reward == rewards[0]


def test_observations_stay_within_the_declared_ranges_and_finite(task):
    for seen in rollout(OfferVectorEnv(60, task), seed=1, weeks=60)[1:]:
        observation = seen[:, : LOW.size]
        assert np.isfinite(seen).all()
        assert (observation >= LOW).all()
        assert (observation <= HIGH).all()


def test_a_silently_dead_customer_stays_and_a_closed_account_ends(task):
    silent = dataclasses.replace(task, pool=task.pool.take(slice(None)), horizon=30)
    silent.pool.state["alive"] = 0
    env = OfferVectorEnv(50, silent)
    env.reset(seed=0)
    for week in range(30):
        _, _, terminated, truncated, _ = env.step(np.zeros(50, int))
        assert not terminated.any()
        assert truncated.all() == (week == 29)

    mortal = dataclasses.replace(task, pool=task.pool.take(slice(None)))
    mortal.pool.traits["hazard"] = 0.5
    env = OfferVectorEnv(50, mortal)
    env.reset(seed=0)
    ends = 0
    for _ in range(15):
        _, _, terminated, _, _ = env.step(np.zeros(50, int))
        ends += int(terminated.sum())
        if terminated.any():
            assert (env.customers.account["closed"][terminated] == 1).all()
    assert ends > 0


def test_same_step_reset_hands_over_the_final_observation(task):
    env = OfferVectorEnv(10, task, AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    for _ in range(task.horizon):
        observation, _, terminated, truncated, info = env.step(np.zeros(10, int))
    done = terminated | truncated
    assert truncated.any()
    np.testing.assert_array_equal(info["_final_obs"], done)
    row = int(np.flatnonzero(truncated)[0])
    assert (info["final_obs"][row] != observation[row]).any()
    assert info["residual_value"][row] >= 0


def test_next_step_reset_ignores_the_action_and_gives_no_reward(task):
    env = OfferVectorEnv(10, task, AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    for _ in range(task.horizon):
        _, _, terminated, truncated, _ = env.step(np.zeros(10, int))
    ended = terminated | truncated
    _, reward, terminated, truncated, info = env.step(np.full(10, 1))
    assert (reward[ended] == 0).all()
    assert (info["executed"][ended] == 0).all()
    assert not (terminated | truncated)[ended].any()


def test_stepping_an_ended_episode_without_reset_is_refused(task):
    env = OfferEnv(task)
    env.reset(seed=0)
    for _ in range(task.horizon):
        _, _, terminated, truncated, _ = env.step(0)
        if terminated or truncated:
            break
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)


def test_masked_actions_are_replaced_by_nothing(task):
    env = OfferVectorEnv(200, task)
    _, info = env.reset(seed=2)
    action = np.argmin(info["action_mask"], axis=1)
    forbidden = action > 0
    _, _, _, _, info = env.step(action)
    assert forbidden.any()
    assert (info["executed"][forbidden] == 0).all()


def test_the_shared_budget_is_never_exceeded_by_what_is_open(task):
    budget = OfferBudget(weekly_per_customer=20.0)
    bounded = dataclasses.replace(task, constraints=ConstraintParameters(budget, ContactCap(8, 8)))
    env = OfferVectorEnv(300, bounded)
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(1)
    used = []
    for _ in range(15):
        before = env.customers.account["commitment"].astype(np.int64).sum()
        _, _, _, _, info = env.step(random_allowed(info["action_mask"], rng))
        new = env.table.commitment[info["executed"]].sum()
        used.append((before + new) / budget.weekly_limit(300))
    assert max(used) <= 1
    assert max(used) > 0.5


def test_a_paired_reward_is_zero_where_nothing_is_offered(task):
    env = OfferVectorEnv(100, dataclasses.replace(task, paired=True))
    _, info = env.reset(seed=0)
    for _ in range(10):
        _, reward, _, _, info = env.step(np.zeros(100, int))
        assert (reward == 0).all()
    _, reward, _, _, info = env.step(random_allowed(info["action_mask"], np.random.default_rng(0)))
    assert (reward != 0).any()


def test_sb3_sees_masks_terminal_observations_and_truncation(task):
    env = OfferVecEnv(12, task)
    env.seed(3)
    env.reset()
    assert env.has_attr("action_masks")
    assert np.stack(env.env_method("action_masks")).shape == (1, 12, env.action_space.n)
    for _ in range(task.horizon):
        env.step_async(np.zeros(12, int))
        observation, _, done, infos = env.step_wait()
    row = int(np.flatnonzero(done)[0])
    assert infos[row]["TimeLimit.truncated"] in (True, False)
    assert infos[row]["terminal_observation"].shape == observation[row].shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"num_envs": 0}, "num_envs=0"), ({"num_envs": 1, "render_mode": "human"}, "render_mode")],
)
def test_bad_arguments_are_named(task, arguments, message):
    with pytest.raises(ValueError, match=message):
        OfferVectorEnv(task=task, **arguments)


def test_actions_outside_the_table_are_refused(task):
    env = OfferVectorEnv(4, task)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"0\.\."):
        env.step(np.full(4, env.table.n))


def test_a_paired_episode_ends_early_only_when_both_have_closed(task, world):
    hated = world._replace(
        response=dataclasses.replace(world.response, fatigue_log_hazard=2.0, fatigue_weeks=52.0),
        dynamics=dataclasses.replace(world.dynamics, close_account_probability=1.0),
    )
    env = OfferVectorEnv(
        300,
        dataclasses.replace(
            task, worlds=(hated,), paired=True, constraints=ConstraintParameters(contact_cap=None)
        ),
    )
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    only_treated = 0
    for _ in range(task.horizon - 1):
        _, _, terminated, _, info = env.step(random_allowed(info["action_mask"], rng))
        closed = env.customers.account["closed"] > 0
        twin = env.episodes.twins.account["closed"] > 0
        np.testing.assert_array_equal(terminated, closed & twin)
        only_treated += int((closed & ~twin).sum())
    assert only_treated > 0


def test_a_total_budget_counts_running_episodes_only(task):
    budget = OfferBudget(weekly_per_customer=50.0, total_weeks=2.0)
    bounded = dataclasses.replace(task, constraints=ConstraintParameters(budget), horizon=8)
    env = OfferVectorEnv(200, bounded, AutoresetMode.SAME_STEP)
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(1)
    paid = []
    for _ in range(32):
        _, _, _, _, info = env.step(random_allowed(info["action_mask"], rng))
        paid.append(int((env.table.commitment[info["executed"]] > 100).sum()))
    assert sum(paid[24:]) > 0.5 * sum(paid[:8])


def test_a_misspelt_argument_is_refused(task):
    with pytest.raises(TypeError, match="tsk"):
        OfferVectorEnv(2, tsk=task)


def test_sb3_gets_the_terminal_value_in_one_call_and_is_not_told_of_the_truncation(task):
    plain, batched = OfferVecEnv(12, task), OfferVecEnv(12, task)
    calls = []

    def value(last):
        calls.append(last)
        return last[:, 0] + 1.0

    batched.terminal_value = value
    for env in (plain, batched):
        env.seed(3)
        env.reset()
    for _ in range(task.horizon):
        _, reward, _, infos = plain.step(np.zeros(12, int))
        _, more, done, silent = batched.step(np.zeros(12, int))
    told = np.array([info.get("TimeLimit.truncated", False) for info in infos])
    assert told.any()
    assert not any(silent[row]["TimeLimit.truncated"] for row in np.flatnonzero(done))
    (last,) = calls
    np.testing.assert_array_equal(
        last, np.stack([infos[row]["terminal_observation"] for row in np.flatnonzero(told)])
    )
    np.testing.assert_array_equal(more[~told], reward[~told])
    np.testing.assert_array_equal(more[told], reward[told] + last[:, 0] + 1.0)
    np.testing.assert_array_equal(batched.week_reward, plain.week_reward)


def test_a_shared_budget_binds_from_the_first_reset_on(task):
    limited = dataclasses.replace(
        task, constraints=ConstraintParameters(OfferBudget(weekly_per_customer=20.0))
    )
    env = OfferVectorEnv(40, limited, AutoresetMode.DISABLED)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(40, np.int64))
    for half in (np.arange(40) < 20, np.arange(40) >= 20):
        env.reset(options={"reset_mask": half})
    for _ in range(12):
        score = np.where(env.action_masks(), env.table.commitment, -1)
        *_, terminated, truncated, _ = env.step(score.argmax(axis=1))
        assert env.customers.account["commitment"].sum() <= 40 * 20
        if (ended := terminated | truncated).any():
            env.reset(options={"reset_mask": ended})
