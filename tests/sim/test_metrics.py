"""KPIs of a paired run, worked by hand."""

import numpy as np
import pytest
from scipy import stats

from sim.counterfactual import BranchTotals, PairedRun
from sim.metrics import deadweight, incremental_margin, paired_mean, retention_lift, roi


def branch(margin, cash, liability, settled, offer_cost, alive):
    n = len(margin)
    zero = np.zeros(n, np.int64)
    return BranchTotals(
        purchases=zero,
        margin=np.array(margin),
        cash_cost=np.array(cash),
        liability_change=np.array(liability, dtype=np.int64) * 1_000_000,
        settled=np.array(settled),
        reserved=zero,
        contacts=zero,
        opted_out=zero,
        offer_cost=np.array(offer_cost),
        alive=np.array(alive, bool),
        active=np.array(alive, bool),
    )


@pytest.fixture
def run():
    """Two customers; amounts in cents. Lifts: 1500-300-50-1000 = 150 and 0-20-0-0 = -20."""
    return PairedRun(
        branch([1500, 0], [300, 20], [50, 0], [300, 20], [280, 0], [1, 1]),
        branch([1000, 0], [0, 0], [0, 0], [0, 0], [0, 0], [1, 0]),
        deadweight=np.array([70, 0]),
        weekly_lift=np.zeros(1),
        group=np.array([0, 1], np.uint8),
    )


def test_incremental_margin_is_after_all_costs_and_in_currency(run):
    estimate = incremental_margin(run)["all"]
    assert estimate.mean == pytest.approx((1.50 - 0.20) / 2)
    by_group = incremental_margin(run, stratify=run.group)
    assert by_group["0"].mean == pytest.approx(1.50)
    assert by_group["1"].mean == pytest.approx(-0.20)


def test_the_interval_is_the_paired_t_interval():
    difference = np.random.default_rng(0).normal(1, 2, 50)
    estimate = paired_mean(difference, 0.9)
    expected = stats.ttest_1samp(difference, 0).confidence_interval(0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_roi_is_net_gain_per_unit_settled(run):
    assert roi(run)["all"] == pytest.approx((150 - 20) / 320)


def test_deadweight_is_the_share_of_offer_cost_for_purchases_made_anyway(run):
    assert deadweight(run)["all"] == pytest.approx(70 / 280)


def test_where_nothing_was_spent_there_is_no_roi_and_no_deadweight(run):
    idle = PairedRun(run.control, run.control, np.zeros(2, np.int64), np.zeros(1), run.group)
    assert roi(idle)["all"] is None
    assert deadweight(idle)["all"] is None


def test_retention_lift_is_the_difference_in_truth(run):
    assert retention_lift(run)["all"].mean == pytest.approx(0.5)
