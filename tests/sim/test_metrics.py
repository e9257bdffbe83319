"""KPIs of a paired run and of a market, worked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from agents.rng import derive_seed
from sim.branch_totals import TOTALS, BranchTotals
from sim.counterfactual import PairedRun
from sim.market import LoyaltyMarket
from sim.metrics import (
    KPIS,
    deadweight,
    incremental_margin,
    lift,
    paired_mean,
    period_kpis,
    retention_lift,
    roi,
    weekly_kpis,
)


def branch(margin, cash, liability, settled, contact, alive):
    """Customers of one branch; what is settled beyond messages was discount."""
    sums = np.zeros(len(margin), TOTALS)
    sums["margin"] = margin
    sums["reward_cost"] = np.array(cash) - np.array(settled)
    sums["liability_change"] = np.array(liability) * 1_000_000
    sums["settled"] = settled
    sums["contact_cost"] = contact
    sums["discount"] = np.array(settled) - np.array(contact)
    there = np.array(alive, bool)
    return BranchTotals(sums, there, there, there)


@pytest.fixture
def run():
    """Two customers; amounts in cents. Lifts: 1500-300-50-1000 = 150 and 0-20-0-0 = -20."""
    return PairedRun(
        branch([1500, 0], [300, 20], [50, 0], [300, 20], [20, 20], [1, 1]),
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


def test_deadweight_is_not_known_where_it_has_no_meaning(run):
    other = PairedRun(run.treated, run.control, None, run.weekly_lift, run.group)
    assert deadweight(other)["all"] is None
    assert roi(other) == roi(run)


def test_a_lift_may_be_of_any_outcome_group_and_effect(run):
    assert lift(run, "margin")["all"].mean == pytest.approx(250.0)
    assert lift(run, "margin", stratify=run.group)["1"].mean == 0.0
    direct = PairedRun(
        run.treated, run.control, None, run.weekly_lift, run.group, direct=run.control
    )
    assert lift(direct, "margin", effect="direct")["all"].mean == 0.0
    assert lift(direct, "margin", effect="spillover")["all"].mean == pytest.approx(250.0)


def test_retention_lift_is_the_difference_in_truth(run):
    assert retention_lift(run)["all"].mean == pytest.approx(0.5)


def market_frame(weeks: int = 2, **columns: list[float]) -> pd.DataFrame:
    """Weekly totals as a market collects them, in minor units: zero but for what is given."""
    names = (
        "week", "purchases", "gross", "discount", "margin", "item_cost", "contact_cost",
        "reward_cost", "voucher", "fees", "points_earned", "points_redeemed", "points_expired",
        "reserved", "settled", "released", "liability_change", "contacts", "opened", "redeemed",
        "opted_out", "closed", "rewards", "left", "enrolled", "joined", "referred", "promoters",
        "detractors", "answers", "satisfied", "rose", "fell", "revenue", "profit", "liability",
        "open_commitment", "customers", "alive", "members", "consenting",
    )  # fmt: skip
    frame = pd.DataFrame(0, index=range(weeks), columns=names).astype(float)
    frame["week"] = range(weeks)
    for name, values in columns.items():
        assert name in names
        frame[name] = values
    return frame


@pytest.fixture
def two_weeks() -> pd.DataFrame:
    """Ten accounts at first; two close in the second week. Money in cents."""
    return market_frame(
        purchases=[20, 12], gross=[10_000, 5_000], discount=[400, 0], voucher=[600, 300],
        fees=[1_000, 300], revenue=[10_000, 5_000], margin=[5_000, 2_000], item_cost=[50, 0],
        contact_cost=[10, 0], reward_cost=[600, 300], liability_change=[340_000_000, -100_000_000],
        profit=[3_600, 1_800], points_earned=[100, 50], points_redeemed=[20, 10],
        points_expired=[0, 10], rewards=[2, 1], liability=[340_000_000, 240_000_000],
        customers=[10, 8], alive=[9, 6], left=[1, 3], closed=[0, 2], members=[5, 4],
        promoters=[3, 0], detractors=[1, 2], answers=[4, 4], satisfied=[3, 2],
    )  # fmt: skip


def test_weekly_kpis_are_those_worked_by_hand(two_weeks):
    kpis = weekly_kpis(two_weeks)
    expected = {
        "customers": (10, 8),
        "active_share": (0.9, 0.75),
        "member_share": (0.5, 0.5),
        "purchase_frequency": (20 / 10, 12 / (8 + 2)),
        "average_order_value": (90 / 20, 47 / 12),
        "revenue": (100, 50),
        "margin": (50, 20),
        "offer_cost": (4.60, 0),
        "reward_cost": (6, 3),
        "cash_cost": (10.60, 3),
        "programme_cost": (6 + 3.40, 3 - 1),
        "profit": (36, 18),
        "profit_per_customer": (3.60, 1.80),
        "points_issued": (100, 50),
        "redemption_rate": (20 / 100, 30 / 150),
        "breakage_share": (0, 10 / 40),
        "liability": (3.40, 2.40),
        "liability_per_member": (0.68, 0.60),
        "rewards": (2, 1),
        "nps": (100 * 2 / 4, 0),
        "csat": (3 / 4, 5 / 8),
        "left": (1, 3),
        "closed": (0, 2),
    }
    for name, values in expected.items():
        assert kpis[name].tolist() == pytest.approx(list(values)), name
    assert kpis["churn_rate"].isna().all()


def test_kpis_of_a_period_pool_its_weeks(two_weeks):
    kpis = period_kpis(two_weeks)
    expected = {
        "customers": 8,
        "purchase_frequency": 32 / 20,
        "average_order_value": 137 / 32,
        "revenue": 75,
        "profit": 27,
        "profit_per_customer": 54 / 20,
        "programme_cost": (9.40 + 2) / 2,
        "redemption_rate": 30 / 150,
        "breakage_share": 10 / 40,
        "liability": 2.40,
        "nps": 0,
        "csat": 5 / 8,
        # 4 of the 10 and 9 there when the two weeks began, times 4 weeks.
        "churn_rate": 4 * 4 / 19,
    }
    for name, value in expected.items():
        assert kpis[name] == pytest.approx(value), name


def test_a_period_of_one_week_is_that_week(two_weeks):
    week = weekly_kpis(two_weeks.iloc[:1])
    kpis = period_kpis(two_weeks.iloc[:1])
    for one in KPIS:
        if one.name != "churn_rate":
            assert kpis[one.name] == pytest.approx(week[one.name].iloc[0], nan_ok=True), one.name
    with pytest.raises(ValueError, match="at least one week"):
        period_kpis(two_weeks.iloc[:0])


def test_churn_is_of_those_who_were_there_four_weeks_ago():
    frame = market_frame(6, customers=[100] * 6, alive=[90, 84, 80, 80, 78, 77],
                         left=[10, 8, 4, 0, 2, 1], joined=[0, 2, 0, 0, 0, 0])  # fmt: skip
    churn = weekly_kpis(frame)["churn_rate"]
    assert churn[:3].isna().all()
    # 100 there before week 0, 90 before week 1, 84 before week 2.
    assert churn[3:].tolist() == pytest.approx([22 / 100, 14 / 90, 7 / 84])


def test_answers_are_pooled_over_thirteen_weeks_and_no_more():
    answers = [10.0] + [0.0] * 12 + [5.0]
    promoters = [10.0] + [0.0] * 13
    frame = market_frame(14, answers=answers, promoters=promoters)
    nps = weekly_kpis(frame)["nps"]
    assert nps[:13].tolist() == [100.0] * 13
    assert nps[13] == 0.0


def test_breakage_is_of_all_points_gone_so_far():
    frame = market_frame(
        15, points_expired=[10.0] + [0.0] * 14, points_redeemed=[0.0] * 13 + [10.0, 20.0]
    )
    breakage = weekly_kpis(frame)["breakage_share"]
    assert breakage.tolist() == [1.0] * 13 + [0.5, 0.25]


def test_ratios_over_nothing_have_no_value():
    kpis = weekly_kpis(market_frame(5))
    for name in (
        "purchase_frequency", "average_order_value", "redemption_rate", "nps", "breakage_share",
        "liability_per_member", "member_share", "churn_rate",
    ):  # fmt: skip
        assert kpis[name].isna().all(), name
    assert kpis["profit"].tolist() == [0.0] * 5


def test_kpis_of_a_market_are_those_documented_and_add_up(world, population):
    market = LoyaltyMarket(world, population(300), derive_seed(6, "world"))
    market.advance(20)
    frame = market.datacollector.get_model_vars_dataframe()
    kpis = weekly_kpis(frame)
    assert tuple(kpis) == ("week", *(kpi.name for kpi in KPIS))
    assert all(kpi.unit and kpi.meaning for kpi in KPIS)
    profit = kpis["margin"] - kpis["cash_cost"] - kpis["liability"].diff().fillna(kpis["liability"])
    assert kpis["profit"].to_numpy() == pytest.approx(profit.to_numpy(), abs=1e-6)
    costs = kpis["offer_cost"] + kpis["programme_cost"]
    assert (kpis["margin"] - costs).to_numpy() == pytest.approx(kpis["profit"].to_numpy())
    assert period_kpis(frame)["profit"] == pytest.approx(kpis["profit"].mean())
    assert tuple(period_kpis(frame)) == tuple(kpi.name for kpi in KPIS)
