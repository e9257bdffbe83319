"""A training can be taken up again where it was."""

import math

from policies.training_run import TrainingRun


def test_state_log_and_clock_go_on_in_a_new_session(tmp_path):
    first = TrainingRun(tmp_path)
    first.log(1, reward=2.0)
    first.save({"iteration": 1})
    second = TrainingRun(tmp_path, seconds=math.inf)
    assert second.load() == {"iteration": 1}
    second.log(2, reward=3.0)
    assert [row["reward"] for row in second.history] == [2.0, 3.0]
    assert second.elapsed >= first.history[0]["seconds"]


def test_time_of_earlier_sessions_counts(tmp_path):
    first = TrainingRun(tmp_path)
    first._before = 100.0
    first.save({})
    second = TrainingRun(tmp_path, seconds=50.0)
    second.load()
    assert second.over


def test_without_a_folder_nothing_is_kept_and_nothing_loaded():
    run = TrainingRun(seconds=0.0)
    run.save({"iteration": 1})
    assert run.load() is None
    assert run.over


def test_each_row_of_the_log_is_told():
    told = []
    TrainingRun(tell=told.append).log(5, reward=1.0)
    assert told[0]["step"] == 5
    assert told[0]["reward"] == 1.0
