"""Parameters and luck apart: which runs are done, and that an interrupted job goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.calibration.posterior import Posterior
from agents.population import GROCERY
from experiments import posterior_runs
from experiments.cli import main
from experiments.config import compose_simulate, other_side
from experiments.market_run import PER_CUSTOMER, run_markets
from experiments.posterior_runs import Checkpoint, uncertainty
from experiments.report.simulation import render_simulation, summary_text
from experiments.simulate import Simulation, run_simulate, simulate
from experiments.worlds import build_world, draw_customers
from sim.uncertainty import decompose

DRAWS, REPLICAS = 3, 2


@pytest.fixture(scope="module")
def posterior(tmp_path_factory) -> Path:
    """Draws that differ in how often customers buy."""
    parameters = {name: np.repeat(values, DRAWS + 1) for name, values in GROCERY.parameters.items()}
    parameters["rate_mean"] = np.array([1.2, 0.6, 1.2, 2.4])
    path = tmp_path_factory.mktemp("posterior") / "posterior.nc"
    Posterior("drift", "lognormal_gamma", parameters, {}).save(path)
    return path


@pytest.fixture(scope="module")
def given(posterior) -> tuple[str, ...]:
    return (
        f"posterior={posterior}", "against=no_programme", "customers=150", "weeks=8",
        f"draws={DRAWS}", f"replicas={REPLICAS}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(given) -> Simulation:
    return simulate(*given)


def test_every_draw_meets_every_cohort(given, result, posterior) -> None:
    known = result.summary["uncertainty"]
    assert (known["draws"], known["replicas"]) == (DRAWS, REPLICAS)
    rows = {row["what"]: row for row in known["rows"]}
    assert tuple(rows) == tuple(PER_CUSTOMER)
    config = compose_simulate(given)
    fitted = Posterior.load(posterior)
    for draw in range(DRAWS):
        for cohort in range(REPLICAS):
            one = run_markets(
                config, other_side(config), fitted, "literature", draw=draw + 1, cohort=cohort
            )
            for what in ("profit", "purchases", "still_there"):
                assert rows[what]["lifts"][draw][cohort] == one.lift(what).mean
    for row in rows.values():
        parts = decompose(np.array(row["lifts"]))
        assert row["mean"] == parts.mean
        assert (row["low"], row["high"]) == (parts.low, parts.high)
        assert row["parameters"] == parts.parameters
    assert rows["purchases"]["parameter_share"] > 0.5  # rates are four times as high in one draw
    assert rows["purchases"]["lifts"][2][0] > rows["purchases"]["lifts"][0][0]


def test_the_mode_is_the_run_itself_and_no_draw(given, result) -> None:
    alone = simulate(*given[:-2])
    assert alone.summary["uncertainty"] is None
    assert alone.summary["differences"] == result.summary["differences"]


def test_a_cohort_is_other_customers_and_a_draw_other_parameters_of_the_same(given) -> None:
    config = compose_simulate(given)
    fitted = Posterior.load(str(config.posterior))
    cohorts = [draw_customers(config, fitted, "population", 150, 0, one) for one in (0, 1, 2)]
    ids = np.concatenate([cohort.traits["id"] for cohort in cohorts])
    assert np.unique(ids).size == 450
    first, second = (draw_customers(config, fitted, "population", 150, draw) for draw in (1, 3))
    np.testing.assert_array_equal(first.traits["id"], second.traits["id"])
    gap = second.traits["log_rate"] - first.traits["log_rate"]
    np.testing.assert_allclose(gap, np.log(4.0), atol=1e-5)  # the same place among the others
    mode, drawn = (build_world(config, fitted, "literature", draw) for draw in (0, 3))
    assert mode.dynamics.log_rate_centre != drawn.dynamics.log_rate_centre
    assert mode.filter == drawn.filter  # what the firm believes is what it fitted


def test_the_luck_found_is_that_of_the_interval_over_customers(posterior) -> None:
    """At equal draws replicas vary as the standard error of one run says (a factor of 2.4 for
    twelve replicas would be one false alarm in 1,000)."""
    config = compose_simulate(
        [f"posterior={posterior}", "against=no_programme", "customers=200", "weeks=8"]
    )
    other, fitted = other_side(config), Posterior.load(posterior)
    runs = [
        run_markets(config, other, fitted, "literature", cohort=cohort).lift("purchases")
        for cohort in range(12)
    ]
    spread = np.std([run.mean for run in runs], ddof=1)
    told = np.mean([(run.high - run.low) / (2 * 1.972) for run in runs])
    assert 1 / 2.4 < spread / told < 2.4


def test_an_interrupted_job_goes_on_where_it_stopped(given, tmp_path, monkeypatch) -> None:
    config = compose_simulate([*given, f"runs_dir={tmp_path}", "name=lift"])
    done: list[tuple[int, int]] = []
    honest = posterior_runs._mean_lifts

    def watched(*arguments: Any) -> dict[str, float]:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(arguments[-2:])
        return honest(*arguments)

    monkeypatch.setattr(posterior_runs, "_mean_lifts", watched)
    with pytest.raises(KeyboardInterrupt):
        run_simulate(config)
    (left,) = tmp_path.iterdir()
    assert left.name == ".lift.lifts.jsonl"
    with left.open("a") as file:
        file.write('{"draw": 2, "coh')  # killed while it wrote
    first, done[:] = list(done), []
    again = run_simulate(config)
    assert first + done == [(draw, cohort) for draw in (1, 2, 3) for cohort in (0, 1)]
    assert len(done) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["lift"]
    monkeypatch.undo()
    assert again.summary["uncertainty"] == simulate(*given).summary["uncertainty"]


def test_runs_of_another_configuration_are_not_taken_over(given, tmp_path) -> None:
    where = [*given, f"runs_dir={tmp_path}"]
    kept = Checkpoint.of(compose_simulate(where))
    kept.put(0, 0, {"profit": 1.0})
    assert Checkpoint.of(compose_simulate(where)).get(0, 0) == {"profit": 1.0}
    more = [one for one in where if not one.startswith(("draws", "replicas"))]
    assert len(Checkpoint.of(compose_simulate([*more, "draws=2", "threads=1"]))) == 1
    for other in ("seed=1", "weeks=9", "response=null", "off=[drift]", "programme.breakage=0.1"):
        changed = [one for one in where if one.split("=")[0] != other.split("=")[0]]
        assert len(Checkpoint.of(compose_simulate([*changed, other]))) == 0, other
    fresh = Checkpoint.of(compose_simulate([*where, "seed=1"]))
    fresh.put(0, 1, {"profit": 2.0})  # replaces what cannot be used
    assert Checkpoint.of(compose_simulate(where)).get(0, 0) is None
    assert len((tmp_path / ".simulate.lifts.jsonl").read_text().splitlines()) == 2
    for text in ("", "[]", "{}\n", "no json", '{"key": 1}'):
        (tmp_path / ".simulate.lifts.jsonl").write_text(text)
        assert len(Checkpoint.of(compose_simulate(where))) == 0


def test_page_console_and_summary_tell_parameters_from_luck(result) -> None:
    page = render_simulation(result.summary, result.kpis, result.against)
    assert 'id="uncertainty"' in page
    assert "Difference in profit by posterior draw" in page
    text = summary_text(result.summary)
    assert "Parameters and luck." in text
    assert max(len(line) for line in text.splitlines()) <= 100
    summary = json.loads(json.dumps(result.summary))
    for row in summary["uncertainty"]["rows"]:
        row["parameters"], row["parameter_share"] = -1.0, 0.0
    assert "Parameters are not seen to add anything to luck" in " ".join(
        summary_text(summary).split()
    )


def test_progress_counts_runs_done_before(given, tmp_path) -> None:
    config = compose_simulate([*given, f"runs_dir={tmp_path}"])
    other = other_side(config)
    assert other is not None
    kept = Checkpoint.of(config)
    values = dict.fromkeys(PER_CUSTOMER, 1.0)
    for draw in range(DRAWS):
        for cohort in range(REPLICAS):
            kept.put(draw, cohort, values)
    found = uncertainty(config, other, Posterior.load(str(config.posterior)), kept=kept)
    assert all(row["low"] == row["high"] == 1.0 for row in found["rows"])
    kept.delete()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["draws=2"], "draws=2 is for a difference"),
        (["draws=2", "against=points"], "draws=2 needs posterior=FILE"),
        (["draws=1", "against=points", "posterior={}"], "draws=1 must be 0, or 2 to 10,000"),
        (["draws=4", "against=points", "posterior={}"], "has 3; give at most so many"),
        (["draws=-1"], "draws=-1 must be 0 to 10,000"),
        (["replicas=3"], "replicas=3 are runs of luck per posterior draw"),
        (["draws=2", "replicas=1"], "replicas=1 must be 2 to 100"),
        (["customers=90000000", "replicas=50"], "replicas=50 must be at most 11"),
    ],
)
def test_draws_that_cannot_be_run_are_one_line_and_exit_2(
    changes, words, posterior, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [one.format(posterior) for one in changes]
    small = [] if any("customers" in one for one in given) else ["customers=20", "weeks=2"]
    assert main(["simulate", *given, *small]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert words in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_runs_outlive_two_interruptions(tmp_path: Path) -> None:
    path = tmp_path / "lifts.jsonl"
    first = Checkpoint(path, "key")
    for draw in range(3):
        first.put(draw, 0, {"profit": float(draw)})
    path.write_text(path.read_text()[:-5])  # cut off in the middle of a line
    second = Checkpoint(path, "key")
    assert len(second) == 2
    for draw in range(2, 5):
        second.put(draw, 0, {"profit": float(draw)})
    path.write_text(path.read_text()[:-5])
    assert [Checkpoint(path, "key").get(draw, 0) for draw in range(5)] == [
        {"profit": 0.0}, {"profit": 1.0}, {"profit": 2.0}, {"profit": 3.0}, None,
    ]  # fmt: skip
