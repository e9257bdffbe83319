"""The answer of a simulation in words, by rules that claim no more than the summary shows."""

import math
from collections.abc import Mapping
from typing import Any

from experiments.report import simulation_draws, simulation_evidence
from experiments.report.answer import Statement
from experiments.report.limits import approval_sentence
from experiments.report.simulation_words import Summary, by_policy, names, period_name
from experiments.report.wording import (
    NOTHING,
    count_of,
    decimal,
    interval,
    number_or_none,
    part,
    percent,
    plain,
    rows,
    significant,
)

_BREAKAGE_GAP = 0.10
_WEEKS_PER_QUARTER = 13
_STANDARD_ERRORS = 2.0


def headline(summary: Summary) -> str:
    """The answer in a sentence or two."""
    profits = _profits(summary)
    over = f"over {count_of(summary.get('weeks'), 'week')}"
    programme, *other = names(summary)
    if not profits:
        whole = part(rows(summary, "periods")[-1], "kpis")
        return (
            f"{programme} earns {decimal(whole.get('profit_per_customer'), 2)} profit per customer "
            f"and week {over}; the programme itself takes {_cost_share(whole)} of the margin."
        )
    rival = other[0].lower()
    row = profits[0][1]
    mean, both = number_or_none(row.get("mean")) or 0.0, _interval(row, summary)
    if _sign(row) == 0:
        return (
            f"No difference in profit is established between {programme.lower()} and {rival}: "
            f"{decimal(mean, 2, sign=True)} per customer {over} ({both})."
        )
    more = "more" if mean > 0 else "less"
    base = number_or_none(row.get("against"))
    share = f" ({percent(abs(mean / base), 1)})" if base and base > 0 else ""
    return (
        f"{programme} earns {decimal(abs(mean), 2)}{share} {more} profit per customer than {rival} "
        f"{over}; {both}."
    )


def verdict(summary: Summary) -> str:
    """What the answer hinges on: the same customers if programmes moved nobody."""
    profits = _profits(summary)
    if not profits:
        offers = "" if summary.get("policy") in (None, "no_offers") else " or against=no_offers"
        return (
            "What the programme adds cannot be told from one run. Name another to compare with, "
            f"e.g. against=no_programme{offers}: the same customers with the same luck."
        )
    null = [row for response, row in profits if response == "null"]
    if not null:
        return ""
    amount = f"{decimal(null[0].get('mean'), 2, sign=True)} ({_interval(null[0], summary)})"
    if len(profits) == 1:
        return (
            "In this response world nothing that the firm does changes behaviour: the difference "
            f"is what the {'offers' if by_policy(summary) else 'programmes'} hand out."
        )
    if _sign(profits[0][1]) == _sign(null[0]):
        hinge = "the answer is the same with and without the assumed reactions"
    else:
        hinge = (
            "the answer rests on the assumed reactions, which no log has measured. A test in which "
            f"some customers get one {'policy' if by_policy(summary) else 'programme'} and some "
            "the other would measure them"
        )
    what = "offers" if by_policy(summary) else "programmes"
    return f"If {what} changed no behaviour, the difference would be {amount}: {hinge}."


def findings(summary: Summary) -> list[Statement]:
    """What a strategist would otherwise have to look for in the tables."""
    periods = rows(summary, "periods")
    first, last = periods[0], periods[-2 if len(periods) > 1 else -1]
    found = [_reward_finding(summary), _breakage_finding(summary, last)]
    if len(periods) > 1:
        found += [_liability_finding(summary, first, last), _customers_finding(first, last)]
    found += simulation_evidence.statements(summary)
    found += [simulation_draws.statement(summary), _audit_finding(summary)]
    return [statement for statement in found if statement is not None]


def _reward_finding(summary: Summary) -> Statement | None:
    programme = part(summary, "programme")
    rate = number_or_none(summary.get("points_per_member_and_week"))
    prices = [number_or_none(one.get("points_price")) for one in rows(programme, "rewards")]
    known = [price for price in prices if price]
    if not programme.get("active") or not rate or not known:
        return None
    weeks = min(known) / rate
    life = number_or_none(programme.get("expiry_quarters"))
    text = (
        f"A member earns {decimal(rate, 1)} points a week on average and the cheapest reward takes "
        f"{decimal(min(known))}: {decimal(weeks)} weeks."
    )
    if life and weeks > _WEEKS_PER_QUARTER * life:
        text += (
            f" Points expire after {decimal(life)} quarters, so the average member never gets it."
        )
    return Statement("How far the reward is.", text)


def _breakage_finding(summary: Summary, last: Summary) -> Statement | None:
    share = number_or_none(part(last, "kpis").get("breakage_share"))
    assumed = number_or_none(part(summary, "programme").get("breakage"))
    quarters = number_or_none(part(summary, "programme").get("expiry_quarters"))
    weeks = [number_or_none(value) for value in (last.get("last"), summary.get("warmup_weeks"))]
    if share is None or assumed is None or not quarters:
        return None
    first = _WEEKS_PER_QUARTER * (quarters + 1)
    if (weeks[0] or 0) + (weeks[1] or 0) < first:
        text = f"Too early to tell: nothing expires before week {decimal(first)}."
        return Statement("Breakage.", text)
    text = (
        f"Of the points gone in {period_name(last)} {percent(share)} expired; the liability is "
        f"accrued as if it were {percent(assumed)}."
    )
    if abs(share - assumed) > _BREAKAGE_GAP:
        way = "too high: it is released when points expire" if share > assumed else "too low"
        text += f" If that lasts, the liability is {way}."
    return Statement("Breakage.", text)


def _liability_finding(summary: Summary, first: Summary, last: Summary) -> Statement | None:
    early, late = (number_or_none(part(one, "kpis").get("liability")) for one in (first, last))
    if not early or late is None:
        return None
    text = (
        f"{significant(early, 3)} is owed for points after week {decimal(first.get('last'))}, "
        f"{significant(late, 3)} at the end ({percent(late / early - 1, sign=True)})."
    )
    if not number_or_none(summary.get("warmup_weeks")):
        text += " Accounts began empty, so the first year carries the build-up as a cost."
    return Statement("Liability.", text)


def _customers_finding(first: Summary, last: Summary) -> Statement:
    churn = [number_or_none(part(one, "kpis").get("churn_rate")) for one in (first, last)]
    written = [percent(value, 1) for value in churn]
    falls = (
        churn[0] is not None
        and churn[1] is not None
        and churn[1] < churn[0]
        and written[0] != written[1]
    )
    return Statement(
        "Customers.",
        f"Churn in 4 weeks: {written[0]} in {period_name(first)}, {written[1]} in "
        f"{period_name(last)}."
        f"{' Whoever is least attached leaves first, so it falls by itself.' if falls else ''}"
        f"{_recommendation(first, last)}",
    )


def _recommendation(first: Summary, last: Summary) -> str:
    """The net promoter score; a change only where it exceeds what luck of the answers makes."""
    counts = [
        [
            number_or_none(part(one, "survey").get(name))
            for name in ("answers", "promoters", "detractors")
        ]
        for one in (first, last)
    ]
    known = [(n, up, down) for n, up, down in counts if n and up is not None and down is not None]
    if len(known) < len(counts):
        return ""
    scores = [(up - down) / n for n, up, down in known]
    variance = sum(
        ((up + down) / n - score**2) / n for (n, up, down), score in zip(known, scores, strict=True)
    )
    written = [decimal(100 * score, 0, sign=True) for score in scores]
    asked = [decimal(n) for n, _, _ in known]
    changed = abs(scores[1] - scores[0]) > _STANDARD_ERRORS * math.sqrt(max(variance, 0.0))
    if changed and written[0] != written[1]:
        return (
            f" The net promoter score goes from {written[0]} ({asked[0]} answers) to {written[1]} "
            f"({asked[1]} answers)."
        )
    total, promoters, detractors = (sum(column) for column in zip(*known, strict=True))
    return (
        f" The net promoter score stays at about "
        f"{decimal(100 * (promoters - detractors) / total, 0, sign=True)} "
        f"({asked[0]} and {asked[1]} answers), no change shown."
    )


def _audit_finding(summary: Summary) -> Statement | None:
    audit = part(summary, "audit")
    if not audit:
        return None
    broken = number_or_none(audit.get("violations"))
    return Statement(
        "Offers under constraints.",
        f"{plain(summary.get('policy'))}: limits replaced "
        f"{percent(audit.get('override_rate'))} of its proposals; constraints broken: "
        f"{'none' if broken == 0 else decimal(broken)}. "
        f"{approval_sentence(part(audit, 'approval'))}".strip(),
    )


def cautions(summary: Summary) -> list[Statement]:
    """What the numbers do not show."""
    known = [str(row.get("status")) for row in rows(summary, "assumptions")]
    assumed = known.count("A")
    result = [
        Statement(
            "It is a simulation of assumptions.",
            f"{assumed} of the {len(known)} things put in are assumptions (A), "
            f"{known.count('M')} measured (M), {known.count('V')} stated in a source that was "
            "read (V); they are listed in the report. Vary those you doubt, or switch a mechanism "
            "off to see what rests on it, e.g. off=[goal_gradient].",
        )
    ]
    if summary.get("world_statement"):
        fitted = summary.get("posterior")
        about = f"Its customers were fitted to a log ({fitted}). " if fitted else ""
        text = f"{about}{summary['world_statement']}"
        result.append(Statement(f"The world “{summary.get('world')}” says of itself:", text))
    if _profits(summary):
        level = percent(summary.get("confidence"))
        result.append(
            Statement(
                f"The {level} interval covers luck and customers, not assumptions.",
                f"Both {'policies' if by_policy(summary) else 'programmes'} meet the same "
                "customers with the same luck, and customers count "
                "as independent; where they talk to each other they are not quite.",
            )
        )
        if not by_policy(summary):
            result.append(
                Statement(
                    "The same people are members of both.",
                    "Who is enrolled at the start does not depend on what the programme offers.",
                )
            )
    if not number_or_none(summary.get("warmup_weeks")):
        result.append(
            Statement(
                "The market starts cold.",
                "In week 0 everybody has just joined with an empty account. "
                "warmup_weeks=52 counts from the second year on.",
            )
        )
    if summary.get("starting_customers") != summary.get("customers"):
        result.append(
            Statement(
                "Per customer means per person simulated.",
                f"Sums over the run are divided by all {decimal(summary.get('customers'))} people, "
                f"{decimal(summary.get('starting_customers'))} of whom had an open account at the "
                "start; others may join. Weekly figures are per open account.",
            )
        )
    return result


def _profits(summary: Summary) -> list[tuple[str, Mapping[str, Any]]]:
    """Paired difference in profit by response world, the run's own first."""
    return [
        (str(one.get("response")), row)
        for one in rows(summary, "differences")
        for row in rows(one, "rows")
        if row.get("what") == "profit"
    ]


def _sign(row: Mapping[str, Any]) -> int:
    """1 above zero, -1 below, 0 not established."""
    low, high = number_or_none(row.get("low")), number_or_none(row.get("high"))
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _interval(row: Mapping[str, Any], summary: Summary) -> str:
    ends = [decimal(row.get(end), 2, sign=True) for end in ("low", "high")]
    return f"{percent(summary.get('confidence'))} interval {interval(ends[0], ends[1])}"


def _cost_share(kpis: Mapping[str, Any]) -> str:
    margin, cost = number_or_none(kpis.get("margin")), number_or_none(kpis.get("programme_cost"))
    return percent(cost / margin, 1) if margin and cost is not None else NOTHING
