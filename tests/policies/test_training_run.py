"""A training can be taken up again where it was."""

import math

import pytest

from policies.training_run import TENSORBOARD, TrainingRun, read_log


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


def test_every_row_goes_to_parquet_and_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TrainingRun(tmp_path) as run:
        run.log(1, reward=2.0)
        run.save({})
        run.log(2, reward=3.0, loss=0.5)  # logged after the last save
    log = read_log(tmp_path)
    assert log["step"].tolist() == [1, 2]
    assert log["reward"].tolist() == [2.0, 3.0]
    assert log["loss"].isna().tolist() == [True, False]
    board = EventAccumulator(str(tmp_path / TENSORBOARD)).Reload()
    assert [(event.step, event.value) for event in board.Scalars("reward")] == [(1, 2.0), (2, 3.0)]


def test_what_a_killed_session_logged_beyond_its_checkpoint_is_forgotten(tmp_path):
    killed = TrainingRun(tmp_path)
    killed.log(1, reward=2.0)
    killed.save({})
    killed.log(2, reward=99.0)
    with TrainingRun(tmp_path) as run:
        run.load()
        run.log(2, reward=3.0)
        run.save({})
    assert read_log(tmp_path)["reward"].tolist() == [2.0, 3.0]


def test_progress_is_that_of_the_work_or_of_the_time_whichever_is_further():
    assert TrainingRun().progress(0.3) == 0.3
    assert TrainingRun(seconds=1e9).progress(0.3) == 0.3
    assert TrainingRun(seconds=0.0).progress(0.3) == 1.0
    late = TrainingRun(seconds=100.0)
    late._before = 50.0
    assert late.progress(0.1) == pytest.approx(0.5, abs=0.05)


def test_a_checkpoint_is_whole_or_the_one_before(tmp_path, monkeypatch):
    import torch

    run = TrainingRun(tmp_path)
    run.save({"iteration": 1})

    def killed(whole, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run.save({"iteration": 2})
    assert TrainingRun(tmp_path).load() == {"iteration": 1}
