"""What `loyaltylab bench calibrate` prints, without the peer and the large log."""

import json
from importlib.util import find_spec
from typing import Any

import pytest

from agents.calibration.log import TransactionLog
from agents.calibration.sources import load_log
from experiments import cli
from experiments.bench import calibration


@pytest.mark.skipif(find_spec("lifetimes") is None, reason="needs the data files of lifetimes")
def test_published_estimates_are_within_half_a_percent() -> None:
    rows = calibration.published_figures(load_log("cdnow").split(39)[0])
    assert {row["model"] for row in rows} == {"pareto_nbd", "bg_nbd", "gamma_gamma"}
    for row in rows:
        assert abs(row["relative_error"]) < 0.005, row


def test_the_command_prints_every_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def scores(log: TransactionLog, weeks: int, models: Any, **options: Any) -> dict[str, Any]:
        row = dict.fromkeys((*calibration.SCORED, *calibration.CHECKED), 0.5)
        return {"scores": [{"data": log.name, "model": model, **row} for model in models]}

    own = {"ess_per_s": 100.0}
    monkeypatch.setattr(calibration, "load_log", lambda name, notify: _Log(name))
    monkeypatch.setattr(calibration, "own_sampler", lambda log: own)
    monkeypatch.setattr(calibration, "peer_samplers", lambda log, progress: {})
    monkeypatch.setattr(calibration, "holdout_facts", scores)
    published = {
        "model": "m", "parameter": "p", "published": 1.0, "fitted": 1.001, "relative_error": 0.001,
    }  # fmt: skip
    monkeypatch.setattr(calibration, "published_figures", lambda log: [published])
    assert cli.main(["bench", "calibrate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {
        "published", "ess_per_s", "peer_nuts_ess_per_s", "peer_demz_ess_per_s", "holdout", "pit",
        "million_customers_s", "million_customers_peak_gb",
    } <= set(found)  # fmt: skip
    assert {row["model"] for row in found["holdout"]} == set(calibration.CALIBRATION_MODELS)
    assert set(found["pit"][0]) >= {"data", "model", "max_deviation", "band", "inside"}
    assert "not measured" in calibration.table(found)


class _Log:
    def __init__(self, name: str) -> None:
        self.name = name

    def split(self, week: int) -> tuple["_Log", "_Log"]:
        return self, self
