"""A training that was killed goes on where it was, to the same digit."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from two_types import task_of, two_types

from envs.constraints.parameters import ConstraintParameters, Fairness
from policies.ppo.training import PpoParameters, learn_ppo
from policies.training_run import CHECKPOINT, TrainingRun, read_log

STEP = 64 * 4
SETTINGS = PpoParameters(
    total_steps=8 * STEP, environments=64, rollout_length=4, batch_size=128, network=(16,)
)
ROOT = Path(__file__).parents[3]


def fair_task():
    limits = ConstraintParameters(fairness=Fairness(minimum=10))
    return task_of(two_types(), limits, group_of_type=True)


def weights(policy):
    return torch.cat([value.flatten() for value in policy.module.parameters()]).detach().numpy()


@pytest.mark.parametrize("highest_price", [0.0, 1.0])
def test_a_training_taken_up_again_is_the_uninterrupted_one(tmp_path, highest_price):
    settings = dataclasses.replace(SETTINGS, highest_price=highest_price)
    whole_run = TrainingRun()
    whole = learn_ppo(fair_task(), settings, 3, whole_run)
    with TrainingRun(tmp_path) as first:
        # The horizon of 12 weeks passes within: the episodes are in the checkpoint too.
        learn_ppo(fair_task(), dataclasses.replace(settings, total_steps=4 * STEP), 3, first)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - what SB3 draws from
    with TrainingRun(tmp_path) as second:
        resumed = learn_ppo(fair_task(), settings, 3, second)
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    names = ["step", "reward_per_week", "lambda/fairness_ratio", "train/value_loss"]
    for row, same in zip(second.history, whole_run.history, strict=True):
        assert [row[name] for name in names] == [same[name] for name in names]
    assert read_log(tmp_path)["step"].tolist() == [STEP * at for at in range(1, 9)]


def test_a_training_stops_when_its_time_is_over():
    run = TrainingRun(seconds=0.0)
    learn_ppo(fair_task(), SETTINGS, 3, run)
    assert run.history == []


_CHILD = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
import test_resume as t
folder = Path(sys.argv[1])
settings = t.dataclasses.replace(t.SETTINGS, total_steps=10**9)
run = t.TrainingRun(folder, tell=lambda row: print(row, flush=True))
t.learn_ppo(t.fair_task(), settings, 3, run)
"""


@pytest.mark.slow
def test_a_killed_training_loses_one_iteration_at_most(tmp_path):
    paths = [str(Path(__file__).parent), str(ROOT / "tests" / "shared"), str(ROOT)]
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path), *paths],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        seen = sum(1 for _ in zip(range(5), child.stdout, strict=False))
        time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0]
    told = seen + rest.count("'step'")
    assert seen == 5
    run = TrainingRun(tmp_path)
    kept = run.load()
    assert kept is not None
    assert told - 1 <= len(run.history) <= told
    assert kept["steps"] == STEP * len(run.history)
    assert len(read_log(tmp_path)) in (len(run.history), len(run.history) + 1)
    assert [path.name for path in tmp_path.glob("*.partial")] == []
    on = learn_ppo(
        fair_task(), dataclasses.replace(SETTINGS, total_steps=kept["steps"] + STEP), 3,
        TrainingRun(tmp_path),
    )  # fmt: skip
    assert np.isfinite(weights(on)).all()
    assert (tmp_path / CHECKPOINT).exists()
