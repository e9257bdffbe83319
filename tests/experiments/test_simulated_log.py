"""What the project's own simulator writes is a log, whatever the size of its chunks."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.calibration.aggregate import aggregate_file
from agents.calibration.sources import load_log
from agents.errors import InputError
from agents.population import GROCERY, MUSIC_STORE, PopulationParameters
from experiments.cli import main
from experiments.cohorts import simulated_purchases
from experiments.simulated_log import write_simulated_log


def test_the_log_holds_the_purchases_of_a_simulated_cohort(tmp_path):
    file = tmp_path / "log.parquet"
    written = write_simulated_log(GROCERY, file, customers=300, weeks=12, seed=4, chunk=300)
    log = load_log("csv", str(file), origin="log_start")
    bought = simulated_purchases(GROCERY, 300, 12, 4)
    assert log.n_transactions == written.purchases == len(bought.customer)
    who = log.customer_label.astype(int)[log.customer]
    assert (
        np.bincount(who, minlength=300).tolist()
        == np.bincount(bought.customer, minlength=300).tolist()
    )
    assert log.amount.sum() == bought.amount.sum()
    assert np.sort(log.time % 86_400).tolist() == np.sort(bought.time % 86_400).tolist()


def test_chunks_change_no_row(tmp_path):
    for chunk, name in ((7, "a.parquet"), (64, "b.parquet")):
        write_simulated_log(
            MUSIC_STORE, tmp_path / name, customers=50, weeks=20, arrival_weeks=6, chunk=chunk
        )
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))


def test_with_arrivals_everybody_has_a_first_purchase_in_them(tmp_path):
    file = tmp_path / "log.parquet"
    write_simulated_log(MUSIC_STORE, file, customers=400, weeks=30, arrival_weeks=8)
    log = load_log("csv", str(file))
    assert log.n_customers == 400
    assert log.first_time().max() < 8 * 604_800
    # Arrivals are uniform: a Kolmogorov-Smirnov test that fails once in a thousand seeds.
    from scipy.stats import kstest

    table = pq.read_table(file).to_pandas()
    first = table.groupby("customer")["time"].min() - np.datetime64("2022-01-03")
    assert kstest(first / np.timedelta64(8 * 604_800, "s"), "uniform").pvalue > 0.001
    found = aggregate_file(str(file))
    assert found.n_transactions == log.n_transactions
    mean = log.amount[np.diff(log.customer, prepend=-1) != 0].mean() / 100
    # p * gamma / (q - 1) = 6.25 * 15.44 / 2.74; standard error about 1.7.
    assert mean == pytest.approx(35.2, abs=6)


def test_what_cannot_be_written_is_refused(tmp_path):
    file = tmp_path / "log.parquet"
    silent = PopulationParameters("pareto_nbd", "none", MUSIC_STORE.parameters)
    with pytest.raises(InputError, match="without a basket"):
        write_simulated_log(silent, file, customers=10, weeks=10)
    with pytest.raises(InputError, match="arrival_weeks=10 must be 0 to 9"):
        write_simulated_log(MUSIC_STORE, file, customers=10, weeks=10, arrival_weeks=10)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_log_and_says_how_to_read_it(tmp_path, capsys):
    file = tmp_path / "log.parquet"
    assert (
        main(["simulate-log", "world=music_store", "customers=100", "weeks=30", f"out={file}"]) == 0
    )
    said = capsys.readouterr().out
    assert f"{file}: " in said
    assert "of 100 customers in 30 weeks" in said
    assert "data.origin=log_start" in said
    assert load_log("csv", str(file), origin="log_start").n_transactions > 10


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["out is missing"]),
        (["out=x.parquet", "customer=5"], ["unknown key 'customer'", "'customers'"]),
        (["out=x.parquet", "customers=many"], ["customers='many'", "a whole number"]),
        (["out=x.parquet", "customers=1"], ["customers=1", "2 to"]),
        (["out=x.parquet", "draw=1"], ["draw=1 must be 0 to 0"]),
        (["out=x.parquet", "start=monday"], ["start='monday'", "a date"]),
        (["out=x.parquet", "weeks=3", "weeks=4"], ["weeks is given twice"]),
        (["out=x.parquet", "world=mars"], ["world='mars'", "grocery"]),
        (["out=/no/such/folder/x.parquet"], ["/no/such/folder"]),
        (["out=x.parquet", "posterior=none.nc"], ["none.nc: no such file"]),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_and_code_2(
    arguments, parts, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate-log", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    for part in ["loyaltylab: error:", *parts]:
        assert part in said
    assert list(tmp_path.iterdir()) == []
