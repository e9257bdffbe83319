"""A bundle computes what was trained, refuses what was changed, and decides as the market does."""

import dataclasses
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sb3_contrib import MaskablePPO

from agents.errors import InputError
from agents.population import GROCERY, filter_from
from envs.constraints.approval import approve
from envs.constraints.masks import blocking, limits_record
from envs.constraints.parameters import (
    ChannelLimits,
    ConstraintParameters,
    ContactCap,
    DiscountExposure,
    LiabilityAlarm,
    OfferBudget,
    PriceSpread,
)
from envs.decision import GovernedPolicy
from envs.features import CENTRE, FEATURES, N_FEATURES, SCALE, observe
from envs.sb3 import OfferVecEnv
from envs.task import OfferTask
from policies.export.bundle import (
    ScoringModel,
    _world,
    compare,
    load_bundle,
    verify_bundle,
    world_facts,
    write_bundle,
)
from policies.ppo.network import ActionScores, ScaledFeatures
from policies.scoring.scorer import OnnxPolicy, Scorer
from policies.values import learn_values
from sim.engine import Engine
from sim.market import LoyaltyMarket

ROWS = 100_000
CONSTRAINTS = ConstraintParameters(OfferBudget(40.0), ContactCap())


@pytest.fixture(scope="module")
def pool(world, population):
    pool = population(600)
    engine = Engine(pool, world.rules(), np.uint64(1))
    for _ in range(30):
        engine.advance()
    return pool


@pytest.fixture(scope="module")
def model(world, pool):
    """An untrained network with lively weights: parity does not need a good policy."""
    task = OfferTask((world,), pool, CONSTRAINTS)
    ppo = MaskablePPO(
        "MlpPolicy",
        OfferVecEnv(4, task),
        policy_kwargs={"features_extractor_class": ScaledFeatures},
        seed=0,
        device="cpu",
    )
    with torch.no_grad():
        ppo.policy.action_net.weight.mul_(100)
    values = learn_values((world,), pool, np.uint64(2), weeks=4, replicas=2)
    return ScoringModel(ActionScores(ppo.policy), values).eval()


@pytest.fixture(scope="module")
def bundle(model, world, pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    mask = blocking(pool.account, pool.profile, world.table, limits_record(CONSTRAINTS)) == 0
    write_bundle(
        folder, model, world, CONSTRAINTS, pool.profile[:64], 30, mask[:64], {"seed": 0}, "# card",
        approve(CONSTRAINTS, "A. Tester", "2026-01-01"),
    )  # fmt: skip
    return folder


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


def test_onnx_equals_torch_with_masks_and_scaling_on_100_000_rows(model, bundle, world):
    rng = np.random.default_rng(0)
    observation = (CENTRE + SCALE * rng.normal(0, 2, (ROWS, N_FEATURES))).astype(np.float32)
    mask = rng.random((ROWS, world.table.n)) < 0.6
    mask[:, 0] = True
    parity = compare(model, load_bundle(bundle).session, observation, mask)
    print(f"largest difference {parity.max_abs_diff:.3g} over {parity.rows} rows")
    assert parity.rows == ROWS
    assert parity.actions_identical
    assert parity.max_abs_diff < 5e-3  # values reach 10**4 minor units in float32


def test_a_fresh_bundle_verifies(bundle):
    facts = verify_bundle(bundle)
    assert facts["golden_rows"] == 64
    assert facts["features"] == N_FEATURES


def test_a_bundle_holds_no_latent_parameters(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert not {"response", "dynamics", "traits", "state"} & set(manifest)
    assert load_bundle(bundle).world.filter == filter_from(GROCERY)


@pytest.mark.parametrize("name", ["policy.onnx", "golden.parquet", "MODEL_CARD.md"])
def test_a_changed_or_missing_file_is_refused_by_name(copy, name):
    original = (copy / name).read_bytes()
    (copy / name).write_bytes(original + b" ")
    with pytest.raises(InputError, match=name):
        load_bundle(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        load_bundle(copy)


def test_a_manifest_that_is_no_manifest_is_refused(copy, tmp_path):
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        load_bundle(copy)
    with pytest.raises(InputError, match="not a bundle"):
        load_bundle(tmp_path)


def rewrite_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_another_feature_table_is_refused(copy):
    def change(manifest):
        manifest["features"][0]["unit"] = "percent"

    rewrite_manifest(copy, change)
    with pytest.raises(InputError, match="features differ"):
        load_bundle(copy)


def test_features_computed_differently_are_refused(copy):
    def change(manifest):
        manifest["filter"]["rate_shape"] *= 1.01

    rewrite_manifest(copy, change)
    with pytest.raises(InputError, match="computed differently"):
        load_bundle(copy)


def test_golden_outputs_of_another_network_are_refused(copy):
    import hashlib

    path = copy / "golden.parquet"
    table = pq.read_table(path)
    values = np.array(table["score"].to_pylist()) + 1.0
    index = table.column_names.index("score")
    import pyarrow as pa

    table = table.set_column(index, "score", pa.array(list(values)))
    pq.write_table(table, path)
    rewrite_manifest(
        copy,
        lambda m: m["sha256"].update(
            {"golden.parquet": hashlib.sha256(path.read_bytes()).hexdigest()}
        ),
    )
    with pytest.raises(InputError, match="output score is off"):
        load_bundle(copy)


EVERY_LIMIT = ConstraintParameters(
    OfferBudget(60.0, mode="tail"),
    ContactCap(2, 6),
    discount_exposure=DiscountExposure(0.01),
    liability_alarm=LiabilityAlarm(0.001, stops_bonus_points=True),
    quiet_weeks=1,
    by_channel={"push": ChannelLimits(ContactCap(1, 8))},
    price_spread=PriceSpread(0.2),
    features=tuple(feature.name for feature in FEATURES[::2]),
)


@pytest.mark.parametrize("limits", [CONSTRAINTS, EVERY_LIMIT], ids=["few", "all"])
def test_the_scorer_decides_exactly_as_the_market_does(bundle, world, pool, limits):
    loaded = dataclasses.replace(load_bundle(bundle), constraints=limits)
    customers = pool.take(slice(None))
    governed = GovernedPolicy(OnnxPolicy("served", loaded), limits, customers.n)
    market = LoyaltyMarket(world, customers, np.uint64(4), decider=governed)
    market.advance(3)  # offers are open and the budget was felt
    refused = governed.budget_refused
    assert refused > 0 or limits is EVERY_LIMIT
    assert market.ledger.open_commitment > 0
    in_market = governed.decide(market.firm_view())
    scorer = Scorer(loaded, experiment=limits is not CONSTRAINTS)
    rooms = governed.budgets.rooms(customers.account, customers.profile, market.ledger.settled)
    assert rooms.offer_budget is not None
    scores = scorer.score(
        customers.profile, customers.account, customers.traits["id"], market.week,
        scorer.rules(), rooms, refused, governed.budgets.stops_points(market.ledger.liability),
    )  # fmt: skip
    np.testing.assert_array_equal(in_market, scores.decision.executed)
    np.testing.assert_array_equal(governed.last.binding, scores.decision.binding)
    assert (in_market > 0).any()
    if rooms.tail is None:
        assert scores.decision.reserved <= rooms.offer_budget


def test_limits_that_nobody_approved_are_not_served(bundle, copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["approval"]["approved_by"] == "A. Tester"
    manifest["constraints"]["contact_cap"]["contacts"] = 5
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"differ from those approved by 'A\. Tester'"):
        Scorer(copy)
    manifest["approval"]["status"] = "experiment"
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"approval\.status='experiment'"):
        Scorer(copy)
    assert Scorer(copy, experiment=True).bundle.constraints.contact_cap.contacts == 5


def test_the_bundle_sees_the_same_features_as_the_simulator(bundle, world, pool):
    rules = Scorer(bundle).rules()
    np.testing.assert_array_equal(
        observe(pool.profile, 30, world.rules()), observe(pool.profile, 30, rules)
    )


def test_the_world_of_a_manifest_has_the_rules_that_scoring_needs(society):
    """Fees are part of what a customer is worth, and no subscription stands in the manifest."""
    manifest = json.loads(json.dumps(world_facts(society)))
    ours, theirs = society.rules(), _world(manifest).rules()
    assert ours["filter"]["fee_margin"][0] > 0
    for part in ("filter", "programme", "offers", "actions", "margin_share"):
        assert ours[part].tobytes() == theirs[part].tobytes(), part


def test_every_scored_customer_has_reasons(bundle, pool):
    scorer = Scorer(bundle)
    scores = scorer.score(pool.profile, pool.account, pool.traits["id"], 30, scorer.rules(), None)
    assert len(scores.reasons) == pool.n
    assert all(scores.reasons)
    offered = scores.decision.executed > 0
    assert (scores.expected_cost[offered] <= scores.commitment[offered]).all()
    assert (scores.value[~offered] == 0).all()
