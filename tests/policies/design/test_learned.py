"""Learned designers train, reproduce, and are measured against a twin that never changes."""

import dataclasses

import numpy as np
import pytest

from envs.design.environment import ProgrammeDesignEnv
from envs.design.task import DesignTask, default_design_task, draw_cohort
from envs.task import default_world
from policies.design.learned import (
    DesignLearnerParameters,
    Redesigner,
    ScaledKpis,
    learn_design,
    lift_of,
)
from policies.training_run import TrainingRun


@pytest.fixture(scope="module")
def task():
    return DesignTask((default_world(),), draw_cohort(100, 1), horizon=3, warmup=1, paired=True)


def still(observation):
    return np.zeros(ProgrammeDesignEnv(default_design_task(customers=10)).levers.n, np.float32)


def test_a_designer_who_changes_nothing_has_no_lift(task):
    assert (lift_of(task, Redesigner(still), range(2)) == 0.0).all()


def test_lift_needs_a_twin(task):
    with pytest.raises(ValueError, match="twin"):
        lift_of(dataclasses.replace(task, paired=False), Redesigner(still), range(1))


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_training_reproduces_and_logs_each_episode(task, algorithm):
    parameters = DesignLearnerParameters(algorithm, episodes=10, network=(8,))
    runs = [TrainingRun() for _ in range(2)]
    one, two = (learn_design(task, parameters, 5, run) for run in runs)
    kpis = np.zeros(ProgrammeDesignEnv(task).observation_space.shape, np.float32)
    np.testing.assert_array_equal(one.act(kpis), two.act(kpis))
    assert [row["step"] for row in one.history] == list(range(1, 11))
    assert [r["lift_per_customer"] for r in one.history] == [
        r["lift_per_customer"] for r in two.history
    ]


def test_training_stops_when_its_time_is_up(task):
    run = TrainingRun(seconds=0.0)
    learn_design(task, DesignLearnerParameters(episodes=1000, network=(8,)), 5, run)
    assert len(run.history) <= 1


def test_kpis_are_scaled_as_their_table_says(task):
    env = ProgrammeDesignEnv(task)
    scaled = ScaledKpis(env)
    centre = np.array([kpi.centre for kpi in env.table], np.float32)
    assert (scaled.observation(centre) == 0).all()
    assert np.abs(scaled.observation(centre + 1e6)).max() == 5.0


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm='dqn'"):
        DesignLearnerParameters("dqn")
