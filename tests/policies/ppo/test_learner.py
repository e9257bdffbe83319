"""The quick update is the library's: same probabilities, same step."""

import copy

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

from envs.sb3 import OfferVecEnv
from envs.task import default_task
from policies.ppo.learner import OfferPpo
from policies.ppo.network import MaskedActorCritic, ScaledFeatures

ROWS, WEEKS = 32, 4


@pytest.fixture(scope="module")
def learner():
    env = OfferVecEnv(ROWS, default_task(pool_size=200))
    env.seed(3)
    return OfferPpo(
        MaskedActorCritic,
        env,
        n_steps=WEEKS,
        batch_size=ROWS * WEEKS,
        n_epochs=3,
        ent_coef=0.01,
        policy_kwargs={
            "features_extractor_class": ScaledFeatures,
            "net_arch": [16],
            "optimizer_kwargs": {"eps": 1e-5},
        },
        seed=3,
        device="cpu",
    )


@pytest.fixture(scope="module")
def filled(learner):
    """A learner with one rollout in its buffer, not yet updated."""
    _, callback = learner._setup_learn(ROWS * WEEKS)
    learner.collect_rollouts(learner.env, callback, learner.rollout_buffer, WEEKS)
    return learner


def test_probabilities_values_and_entropies_are_those_of_the_library(filled):
    buffer = filled.rollout_buffer
    observations = torch.from_numpy(buffer.observations[1])
    actions = torch.from_numpy(buffer.actions[1]).long().flatten()
    masks = torch.from_numpy(buffer.action_masks[1])
    assert not masks.bool().all()
    quick = filled.policy.evaluate_actions(observations, actions, masks)
    library = MaskableActorCriticPolicy.evaluate_actions(
        filled.policy, observations, actions, masks
    )
    for ours, theirs in zip(quick, library, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_sampled_actions_keep_to_the_mask(filled):
    masks = np.zeros((ROWS, filled.action_space.n), bool)
    masks[:, 2] = True
    observations = torch.from_numpy(filled.rollout_buffer.observations[0])
    actions, _, log_probabilities = filled.policy(observations, action_masks=masks)
    assert (actions == 2).all()
    torch.testing.assert_close(log_probabilities, torch.zeros(ROWS))


def test_an_update_is_the_update_of_the_library(filled):
    # With one batch an epoch, the order of rows changes nothing but the last digits.
    before = copy.deepcopy(filled.policy.state_dict())
    optimizer = copy.deepcopy(filled.policy.optimizer.state_dict())
    filled.train()
    ours = copy.deepcopy(filled.policy.state_dict())
    filled.policy.load_state_dict(before)
    filled.policy.optimizer.load_state_dict(optimizer)
    filled.rollout_buffer.generator_ready = False
    MaskablePPO.train(filled)
    for name, value in filled.policy.state_dict().items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-6, msg=name)
        if name.endswith("weight"):
            assert not torch.equal(value, before[name])


def test_masks_of_all_rows_are_one_answer_and_those_of_some_rows_their_own(filled):
    (masks,) = filled.env.env_method("action_masks")
    assert masks.shape == (ROWS, filled.action_space.n)
    np.testing.assert_array_equal(
        np.stack(filled.env.env_method("action_masks", indices=[3, 5])), masks[[3, 5]]
    )


def test_the_buffer_holds_the_masks_that_actions_were_drawn_under(filled):
    buffer = filled.rollout_buffer
    masks = buffer.action_masks.reshape(WEEKS, ROWS, filled.action_space.n)
    drawn = buffer.actions.reshape(WEEKS, ROWS, 1).astype(int)
    assert np.take_along_axis(masks, drawn, axis=2).all()
    assert not masks.all()
