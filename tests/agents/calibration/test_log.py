import numpy as np
import pandas as pd
import pytest

from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog


def make_log(**changes):
    day = SECONDS_PER_DAY
    fields = {
        "name": "toy",
        "customer": np.array([0, 0, 0, 2, 2]),
        "time": np.array([day, day + 60, 15 * day, 3 * day, 20 * day]),
        "amount": np.array([100, 200, 500, 700, 900]),
        "customer_label": np.array(["a", "b", "c"]),
        "start": pd.Timestamp("2024-01-01"),
        "end_time": 4 * SECONDS_PER_WEEK,
        "origin": "first_purchase",
        "time_zone": "UTC",
    }
    return TransactionLog(**(fields | changes))


def test_purchases_of_one_day_count_once_in_the_summary():
    summary = make_log().summary()
    assert summary.frequency.tolist() == [1, 0, 1]
    assert summary.recency[[0, 2]].tolist() == pytest.approx([2, 17 / 7])
    assert summary.age[[0, 2]].tolist() == pytest.approx([26 / 7, 24 / 7])
    assert summary.mean_spend[[0, 2]].tolist() == [5, 9]


def test_clocks_of_a_running_business_start_with_the_log():
    summary = make_log(origin="log_start").summary()
    assert summary.frequency.tolist() == [2, 0, 2]
    assert summary.age.tolist() == pytest.approx([27 / 7] * 3)
    assert summary.mean_spend[0] == 4


def test_weekly_counts_hold_every_transaction_of_a_whole_week():
    log = make_log()
    assert log.weekly_counts().tolist() == [[2, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]]
    assert log.spend_per_customer().tolist() == [800, 0, 1600]
    cut = make_log(end_time=3 * SECONDS_PER_WEEK - 1)
    assert cut.weekly_counts().shape == (3, 2)
    assert cut.spend_per_customer().tolist() == [300, 0, 700]


def test_split_keeps_customers_and_loses_no_row():
    calibration, holdout = make_log().split(2)
    assert calibration.customer_label.tolist() == holdout.customer_label.tolist() == ["a", "c"]
    assert calibration.n_transactions + holdout.n_transactions == 5
    assert holdout.time.tolist() == [SECONDS_PER_DAY, 6 * SECONDS_PER_DAY]
    assert holdout.start == pd.Timestamp("2024-01-15")
    assert holdout.origin == "log_start"
    with pytest.raises(ValueError, match=r"week is 4; allowed: 1\.\.3"):
        make_log().split(4)


def test_split_leaves_out_customers_who_came_later():
    log = make_log(time=np.array([0, 1, 2, 15, 16]) * SECONDS_PER_DAY)
    calibration, holdout = log.split(1)
    assert calibration.customer_label.tolist() == ["a"]
    assert holdout.n_transactions == 0


def test_select_renumbers_customers():
    log = make_log(contactable=np.array([True, False, False])).select([2, 1])
    assert log.customer_label.tolist() == ["b", "c"]
    assert log.customer.tolist() == [1, 1]
    assert log.contactable.tolist() == [False, False]
    with pytest.raises(ValueError, match=r"0\.\.2"):
        make_log().select([3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": np.array([2, 1, 3, 4, 5])}, "sorted"),
        ({"time": np.array([0, 1, 2, 3, 10**8])}, "times must lie"),
        ({"customer": np.array([0, 0, 0, 2, 3])}, "codes must lie"),
        ({"amount": np.array([1])}, "one value per row"),
        ({"origin": "birth"}, "first_purchase, log_start"),
        ({"contactable": np.array([True])}, "one value per customer"),
    ],
)
def test_an_inconsistent_log_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_log(**change)
