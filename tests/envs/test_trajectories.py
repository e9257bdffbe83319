"""Trajectories as arrays: what was seen, done and paid, and a file that keeps it."""

import numpy as np
import pytest

from agents.errors import InputError
from envs.offers import OfferVectorEnv
from envs.trajectories import Trajectories, collect


def uniform(seed):
    """Uniform over allowed actions, with propensities."""
    rng = np.random.default_rng(seed)

    def act(observation, mask):
        return (rng.random(mask.shape) * mask).argmax(axis=1), 1.0 / mask.sum(axis=1)

    return act


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_arrays_hold_what_the_environment_gave(short, mode):
    found = collect(OfferVectorEnv(30, short, mode), uniform(0), steps=20, seed=4)
    env = OfferVectorEnv(30, short, mode)
    observation, info = env.reset(seed=4)
    ended = np.zeros(30, bool)
    for week in range(20):
        np.testing.assert_array_equal(found.observation[week], observation)
        np.testing.assert_array_equal(found.mask[week], info["action_mask"])
        np.testing.assert_array_equal(found.propensity[week], 1 / info["action_mask"].sum(axis=1))
        np.testing.assert_array_equal(found.valid[week], ~ended)
        observation, reward, terminated, truncated, info = env.step(found.action[week])
        np.testing.assert_array_equal(found.reward[week], reward)
        np.testing.assert_array_equal(found.executed[week], info["executed"])
        for at, name in enumerate(found.cost_names):
            np.testing.assert_array_equal(found.costs[week, :, at], info["costs"][name])
        done = terminated | truncated
        np.testing.assert_array_equal(found.next_observation[week][~done], observation[~done])
        if mode == "SameStep" and done.any():
            last = np.stack(info["final_obs"][done])
            np.testing.assert_array_equal(found.next_observation[week][done], last)
        if mode == "NextStep":
            ended = done
    assert found.truncated.any()
    assert found.terminated.any()
    assert (mode == "NextStep") == (not found.valid.all())
    assert found.action_labels == env.table.labels


def test_a_file_brings_every_array_back(short, tmp_path):
    found = collect(OfferVectorEnv(5, short), lambda seen, mask: np.zeros(5, int), steps=3, seed=0)
    assert np.isnan(found.propensity).all()
    path = tmp_path / "log.npz"
    found.save(path)
    assert list(tmp_path.iterdir()) == [path]
    again = Trajectories.load(path)
    for name in Trajectories.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_bad_input_is_named(short, tmp_path):
    env = OfferVectorEnv(5, short)
    with pytest.raises(ValueError, match="steps=0"):
        collect(env, uniform(0), steps=0)
    with pytest.raises(ValueError, match="propensities"):
        collect(env, lambda seen, mask: (np.zeros(5, int), np.full(5, 1.5)), steps=1)
    with pytest.raises(InputError, match=r"log\.csv: trajectories are kept as \.npz"):
        Trajectories.load(tmp_path / "log.csv")
    (tmp_path / "other.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"other\.npz: no trajectories"):
        Trajectories.load(tmp_path / "other.npz")
