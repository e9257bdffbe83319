"""Autoreset is Gymnasium's: the native environment against Gymnasium's own over single ones."""

import dataclasses

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.offers import OfferVectorEnv
from envs.single_offer import OfferEnv

N = 12


def pair(task, mode):
    """Native environment and Gymnasium's own, with the same rows."""
    singles = [lambda row=row: OfferEnv(task, row=row, rows=N) for row in range(N)]
    return OfferVectorEnv(N, task, mode), SyncVectorEnv(singles, autoreset_mode=mode)


def same(native, own, names=("executed", "cost", "residual_value")):
    for name in names:
        np.testing.assert_array_equal(native[name], own[name], err_msg=name)
    for name, values in native["costs"].items():
        np.testing.assert_array_equal(values, own["costs"][name], err_msg=name)


def same_endings(native, own, ended):
    for name in ("_final_obs", "_final_info"):
        np.testing.assert_array_equal(native[name], own[name])
    for row, last in enumerate(native["final_obs"]):
        np.testing.assert_array_equal(last, own["final_obs"][row])
    for name in ("action_mask", "executed", "cost", "residual_value"):
        np.testing.assert_array_equal(
            native["final_info"][name][ended], own["final_info"][name][ended]
        )


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("which", ["short", "varied"])
def test_n_customers_are_n_single_ones_under_gymnasium(which, mode, paired, request, any_allowed):
    task = dataclasses.replace(request.getfixturevalue(which), paired=paired)
    native, own = pair(task, mode)
    first, info = native.reset(seed=9)
    second, own_info = own.reset(seed=[9] * N)
    np.testing.assert_array_equal(first, second)
    rng = np.random.default_rng(0)
    terminations = truncations = 0
    for _ in range(30):
        np.testing.assert_array_equal(info["action_mask"], own_info["action_mask"])
        np.testing.assert_array_equal(native.action_masks(), np.stack(own.call("action_masks")))
        actions = any_allowed(info["action_mask"], rng)
        *mine, info = native.step(actions)
        *theirs, own_info = own.step(actions)
        for one, two in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, two, strict=True)
        _, _, terminated, truncated = mine
        ended = terminated | truncated
        terminations += int(terminated.sum())
        truncations += int(truncated.sum())
        if mode == AutoresetMode.SAME_STEP:
            assert ("final_obs" in info) == ("final_obs" in own_info) == ended.any()
            if ended.any():
                same_endings(info, own_info, ended)
        elif mode == AutoresetMode.DISABLED:
            same(info, own_info)
            if ended.any():
                before = mine[0]
                observation, info = native.reset(options={"reset_mask": ended})
                other, _ = own.reset(options={"reset_mask": ended})
                np.testing.assert_array_equal(observation, other)
                np.testing.assert_array_equal(observation[~ended], before[~ended])
                own_info = {"action_mask": np.stack(own.call("action_masks"))}
    assert terminations > 2
    assert truncations > 2


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True] * N, "bool array"),
        (np.ones(N), "bool array"),
        (np.ones(N + 1, bool), "shape"),
        (np.zeros(N, bool), "no row"),
    ],
)
def test_a_bad_reset_mask_is_refused(short, mask, message):
    env = OfferVectorEnv(N, short, AutoresetMode.DISABLED)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(options={"reset_mask": mask})


def test_a_seed_for_some_rows_only_is_refused(short):
    env = OfferVectorEnv(N, short, AutoresetMode.DISABLED)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="share one seed"):
        env.reset(seed=1, options={"reset_mask": np.arange(N) < 2})


def test_rows_outside_the_whole_are_refused(short):
    with pytest.raises(ValueError, match=r"first_row=3 must lie in 0\.\.2"):
        OfferVectorEnv(2, short, first_row=3, rows=4)
