import numpy as np
import pytest

from agents.calibration.check import statistics, top_share


def test_statistics_of_a_matrix_worked_by_hand():
    counts = np.array([[1, 0, 1, 0], [2, 2, 0, 2]])
    found = statistics(counts, np.array([1000, 3000]), np.array([500, 500, 750, 750, 750, 750]))
    assert found["weekly_purchases"] == 1
    assert found["share_of_zeros"] == 3 / 8
    assert found["variance_over_mean"] == pytest.approx(0.75)
    pairs = [1, 0, 1, 2, 2, 0], [0, 1, 0, 2, 0, 2]
    assert found["correlation_1"] == pytest.approx(np.corrcoef(*pairs)[0, 1])
    assert "correlation_4" not in found
    assert found["top_20_share"] == 0.75
    assert found["basket_median"] == 7.5
    assert found["annual_spend_mean"] == 20 * 52 / 4
    assert found["annual_spend_cv"] == 0.5


def test_nothing_bought_is_undefined_rather_than_an_error():
    found = statistics(np.zeros((3, 6), int), np.zeros(3, int), np.zeros(0, int))
    assert found["weekly_purchases"] == 0
    assert np.isnan(
        [found["variance_over_mean"], found["top_20_share"], found["basket_mean"]]
    ).all()
    assert np.isnan(found["correlation_1"])


def test_the_top_share_does_not_depend_on_order():
    spend = np.array([5, 1, 1, 1, 2])
    assert top_share(spend, 0.2) == top_share(spend[::-1], 0.2) == 0.5


def test_a_matrix_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="one row per customer"):
        statistics(np.zeros((3, 6), int), np.zeros(2, int), np.zeros(0, int))
