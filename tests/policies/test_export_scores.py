"""A bundle's scores are those of the policy that was learned, whatever kind it is."""

import numpy as np
import pytest
import torch

from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext
from envs.features import CENTRE, N_FEATURES, SCALE, observe
from policies.catalogue import build_policy, learn_policy
from policies.export.bundle import ScoringModel, compare, load_bundle, verify_bundle, write_bundle
from policies.export.scores import scores_of
from policies.export.trees import Boosted
from policies.scoring.scorer import OnnxPolicy
from policies.training_run import TrainingRun
from policies.values import learn_values

SETTINGS = {
    "lin_ucb": {"total_steps": 20_000, "environments": 512},
    "lin_ts": {"total_steps": 20_000, "environments": 512},
    "uplift": {"customers": 500, "weeks": 8, "replicas": 4, "trees": 20, "least": 50},
}


@pytest.fixture(scope="module")
def values(clear_world, clear_pool):
    return learn_values((clear_world,), clear_pool, np.uint64(2), weeks=2, replicas=1)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_bundle_scores_and_chooses_as_the_learned_policy_does(
    name, paired_task, clear_world, clear_pool, values, tmp_path
):
    policy = learn_policy(name, paired_task, 0, TrainingRun(), **SETTINGS[name])
    model = ScoringModel(scores_of(policy), values).eval()
    mask = np.ones((clear_pool.n, clear_world.table.n), bool)
    write_bundle(
        tmp_path, model, clear_world, ConstraintParameters(), clear_pool.profile[:64], 10,
        mask[:64], {"seed": 0}, "# card",
    )  # fmt: skip
    assert verify_bundle(tmp_path)["golden_rows"] == 64
    served = OnnxPolicy(name, load_bundle(tmp_path))
    wild = np.random.default_rng(0).normal(0, 2, (5000, N_FEATURES))
    observation = np.concatenate(
        [observe(clear_pool.profile, 10, clear_world.rules()), CENTRE + SCALE * wild]
    ).astype(np.float32)
    mask = np.ones((observation.shape[0], clear_world.table.n), bool)
    context = DecisionContext(10, np.arange(mask.shape[0], dtype=np.uint64), clear_world.table)
    learned = policy.propose(observation, mask, context)
    scored = served.propose(observation, mask, context)
    wanted = np.isfinite(learned)  # what is never wanted has a finite score in a bundle
    assert (scored[~wanted] < -1e8).all()
    # Scores reach thousands of minor units, in float32.
    np.testing.assert_allclose(scored[wanted], learned[wanted], rtol=1e-5, atol=5e-3)
    assert (learned[:, 1:] > 0).any()
    best = np.sort(learned, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.01
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(scored.argmax(axis=1)[clear], learned.argmax(axis=1)[clear])
    assert compare(model, served.bundle.session, observation, mask).max_abs_diff < 5e-3


def test_trees_take_every_float32_to_the_leaf_that_scikit_learn_does():
    from sklearn.ensemble import HistGradientBoostingRegressor

    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 3)).astype(np.float32)
    # Neighbours in float32: what lies between them is no float32, and half of it rounds up.
    x[:, 0] = 1.0 + random.integers(0, 8, 2000) * 2.0**-23
    y = np.sin((x[:, 0] - 1.0) * 2.0**22) + x[:, 1] * (x[:, 2] > 0)
    models = [
        HistGradientBoostingRegressor(max_iter=20, max_leaf_nodes=leaves, early_stopping=False)
        for leaves in (2, 9)
    ]
    models = [model.fit(x, y) for model in models]
    at = np.concatenate([x, random.normal(size=x.shape).astype(np.float32)])
    said = Boosted([*models, 1.5])(torch.from_numpy(at)).numpy()
    expected = (models[0].predict(at) + models[1].predict(at) + 1.5) / 3
    np.testing.assert_allclose(said, expected, rtol=0, atol=1e-12)
    assert (Boosted([1.0, 2.0])(torch.from_numpy(x)).numpy() == 1.5).all()


def test_what_cannot_be_exported_says_why(paired_task):
    settings = SETTINGS["lin_ts"] | {"keep_learning": True}
    with pytest.raises(ValueError, match=r"'lin_ts' is still learning.*frozen"):
        scores_of(learn_policy("lin_ts", paired_task, 0, TrainingRun(), **settings))
    with pytest.raises(ValueError, match="'triggers' cannot be exported"):
        scores_of(build_policy("triggers", 0))
