"""Names and tables of a simulation, for page, console and notebook alike."""

from collections.abc import Mapping
from typing import Any

from experiments.report.wording import (
    NOTHING,
    decimal,
    interval,
    number_or_none,
    part,
    percent,
    plain,
    policy_name,
    rows,
    significant,
)
from sim.metrics import KPIS, Kpi

Summary = Mapping[str, Any]

_WHATS = {
    "purchases": "Purchases",
    "revenue": "Revenue",
    "margin": "Margin",
    "offer_cost": "− Cost of offers",
    "reward_cost": "− Rewards handed out",
    "liability_change": "− Change of points liability",
    "profit": "= Profit",
    "still_there": "Still there at the end",
}
_NAMES = {
    "csat": "CSAT",
    "nps": "NPS",
    "left": "Customers lost",
    "closed": "Accounts closed",
    "joined": "Customers gained",
    "referred": "Gained through friends",
    "enrolled": "New members",
    "churn_rate": "Churn",
    "active_share": "Truly there",
    "member_share": "Members",
    "breakage_share": "Breakage",
}
_REMARKS = {
    "redemption_rate": "above 100 % where points issued before the period are redeemed in it",
}
_SIDES = ("kpis", "against")
_TWO_DIGITS = ("average_order_value", "profit_per_customer", "liability_per_member")


def kpi_name(kpi: Kpi) -> str:
    """'Liability per member'."""
    return _NAMES.get(kpi.name, plain(kpi.name))


def kpi_value(kpi: Kpi, value: object) -> str:
    """A KPI's value as its unit is written."""
    if kpi.unit.startswith("share"):
        return percent(value, 1)
    if kpi.name in _TWO_DIGITS:
        return decimal(value, 2)
    if kpi.name == "purchase_frequency":
        return decimal(value, 3)
    if kpi.name == "nps":
        return decimal(value, 0, sign=True)
    return significant(value, 4)


def kpi_meaning(kpi: Kpi) -> str:
    """What it is, what surprises about it, and its unit."""
    remark = _REMARKS.get(kpi.name)
    return f"{kpi.meaning}{'; ' + remark if remark else ''} ({kpi.unit})"


def kpi_per_week(kpi: Kpi) -> bool:
    """Is it an amount per week?"""
    return "week" in kpi.unit and "weeks" not in kpi.unit


def shown_kpis(summary: Summary) -> list[Kpi]:
    """Those that are not zero or without value in every period."""
    sides = [part(period, side) for period in rows(summary, "periods") for side in _SIDES]
    return [kpi for kpi in KPIS if any(number_or_none(side.get(kpi.name)) for side in sides)]


def by_policy(summary: Summary) -> bool:
    """Are two policies compared, rather than two programmes?"""
    other = summary.get("policy_against")
    return other is not None and other != summary.get("policy")


def names(summary: Summary) -> list[str]:
    """The programme or policy, and the one it is compared with if there is one."""
    if by_policy(summary):
        return [policy_name(summary.get(side)) for side in ("policy", "policy_against")]
    found = [part(summary, side).get("name") for side in ("programme", "against")]
    return [plain(name) for name in found if name]


def what_name(what: object) -> str:
    """An outcome per customer by itself: 'Cost of offers'."""
    text = _WHATS.get(str(what), plain(what)).lstrip("−= ")
    return text[:1].upper() + text[1:]


def what_value(what: object, value: object, sign: bool = True) -> str:
    """An outcome per customer, shares in percentage points."""
    number = number_or_none(value)
    if what == "still_there":
        scaled = None if number is None else 100 * number
        return f"{decimal(scaled, 2, sign=sign)} pp" if scaled is not None else NOTHING
    return decimal(number, 2, sign=sign)


def what_error(what: object, value: object) -> str:
    """A standard error or deviation of an outcome per customer."""
    number = number_or_none(value)
    if number is None:
        return NOTHING
    return f"{significant(100 * number, 2)} pp" if what == "still_there" else significant(number, 2)


def profit_row(found: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of profit among rows of outcomes."""
    return next((row for row in found if row.get("what") == "profit"), None)


def unpaid(summary: Summary, programme: Mapping[str, Any]) -> list[str]:
    """What earns no points in this world although one might expect it, as sentences."""
    found = []
    if number_or_none(summary.get("subscription_fee")):
        found.append("Subscription fees earn no points.")
    if summary.get("visits_have_baskets") is False and not programme.get("points_per_purchase"):
        found.append(
            "Nor do visits by themselves: they have no basket, and points_per_purchase is 0."
            if found
            else "Visits by themselves earn no points: they have no basket, and "
            "points_per_purchase is 0."
        )
    return found


def period_name(period: Mapping[str, Any]) -> str:
    """'weeks 1-52'."""
    return f"weeks {decimal(period.get('first'))}–{decimal(period.get('last'))}"


def response_title(name: str) -> str:
    """A response world as the heading of what happened in it."""
    return "If nothing moved anybody" if name == "null" else f"Response world “{name}”"


def question(summary: Summary) -> str:
    """What the run is about."""
    programme, *other = names(summary)
    place = plain(summary.get("world")).lower()
    if other:
        return f"{programme} or {other[0].lower()}? A simulated {place}"
    return f"{programme} in a simulated {place}"


def difference_rows(summary: Summary) -> list[tuple[str, list[list[str]]]]:
    """Per response world: what, this programme, the other, difference, interval."""
    found = []
    for one in rows(summary, "differences"):
        table = []
        for row in rows(one, "rows"):
            if not row.get("run") and not row.get("against"):
                continue
            share = row.get("what") == "still_there"
            sides = [
                percent(row.get(side), 1) if share else decimal(row.get(side), 2)
                for side in ("run", "against")
            ]
            change = [
                decimal(None if value is None else 100 * value if share else value, 2, sign=True)
                for value in (number_or_none(row.get(end)) for end in ("mean", "low", "high"))
            ]
            unit = " pp" if share else ""
            table.append(
                [
                    _WHATS.get(str(row.get("what")), plain(row.get("what"))),
                    *sides,
                    change[0] + unit,
                    interval(change[1], change[2]),
                ]
            )
        found.append((str(one.get("response")), table))
    return found


def period_columns(summary: Summary) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Columns of the table by period: the period, the programme, its KPIs."""
    sides = list(zip(_SIDES, names(summary), strict=False))
    return [
        (period_name(period), name, part(period, side))
        for period in rows(summary, "periods")
        for side, name in sides
    ]
