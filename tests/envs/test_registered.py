"""What every registered environment of this project promises."""

import copy
import inspect
import pickle
import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import envs
from envs.features import FEATURES
from envs.offers import OfferVectorEnv
from envs.task import default_task

assert envs.register is not None
IDS = sorted(name for name in gym.registry if name.startswith("loyaltylab/"))
NATIVE = [name for name in IDS if gym.registry[name].vector_entry_point is not None]
SOAK_EPISODES = 10_000
_ROWS = 500
_SB3_ACTIONS = (gym.spaces.Discrete, gym.spaces.Box, gym.spaces.MultiDiscrete)


def allowed(env, info):
    """A random action, within the mask where there is one."""
    mask = info.get("action_mask")
    if mask is not None and isinstance(env.action_space, gym.spaces.Discrete):
        return env.action_space.sample(mask=mask.astype(np.int8))
    return env.action_space.sample()


def walk(env, steps, seed=None):
    """Observation, reward and ends of every step from a reset, as text to the last digit."""
    observation, info = env.reset(seed=seed)
    env.action_space.seed(0)
    return [repr((observation.tobytes(), sorted(info))), *on(env, info, steps)]


def on(env, info, steps):
    seen = []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(allowed(env, info))
        seen.append(repr((observation.tobytes(), reward, terminated, truncated)))
        if terminated or truncated:
            _, info = env.reset()
    return seen


def test_offers_are_registered():
    assert "loyaltylab/Offers-v0" in IDS


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_and_sb3_accept_it(name):
    check_env(gym.make(name).unwrapped, skip_render_check=True)
    env = gym.make(name).unwrapped
    if isinstance(env.action_space, _SB3_ACTIONS):
        check_sb3_env(env)


@pytest.mark.parametrize("name", IDS)
def test_a_seed_fixes_every_element_and_another_seed_changes_some(name):
    first, again, other = (walk(gym.make(name).unwrapped, 80, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_made_within_an_episode_goes_on_alike(name, duplicate):
    env = gym.make(name).unwrapped
    walk(env, 3, 1)
    twin = duplicate(env)
    info = {"action_mask": env.action_masks()} if hasattr(env, "action_masks") else {}
    for one in (env, twin):
        one.action_space.seed(5)
    assert on(env, info, 60) == on(twin, info, 60)


@pytest.mark.parametrize("name", NATIVE)
def test_ten_thousand_episodes_hold_no_nan_and_stay_in_the_space(name):
    env = gym.make_vec(name, num_envs=_ROWS)
    space = env.single_observation_space
    observation, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    episodes = steps = 0
    while episodes < SOAK_EPISODES:
        mask = info["action_mask"]
        action = (rng.random(mask.shape) * mask).argmax(axis=1)
        observation, reward, terminated, truncated, info = env.step(action)
        assert (observation >= space.low).all()  # false for NaN
        assert (observation <= space.high).all()
        assert np.isfinite(reward).all()
        for values in (info["cost"], info["residual_value"], *info["costs"].values()):
            assert np.isfinite(values).all()
        assert info["action_mask"][:, 0].all()
        assert not (terminated & truncated).any()
        episodes += int((terminated | truncated).sum())
        steps += 1
        assert steps < 10_000


def test_the_table_of_the_docstring_is_the_feature_table():
    document = inspect.getdoc(OfferVectorEnv)
    rows = re.findall(r"^ *(\d+)  (\w+) +(\S+) +(\S+) +(\S+)  (.+)$", document, flags=re.MULTILINE)
    found = [
        (int(at), name, unit, float(low), float(high), meaning)
        for at, name, unit, low, high, meaning in rows
    ]
    assert found == [
        (at, f.name, f.unit, float(f.low), float(f.high), f.purpose)
        for at, f in enumerate(FEATURES)
    ]


def test_the_docstring_names_every_key_of_info_and_every_cost():
    document = inspect.getdoc(OfferVectorEnv)
    env = OfferVectorEnv(3, default_task(), "SameStep")
    env.reset(seed=0)
    seen = set()
    for _ in range(60):
        *_, info = env.step(np.zeros(3, int))
        seen |= set(info)
    assert len(seen) == 9
    for name in (*seen, *info["costs"]):
        assert name in document, name
