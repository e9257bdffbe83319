"""Terms as they hold for each member of a cohort, with what is kept of old ones, and their worth.

``sim.kept`` has the same rules for one member, compiled.
"""

import numpy as np
from numpy.typing import NDArray

from agents.records import KEPT_SLOTS, MAX_REWARDS, MAX_TIERS, Customers
from sim.kept import MULTIPLIER_BIT, REWARD_BIT, SLOT_BITS, TIER_BITS


def members(customers: Customers) -> NDArray[np.bool_]:
    """Who is a member with an open account, shape (n,)."""
    account = customers.account
    return np.asarray((account["enrolled"] > 0) & (account["closed"] == 0))


def own_thresholds(customers: Customers, programme: NDArray[np.void]) -> NDArray[np.int64]:
    """Threshold of the next tier as it holds for each member, 0 for the top tier, shape (n,)."""
    account = customers.account
    target = account["tier"].astype(np.int64) + 1
    top = target >= int(programme["n_tiers"][0])
    target[top] = 0
    own = programme["threshold"][0][target]
    for slot in range(KEPT_SLOTS):
        promised = (account["kept"] >> np.uint32(SLOT_BITS * slot)) & np.uint32(TIER_BITS)
        old = programme["kept_threshold"][0][slot * MAX_TIERS + target]
        own = np.where((promised == target) & ~top, np.minimum(own, old), own)
    return np.asarray(np.where(top, 0, own))


def own_prices(customers: Customers, programme: NDArray[np.void]) -> NDArray[np.int64]:
    """Price of each reward as it holds for each member, shape (n, n_rewards)."""
    n_rewards = int(programme["n_rewards"][0])
    kept = customers.account["kept"]
    own = np.tile(programme["reward_price"][0][:n_rewards], (customers.n, 1))
    for slot in range(KEPT_SLOTS):
        for at in range(n_rewards):
            keeps = (kept >> np.uint32(SLOT_BITS * slot + REWARD_BIT + at)) & np.uint32(1) > 0
            old = programme["kept_price"][0][slot * MAX_REWARDS + at]
            own[keeps, at] = np.minimum(own[keeps, at], old)
    return own


def own_multipliers(customers: Customers, programme: NDArray[np.void]) -> NDArray[np.int64]:
    """Multiplier of points as it holds for each member, basis points, shape (n,)."""
    account = customers.account
    tier = account["tier"].astype(np.int64)
    own = programme["multiplier"][0][tier]
    for slot in range(KEPT_SLOTS):
        keeps = (account["kept"] >> np.uint32(SLOT_BITS * slot + MULTIPLIER_BIT)) & np.uint32(1)
        old = programme["kept_multiplier"][0][slot * MAX_TIERS + tier]
        own = np.where(keeps > 0, np.maximum(own, old), own)
    return np.asarray(own)


def keeps_prices(programme: NDArray[np.void], week: int) -> bool:
    """Is there an old price, lower than today's, that somebody may keep in ``week``?"""
    prices = programme["reward_price"][0]
    return any(
        programme["kept_until"][0, slot] > week
        and (programme["kept_price"][0, slot * MAX_REWARDS :][:MAX_REWARDS] < prices).any()
        for slot in range(KEPT_SLOTS)
    )


def kept_worth(customers: Customers, programme: NDArray[np.void], week: int) -> int:
    """What members who keep an old price are owed beyond the value of their points, micro minor
    units.

    A kept price, or that of an open order, saves points, which are worth what all points are. Who
    has but a part of the price is owed that part of it; points count for one reward only, where
    they save most.
    """
    if not keeps_prices(programme, week):
        return 0
    account = customers.account
    there = members(customers) & ((account["kept"] > 0) | (account["ordered"] > 0))
    rows = np.flatnonzero(there)
    keeping = Customers(*(part[rows] if part.size else part for part in customers))
    account, record = keeping.account, programme[0]
    own = own_prices(keeping, programme)
    prices = record["reward_price"][: own.shape[1]]
    at = np.arange(len(rows))

    ordered = account["ordered"].astype(np.int64)
    saved = np.where(ordered > 0, np.maximum(prices[account["order_reward"]] - ordered, 0), 0)
    pending = account["pending"].sum(axis=1, dtype=np.int64)
    left = np.maximum(keeping.profile["points"] + pending - ordered, 0)
    worth = saved * int(record["liability_per_point"])
    order = np.argsort(-(prices - own) / own, axis=1, kind="stable")
    for place in range(own.shape[1]):
        reward = order[:, place]
        price = own[at, reward]
        many = record["reward_multiple"][reward] > 0
        used = np.where(many, left, np.minimum(left, price))
        saving = prices[reward] - price
        worth += used * saving * int(record["liability_per_point"]) // price
        left -= used
    return int(worth.sum())


def points_saved(customers: Customers) -> NDArray[np.int64]:
    """Points that are not earmarked, pending ones too, shape (n,)."""
    account = customers.account
    pending = account["pending"].sum(axis=1, dtype=np.int64)
    return np.asarray(customers.profile["points"] + pending - account["ordered"])
