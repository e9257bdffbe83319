"""The programme that was run, in words and tables."""

from collections.abc import Mapping
from typing import Any

from experiments.report.elements import Column, Group, Markup, table
from experiments.report.wording import (
    NOTHING,
    compact,
    count_of,
    decimal,
    join,
    money,
    number_or_none,
    part,
    plain,
    rows,
)

_BASES = {
    "shelf": "of the shelf price",
    "paid_before_redemption": "paid, vouchers counted as money",
    "paid": "paid",
}
_QUALIFIES = {
    "spend": "Spend needed",
    "points_earned": "Points to earn",
    "points_balance": "Points to hold",
    "predicted_value": "Expected margin needed",
}


def earning(programme: Mapping[str, Any], currency: object) -> str:
    """What the programme gives for purchases, as a sentence."""
    life = programme.get("expiry_quarters")
    given = []
    if programme.get("points_per_unit") != 0 or not programme.get("points_per_purchase"):
        base = _BASES.get(str(programme.get("earn_on")), NOTHING)
        points = count_of(programme.get("points_per_unit"), "point")
        given.append(f"{points} per {currency or 'currency unit'} {base}")
    if programme.get("points_per_purchase"):
        given.append(f"{count_of(programme.get('points_per_purchase'), 'point')} per purchase")
    pending = programme.get("pending_weeks")
    return (
        f"It gives {' and '.join(given)}, usable "
        f"{'at once' if pending == 0 else 'after ' + count_of(pending, 'week')} and "
        f"{'for ever' if life == 0 else 'for ' + count_of(life, 'quarter')}."
    )


def bonuses(programme: Mapping[str, Any]) -> str:
    """What it gives on top, as a sentence; empty where nothing."""
    challenge, streak = part(programme, "challenge"), part(programme, "streak")
    given = [
        f"{decimal(points)} {reason}"
        for points, reason in (
            (
                challenge.get("points"),
                f"for {count_of(challenge.get('purchases'), 'purchase')} within "
                f"{count_of(challenge.get('weeks'), 'week')}",
            ),
            (
                streak.get("points"),
                f"for a purchase in each of {count_of(streak.get('weeks'), 'week')} in a row",
            ),
            (programme.get("welcome_points"), "at enrolment"),
            (programme.get("referral_points"), "for bringing a customer along"),
        )
        if points
    ]
    return f"Bonus points: {join(given)}." if given else ""


def rewards(programme: Mapping[str, Any], currency: object) -> Markup:
    """The catalogue."""
    wait = programme.get("redemption_weeks")
    return table(
        "Rewards",
        [
            Column("Reward", "text", note=f"after {count_of(wait, 'week')}" if wait else ""),
            Column("Kind", "text"),
            Column("Points"),
            Column("Cost"),
        ],
        Group(
            "",
            [
                [
                    plain(reward.get("name")),
                    ("voucher" if reward.get("voucher") else "item")
                    + (", several at once" if reward.get("multiple") else ""),
                    decimal(reward.get("points_price")),
                    money(reward.get("unit_cost"), currency, 2),
                ]
                for reward in rows(programme, "rewards")
            ],
        ),
    )


def tiers(programme: Mapping[str, Any], currency: object) -> Markup:
    """The tiers and what they need."""
    basis = str(programme.get("tier_basis"))
    in_money = basis in ("spend", "predicted_value")
    quarters = number_or_none(programme.get("window_quarters"))
    note = {"points_balance": "", "predicted_value": "of the next 52 weeks"}.get(
        basis,
        "in the running year"
        if programme.get("window") == "calendar"
        else "in the running quarter"
        if quarters is None or quarters < 2
        else f"running and last {count_of(quarters - 1, 'quarter')}",
    )
    return table(
        "Tiers",
        [
            Column("Tier", "text"),
            Column(_QUALIFIES.get(basis, "Needed"), note=note),
            Column("Points factor"),
        ],
        Group(
            "",
            [
                [
                    plain(tier.get("name")),
                    money(tier.get("threshold"), currency)
                    if in_money
                    else decimal(tier.get("threshold")),
                    f"× {compact(tier.get('multiplier'))}",
                ]
                for tier in rows(programme, "tiers")
            ],
        ),
    )
