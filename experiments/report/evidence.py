"""What the results rest on: what was tested, the customers, the market, training, real scores."""

from collections.abc import Mapping
from typing import Any

from experiments.report import figures
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    bullets,
    figure,
    paragraph,
    section,
    side_by_side,
    table,
    tag,
)
from experiments.report.limits import approval_sentence
from experiments.report.programme import bonuses, earning, rewards, tiers
from experiments.report.wording import (
    NOTHING,
    currency_of,
    decimal,
    duration,
    join,
    money,
    number_or_none,
    part,
    percent,
    plain,
    policy_name,
    response_name,
    rows,
    significant,
    statistic_name,
    texts,
    yes_no,
)

Summary = Mapping[str, Any]


def tested(summary: Summary) -> Markup:
    """Programme, offers and limits that the policies worked with."""
    programme, currency = part(summary, "programme"), currency_of(summary)
    constraints = part(summary, "constraints")
    weekly = constraints.get("offer_budget_weekly")
    customers = f"{decimal(part(summary, 'evaluation').get('customers'))} test customers"
    budget = (
        "No offer budget."
        if number_or_none(weekly) is None
        else f"Offer budget: {money(weekly, currency)} a week for {customers}, reserved in full "
        "when an offer is made, so that no luck can overspend it."
    )
    limits = [
        budget,
        *([approval] if (approval := approval_sentence(part(constraints, "approval"))) else []),
        f"Contact cap: {constraints.get('contact_cap') or 'none'}.",
        f"Contact only with consent: {yes_no(constraints.get('consent'))}.",
        f"Vulnerable customers protected: {yes_no(constraints.get('vulnerable'))}.",
    ]
    return section(
        "tested",
        "What was tested",
        paragraph(
            "No programme runs: no points, no tiers."
            if programme.get("active") is False
            else f"The programme “{plain(programme.get('name'))}” runs in every case, so only the "
            f"offers differ. {earning(programme, currency)} {bonuses(programme)}"
        ),
        side_by_side(
            rewards(programme, currency),
            tiers(programme, currency),
            table(
                "Offers",
                [
                    Column("Offer", "text"),
                    Column("Channel", "text"),
                    Column("Kind", "text"),
                    Column("Costs at most"),
                ],
                Group(
                    "",
                    [
                        [
                            plain(offer.get("offer")),
                            plain(offer.get("channel")),
                            plain(offer.get("kind")),
                            money(offer.get("commitment"), currency, 2),
                        ]
                        for offer in rows(summary, "offer_table")
                        if offer.get("action") != 0
                    ],
                ),
            ),
        ),
        tag("h3", "Limits that hold whatever a policy proposes"),
        bullets(limits),
    )


def population(summary: Summary) -> Markup:
    """Does the simulated population match the log?"""
    statistics = rows(summary, "observed_vs_simulated")
    known = [
        (abs(difference), row)
        for row in statistics
        if (difference := figures.relative_difference(row)) is not None
    ]
    verdict = ""
    if known:
        near = sum(difference <= 0.10 for difference, _ in known)
        worst, row = max(known, key=lambda pair: pair[0])
        verdict = (
            f"{near} of {len(known)} statistics lie within 10 % of the log; the farthest is "
            f"“{statistic_name(row.get('statistic'))}”, {percent(worst)} off."
        )
    return section(
        "match",
        "Do the simulated customers behave like the real ones?",
        paragraph(
            verdict,
            "They are drawn from the fitted model without offers and observed like the log. "
            "A good match makes the simulated market believable; it says nothing about offers.",
        ),
        side_by_side(
            figure(
                "Simulated against observed",
                figures.match(statistics),
                "Relative difference of each statistic; the band marks ±10 %, an arrow a "
                "difference beyond the edge.",
            ),
            table(
                "Observed and simulated",
                [
                    Column("Statistic", "text"),
                    Column("Observed"),
                    Column("Simulated"),
                    Column("Difference", note="relative"),
                ],
                Group(
                    "",
                    [
                        [
                            statistic_name(row.get("statistic")),
                            significant(row.get("observed")),
                            significant(row.get("simulated")),
                            percent(figures.relative_difference(row), 1, sign=True),
                        ]
                        for row in statistics
                    ],
                ),
            ),
        ),
    )


def market(summary: Summary) -> Markup:
    """The market over time."""
    values, currency = part(summary, "market"), currency_of(summary)
    same = values.get("mesa_equals_engine")
    checked = (
        f"{decimal(values.get('mesa_customers'))} customers over "
        f"{decimal(values.get('mesa_weeks'))} weeks"
    )
    engines = {
        True: f"Agents one at a time (Mesa) and the fast engine gave identical records: {checked}.",
        False: f"Warning: agents (Mesa) and the fast engine disagreed: {checked}.",
    }
    breakage = percent(values.get("breakage_share"), 1)
    return section(
        "market",
        "The market over time",
        paragraph(
            f"The firm sends {plain(values.get('policy') or 'no offers')} here. Of the points "
            f"that left members' accounts so far, {breakage} had expired (breakage)."
            if breakage != NOTHING
            else "",
            tag("span", engines[bool(same)], class_="" if same else "bad")
            if same is not None
            else "",
        ),
        side_by_side(
            figure(
                "Purchases",
                figures.over_weeks(
                    values,
                    {"purchases_per_customer": "Purchases"},
                    "Purchases per customer and week",
                    whole=False,
                ),
                "Season and dropout show here.",
            ),
            figure(
                "Points owed",
                figures.over_weeks(
                    values, {"liability": "Liability"}, f"{currency} owed for points"
                ),
                "Expected cost of all points that customers hold.",
            ),
            figure(
                "Points earned, redeemed and expired",
                figures.over_weeks(
                    values,
                    {
                        "points_earned": "Earned",
                        "points_redeemed": "Redeemed",
                        "points_expired": "Expired",
                    },
                    "Points per week",
                ),
                "Redeemed and expired points lower the liability.",
            ),
            figure(
                "Tiers",
                figures.bars(values.get("tier_share"), "Share of members", ".1%", ranked=False),
                "Share of members in each tier at the end.",
            ),
        ),
    )


def training(summary: Summary) -> Markup:
    """How the trained policy learned."""
    values, currency = part(summary, "training"), currency_of(summary)
    history = values.get("history")
    worlds = join([response_name(world) for world in texts(values.get("responses"))])
    return section(
        "training",
        "How the trained policy learned",
        paragraph(
            f"{policy_name(values.get('algorithm'))} practised for "
            f"{decimal(values.get('steps'))} customer-weeks in {duration(values.get('seconds'))}, "
            f"in the response world “{worlds or NOTHING}”. A curve that is still rising at the end "
            "says that longer training may help; training rewards are noisy and no result."
        ),
        side_by_side(
            figure(
                "Reward",
                figures.training(history, "reward_per_week", f"{currency} per customer and week"),
                "Margin less costs and less the change of points liability.",
            ),
            figure(
                "Contacts",
                figures.training(
                    history, "contact_share", "% of customers contacted per week", scale=100
                ),
                "Share of customer-weeks with an offer.",
            ),
        ),
    )


def scored(summary: Summary) -> Markup:
    """What the trained policy would send to the real customers now."""
    values, currency = part(summary, "scored"), currency_of(summary)
    if not values:
        return Markup("")
    budget = values.get("budget")
    limit = "no limit" if budget is None else f"a limit of {money(budget, currency)}"
    return section(
        "scored",
        "What the real customers would get this week",
        paragraph(
            f"The exported policy scored {decimal(values.get('customers'))} real customers of the "
            f"log: {decimal(values.get('with_offer'))} get an offer, which reserves "
            f"{money(values.get('reserved'), currency)} against {limit}. One row per customer with "
            "reasons is in ",
            Markup(tag("code", summary.get("offers") or NOTHING) + "."),
            "The answer above says in which worlds that is worth sending.",
        ),
        side_by_side(
            figure(
                "Offers",
                figures.bars(_named_offers(values.get("by_offer")), "Customers"),
                "Customers by the offer they get.",
            ),
            figure(
                "What stood in the way",
                figures.bars(_named_limits(values.get("by_binding")), "Customers"),
                "Customers by the limit that overruled the policy's wish, if any.",
            ),
        ),
    )


def _named_limits(counts: object) -> object:
    if not isinstance(counts, Mapping):
        return None
    return {"nothing" if name == "none" else name: count for name, count in counts.items()}


def _named_offers(counts: object) -> object:
    if not isinstance(counts, Mapping):
        return None
    parted = {label: str(label).partition("/") for label in counts}
    return {
        f"{plain(offer)} by {channel}" if channel else plain(offer): counts[label]
        for label, (offer, _, channel) in parted.items()
    }
