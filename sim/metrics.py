"""KPIs: pure functions of a paired run (each with ``stratify=``) or of a market's weekly totals.

``KPIS`` documents those of a market: name, unit, meaning.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sim.counterfactual import Effect, PairedRun
from sim.ledger import MICRO

if TYPE_CHECKING:
    import pandas as pd

_MINOR = 100.0


class Estimate(NamedTuple):
    """A mean over customers with its confidence interval."""

    mean: float
    low: float
    high: float


def paired_mean(difference: NDArray[np.floating], confidence: float = 0.95) -> Estimate:
    """Mean paired difference with a t interval over customers.

    Parameters
    ----------
    difference
        Treated minus control, shape (n,).
    confidence
        Level of the interval. Customers are treated as independent; a shared budget couples
        them a little, which the interval leaves out.
    """
    n = difference.size
    mean = float(difference.mean())
    if n < 2:
        return Estimate(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half)


def _strata(
    run: PairedRun, stratify: NDArray[np.generic] | None
) -> list[tuple[str, NDArray[np.bool_]]]:
    n = run.group.size
    if stratify is None:
        return [("all", np.ones(n, bool))]
    return [(str(value), stratify == value) for value in np.unique(stratify)]


def lift(
    run: PairedRun,
    outcome: str,
    confidence: float = 0.95,
    stratify: NDArray[np.generic] | None = None,
    effect: Effect = "total",
) -> dict[str, Estimate]:
    """Mean lift of an outcome per customer, in the units of ``sim.branch_totals.OUTCOMES``."""
    difference = run.lift(outcome, effect)
    return {
        name: paired_mean(difference[rows], confidence) for name, rows in _strata(run, stratify)
    }


def incremental_margin(
    run: PairedRun, confidence: float = 0.95, stratify: NDArray[np.generic] | None = None
) -> dict[str, Estimate]:
    """Profit per customer above the control, currency units: all costs of offers are in it."""
    gain = run.lift("profit") / _MINOR
    return {name: paired_mean(gain[rows], confidence) for name, rows in _strata(run, stratify)}


def retention_lift(
    run: PairedRun, confidence: float = 0.95, stratify: NDArray[np.generic] | None = None
) -> dict[str, Estimate]:
    """Share of customers truly alive at the end, above the control."""
    return lift(run, "alive", confidence, stratify)


def purchase_lift(
    run: PairedRun, confidence: float = 0.95, stratify: NDArray[np.generic] | None = None
) -> dict[str, Estimate]:
    """Purchases per customer above the control."""
    return lift(run, "purchases", confidence, stratify)


def roi(run: PairedRun, stratify: NDArray[np.generic] | None = None) -> dict[str, float | None]:
    """Incremental profit per unit of offer cost settled; None where nothing was spent."""
    gain = run.lift("profit")
    result: dict[str, float | None] = {}
    for name, rows in _strata(run, stratify):
        spent = int(run.treated.settled[rows].sum())
        result[name] = float(gain[rows].sum() / spent) if spent else None
    return result


def deadweight(
    run: PairedRun, stratify: NDArray[np.generic] | None = None
) -> dict[str, float | None]:
    """Share of redeemed offer cost paid for purchases that would have happened anyway.

    None where nothing was redeemed, or where it has no meaning: a control with offers of its own
    or in another world.
    """
    result: dict[str, float | None] = {}
    for name, rows in _strata(run, stratify):
        cost = int(run.treated.redeemed_cost[rows].sum())
        wasted = None if run.deadweight is None else int(run.deadweight[rows].sum())
        result[name] = wasted / cost if cost and wasted is not None else None
    return result


# ------------------------------------------------------------------- a market's weekly totals

CHURN_WEEKS = 4
TRAILING_WEEKS = 13


class Kpi(NamedTuple):
    """A KPI of a market: a column of ``weekly_kpis``, a key of ``period_kpis``.

    ``unit`` "currency" is currency units; "share" is 0 to 1. Weeks in the unit say that a period
    has the weekly mean.
    """

    name: str
    unit: str
    meaning: str


KPIS = (
    Kpi("customers", "customers", "accounts open at the end"),
    Kpi(
        "active_share", "share", "of open accounts whose customer has not silently left: the truth"
    ),
    Kpi("member_share", "share", "of open accounts enrolled in the programme"),
    Kpi("purchase_frequency", "purchases per customer and week", "customers: accounts open"),
    Kpi("average_order_value", "currency", "paid per purchase, subscription fees aside"),
    Kpi("revenue", "currency per week", "paid by customers, subscription fees included"),
    Kpi("margin", "currency per week", "contribution margin before the costs below"),
    Kpi("offer_cost", "currency per week", "discounts, items and messages of offers"),
    Kpi("reward_cost", "currency per week", "rewards handed out for points, stamps or tiers"),
    Kpi("cash_cost", "currency per week", "offer cost and reward cost"),
    Kpi("programme_cost", "currency per week", "reward cost plus the change of points liability"),
    Kpi("profit", "currency per week", "margin less cash cost less the change of points liability"),
    Kpi("profit_per_customer", "currency per customer and week", "customers: accounts open"),
    Kpi("rewards", "rewards per week", "rewards handed out"),
    Kpi("points_issued", "points per week", "points earned, bonuses included"),
    Kpi("points_redeemed", "points per week", "points spent on rewards"),
    Kpi("points_expired", "points per week", "points that ran out unused"),
    Kpi("redemption_rate", "share", "points redeemed over points issued, 13 trailing weeks"),
    Kpi(
        "breakage_share", "share", "points expired over points expired or redeemed, from the start"
    ),
    Kpi("liability", "currency", "points held at the end times their expected cost"),
    Kpi("liability_per_member", "currency", "liability over members"),
    Kpi("joined", "customers per week", "new customers"),
    Kpi("referred", "customers per week", "those of them who came through a neighbour"),
    Kpi("enrolled", "customers per week", "customers who became members"),
    Kpi(
        "left",
        "customers per week",
        "customers who left for good, most of them silently: the truth",
    ),
    Kpi("closed", "customers per week", "accounts closed: what a firm observes of leaving"),
    Kpi("churn_rate", "share per 4 weeks", "of customers truly there 4 weeks ago who left since"),
    Kpi("contacts", "messages per week", "offers sent"),
    Kpi("offers_redeemed", "offers per week", "offers used"),
    Kpi("opt_outs", "customers per week", "customers who left a channel"),
    Kpi("nps", "-100 to 100", "net promoter score, answers of 13 trailing weeks pooled"),
    Kpi("csat", "share", "answers of 4 or 5 out of 5, 13 trailing weeks pooled"),
    Kpi("tier_rises", "members per week", "members who rose to a higher tier"),
    Kpi("tier_falls", "members per week", "members who fell to a lower tier"),
)

_FLOWS = (
    "purchases", "discount", "margin", "item_cost", "contact_cost", "reward_cost", "fees",
    "points_earned", "points_redeemed", "points_expired", "liability_change", "contacts",
    "redeemed", "rewards", "opted_out", "closed", "left", "enrolled", "joined", "referred",
    "promoters", "detractors", "answers", "satisfied", "rose", "fell", "revenue", "profit",
)  # fmt: skip


def weekly_kpis(frame: "pd.DataFrame") -> "pd.DataFrame":
    """KPIs of every week of a market.

    Parameters
    ----------
    frame
        ``LoyaltyMarket.datacollector.get_model_vars_dataframe()``: one row a week, in order.

    Returns
    -------
    DataFrame
        One row a week: ``week`` and the columns of ``KPIS``. What has no value (a ratio over
        nothing, churn before its 4 weeks) is NaN.
    """
    frame = frame.reset_index(drop=True)
    flows = frame[list(_FLOWS)].astype(float)
    recent = flows.rolling(TRAILING_WEEKS, min_periods=1).sum()
    begun = _there_at_the_start(frame).shift(CHURN_WEEKS - 1)
    churn = flows["left"].rolling(CHURN_WEEKS).sum() / _positive(begun)
    values = _kpis(flows, frame, _could_buy(frame), recent, flows.cumsum(), churn)
    values.insert(0, "week", frame["week"])
    return values


def period_kpis(frame: "pd.DataFrame") -> dict[str, float]:
    """The same KPIs of a whole period.

    Totals are weekly means; ratios are of sums over the period, trailing and cumulative ones
    too; stocks are those at the end.

    Parameters
    ----------
    frame
        Rows of a market's frame that make up the period, at least one.

    Raises
    ------
    ValueError
        Without a row.
    """
    if not len(frame):
        raise ValueError("a period needs at least one week")
    means = frame.mean().to_frame().T
    begun = _there_at_the_start(frame).mean()
    churn = CHURN_WEEKS * means["left"] / (begun if begun > 0 else math.nan)
    stocks = frame.tail(1).reset_index(drop=True)
    values = _kpis(means, stocks, _could_buy(means), means, means, churn)
    return {name: float(value) for name, value in values.iloc[0].items()}


def _could_buy(frame: "pd.DataFrame") -> "pd.Series[float]":
    """Accounts open at some time of the week."""
    return frame["customers"] + frame["closed"]


def _there_at_the_start(frame: "pd.DataFrame") -> "pd.Series[float]":
    """Customers who had not silently left when the week began."""
    return frame["alive"] + frame["left"] - frame["joined"]


def _positive(divisor: "pd.Series[float]") -> "pd.Series[float]":
    return divisor.where(divisor > 0)


def _kpis(flows: Any, stocks: Any, held: Any, recent: Any, total: Any, churn: Any) -> Any:
    """Columns of ``KPIS``; ``recent`` and ``total`` are the sums that ratios over time are of."""
    import pandas as pd

    customers, members = _positive(stocks["customers"]), _positive(stocks["members"])
    offers = flows["discount"] + flows["item_cost"] + flows["contact_cost"]
    cash = offers + flows["reward_cost"]
    owed = flows["liability_change"] / MICRO
    liability = stocks["liability"] / MICRO
    gone = total["points_expired"] + total["points_redeemed"]
    answers = _positive(recent["answers"])
    values = {
        "customers": stocks["customers"],
        "active_share": stocks["alive"] / customers,
        "member_share": stocks["members"] / customers,
        "purchase_frequency": flows["purchases"] / _positive(held),
        "average_order_value": (flows["revenue"] - flows["fees"])
        / _positive(flows["purchases"])
        / _MINOR,
        "revenue": flows["revenue"] / _MINOR,
        "margin": flows["margin"] / _MINOR,
        "offer_cost": offers / _MINOR,
        "reward_cost": flows["reward_cost"] / _MINOR,
        "cash_cost": cash / _MINOR,
        "programme_cost": (flows["reward_cost"] + owed) / _MINOR,
        "profit": flows["profit"] / _MINOR,
        "profit_per_customer": flows["profit"] / _positive(held) / _MINOR,
        "rewards": flows["rewards"],
        "points_issued": flows["points_earned"],
        "points_redeemed": flows["points_redeemed"],
        "points_expired": flows["points_expired"],
        "redemption_rate": recent["points_redeemed"] / _positive(recent["points_earned"]),
        "breakage_share": total["points_expired"] / _positive(gone),
        "liability": liability / _MINOR,
        "liability_per_member": liability / members / _MINOR,
        "joined": flows["joined"],
        "referred": flows["referred"],
        "enrolled": flows["enrolled"],
        "left": flows["left"],
        "closed": flows["closed"],
        "churn_rate": churn,
        "contacts": flows["contacts"],
        "offers_redeemed": flows["redeemed"],
        "opt_outs": flows["opted_out"],
        "nps": 100 * (recent["promoters"] - recent["detractors"]) / answers,
        "csat": recent["satisfied"] / answers,
        "tier_rises": flows["rose"],
        "tier_falls": flows["fell"],
    }
    return pd.DataFrame(values)
