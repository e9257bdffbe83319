"""An episode of programme design as a table for people."""

from typing import NamedTuple

from envs.design.levers import Design
from sim.notices import Notice
from sim.programme import ProgrammeParameters

_MONEY = ("profit", "margin", "offer_cost", "reward_cost", "liability_change")


class Row(NamedTuple):
    """A quarter that was lived, from ``week``: what held, what had been announced, KPIs."""

    week: int
    in_force: ProgrammeParameters
    coming: tuple[Notice, ...]
    design: Design
    kpis: dict[str, float]


def row_of(
    week: int,
    in_force: ProgrammeParameters,
    pending: tuple[Notice, ...],
    design: Design,
    kpis: dict[str, float],
) -> Row:
    """The quarter from ``week``, given what was in force and pending when it was announced."""
    for notice in pending:
        if notice.week <= week:
            in_force = notice.programme
    coming = tuple(notice for notice in pending if notice.week > week)
    return Row(week, in_force, coming, design, kpis)


def episode_table(rows: list[Row]) -> str:
    """The quarters so far, a line each, and under it what had been announced and was to come.

    Money is per customer of the cohort and quarter, in currency units. ``keep%`` are members who
    keep old terms; tiers are in percent of members.
    """
    if not rows:
        return "no quarter has been lived yet"
    lines = [_header(rows[0].in_force)]
    for row in rows:
        lines.append(_line(row))
        before = row.in_force
        for notice in row.coming:
            lines.append(f"        from week {notice.week}: {changes(before, notice.programme)}")
            before = notice.programme
    total = sum(row.kpis["profit"] for row in rows)
    lines.append(f"profit of {len(rows)} quarters: {total:.2f} per customer")
    return "\n".join(lines)


def changes(before: ProgrammeParameters, after: ProgrammeParameters) -> str:
    """The terms that differ, as old → new."""
    found = []
    for old, new in zip(before.tiers, after.tiers, strict=True):
        if old.threshold != new.threshold:
            found.append(f"{new.name} from {old.threshold:g} → {new.threshold:g}")
        if old.multiplier != new.multiplier:
            found.append(f"{new.name} ×{old.multiplier:g} → ×{new.multiplier:g}")
    for reward, other in zip(before.rewards, after.rewards, strict=True):
        if reward.points_price != other.points_price:
            found.append(f"{other.name} {reward.points_price} → {other.points_price} points")
    if before.points_per_unit != after.points_per_unit:
        found.append(f"points per unit {before.points_per_unit:g} → {after.points_per_unit:g}")
    return ", ".join(found) or "no change"


def _header(programme: ProgrammeParameters) -> str:
    tiers = " ".join(f"{tier.name[:8] + '%':>8}" for tier in programme.tiers)
    return (
        "   week   profit   margin   offers  rewards   Δliab.  active%  keep% "
        f"{tiers}  budget  terms in force"
    )


def _line(row: Row) -> str:
    kpis = row.kpis
    money = " ".join(f"{kpis[name]:8.2f}" for name in _MONEY)
    tiers = " ".join(f"{100 * kpis[f'tier_{tier.name}']:8.1f}" for tier in row.in_force.tiers)
    return (
        f"{row.week:7d} {money} {100 * kpis['active']:8.1f} {100 * kpis['keeping']:6.1f} "
        f"{tiers} {row.design.weekly_budget:7.2f}  {_terms(row.in_force)}"
    )


def _terms(programme: ProgrammeParameters) -> str:
    tiers = ", ".join(
        f"{tier.name} from {tier.threshold:g} ×{tier.multiplier:g}" for tier in programme.tiers[1:]
    )
    rewards = ", ".join(f"{reward.name} {reward.points_price}" for reward in programme.rewards)
    parts = [f"{programme.points_per_unit:g} points per unit", tiers, rewards]
    return "; ".join(part for part in parts if part)
