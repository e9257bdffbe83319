"""One network for any budget: a price that is an input."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from two_types import customers_of, task_of, two_types

from envs.constraints.parameters import ConstraintParameters, OfferBudget
from envs.decision import DecisionContext, GovernedPolicy
from envs.features import N_FEATURES, column
from policies.ppo.charges import ChargedOffers
from policies.ppo.lagrange import MultiplierParameters
from policies.ppo.price import PricedPolicy, draw_prices
from sim.counterfactual import paired_run

COMMITMENT = np.array([0, 100])


class WorthItsRate(nn.Module):
    """An offer is worth the expected rate, less the price of its commitment of 1.00."""

    def forward(self, observation):
        gain = observation[:, column("expected_rate")] - observation[:, N_FEATURES]
        return torch.stack([torch.zeros_like(gain), gain], dim=1)


def observed(n=1000, left=1.0):
    observation = np.zeros((n, N_FEATURES), np.float32)
    observation[:, column("expected_rate")] = (np.arange(n) + 0.5) / n
    observation[:, column("budget_left")] = left
    return observation, np.ones((n, 2), bool)


@pytest.mark.parametrize(("weekly", "left"), [(10.0, 1.0), (40.0, 1.0), (40.0, 0.5)])
def test_the_price_leaves_as_many_offers_as_the_budget_pays(weekly, left):
    policy = PricedPolicy("price_ppo", WorthItsRate(), weekly, highest=2.0)
    policy.set_price(*observed(left=left), COMMITMENT)
    # Rates are even on 0 to 1, offers commit 100: the share that is paid is weekly / 100.
    assert policy.price == pytest.approx(1 - weekly * left / 100, abs=0.01)
    score = policy.module(torch.from_numpy(observed(left=left)[0])).numpy()
    asked = COMMITMENT[score.argmax(axis=1)].sum()
    assert 0.95 * weekly * left * 1000 < asked <= weekly * left * 1000


@pytest.mark.parametrize("weekly", [None, 200.0])
def test_without_a_binding_budget_the_price_is_nought(weekly):
    policy = PricedPolicy("price_ppo", WorthItsRate(), weekly, highest=2.0)
    policy.set_price(*observed(), COMMITMENT)
    assert policy.price == 0.0


def test_masked_offers_ask_for_nothing():
    policy = PricedPolicy("price_ppo", WorthItsRate(), 40.0, highest=2.0)
    observation, mask = observed()
    mask[500:, 1] = False
    policy.set_price(observation, mask, COMMITMENT)
    assert policy.price == pytest.approx(0.1, abs=0.01)


def test_prices_are_drawn_from_nought_to_the_highest():
    prices = draw_prices(np.random.default_rng(0), 20_000, 2.0)
    assert prices.min() >= 0.0
    assert prices.max() <= 2.0
    assert np.median(prices) == pytest.approx(0.02 * (101**0.5 - 1), rel=0.05)


def test_every_episode_pays_its_own_price_for_what_it_commits():
    world = two_types()
    env = ChargedOffers(50, task_of(world), MultiplierParameters(), highest_price=2.0)
    observation, info = env.reset(seed=0)
    assert observation.shape == (50, N_FEATURES + 1)
    assert env.observation_space.contains(observation)
    first = env.price.copy()
    assert np.unique(first).size == 50
    for _ in range(12):
        np.testing.assert_allclose(observation[:, -1], env.price, rtol=1e-6)
        np.testing.assert_array_equal(env.price, first)
        observation, reward, _, ended, info = env.step(np.full(50, 1))
        charged = env.earned - reward
        commitment = world.table.commitment[info["executed"]] / 100.0
        np.testing.assert_allclose(charged, first * commitment, atol=1e-12)
    assert ended.all()
    assert info["final_obs"][3].shape == (N_FEATURES + 1,)
    assert info["final_obs"][3][-1] == pytest.approx(first[3])
    assert (env.price != first).all()


def test_a_priced_policy_decides_within_the_budget_and_exports_as_a_plain_module(tmp_path):
    policy = PricedPolicy("price_ppo", WorthItsRate(), 10.0, highest=2.0)
    observation, mask = observed()
    context = DecisionContext(0, np.arange(1000, dtype=np.uint64), two_types().table)
    policy.propose(observation, mask, context)
    assert policy.price > 0
    path = str(tmp_path / "scores.onnx")
    torch.onnx.export(policy.module, (torch.from_numpy(observation[:4]),), path, dynamo=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: observation[:4]})
    with torch.no_grad():
        np.testing.assert_allclose(found, policy.module(torch.from_numpy(observation[:4])))


def test_the_market_never_goes_beyond_the_budget():
    world = two_types()
    customers = customers_of(world, 300, "evaluate")
    limits = ConstraintParameters(offer_budget=OfferBudget(weekly_per_customer=10.0))
    policy = PricedPolicy("price_ppo", WorthItsRate(), 10.0, highest=2.0)
    governed = GovernedPolicy(policy, limits, customers.n)
    paired_run(world, customers, np.uint64(5), governed, weeks=4)
    assert governed.audit.total_violations == 0
    assert governed.audit.peak_reserved_share > 0.9
