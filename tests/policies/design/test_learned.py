"""Learned designers train, reproduce, and go on where they were."""

import dataclasses

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.task import DesignTask, draw_cohort
from envs.task import default_world
from policies.design import learned
from policies.design.episodes import play
from policies.design.learned import (
    ITERATION,
    DesignLearnerParameters,
    ScaledKpis,
    learn_design,
)
from policies.training_run import TrainingRun


@pytest.fixture(scope="module")
def task():
    return DesignTask((default_world(),), draw_cohort(100, 1), horizon=3, warmup=1, paired=True)


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


class Killed(Exception):
    """A session is cut off."""


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_killed_training_goes_on_with_the_digits_of_one_that_was_not(
    task, algorithm, tmp_path, monkeypatch
):
    monkeypatch.setattr(learned, "CHECK", ITERATION)
    parameters = DesignLearnerParameters(algorithm, episodes=3 * ITERATION + 3, network=(8,))
    whole = learn_design(task, parameters, 5, TrainingRun())

    def killed(row):
        if row["step"] == 2 * ITERATION + 4:
            raise Killed

    run = TrainingRun(tmp_path, tell=killed)
    with pytest.raises(Killed):
        learn_design(task, parameters, 5, run)
    np.random.seed(99)  # noqa: NPY002 - another process has other random states
    again = TrainingRun(tmp_path)
    designer = learn_design(task, parameters, 5, again)
    kept = [row["seconds"] for row in run.history][: 2 * ITERATION]
    assert [row["seconds"] for row in again.history][: 2 * ITERATION] == kept
    figures = [
        [{name: row[name] for name in row if name != "seconds"} for row in one.history]
        for one in (designer, whole)
    ]
    assert figures[0] == figures[1]
    assert sum("checked_lift" in row for row in figures[0]) == 3
    assert designer.kept_after == whole.kept_after
    kpis = np.zeros(ProgrammeDesignEnv(task).observation_space.shape, np.float32)
    np.testing.assert_array_equal(designer.act(kpis), whole.act(kpis))


def test_the_designer_is_the_best_of_those_that_were_checked(task, monkeypatch):
    """Learning this fast unlearns too: the last is not the best."""
    monkeypatch.setattr(learned, "CHECK", ITERATION)
    parameters = DesignLearnerParameters("sac", 10 * ITERATION, learning_rate=0.3, network=(8,))
    designer = learn_design(task, parameters, 5, TrainingRun())
    checked = [row["checked_lift"] for row in designer.history if "checked_lift" in row]
    best = int(np.argmax(checked))
    assert designer.kept_after == (best + 1) * ITERATION < len(designer.history)
    env = ProgrammeDesignEnv(task)
    first = int(derive_seed(5, "plan"))
    again = [play(env, designer.act, first + at).lift for at in range(learned.CHECKED)]
    assert np.mean(again) == checked[best] > checked[-1]


def test_a_check_has_as_many_episodes_in_each_world(task, monkeypatch):
    world = default_world()
    other = world._replace(response=world.response.without())
    played = []

    def listed(env, act, seed):
        played.append((env.task.worlds, seed))
        return play(env, act, seed)

    monkeypatch.setattr(learned, "play", listed)
    both = dataclasses.replace(task, worlds=(world, other, world))
    learn_design(both, DesignLearnerParameters("sac", 2, network=(8,)), 5, TrainingRun())
    assert [worlds for worlds, _ in played] == [(world,)] * 3 + [(other,)] * 3 + [(world,)] * 3
    assert len({seed for _, seed in played}) == 3


def test_training_stops_when_its_time_is_up(task):
    run = TrainingRun(seconds=0.0)
    learn_design(task, DesignLearnerParameters(episodes=1000, network=(8,)), 5, run)
    assert len(run.history) == 1


def test_kpis_are_scaled_as_their_table_says(task):
    env = ProgrammeDesignEnv(task)
    scaled = ScaledKpis(env)
    centre = np.array([kpi.centre for kpi in env.table], np.float32)
    assert (scaled.observation(centre) == 0).all()
    assert np.abs(scaled.observation(centre + 1e6)).max() == 5.0


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm='dqn'"):
        DesignLearnerParameters("dqn")
