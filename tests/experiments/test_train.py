"""`loyaltylab train` and `tune`: small runs end to end, and what is refused."""

import json
import sys

import pytest

from agents.errors import InputError
from experiments.cli import main
from experiments.config import compose_train, compose_tune
from experiments.learners import SPACES, learner_parameters
from experiments.train import combinations
from policies.catalogue import LEARNED
from policies.training_run import read_log

SMALL = [
    "pool=200", "warmup_weeks=4", "weeks=6", "customers=100", "threads=1",
    "parameters={total_steps:512,environments:64,rollout_length:4,batch_size:64,network:[8]}",
]  # fmt: skip


def test_a_training_leaves_log_checkpoint_and_test_and_goes_on_with_more_steps(tmp_path, capsys):
    given = ["train", f"runs_dir={tmp_path}", "seed=3", *SMALL]
    assert main(given) == 0
    said = capsys.readouterr()
    assert "margin per customer over 6 weeks" in said.out
    folder = tmp_path / "train"
    assert read_log(folder)["step"].tolist() == [256, 512]
    summary = json.loads((folder / "summary.json").read_text())
    test = summary["test"]
    assert test["ci_low"] <= test["lift"] <= test["ci_high"]
    assert test["violations"] == 0
    assert (folder / "checkpoint.pt").exists()
    # The same command again finds the work done, and only tests.
    assert main([*given, "confidence=0.8"]) == 0
    assert read_log(folder)["step"].tolist() == [256, 512]
    # Another seed under the same name is refused, and what was there stays.
    capsys.readouterr()
    assert main([*given[: -len(SMALL) - 1], "seed=4", *SMALL]) == 2
    assert "other settings" in capsys.readouterr().err
    assert json.loads((folder / "summary.json").read_text())["seed"] == 3


def test_a_sweep_trains_every_combination_in_a_folder_of_its_own(tmp_path):
    given = ["train", "-m", f"runs_dir={tmp_path}", "name=sweep", "policy=maskable_ppo,price_ppo"]
    small = [text.replace("customers=100", "customers=0") for text in SMALL]
    assert main([*given, "seed=1", *small]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["sweep.policy-maskable_ppo", "sweep.policy-price_ppo"]
    assert json.loads((tmp_path / names[1] / "summary.json").read_text())["policy"] == "price_ppo"


def test_a_sweep_is_every_combination_of_values():
    lines = combinations(["seed=0,1", "world=grocery,coffee_shop", "responses=[null,literature]"])
    assert len(lines) == 4
    assert lines[-1] == [
        "responses=[null,literature]", "seed=1", "world=coffee_shop",
        "name=train.seed-1.world-coffee_shop",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("policy=maskable_pop", ["policy", "maskable_ppo"]),
        ("parameters={learning_rat:0.1}", ["parameters.learning_rat", "learning_rate"]),
        ("parameters={gamma:2}", ["gamma", "2"]),
        ("minutes=0", ["minutes", "above 0"]),
        ("responses=[nul]", ["responses", "null"]),
        ("posterior=nowhere.nc", ["posterior", "no such file"]),
        ("customers=1", ["customers", "2 and more"]),
        ("seed=0,1", ["several values"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(override, words):
    with pytest.raises(InputError) as caught:
        compose_train([override])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_with_minutes_the_time_alone_ends_a_training():
    assert learner_parameters(compose_train(["minutes=1"])).total_steps == 10**12
    few = compose_train(["minutes=1", "parameters={total_steps:5000}"])
    assert learner_parameters(few).total_steps == 5000


def test_every_learner_has_settings_and_its_search_knows_them():
    for name, space in SPACES.items():
        config = compose_tune([f"policy={name}"])
        parameters = learner_parameters(config)
        for searched in space:
            assert hasattr(parameters, searched)
    for name in LEARNED:
        learner_parameters(compose_train([f"policy={name}"]))


def test_the_settings_of_the_demo_are_the_defaults_of_the_learner():
    from dataclasses import fields

    from experiments.config import compose_demo
    from policies.ppo.training import PpoParameters

    plan, defaults = compose_demo().train, PpoParameters()
    shared = {f.name for f in fields(plan)} & {f.name for f in fields(defaults)}
    different = {n for n in shared if getattr(plan, n) != getattr(defaults, n)}
    assert different <= {"total_steps"}


def test_composing_a_training_imports_the_learner_and_nothing_else_does():
    import subprocess

    code = "import experiments.config, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_search_keeps_its_trials_and_goes_on(tmp_path, capsys):
    given = [f"runs_dir={tmp_path}", *SMALL]
    assert main(["tune", *given, "trials=2"]) == 0
    assert main(["tune", *given, "trials=3"]) == 0
    summary = json.loads((tmp_path / "tune" / "summary.json").read_text())
    assert summary["trials"] == 3
    assert summary["lift"] >= summary["default_lift"]
    assert "total_steps" not in summary["best"]
    assert "batch_size" not in summary["best"]  # held fixed
    assert "learning_rate" in summary["best"]
    assert "parameters={" in capsys.readouterr().out
