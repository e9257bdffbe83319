"""Outputs appear whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.errors import InputError
from agents.files import atomic_path, write_atomic
from experiments.run_directory import (
    MARKER,
    RunDirectory,
    write_json,
)

WRITER = """
import sys, time
from experiments.run_directory import RunDirectory
with RunDirectory(sys.argv[1], "run") as run:
    (run.path / "half.txt").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start_writer(runs: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A shell that starts tests in the background makes them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_run_takes_its_name_at_the_end(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "runs", "first") as run:
        (run.path / "report.html").write_text("whole")
        assert visible(tmp_path / "runs") == []
    assert run.final == tmp_path / "runs" / "first"
    assert (run.final / "report.html").read_text() == "whole"
    assert everything(tmp_path / "runs") == ["first"]


def test_a_failed_run_leaves_nothing_not_even_the_folder_of_runs(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="midway"), RunDirectory(tmp_path / "a/b", "x") as run:
        (run.path / "half.txt").write_text("half")
        raise RuntimeError("midway")
    assert everything(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_a_run_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = start_writer(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=30) != 0
    assert everything(tmp_path) == []


def test_a_killed_run_has_no_final_name_and_is_cleaned_by_the_next(tmp_path: Path) -> None:
    process = start_writer(tmp_path)
    process.kill()
    process.wait(timeout=30)
    assert visible(tmp_path) == []
    assert everything(tmp_path) == [f".run.{process.pid}.partial"]
    with RunDirectory(tmp_path, "other"):
        pass
    assert everything(tmp_path) == ["other"]


def test_a_run_in_progress_is_left_alone_by_another(tmp_path: Path) -> None:
    process = start_writer(tmp_path)
    try:
        with RunDirectory(tmp_path, "other"):
            pass
        assert f".run.{process.pid}.partial" in everything(tmp_path)
    finally:
        process.kill()
        process.wait(timeout=30)


def test_an_earlier_run_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, "run") as run:
        (run.path / "old.txt").write_text("old")
    with pytest.raises(RuntimeError), RunDirectory(tmp_path, "run") as run:
        raise RuntimeError
    assert (tmp_path / "run" / "old.txt").exists()
    with RunDirectory(tmp_path, "run") as run:
        (run.path / "new.txt").write_text("new")
        assert (run.final / "old.txt").exists()
    assert everything(tmp_path / "run") == [MARKER, "new.txt"]
    assert everything(tmp_path) == ["run"]


def test_a_run_killed_between_the_renames_gives_the_earlier_one_back(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(timeout=30)
    with RunDirectory(tmp_path, "run") as run:
        (run.path / "old.txt").write_text("old")
    run.final.rename(tmp_path / f".run.{dead.pid}.old")
    with RunDirectory(tmp_path, "other"):
        pass
    assert (tmp_path / "run" / "old.txt").read_text() == "old"


def test_a_folder_that_is_not_a_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a run"), RunDirectory(tmp_path, "papers"):
        pass
    assert everything(tmp_path) == ["papers"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="name"):
        RunDirectory(tmp_path, name)


def test_a_place_that_cannot_hold_runs_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="runs_dir"), RunDirectory(tmp_path / "file" / "runs", "x"):
        pass


def test_the_terminate_handler_is_restored(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with RunDirectory(tmp_path, "run"):
        pass
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "offers.csv"
    write_atomic(path, "first")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "first"
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert everything(tmp_path) == ["offers.csv"]
    assert os.access(path, os.R_OK)


def test_json_holds_plain_numbers_and_null_for_what_is_none(tmp_path: Path) -> None:
    value = {1: (np.int64(3), np.float32(0.5)), "no": [float("nan"), np.float64("-inf"), None]}
    write_json(tmp_path / "a.json", value)
    read = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert read == {"1": [3, 0.5], "no": [None, None, None]}
