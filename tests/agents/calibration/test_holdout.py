from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from agents.calibration.holdout import (
    daily,
    evaluate,
    pit,
    purchases_held_out,
    reliability,
    sharp_band,
    tracking,
    uniform_band,
)
from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.calibration.predictive import Predictive, predict
from agents.errors import InputError

# Fader, Hardie and Lee (2005), table 2, on the published sample.
PARETO_NBD = {
    "rate_shape": 0.553,
    "rate_rate": 10.578,
    "dropout_shape": 0.606,
    "dropout_rate": 11.669,
}
BG_NBD = {"rate_shape": 0.243, "rate_rate": 4.414, "dropout_a": 0.793, "dropout_b": 2.426}
BOTH = {"pareto_nbd": PARETO_NBD, "bg_nbd": BG_NBD}


@pytest.fixture(scope="module")
def evaluation(cdnow):
    return evaluate(*cdnow, BOTH)


def negative_binomial(n, shape=0.6, rate=0.4):
    """Predictive distributions of n customers: negative binomial with their own means."""
    most = 200
    scale = np.linspace(0.2, 3.0, n)
    table = stats.nbinom.pmf(np.arange(most + 1), shape, rate / (rate + scale[:, None]))
    return Predictive(13.0, np.arange(n), table, shape / rate * scale, np.ones(n))


def draw(predictive, rng):
    cumulative = np.cumsum(predictive.probability, axis=1)[predictive.row]
    return (cumulative < rng.random(len(cumulative))[:, None]).sum(axis=1)


def test_cdnow_scores_are_those_of_the_published_models(evaluation, cdnow):
    rows = {score.model: score for score in evaluation.scores}
    assert evaluation.bought.sum() == 1882
    assert rows["pareto_nbd"].actual == rows["bg_nbd"].actual == 1882
    assert rows["pareto_nbd"].predicted == pytest.approx(1666, abs=1)
    assert rows["bg_nbd"].predicted == pytest.approx(1653, abs=1)
    assert {score.data for score in evaluation.scores} == {"cdnow sample"}
    # Our own figures, to notice a change: no publication gives them.
    assert rows["pareto_nbd"].log_density_per_customer == pytest.approx(-0.9872, abs=2e-4)
    assert rows["bg_nbd"].log_density_per_customer == pytest.approx(-0.9845, abs=2e-4)


# Maximum likelihood on the calibration weeks' purchase days, by the filter's log-likelihood.
CDNOW_DRIFT = {
    "rate_mean": 0.05414,
    "rate_log_sd": 1.18649,
    "drift_time_constant": 116.98,
    "dropout_shape": 0.32207,
    "dropout_rate": 2.85765,
}
GROCERY_HABIT = {
    "rate_mean": 0.97974,
    "rate_shape": 3.80594,
    "rate_power": 2.5324,
    "drift_time_constant": 279.2,
    "shift_probability": 0.01023,
    "regular_share": 0.33112,
    "regularity": 1.78495,
    "growth": 0.00093,
    "dropout_shape": 0.6,
    "dropout_rate": 60_000.0,
}
GROCERY_PARETO_NBD = {
    "rate_shape": 1.27101,
    "rate_rate": 1.27043,
    "dropout_shape": 0.49285,
    "dropout_rate": 702.66,
}


def test_on_cdnow_rates_that_drift_predict_what_constant_ones_miss(cdnow):
    found = evaluate(*cdnow, {"drift": CDNOW_DRIFT, "bg_nbd": BG_NBD})
    best = found.scores[0]
    assert best.model == "drift"
    assert best.log_density_per_customer == pytest.approx(-0.9615, abs=2e-4)
    assert best.predicted == pytest.approx(1885, abs=2)
    assert best.pit.inside
    assert found.scores[1].difference < -3 * found.scores[1].difference_standard_error


def test_on_groceries_only_habits_that_shift_are_calibrated(complete_journey):
    parts = complete_journey.split(38)
    found = evaluate(*parts, {"pareto_nbd": GROCERY_PARETO_NBD, "habit": GROCERY_HABIT})
    best, other = found.scores
    assert best.model == "habit"
    assert best.log_density_per_customer == pytest.approx(-2.9135, abs=5e-4)
    assert best.predicted == pytest.approx(best.actual, rel=0.01)
    assert best.pit.inside
    # Constant rates are far too sure of themselves: both ends of the histogram are high.
    assert not other.pit.inside
    assert other.difference < -9 * other.difference_standard_error
    histogram = np.diff(other.pit.cumulative) * 20
    assert min(histogram[0], histogram[-1]) > 1.9


def test_models_are_compared_customer_by_customer(evaluation):
    best, other = evaluation.scores
    assert best.best
    assert not best.tied
    assert not other.best
    assert best.model == evaluation.best == "bg_nbd"
    logs = {m: np.log(p.density(evaluation.bought)) for m, p in evaluation.predictive.items()}
    apart = logs[other.model] - logs[best.model]
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    assert other.difference == pytest.approx(apart.mean())
    assert other.difference_standard_error == pytest.approx(error)
    assert other.tied == (apart.mean() >= -error)
    # Paired: the customers' own luck, shared by the models, is out of the difference.
    assert other.difference_standard_error < best.standard_error / 3
    assert best.difference == best.difference_standard_error == 0.0
    assert evaluation.verdict().startswith("cdnow sample: best is bg_nbd, -0.98")


def test_a_tie_is_said(cdnow):
    again = evaluate(*cdnow, {"bg_nbd": BG_NBD, "pareto_nbd": [PARETO_NBD, PARETO_NBD]})
    scores = {score.model: score for score in again.scores}
    near = replace(scores["pareto_nbd"], tied=True)
    assert replace(again, scores=(scores["bg_nbd"], near)).verdict().endswith("with pareto_nbd")


def test_records_have_the_keys_of_the_benchmark(evaluation):
    row, band = evaluation.scores[0].row(), evaluation.scores[0].pit_row()
    required = {"data", "model", "log_density_per_customer", "predicted", "actual"}
    assert required <= set(row)
    assert set(band) == {"data", "model", "max_deviation", "band", "inside"}
    assert band["inside"] is (band["max_deviation"] <= band["band"])


def test_the_band_is_kolmogorovs():
    for n in (100, 2_357):
        exact = stats.kstwo.ppf(0.95, n)
        # 4,000 samples: the simulated quantile has a standard error of 1.3 %.
        assert uniform_band(n) == pytest.approx(exact, rel=0.05)
    assert uniform_band(100) == uniform_band(100, 0) != uniform_band(100, 1)


def test_a_right_model_is_inside_the_band_and_wrong_ones_are_not():
    """Right 100 times: none or more than 10 outside at 5 % have probability .017; seed fixed."""
    rng = np.random.default_rng(8)
    right = negative_binomial(500)
    found = [pit(right, draw(right, rng)) for _ in range(100)]
    assert sum(not one.inside for one in found) <= 10
    sharp = sharp_band(right)
    assert 0.5 * found[0].band < sharp < found[0].band
    assert 1 <= sum(one.max_deviation > sharp for one in found) <= 10
    bought = draw(right, rng)
    low = negative_binomial(500, rate=0.6)
    narrow = negative_binomial(500, shape=3.0, rate=2.0)
    assert low.expected().sum() == pytest.approx(right.expected().sum() / 1.5)
    assert narrow.expected() == pytest.approx(right.expected())
    assert not pit(low, bought).inside
    assert not pit(narrow, bought).inside


def test_the_transform_of_counts_by_hand():
    """Two customers who buy or not with probability .25 and .5; one buys."""
    table = np.array([[0.75, 0.25], [0.5, 0.5]])
    predictive = Predictive(1.0, np.array([0, 1]), table, table[:, 1], np.ones(2))
    found = pit(predictive, [0, 1])
    # The first is uniform on 0...75, the second on .5..1.
    assert found.cumulative[10] == pytest.approx((0.5 / 0.75) / 2)
    assert found.cumulative[15] == pytest.approx((1 + 0.5) / 2)
    assert (found.cumulative[0], found.cumulative[-1]) == (0.0, 1.0)
    assert found.lowest_deviation <= found.max_deviation <= found.highest_deviation
    assert pit(predictive, [0, 1]).max_deviation == found.max_deviation
    assert pit(predictive, [0, 1], seed=1).highest_deviation != found.highest_deviation


def two_part_log():
    """Three customers over six weeks; the first buys twice on one day of the hold-out."""
    day = np.array([1, 3, 29, 29, 41, 8, 9, 40, 20])
    customer = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2])
    return TransactionLog(
        name="by hand",
        customer=customer,
        time=day * SECONDS_PER_DAY + np.arange(9),
        amount=np.arange(1, 10, dtype=np.int64) * 100,
        customer_label=np.array(["a", "b", "c"]),
        start=pd.Timestamp("2024-01-01"),
        end_time=6 * SECONDS_PER_WEEK,
        origin="first_purchase",
        time_zone="UTC",
    )


def test_purchase_days_are_counted_once_a_day_in_whole_weeks():
    log = two_part_log()
    calibration, holdout = log.split(4)
    merged = daily(log)
    assert merged.n_transactions == 8
    assert merged.amount.sum() == log.amount.sum()
    assert merged.amount[2] == 700
    assert merged.time[2] == 29 * SECONDS_PER_DAY + 2
    np.testing.assert_array_equal(merged.summary().frequency, log.summary().frequency)
    np.testing.assert_array_equal(purchases_held_out(calibration, holdout), [2, 1, 0])
    # Without its last day the second hold-out week is not whole.
    shorter = replace(holdout, end_time=holdout.end_time - 1).select([0, 1, 2])
    np.testing.assert_array_equal(purchases_held_out(calibration, shorter), [1, 0, 0])


def test_tracking_counts_every_week_and_starts_the_clocks(cdnow):
    calibration, holdout = two_part_log().split(4)
    predictive = predict("bg_nbd", BG_NBD, daily(calibration), 2)
    found = tracking(calibration, holdout, "bg_nbd", BG_NBD, predictive)
    np.testing.assert_array_equal(found.actual, [0, 1, 2, 2, 2, 3, 5])
    assert (found.cut, found.week[-1]) == (4, 6)
    assert found.expected[0] == 0
    assert (np.diff(found.expected) > 0).all()
    assert found.predicted == pytest.approx(predictive.expected().sum())
    late = evaluate(*cdnow, {"pareto_nbd": PARETO_NBD}).predictive["pareto_nbd"]
    published = tracking(*cdnow, "pareto_nbd", [PARETO_NBD, PARETO_NBD], late)
    # The model was fitted to these weeks: it tracks their total within 3 %.
    assert published.expected[39] == pytest.approx(published.actual[39], rel=0.03)
    assert published.actual[78] - published.actual[39] == 1882


def test_reliability_compares_buyers_with_the_predicted_chance():
    n = 1_000
    alive = np.repeat(np.linspace(0.05, 0.95, 10), n // 10)
    table = np.stack([1 - alive * 0.8, alive * 0.8], axis=1)
    predictive = Predictive(13.0, np.arange(n), table, table[:, 1], alive)
    bought = (np.arange(n) % 100 < np.rint(100 * alive * 0.8)).astype(int)
    found = reliability(predictive, bought)
    np.testing.assert_array_equal(found.customers, 100)
    assert found.p_alive == pytest.approx(np.linspace(0.05, 0.95, 10))
    assert found.predicted == pytest.approx(found.p_alive * 0.8)
    assert found.observed == pytest.approx(found.predicted, abs=0.006)
    # Wilson's interval of 4 of 100 by the published formula.
    assert (found.low[0], found.high[0]) == pytest.approx((0.0157, 0.0984), abs=1e-4)
    same = replace(predictive, alive=np.full(n, 0.5))
    assert reliability(same, bought).customers.tolist() == [n]


def test_logs_that_do_not_fit_together_are_refused(cdnow):
    calibration, holdout = cdnow
    with pytest.raises(InputError, match="fitted is empty"):
        evaluate(calibration, holdout, {})
    with pytest.raises(InputError, match="different customers"):
        evaluate(calibration, holdout.select(np.arange(100)), BOTH)
    later = replace(holdout, start=holdout.start + pd.Timedelta(days=1))
    with pytest.raises(InputError, match=r"hold-out starts on 1997-10-02.*from 1997-10-01"):
        evaluate(calibration, later, BOTH)
    with pytest.raises(InputError, match="model is 'gamma'"):
        evaluate(calibration, holdout, {"gamma": BG_NBD})
