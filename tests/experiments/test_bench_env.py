"""What `loyaltylab bench env` prints and refuses. No test asserts a time."""

import json

import pytest

from experiments.bench import env
from experiments.bench.env import FIGURES, EnvSize, bench_env, table
from experiments.cli import main

TINY = EnvSize(repetitions=1, seconds=0.01, ppo_steps=1, threads=1)


@pytest.fixture(scope="module")
def result():
    """A run of almost nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "LARGE", 128)
        patch.setattr(env, "SMALL", 8)
        patch.setattr(env, "_POOL", 64)
        keys = {
            key.replace("65536", "128").replace("64", "8"): text for key, text in FIGURES.items()
        }
        patch.setattr(env, "FIGURES", keys)
        yield bench_env(TINY), keys


def test_every_figure_has_a_spread_and_says_whether_it_is_paired(result):
    found, keys = result
    for key in keys:
        low, high = found["spread"][key]
        assert 0 < low <= found[key] <= high
        assert found["paired"][key] == (key.endswith("_paired") or "ppo" in key)
    assert found["threads"] == 1
    assert {"machine", "cores", "numba", "load_average_before"} <= set(found)
    assert all(key in table(found) for key in keys)
    json.dumps(found)


def test_the_keys_of_the_command_are_fixed():
    assert {"steps_per_s_64", "steps_per_s_65536", "maskable_ppo_steps_per_s"} <= set(FIGURES)


def test_the_command_prints_json_only(monkeypatch, capsys):
    given = []

    def job(size):
        given.append(size)
        print("noise")
        return {"steps_per_s_64": 1.0}

    monkeypatch.setattr(env, "bench_env", job)
    arguments = ["bench", "env", "--json", "--repetitions", "2", "--seconds", "0.5"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"steps_per_s_64": 1.0}
    assert given == [EnvSize(2, 0.5)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repetitions", "0"], "--repetitions"),
        (["--seconds", "0"], "seconds=0.0"),
        (["--threads", "4096"], "threads=4096"),
    ],
)
def test_a_size_out_of_range_is_one_line(options, message, capsys):
    assert main(["bench", "env", "--json", *options]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_the_help_teaches(capsys):
    assert main(["bench", "env", "--help"]) == 0
    said = capsys.readouterr().out
    for word in ("MaskablePPO", "paired", "--threads", "loyaltylab bench env --json"):
        assert word in said
