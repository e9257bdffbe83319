"""The answer of a run in words, made from its numbers by rules that claim no more than they show.

A policy is *shown to gain* where the confidence interval of its incremental margin lies above
zero, *shown to lose* where it lies below; all else is not established.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from experiments.report.wording import (
    NOTHING,
    currency_of,
    decimal,
    interval,
    join,
    money,
    number_or_none,
    part,
    percent,
    policy_name,
    response_name,
    rows,
    texts,
)

Row = Mapping[str, Any]
Standing = Literal["gain", "loss", "open", "idle", "unknown"]
_SUPPOSITIONS = {
    "null": "If offers change nothing",
    "literature": "If offers work as assumed after the literature",
}


class Statement(NamedTuple):
    """A claim and what backs it."""

    lead: str
    text: str


def standing(row: Row) -> Standing:
    """What the interval of the incremental margin shows; idle: no offer was made at all."""
    if number_or_none(row.get("contacts_per_customer")) == 0:
        return "idle"
    low, high = number_or_none(row.get("ci_low")), number_or_none(row.get("ci_high"))
    if low is None or high is None:
        return "unknown"
    return "gain" if low > 0 else "loss" if high < 0 else "open"


def response_worlds(summary: Row) -> list[str]:
    """Response worlds in the order of their appearance, but null last."""
    found = list(dict.fromkeys(_response(row) for row in rows(summary, "policies")))
    return sorted(found, key=lambda world: world == "null")


def world_rows(summary: Row, response: str) -> list[Row]:
    """Every policy's row in one response world."""
    return [row for row in rows(summary, "policies") if _response(row) == response]


def margin(row: Row) -> float | None:
    """Incremental margin per customer, currency units."""
    return number_or_none(row.get("incremental_margin_per_customer"))


def headline(summary: Row) -> str:
    """The answer in a few sentences."""
    worlds = response_worlds(summary)
    if not any(_shown(summary, world) for world in worlds):
        return "No policy is shown to beat doing nothing."
    worlds.sort(key=lambda world: not _shown(summary, world))
    return " ".join(_verdict(summary, world) for world in worlds)


def world_answers(summary: Row) -> list[tuple[str, list[str]]]:
    """Per response world its name and sentences: the best policy, its interval, who loses what."""
    return [
        (response_name(world), _world_sentences(summary, world))
        for world in response_worlds(summary)
    ]


def decision(summary: Row) -> str:
    """What the choice hinges on, with the break-even belief where two worlds disagree."""
    worlds = response_worlds(summary)
    others = [world for world in worlds if world != "null"]
    text = (
        "Which response world is the real one is not known from this run: it is assumed, not "
        "measured. A control group that gets no offers would measure it."
    )
    if "null" not in worlds or len(others) != 1:
        return text
    shown = _shown(summary, others[0])
    if not shown:
        return text
    name = shown[0].get("policy")
    there = next((row for row in world_rows(summary, "null") if row.get("policy") == name), None)
    gain, loss = margin(shown[0]), margin(there) if there is not None else None
    if gain is None or loss is None or loss >= 0:
        return text
    belief = percent(-loss / (gain - loss))
    return (
        f"{text} By these estimates {policy_name(name)} pays on average if you hold “"
        f"{response_name(others[0])}” more than {belief} likely against “{response_name('null')}”."
    )


def cautions(summary: Row) -> list[Statement]:
    """How far the answer may be trusted."""
    result = [
        Statement(
            "Response worlds are assumptions, not facts.",
            "What offers do to behaviour is put into the simulation. Every result holds within its "
            "world and says nothing about which world is true.",
        ),
        Statement(
            "Overlapping intervals settle nothing.",
            "Where the intervals of two policies overlap, it is not established which is better.",
        ),
    ]
    compared = {row.get("policy") for row in rows(summary, "policies")} - {"no_offers"}
    if len(compared) > 1:
        text = (
            f"The best of {len(compared)} policies was partly chosen by luck, so its estimate is "
            "more likely too high than too low. Expect somewhat less."
        )
        result.append(Statement("The best of several looks better than it is.", text))
    result.append(
        Statement(
            "Intervals cover luck and customers, not assumptions.",
            "They treat customers as independent and hold the fitted model, the programme and the "
            "response world fixed.",
        )
    )
    trained = texts(part(summary, "training").get("responses"))
    if trained:
        text = (
            f"It learned in “{join([response_name(world) for world in trained])}”, on other "
            "customers than those it is judged on. The real world may differ from what it learned."
        )
        name = policy_name(part(summary, "training").get("algorithm"))
        result.append(Statement(f"{name} was trained in an assumed world.", text))
    return result


def broken_rules(summary: Row) -> Statement:
    """Did any policy break a hard constraint?"""
    total = sum(int(number_or_none(row.get("violations")) or 0) for row in _policies(summary))
    missing = any(number_or_none(row.get("violations")) is None for row in _policies(summary))
    if total:
        guilty = [
            f"{policy_name(row.get('policy'))} ({response_name(row.get('response'))})"
            for row in _policies(summary)
            if number_or_none(row.get("violations"))
        ]
        text = f"Found in the audit of {join(guilty)}. Do not use these results."
        return Statement(f"Constraints were broken {decimal(total)} times.", text)
    if missing or not _policies(summary):
        return Statement("Constraints: not audited everywhere.", "Some counts are missing.")
    return Statement(
        "No constraint was broken.",
        "Budget, contact cap, consent and the vulnerable-customer rule are imposed outside the "
        "policies, and an audit of every run found no violation.",
    )


# -------------------------------------------------------------------------------- per world


def _response(row: Row) -> str:
    return str(row.get("response") or NOTHING)


def _made_offers(row: Row) -> bool:
    return row.get("policy") != "no_offers" and standing(row) != "idle"


def _policies(summary: Row) -> list[Row]:
    return rows(summary, "policies")


def _ranked(summary: Row, response: str) -> list[Row]:
    rated = [
        (value, row)
        for row in world_rows(summary, response)
        if _made_offers(row) and (value := margin(row)) is not None
    ]
    return [row for _, row in sorted(rated, key=lambda pair: -pair[0])]


def _shown(summary: Row, response: str) -> list[Row]:
    return [row for row in _ranked(summary, response) if standing(row) == "gain"]


def _supposition(response: str) -> str:
    return _SUPPOSITIONS.get(response, f"In the response world “{response}”")


def _verdict(summary: Row, response: str) -> str:
    shown = _shown(summary, response)
    supposition = _supposition(response)
    if shown:
        name = policy_name(shown[0].get("policy"))
        gain = _amount(summary, shown[0])
        return f"{supposition}, {name} is shown to beat doing nothing: {gain} per customer."
    losers = [row for row in _ranked(summary, response) if standing(row) == "loss"]
    best = [row for other in response_worlds(summary) for row in _shown(summary, other)[:1]]
    names = {row.get("policy") for row in best}
    hit = [row for row in losers if row.get("policy") in names]
    if hit:
        lost = join(
            [f"{policy_name(row.get('policy'))} loses {_lost(summary, row)}" for row in hit]
        )
        return f"{supposition}, no policy is shown to beat doing nothing, and {lost} per customer."
    return f"{supposition}, no policy is shown to beat doing nothing."


def _world_sentences(summary: Row, response: str) -> list[str]:
    ranked = _ranked(summary, response)
    idle = [
        policy_name(row.get("policy"))
        for row in world_rows(summary, response)
        if row.get("policy") != "no_offers" and standing(row) == "idle"
    ]
    silent = [f"No offers were made by {join(idle)}."] if idle else []
    if not ranked:
        return ["No policy that makes offers was evaluated here.", *silent]
    best = _best_sentences(summary, ranked)
    return [*best, *_loss_sentences(summary, response, ranked), *silent]


def _best_sentences(summary: Row, ranked: list[Row]) -> list[str]:
    best, name = ranked[0], policy_name(ranked[0].get("policy"))
    value = margin(best) or 0.0
    shown = [row for row in ranked if standing(row) == "gain"]
    amount = f"{_amount(summary, best)} per customer{_horizon(summary)}"
    what = f"{name}: {amount}{_interval(summary, best)}"
    zero = {
        "gain": " The interval excludes zero.",
        "loss": " The interval lies below zero.",
        "idle": "",
        "open": " The interval includes zero: no difference from doing nothing is shown.",
        "unknown": "",
    }[standing(best)]
    if value > 0:
        sentences = [f"The highest estimate is {what}.{zero}"]
    else:
        sentences = [
            "Doing nothing has the highest estimate.",
            f"Closest to it comes {what}.{zero}",
        ]
    if not shown:
        sentences.append("No policy is shown to beat doing nothing.")
    elif shown[0] is not best:
        names = join([policy_name(row.get("policy")) for row in shown])
        sentences.append(f"Shown to beat doing nothing: {names}.")
    if value > 0 and len(ranked) > 1:
        sentences.append(_next_sentence(summary, best, ranked[1:]))
    return sentences


def _next_sentence(summary: Row, best: Row, others: list[Row]) -> str:
    low = number_or_none(best.get("ci_low"))
    highs = [number_or_none(row.get("ci_high")) for row in others]
    rivals = [
        row
        for row, high in zip(others, highs, strict=True)
        if low is None or high is None or high >= low
    ]
    if not rivals:
        second = others[0]
        name, amount = policy_name(second.get("policy")), _amount(summary, second)
        return f"Its interval lies above all others; next is {name} with {amount}."
    names = join([f"{policy_name(row.get('policy'))} ({_amount(summary, row)})" for row in rivals])
    if len(rivals) == 1:
        return f"The interval of {names} overlaps with it, so which is better is not established."
    return f"The intervals of {names} overlap with it, so which is best is not established."


def _loss_sentences(summary: Row, response: str, ranked: list[Row]) -> list[str]:
    losers = [row for row in reversed(ranked) if standing(row) == "loss"]
    sentences = []
    if losers:
        names = join(
            [f"{policy_name(row.get('policy'))} ({_lost(summary, row)})" for row in losers]
        )
        sentences.append(f"Shown to lose money, per customer: {names}.")
    if response == "null":
        sentences.append(
            "Here no offer changes what anyone buys, so whatever is spent is wasted"
            f"{_most_spent(summary, ranked)}."
        )
        if any(standing(row) == "gain" for row in ranked):
            sentences.append(
                "A gain shown here cannot be real: it points at an error or at chance."
            )
    return sentences


def _most_spent(summary: Row, ranked: list[Row]) -> str:
    spent = [(cost, row) for row in ranked if (cost := number_or_none(row.get("cost")))]
    if not spent:
        return ""
    cost, row = max(spent, key=lambda pair: pair[0])
    customers = decimal(part(summary, "evaluation").get("customers"))
    amount = money(cost, currency_of(summary))
    return (
        f", most by {policy_name(row.get('policy'))}: {amount} in offers to {customers} customers"
    )


def _horizon(summary: Row) -> str:
    weeks = number_or_none(part(summary, "evaluation").get("weeks"))
    return "" if weeks is None else f" over {decimal(weeks)} weeks"


def _amount(summary: Row, row: Row) -> str:
    return money(margin(row), currency_of(summary), 2, sign=True)


def _lost(summary: Row, row: Row) -> str:
    return money(abs(margin(row) or 0.0), currency_of(summary), 2)


def _interval(summary: Row, row: Row) -> str:
    currency = currency_of(summary)
    low = money(row.get("ci_low"), currency, 2, sign=True)
    high = money(row.get("ci_high"), currency, 2, sign=True)
    both = interval(low, high)
    level = percent(part(summary, "evaluation").get("confidence"))
    return f" ({level} interval {both})" if both != "–" else ""
