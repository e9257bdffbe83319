"""The command that fits a log, from file to report."""

import json
from pathlib import Path

import numpy as np
import pytest

from agents.calibration.posterior import Posterior
from agents.population import MUSIC_STORE
from experiments import cli
from experiments.calibrate import holdout_weeks, run_calibrate
from experiments.config import compose_calibrate
from experiments.logs import load_data, statistics_and_sample
from experiments.report.calibration import render_calibration
from experiments.simulated_log import write_simulated_log


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("log") / "log.parquet"
    write_simulated_log(MUSIC_STORE, file, customers=900, weeks=40, arrival_weeks=8, seed=4)
    return file


@pytest.fixture(scope="module")
def run(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run_calibrate(
        compose_calibrate(
            [f"data={path}", f"runs_dir={folder}", "name=fit", "cohorts=4", "draws=60",
             "compare=[pareto_nbd,bg_nbd]"]
        )
    )  # fmt: skip
    return folder / "fit"


def test_a_log_becomes_a_posterior_with_a_report(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    posterior = Posterior.load(run / "posterior.nc")
    assert posterior.n_draws == 60
    assert (run / "posterior.nc").stat().st_size < 5e6
    assert [row["name"] for row in summary["parameters"]] == list(posterior.parameters)
    assert {row["model"] for row in summary["holdout"]["scores"]} == {"pareto_nbd", "bg_nbd"}
    assert summary["holdout"]["weeks"] == 10
    assert len(summary["holdout"]["tracking"][0]["week"]) == 41
    assert {row["statistic"] for row in summary["predictive_checks"]} >= {"weekly_purchases"}
    page = (run / "report.html").read_text()
    for text in ("Does it forecast? 10 weeks held out", "Pareto/NBD", "posterior solid"):
        assert text in page


def test_the_page_bears_what_is_missing(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    bare = summary | {"holdout": None, "predictive_checks": [], "parameters": [], "diagnostics": []}
    assert "No weeks were held out" in render_calibration(bare)
    assert "<html" in render_calibration({})


def test_a_file_and_memory_give_the_same_statistics(path: Path) -> None:
    config = compose_calibrate([f"data={path}"])
    streamed, sample = statistics_and_sample(config.data, 100)
    log = load_data(config.data)
    assert streamed.n_customers == log.n_customers
    assert streamed.customers.frequency.tolist() == log.summary().frequency.tolist()
    assert 90 <= sample.n_customers <= 100
    labels = log.customer_label.tolist()
    chosen = log.select([labels.index(label) for label in sample.customer_label])
    assert chosen.amount.tolist() == sample.amount.tolist()
    assert chosen.time.tolist() == sample.time.tolist()


def test_a_quarter_of_the_log_is_held_out_unless_said_otherwise(path: Path) -> None:
    config = compose_calibrate([f"data={path}"])
    log = load_data(config.data)
    assert holdout_weeks(config, log) == 10
    assert holdout_weeks(config, log.split(9)[0]) == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=gbm", "model"),
        ("inference=vi", "inference"),
        ("draws=0", "draws"),
        ("holdout_weeks=39", "holdout_weeks=39 of 40 whole weeks; allowed: 0 to 32"),
        ("compare=[]", "compare"),
        ("covariates=none.csv", "no such file"),
    ],
)
def test_bad_input_is_one_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    code = cli.main(["calibrate", f"data={path}", f"runs_dir={tmp_path}/runs", override])
    assert code == cli.BAD_INPUT
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "".join(f"{i},2024-0{1 + i % 6}-01,{5 + i}\n" for i in range(60)),
            "bought more than once",
        ),
        (
            "".join(f"{i},2024-0{m}-0{1 + i % 7},5\n" for i in range(60) for m in range(1, 7)),
            "amount is the same in every row",
        ),
        ("a,2024-01-01,5\na,2024-05-01,-5\nb,2024-06-01,3\n", "refunds"),
    ],
)
def test_logs_that_cannot_be_fitted_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, message: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("customer,time,amount\n" + rows)
    code = cli.main(["calibrate", f"data={path}", f"runs_dir={tmp_path}/runs"])
    assert code == cli.BAD_INPUT
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_intervals_narrow_with_the_log(run: Path) -> None:
    """A posterior says more than its prior of what a log tells."""
    summary = json.loads((run / "summary.json").read_text())
    for row in summary["parameters"]:
        prior = row["prior"]["high"] / row["prior"]["low"]
        assert row["high"] / row["low"] < prior, row["name"]
    assert np.isfinite([row["mode"] for row in summary["parameters"]]).all()
