import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.calibration.aggregate import aggregate_file
from agents.calibration.log import SECONDS_PER_DAY
from agents.calibration.log_file import LogFile
from agents.calibration.sources import load_log
from agents.calibration.sufficient import count_moments, purchase_histories, statistics_of
from agents.errors import InputError

START = pd.Timestamp("2022-03-01")


def same(first, second, left_out=("name", "notice", "refunds")):
    """Equal to the last bit, field by field."""
    for field in dataclasses.fields(first):
        if field.name in left_out:
            continue
        one, other = getattr(first, field.name), getattr(second, field.name)
        if dataclasses.is_dataclass(one):
            same(one, other, ())
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, field.name)
            assert one.dtype == other.dtype, field.name
        else:
            assert one == other, field.name


def write(rows, path):
    """Rows of (customer, seconds, cents) as a CSV or Parquet file, with an id a row."""
    frame = pd.DataFrame(rows, columns=["customer", "time", "amount"])
    frame["time"] = START + pd.to_timedelta(frame["time"], unit="s")
    frame["amount"] /= 100
    frame.insert(0, "basket", np.arange(len(frame)))
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return str(path)


purchases = st.tuples(
    st.integers(0, 12).map(lambda k: f"c{k}"),
    # Few different moments, so that ties are common.
    st.integers(0, 400).flatmap(
        lambda day: st.sampled_from([0, 3_600, 86_399]).map(lambda s: day * SECONDS_PER_DAY + s)
    ),
    st.integers(0, 30_000),
)
logs = st.lists(purchases, min_size=2, max_size=120).filter(
    lambda rows: len({customer for customer, _, _ in rows}) > 1
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    rows=logs,
    suffix=st.sampled_from([".csv", ".parquet"]),
    origin=st.sampled_from(["first_purchase", "log_start"]),
    seed=st.integers(0, 9),
)
def test_a_file_and_the_log_in_memory_have_the_same_statistics(
    tmp_path, rows, suffix, origin, seed
):
    path = write(rows, tmp_path / f"log{suffix}")
    log = load_log("csv", path, origin=origin)
    found = aggregate_file(path, origin=origin)
    same(found, statistics_of(log))
    same(found, statistics_of(log, customers=3))
    order = np.random.default_rng(seed).permutation(len(rows))
    same(
        found,
        aggregate_file(
            write([rows[k] for k in order], tmp_path / f"b{suffix}"), None, None, origin
        ),
    )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=logs,
    origin=st.sampled_from(["first_purchase", "log_start"]),
    rows_a_chunk=st.integers(1, 40),
)
def test_chunks_hold_every_customer_once_and_in_order(tmp_path, rows, origin, rows_a_chunk):
    path = write(rows, tmp_path / "log.parquet")
    whole = load_log("csv", path, origin=origin)
    with LogFile(path, origin=origin) as file:
        parts = list(file.chunks(rows_a_chunk))
    assert sum(part.n_customers for part in parts) == whole.n_customers
    labels = np.concatenate([part.customer_label for part in parts])
    assert labels.tolist() == whole.customer_label.tolist()
    assert np.concatenate([part.amount for part in parts]).tolist() == whole.amount.tolist()
    assert np.concatenate([part.time for part in parts]).tolist() == whole.time.tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_cdnow_written_to_a_file_has_its_own_statistics(cdnow, tmp_path, suffix):
    log = dataclasses.replace(cdnow[0], origin="log_start")
    rows = [
        (f"{int(log.customer_label[c]):06d}", t, a)
        for c, t, a in zip(log.customer, log.time, log.amount, strict=True)
    ]
    path = write(rows, tmp_path / f"cdnow{suffix}")
    found = aggregate_file(path)
    # The file's clock starts with its first row and ends with its last one's day.
    assert found.n_customers == 2357
    assert found.n_transactions == cdnow[0].n_transactions
    same(found, statistics_of(load_log("csv", path)))
    last = cdnow[0].time.max() // SECONDS_PER_DAY + 1
    cut = dataclasses.replace(cdnow[0], end_time=int(last * SECONDS_PER_DAY))
    assert cdnow[0].time.min() < SECONDS_PER_DAY
    same(found, statistics_of(cut), ("name", "notice", "refunds", "start", "time_zone"))


def brute_moments(log, lags):
    """Moments of weekly counts from a matrix of everybody, with covariance by the delta method."""
    counts = log.weekly_counts().astype(float)
    start = np.zeros(log.n_customers, int)
    if log.origin == "first_purchase":
        start = log.first_time() // (7 * SECONDS_PER_DAY) + 1
    age = np.arange(log.weeks)[None, :] - start[:, None]
    seen = age >= 0
    counts = np.where(seen, counts, 0)
    late = seen & (age > np.median(age[seen]))

    def mean(values, age, use):
        total, cells = np.where(use, values, 0).sum(axis=1), use.sum(axis=1)
        influence = len(values) * (total / total.sum() - cells / cells.sum())
        return np.log(total.sum() / cells.sum()), influence, age[use].mean()

    every = mean(counts, age, seen)
    rows = [mean(counts, age, seen & ~late), mean(counts, age, late)]
    square = mean(counts * (counts - 1), age, seen)
    rows.append((square[0] - 2 * every[0], square[1] - 2 * every[1], every[2]))
    for lag in lags:
        both = seen[:, :-lag]
        product = mean(counts[:, :-lag] * counts[:, lag:], age[:, :-lag], both)
        now = mean(counts[:, :-lag], age[:, :-lag], both)
        later = mean(counts[:, lag:], age[:, :-lag], both)
        rows.append((product[0] - now[0] - later[0], product[1] - now[1] - later[1], product[2]))
    influence = np.stack([row[1] for row in rows], axis=1)
    covariance = influence.T @ influence / log.n_customers**2 + 1e-6 * np.eye(len(rows))
    return np.array([r[0] for r in rows]), covariance, np.array([r[2] for r in rows])


@pytest.mark.parametrize("origin", ["first_purchase", "log_start"])
def test_moments_are_those_of_the_whole_matrix(drifting_log, origin):
    log = dataclasses.replace(drifting_log, origin=origin)
    found = count_moments(log, (13, 26, 52))
    moments, covariance, age = brute_moments(log, (13, 26, 52))
    np.testing.assert_allclose(found.moments, moments, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)
    np.testing.assert_allclose(found.age, age, rtol=1e-12)
    some = statistics_of(log, customers=700).moments
    same(some, statistics_of(log).moments, ())


def test_moments_of_cdnow_are_those_of_the_whole_matrix(cdnow):
    found = statistics_of(cdnow[0]).moments
    moments, covariance, age = brute_moments(cdnow[0], (13, 26))
    np.testing.assert_allclose(found.moments, moments, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)
    np.testing.assert_allclose(found.age, age, rtol=1e-12)


def test_what_fitting_asks_of_a_log_is_in_its_statistics(cdnow):
    log = cdnow[0]
    found = statistics_of(log)
    summary = log.summary()
    assert (found.weeks, found.n_customers, found.n_transactions) == (39, 2357, log.n_transactions)
    assert found.repeat_day_customers == 946
    purchases = np.bincount(log.customer)
    assert found.repeat_customers == (purchases >= 2).sum()
    assert found.most_purchases_of_a_customer == purchases.max()
    assert (found.smallest_amount, found.largest_amount) == (log.amount.min(), log.amount.max())
    assert found.smallest_paid == log.amount[log.amount > 0].min()
    assert found.histories.customers.sum() == 2357
    same(found.histories, purchase_histories(log), ())
    some = (summary.frequency > 0) & (summary.mean_spend > 0)
    assert found.repeat_spend.frequency.tolist() == summary.frequency[some].tolist()
    assert found.repeat_spend.mean_spend.tolist() == summary.mean_spend[some].tolist()
    assert found.start == "1997-01-01T00:00:00"
    assert "never redistributed" in found.notice


def test_a_log_too_short_for_the_drift_model_says_so(tmp_path):
    rows = [("a", 0, 100), ("a", 9 * SECONDS_PER_DAY, 200), ("b", 0, 300)]
    found = aggregate_file(write(rows, tmp_path / "short.csv"))
    assert found.moments is None
    with pytest.raises(InputError, match=r"short\.csv: no customer bought twice.*pareto_nbd"):
        found.required_moments()
    one_day = aggregate_file(write([("a", 0, 1), ("b", 0, 1)], tmp_path / "day.csv"))
    assert (one_day.weeks, one_day.moments) == (0, None)
    assert not one_day.amounts_vary
    assert found.amounts_vary


def test_progress_ends_at_one(tmp_path):
    told = []
    path = write([("a", 0, 100), ("b", 5, 100)], tmp_path / "log.csv")
    aggregate_file(path, progress=told.append)
    assert told[-1] == 1
