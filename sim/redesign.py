"""Other terms for a programme that runs: what may change, what is worse, who keeps the old ones.

The rules that then read the old terms are in ``sim.kept``.
"""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from agents.records import KEPT_SLOTS, MAX_REWARDS, MAX_TIERS, Customers
from sim.goalposts import Goalposts
from sim.kept import MULTIPLIER_BIT, REWARD_BIT, SLOT_BITS
from sim.kept_terms import members, own_prices, own_thresholds, points_saved
from sim.programme import PROGRAMME, ProgrammeParameters, programme_record
from sim.world import Rules

_KEPT = [name for name in PROGRAMME.names or () if name.startswith("kept_")]


def check_change(before: ProgrammeParameters, after: ProgrammeParameters) -> None:
    """Refuse a change of anything but thresholds, multipliers, prices and points per unit.

    Raises
    ------
    ValueError
        Naming the field. Prices of rewards that are ordered in any number are fixed too: an open
        order counts its units by them.
    """
    for name in (field.name for field in fields(before)):
        old, new = getattr(before, name), getattr(after, name)
        if name == "tiers":
            old, new = ([tier.name for tier in tiers] for tiers in (old, new))
        elif name == "rewards":
            old, new = ([replace(r, points_price=1) for r in rewards] for rewards in (old, new))
        if name not in ("name", "points_per_unit") and old != new:
            raise ValueError(f"programme.{name}={new} cannot change while it runs: it is {old}")
    if before.redemption_weeks > 0:
        for old_reward, new_reward in zip(before.rewards, after.rewards, strict=True):
            if old_reward.multiple and old_reward != new_reward:
                raise ValueError(
                    f"points_price={new_reward.points_price} of reward {new_reward.name} cannot "
                    "change while it runs: it is ordered ahead in any number"
                )


def better_of(one: ProgrammeParameters, other: ProgrammeParameters) -> ProgrammeParameters:
    """For each term the one that is better for members; named as ``other``."""
    return replace(
        other,
        points_per_unit=max(one.points_per_unit, other.points_per_unit),
        tiers=tuple(
            replace(
                b,
                threshold=min(a.threshold, b.threshold),
                multiplier=max(a.multiplier, b.multiplier),
            )
            for a, b in zip(one.tiers, other.tiers, strict=True)
        ),
        rewards=tuple(
            replace(b, points_price=min(a.points_price, b.points_price))
            for a, b in zip(one.rewards, other.rewards, strict=True)
        ),
    )


def same_terms(one: ProgrammeParameters, other: ProgrammeParameters) -> bool:
    """Is nothing but the name different?"""
    return replace(one, name=other.name) == other


def takes_slot(before: NDArray[np.void], after: NDArray[np.void]) -> bool:
    """Is a threshold, price or multiplier worse, so that old ones are kept? PROGRAMME records."""
    return bool(
        (after["threshold"] > before["threshold"]).any()
        or (after["reward_price"] > before["reward_price"]).any()
        or (after["multiplier"] < before["multiplier"]).any()
    )


def change_rules(
    rules: Rules,
    customers: Customers,
    programme: ProgrammeParameters,
    goalposts: Goalposts,
    week: int,
) -> None:
    """Put other terms into force from the start of ``week``, in place.

    Parameters
    ----------
    rules
        Compiled rules; their programme is replaced.
    customers
        Whose ``account["kept"]`` is set.
    programme
        The new terms; ``check_change`` tells which may differ.

    Raises
    ------
    ValueError
        If more than ``KEPT_SLOTS`` worsenings would be kept at once.
    """
    before = rules["programme"].copy()
    after = programme_record(programme)
    for name in _KEPT:
        after[name] = before[name]
    if takes_slot(before, after) and goalposts.grandfathering_weeks > 0:
        free = np.flatnonzero(before["kept_until"][0] <= week)
        if free.size == 0:
            raise ValueError(
                f"more than {KEPT_SLOTS} changes for the worse within grandfathering_weeks="
                f"{goalposts.grandfathering_weeks}: leave 13 weeks between two"
            )
        slot = int(free[0])
        bits = _keeping(customers, before, after, goalposts.close_share)
        others = np.uint32(0xFFFFFFFF ^ (0xFF << (SLOT_BITS * slot)))
        kept = customers.account["kept"]
        customers.account["kept"] = (kept & others) | (bits << np.uint32(SLOT_BITS * slot))
        tiers = slice(slot * MAX_TIERS, (slot + 1) * MAX_TIERS)
        rewards = slice(slot * MAX_REWARDS, (slot + 1) * MAX_REWARDS)
        after["kept_threshold"][0, tiers] = before["threshold"][0]
        after["kept_multiplier"][0, tiers] = before["multiplier"][0]
        after["kept_price"][0, rewards] = before["reward_price"][0]
        after["kept_until"][0, slot] = week + goalposts.grandfathering_weeks
        after["kept_last"] = after["kept_until"].max()
    rules["programme"] = after


def close_to(
    amount: NDArray[np.integer], goal: NDArray[np.integer], share: float
) -> NDArray[np.bool_]:
    """Does at most ``share`` of the goal lack?"""
    return np.asarray(amount >= (1.0 - share) * goal - 1e-9)


def _keeping(
    customers: Customers, before: NDArray[np.void], after: NDArray[np.void], share: float
) -> NDArray[np.uint32]:
    """What each member keeps of a change, as the byte of its slot, shape (n,)."""
    account = customers.account
    tier = account["tier"].astype(np.int64)
    target = np.minimum(tier + 1, MAX_TIERS - 1)
    raised = (after["threshold"] > before["threshold"])[0][target]
    goal = own_thresholds(customers, before)
    near = raised & (goal > 0) & close_to(customers.profile["qualifying"], goal, share)
    bits = np.where(near, target, 0)
    lowered = (after["multiplier"] < before["multiplier"])[0][tier]
    bits |= lowered.astype(np.int64) << MULTIPLIER_BIT
    saved = points_saved(customers)
    prices = own_prices(customers, before)
    for at in range(prices.shape[1]):
        if after["reward_price"][0, at] > before["reward_price"][0, at]:
            near = close_to(saved, prices[:, at], share)
            bits |= near.astype(np.int64) << (REWARD_BIT + at)
    return np.asarray(np.where(members(customers), bits, 0).astype(np.uint32))
