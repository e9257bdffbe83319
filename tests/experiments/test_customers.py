"""`loyaltylab customers` writes a row for everybody, or says in one line what is missing."""

import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from agents.calibration.customers import COLUMNS, CustomerTable, Question
from agents.calibration.posterior import Posterior
from agents.calibration.sources import load_log
from agents.population import MUSIC_STORE
from experiments import customers as module
from experiments.cli import main
from experiments.simulated_log import write_simulated_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A log of the music store, and a posterior with its parameters."""
    folder = tmp_path_factory.mktemp("customers")
    write_simulated_log(
        MUSIC_STORE, folder / "log.parquet", customers=500, weeks=40, arrival_weeks=8
    )
    rng = np.random.default_rng(0)
    parameters = {
        name: np.append(value, value * np.exp(0.1 * rng.standard_normal(30)))
        for name, value in MUSIC_STORE.parameters.items()
    }
    posterior = Posterior("pareto_nbd", "gamma_gamma", parameters, {"origin": "first_purchase"})
    posterior.save(folder / "posterior.nc")
    return folder


def test_the_file_holds_the_table_whatever_the_parts(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module.LogFile.chunks, "__defaults__", (200,))
    out = tmp_path / "customers.parquet"
    log, posterior = folder / "log.parquet", folder / "posterior.nc"
    arguments = [f"posterior={posterior}", f"data={log}", f"out={out}", "weeks=26", "margin=0.5"]
    assert main(["customers", *arguments]) == 0
    said = capsys.readouterr()
    assert "500 customers" in said.out
    assert "Customers" in said.err
    found = pq.read_table(out)
    assert pq.ParquetFile(out).num_row_groups > 1
    expected = CustomerTable(
        Posterior.load(posterior), "first_purchase", Question(weeks=26, margin=0.5)
    ).of(load_log("csv", str(log)))
    assert found.column_names == list(COLUMNS)
    for name, values in expected.items():
        assert found[name].to_pylist() == values.tolist(), name
    asked = json.loads(found.schema.metadata[b"loyaltylab"])
    assert asked["question"]["weeks"] == 26
    assert len(asked["draws"]) == 30
    for name, meaning in COLUMNS.items():
        assert found.schema.field(name).metadata[b"meaning"].decode() == meaning


def test_a_named_source_is_read_too(folder, cdnow_installed, tmp_path):
    out = tmp_path / "c.parquet"
    assert (
        main(["customers", f"posterior={folder / 'posterior.nc'}", "data=cdnow", f"out={out}"]) == 0
    )
    assert pq.read_metadata(out).num_rows == 2357


@pytest.fixture
def cdnow_installed():
    if find_spec("lifetimes") is None:
        pytest.skip("needs the data files of lifetimes==0.11.3 (pip install --no-deps)")


def test_refunds_are_told(folder, tmp_path, capsys):
    frame = pd.read_parquet(folder / "log.parquet")
    frame.loc[len(frame) - 1, "amount"] = -1.0
    frame.to_parquet(tmp_path / "log.parquet")
    arguments = [f"posterior={folder / 'posterior.nc'}", f"data={tmp_path / 'log.parquet'}"]
    assert main(["customers", *arguments, f"out={tmp_path / 'o.parquet'}"]) == 2
    assert "refunds=net" in capsys.readouterr().err
    assert not (tmp_path / "o.parquet").exists()
    arguments += ["data.refunds=drop", f"out={tmp_path / 'o.parquet'}"]
    assert main(["customers", *arguments]) == 0
    assert "refunds=drop: 1 row with a negative amount removed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["data={log}"], ["posterior is missing", "loyaltylab demo"]),
        (["posterior=none.nc", "data={log}"], ["none.nc: no such file"]),
        (["posterior={log}", "data={log}"], ["not a readable NetCDF"]),
        (["posterior={p}", "data=none.csv"], ["none.csv"]),
        (["posterior={p}", "data={log}", "weeks=0"], ["weeks=0 must be 1 to 520"]),
        (["posterior={p}", "data={log}", "week=9"], ["unknown key 'week'", "'weeks'"]),
        (["posterior={p}", "data={log}", "data.origin=log_start"], ["fitted with"]),
        (["posterior={p}", "data={log}", "data.time_zone=Mars"], ["time_zone='Mars'"]),
        (["posterior={p}", "data={log}", "data.refunds=keep"], ["refunds", "net"]),
        (["posterior={p}", "data=cdnow", "data.refunds=net"], ["data.refunds=net is for data=csv"]),
        (["posterior={p}", "data={log}", "out=/no/folder/x.parquet"], ["/no/folder"]),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_and_code_2(
    folder, arguments, parts, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    places = {"log": folder / "log.parquet", "p": folder / "posterior.nc"}
    assert main(["customers", *(text.format(**places) for text in arguments)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    for part in ["loyaltylab: error:", *parts]:
        assert part in said
    assert list(tmp_path.iterdir()) == []
