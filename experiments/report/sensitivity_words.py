"""The answer of a sensitivity analysis in words, by rules that claim no more than was found."""

import re
from collections.abc import Mapping
from typing import Any

from experiments.report.answer import Statement
from experiments.report.simulation_words import kpi_value, names
from experiments.report.wording import (
    NOTHING,
    compact,
    count_of,
    decimal,
    interval,
    join,
    number_or_none,
    part,
    percent,
    plain,
    rows,
    significant,
)
from sim.metrics import KPIS

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

VERDICTS = {
    "driver": "Drivers",
    "minor": "Minor: they move the answer, but little next to the drivers",
    "below noise": "Below noise: what they do cannot be told from luck",
    "no effect": "No effect: not one digit of the answer changes",
    "no value": "No value: the answer does not exist everywhere in the ranges",
}
_KPIS = {kpi.name: kpi for kpi in KPIS}
_HEADS = {"population", "parameters", "membership"}
_WHOSE = {
    "member": "membership",
    "offer": "offers",
    "reward": "rewards",
    "contact": "contacts",
    "neighbour": "neighbours",
    "competitor": "rivals",
    "tier": "tiers",
    "tier_change": "tier changes",
    "downgrade": "tier falls",
}


def assumption_name(key: object) -> str:
    """'world.membership.enrolled_share' as 'Enrolled share'."""
    parts = [_plain(part) for part in str(key).split(".")[1:] if part not in _HEADS]
    first, *others = parts or [str(key)]
    return ", ".join([first, *map(_lower, others)])


def _plain(name: str) -> str:
    """'momentum_log_rate' as 'Effect of momentum on purchases'."""
    what = re.fullmatch(r"(.+)_log_(rate|hazard)", name)
    if what is None:
        return plain(name).replace("Nps", "NPS").replace("Csat", "CSAT")
    whose = _WHOSE.get(what[1], what[1].replace("_", " "))
    return f"Effect of {whose} on {'purchases' if what[2] == 'rate' else 'churn'}"


def _lower(text: str) -> str:
    """Not capitalised, unless it begins with an abbreviation."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def kpi_title(name: object) -> str:
    """'incremental_profit' as 'Incremental profit'."""
    what = str(name).removeprefix("incremental_")
    if what == "still_there":
        return "Incremental share still there"
    return {"nps": "NPS", "csat": "CSAT"}.get(what, plain(name))


def amount(kpi: object, value: object) -> str:
    """A KPI's value."""
    name = str(kpi)
    if name == "incremental_still_there":
        number = number_or_none(value)
        return f"{decimal(None if number is None else 100 * number, 2, sign=True)} pp"
    if name.startswith("incremental_"):
        return decimal(value, 2, sign=True)
    if _KPIS[name].unit.startswith("share"):
        number = number_or_none(value)
        return NOTHING if number is None else f"{significant(100 * number)} %"
    return kpi_value(_KPIS[name], value)


def size(kpi: object, value: object) -> str:
    """How far a KPI moves, without a sign."""
    name = str(kpi)
    number = number_or_none(value)
    if number is None:
        return NOTHING
    if name == "incremental_still_there" or (name in _KPIS and _KPIS[name].unit[:5] == "share"):
        return f"{significant(100 * number)} pp"
    return significant(number)


def answer_of(summary: Summary) -> Row:
    """The first KPI."""
    return rows(summary, "kpis")[0]


def by_rank(summary: Summary) -> list[Row]:
    """Assumptions, the strongest on the answer first."""
    order = {key: at for at, key in enumerate(summary.get("ranking") or ())}
    found = rows(summary, "assumptions")
    return sorted(found, key=lambda row: order.get(str(row.get("key")), len(order)))


def indices(summary: Summary, row: Row) -> Row:
    """What was found of an assumption's effect on the answer."""
    return part(part(row, "kpis"), str(answer_of(summary).get("name")))


def of_verdict(summary: Summary, name: str) -> list[Row]:
    """Assumptions with that verdict, the strongest first."""
    return [row for row in by_rank(summary) if indices(summary, row).get("verdict") == name]


def flips(summary: Summary) -> list[tuple[Row, str]]:
    """Assumptions at an end of which the answer has the other sign, beyond luck; with the end."""
    base = _sign(part(answer_of(summary), "base"))
    if not base or not _comparative(summary):
        return []
    return [
        (row, end)
        for row in by_rank(summary)
        for end in ("low", "high")
        if _sign(part(part(row, "swing"), end)) == -base
    ]


def question(summary: Summary) -> str:
    """What the page is about."""
    programme, *other = names(summary)
    place = plain(summary.get("world")).lower()
    about = f"{programme} or {other[0].lower()}" if other else programme
    return f"{about}: which guesses drive the answer? A simulated {place}"


def headline(summary: Summary) -> str:
    """The answer in a sentence or two."""
    chosen = [_lower(assumption_name(row["key"])) for row in of_verdict(summary, "driver")]
    others = len(rows(summary, "assumptions")) - len(chosen)
    if not chosen:
        if of_verdict(summary, "no value"):
            return "The answer has no value somewhere in the ranges: nothing can be said of it."
        return f"None of the guesses that were varied ({others}) moves the answer beyond luck."
    rest = "the other one matters little"
    if others > 1:
        rest = f"each of the other {others} matters little"
    tail = f"; {rest}." if others else "."
    turned = flips(summary)
    if not turned:
        return f"{_standing(summary)} How much is decided by {join(chosen)}{tail}"
    deciding = list(dict.fromkeys(_lower(assumption_name(row["key"])) for row, _ in turned))
    return (
        f"Which way the answer points hinges on {join(deciding)}: {_turn(summary, *turned[0])}. "
        f"How much is decided by {join(chosen)}{tail}"
    )


def findings(summary: Summary) -> list[Statement]:
    """What a strategist would otherwise have to look for in tables and figures."""
    answer = answer_of(summary)
    found = [_base_finding(summary, answer), _spread_finding(summary, answer)]
    for row in of_verdict(summary, "driver"):
        found.append(_driver_finding(summary, row))
    return [one for one in found if one is not None]


def cautions(summary: Summary) -> list[Statement]:
    """What the numbers do not show."""
    held = [status for status in ("V", "M") if status not in (summary.get("status") or ())]
    left = rows(summary, "left_out")
    found = [
        Statement(
            "Ranges are guesses as well.",
            "Each value between the ends counts as equally likely and independent of the others; "
            "the shares of draws below are no probabilities of the world. A wider range makes a "
            "stronger driver: 'ranges={KEY:[LOW,HIGH]}' sets another.",
        ),
        Statement(
            f"{count_of(len(left), 'assumption')} were left out",
            "because nothing in this market can feel them, or as measured; they are listed below "
            "with the reason. Another world, programme or policy brings other ones in.",
        ),
    ]
    if held:
        found.append(
            Statement(
                "Only guesses were varied.",
                f"What is {' or '.join(_HELD[one] for one in held)} stayed as it is; "
                f"status=[A,{','.join(held)}] varies that too.",
            )
        )
    covered = number_or_none(answer_of(summary).get("variance_covered"))
    if covered is not None:
        found.append(
            Statement(
                "Sobol's shares are of the variance among the drivers alone.",
                f"The others stayed at their defaults there. Drawn by themselves the drivers make "
                f"about {percent(min(covered, 1.0))} of the variance that all "
                f"{len(rows(summary, 'assumptions'))} make together.",
            )
        )
    return found


_HELD = {"V": "stated in a source (V)", "M": "measured on a log (M)"}


def _turn(summary: Summary, row: Row, end: str) -> str:
    kpi = answer_of(summary).get("name")
    at = part(part(row, "swing"), end)
    both = interval(*(amount(kpi, at.get(name)) for name in ("low", "high")))
    return (
        f"with {_lower(assumption_name(row['key']))} at its {end} end "
        f"({compact(at.get('value'))}) it is {amount(kpi, at.get('mean'))} "
        f"({_level(summary)} {both})"
    )


def _standing(summary: Summary) -> str:
    """Which way the answer points, and whether it does so everywhere."""
    answer = answer_of(summary)
    kpi = str(answer.get("name"))
    base = part(answer, "base")
    if not _comparative(summary):
        return f"{kpi_title(kpi)} is {amount(kpi, base.get('mean'))} at the defaults."
    programme, *other = names(summary)
    rival = "".join(other).lower()
    sign = _sign(base)
    if sign == 0:
        return f"At the defaults no difference between {programme.lower()} and {rival} is shown."
    what = kpi.removeprefix("incremental_")
    what = "customers still there at the end" if what == "still_there" else plain(what).lower()
    more = f"{programme} brings {'more' if sign > 0 else 'less'} {what} than {rival}"
    swung = [row for row in rows(summary, "assumptions") if part(row, "swing")]
    unclear = [
        f"{_lower(assumption_name(row['key']))} = {compact(part(part(row, 'swing'), end)['value'])}"
        for row in swung
        for end in ("low", "high")
        if _sign(part(part(row, "swing"), end)) == 0
    ]
    if unclear:
        return f"{more}, though nothing is shown at {join(unclear)}{_exceptions(summary, sign)}"
    ends = f"at either end of each of the {len(swung)} strongest guesses"
    return f"{more} {ends if swung else 'at the defaults'}{_exceptions(summary, sign)}"


def _exceptions(summary: Summary, sign: int) -> str:
    """How often the answer turns round where all guesses are drawn at once."""
    below = number_or_none(part(answer_of(summary), "spread").get("below_zero"))
    draws = number_or_none(part(summary, "design").get("draws"))
    if below is None or draws is None:
        return "."
    against = round((below if sign > 0 else 1 - below) * draws)
    if against == 0:
        return f", and in all {decimal(draws)} draws of all guesses at once."
    return f", but not in {decimal(against)} of {decimal(draws)} draws of all guesses at once."


def _base_finding(summary: Summary, answer: Row) -> Statement:
    base = part(answer, "base")
    kpi = answer.get("name")
    both = interval(amount(kpi, base.get("low")), amount(kpi, base.get("high")))
    n = f"{decimal(summary.get('luck_cohorts'))} × {decimal(summary.get('customers'))}"
    return Statement(
        "At the defaults",
        f"the answer is {amount(kpi, base.get('mean'))} ({_level(summary)} {both}; {n} customers); "
        f"from one cohort of {decimal(summary.get('customers'))} to the next it varies with a "
        f"standard deviation of {size(kpi, answer.get('luck_sd'))}.",
    )


def _spread_finding(summary: Summary, answer: Row) -> Statement | None:
    spread = part(answer, "spread")
    kpi = answer.get("name")
    if not spread:
        return None
    middle = interval(amount(kpi, spread.get("q05")), amount(kpi, spread.get("q95")))
    text = (
        f"the answer lies between {middle.replace(' to ', ' and ')} in 90 % of "
        f"{decimal(part(summary, 'design').get('draws'))} draws (median "
        f"{amount(kpi, spread.get('q50'))}; lowest {amount(kpi, spread.get('lowest'))})."
    )
    return Statement("With all guesses drawn at once", text)


def _driver_finding(summary: Summary, row: Row) -> Statement:
    kpi = answer_of(summary).get("name")
    swing = part(row, "swing")
    text = f"{row.get('meaning')} ({row.get('key')})."
    if swing:
        low, high = part(swing, "low"), part(swing, "high")
        text += (
            f" The answer is {amount(kpi, low.get('mean'))} at {compact(low.get('value'))} and "
            f"{amount(kpi, high.get('mean'))} at {compact(high.get('value'))}."
        )
    total = number_or_none(indices(summary, row).get("ST"))
    if total is not None:
        text += f" Part in the variance (ST): {percent(max(total, 0.0))}."
    return Statement(f"{assumption_name(row.get('key'))}:", text)


def _comparative(summary: Summary) -> bool:
    return str(answer_of(summary).get("name")).startswith("incremental_")


def _sign(estimate: Row) -> int:
    """1 above zero, -1 below, 0 not established."""
    low, high = number_or_none(estimate.get("low")), number_or_none(estimate.get("high"))
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _level(summary: Summary) -> str:
    return f"{percent(summary.get('confidence'))} interval"
