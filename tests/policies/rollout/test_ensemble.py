"""The ensemble: bounds, calibration, weights that follow the data, and export."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from envs.features import CENTRE, N_FEATURES, SCALE, column, observe
from policies.export.bundle import ScoringModel, compare, export_onnx, open_session
from policies.rollout.ensemble import (
    Data,
    LowerGain,
    ValueEnsemble,
)
from policies.rollout.fitting import _kept_share, be_cautious, explained, fit
from policies.rollout.parameters import Guard, RolloutParameters

SETTINGS = RolloutParameters(members=4, hidden=16, epochs=60, batch=128, learning_rate=5e-3)
COMMITMENT = np.array([0.0, 900.0, 200.0])


def ensemble(parameters: RolloutParameters = SETTINGS, seed: int = 0) -> ValueEnsemble:
    generator = torch.Generator().manual_seed(seed)
    floor = np.array([0.0, 1.0, 1.0])
    return ValueEnsemble(3, floor, COMMITMENT, parameters, generator)


@pytest.fixture(scope="module")
def data() -> Data:
    """Action 1 gains with the basket and loses without; action 2 gains nothing; noise beside."""
    rng = np.random.default_rng(0)
    n = 1500
    observation = (CENTRE + SCALE * rng.normal(size=(n, N_FEATURES))).astype(np.float32)
    observation[:, column("residual_value")] = rng.uniform(0, 300, n)
    pull = (observation[:, column("tier")] - CENTRE[column("tier")]) / SCALE[column("tier")]
    gain = np.stack([np.zeros(n), 40 * pull + 5 * rng.normal(size=n), 3 * rng.normal(size=n)], 1)
    cost = np.stack([np.zeros(n), 100 + 20 * pull, np.full(n, 150.0)], 1)
    gain[::5, 1] = cost[::5, 1] = np.nan  # was not allowed
    return Data(observation, gain, cost, np.arange(n))


@pytest.fixture(scope="module")
def fitted(data):
    found = ensemble()
    left_out = fit(found, data, SETTINGS, 0.001, 0)
    be_cautious(found, left_out, data, 0.5, SETTINGS.least_gain)
    return found, left_out


def test_gain_and_cost_are_found_and_noise_is_not(fitted, data) -> None:
    found, left_out = fitted
    some = left_out.some
    assert explained(left_out.gain[some], data.gain[some]) > 0.8
    assert explained(left_out.cost[some], data.cost[some]) > 0.5
    with torch.no_grad():
        value, lower, cost = (x.numpy() for x in found(torch.from_numpy(data.observation)))
        score = LowerGain(found)(torch.from_numpy(data.observation)).numpy()
    pays = np.nan_to_num(data.gain[:, 1]) > 30
    assert (score[pays, 1] > 0).mean() > 0.9
    assert (score[:, 2] > 0).mean() < 0.02
    assert (lower <= value + 1e-4).all()
    assert (cost[:, 1:] >= 1.0).all()
    assert (cost <= COMMITMENT).all()
    np.testing.assert_allclose(score[:, 1:], (lower - cost)[:, 1:] - 1.0, atol=1e-3)
    for column_of_nothing in (value, lower, cost, score):
        assert (column_of_nothing[:, 0] == 0).all()


def test_caution_lowers_every_promise(fitted, data) -> None:
    found, left_out = fitted
    bold = deepcopy(found)
    be_cautious(bold, left_out, data, 0.0, SETTINGS.least_gain)
    observation = torch.from_numpy(data.observation)
    with torch.no_grad():
        assert (LowerGain(bold)(observation) >= LowerGain(found)(observation) - 1e-4).all()
        assert torch.equal(bold(observation)[0], found(observation)[0])


def test_the_same_seed_gives_the_same_weights(data) -> None:
    brief = RolloutParameters(members=2, hidden=8, epochs=2)
    one, two, other = ensemble(brief), ensemble(brief), ensemble(brief)
    for each, seed in ((one, 3), (two, 3), (other, 4)):
        fit(each, data, brief, 0.3, seed)
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_a_promise_is_cut_to_what_others_found_of_it() -> None:
    promised = np.full(400, 10.0)
    rng = np.random.default_rng(1)
    found = 5.0 + rng.normal(size=400)
    customers = np.arange(400)
    assert _kept_share(promised, found, customers, 0.0) == pytest.approx(0.5, abs=0.02)
    cautious = _kept_share(promised, found, customers, 2.0)
    assert 0.45 < cautious < 0.5
    alike = np.repeat(found[:40], 10)  # forty people, each seen ten times
    once = _kept_share(promised[:40], found[:40], customers[:40], 2.0)
    assert _kept_share(promised, alike, customers // 10, 2.0) == pytest.approx(once)
    assert _kept_share(promised, alike, customers, 2.0) > once + 0.01
    assert _kept_share(promised, -found, customers, 1.0) == 0.0
    assert _kept_share(promised, 3 * found, customers, 0.0) == 1.0
    assert _kept_share(promised[:0], found[:0], customers[:0], 1.0) == 0.0


def test_explained_variance_has_known_answers() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert explained(truth, truth) == 1.0
    assert explained(np.full(3, 2.0), truth) == 0.0
    assert explained(truth, np.ones(3)) == 0.0


def test_an_exported_ensemble_gives_what_torch_gives(
    fitted, clear_world, members, tmp_path
) -> None:
    pool = members(clear_world, 300)
    observation = observe(pool.profile, 10, clear_world.rules())
    mask = np.random.default_rng(0).random((300, 3)) < 0.7
    mask[:, 0] = True
    model = ScoringModel(LowerGain(fitted[0]), fitted[0])
    export_onnx(model, tmp_path / "policy.onnx")
    parity = compare(model, open_session(tmp_path / "policy.onnx"), observation, mask)
    assert parity.max_abs_diff < 0.01  # minor units, of hundreds
    assert parity.actions_identical


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="held_out"):
        RolloutParameters(held_out=0.0)
    with pytest.raises(ValueError, match="members"):
        RolloutParameters(members=1)
    with pytest.raises(ValueError, match="caution=-1"):
        Guard(0.3, -1.0)
    with pytest.raises(ValueError, match="passes=1000 times replicas=128"):
        RolloutParameters(passes=1000, replicas=128)
    with pytest.raises(ValueError, match="guards is empty"):
        RolloutParameters(guards=())
