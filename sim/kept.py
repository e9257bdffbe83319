"""Old terms that members keep after a change of the programme, as scalar rules.

A change that worsens terms takes one of ``KEPT_SLOTS`` slots of PROGRAMME, which holds the terms
before it until ``kept_until``. ``account.kept`` has a byte for each slot: the tier whose old
threshold the member keeps (bits 0-2, 0 = none), old multipliers (bit 3), and old prices by reward
(bits 4-7). Who keeps what is decided when the change takes effect (``sim.redesign``). A tier held
is different: nobody loses one that the old threshold would have held, so that needs no bit.
"""

import numpy as np

from agents.compiled import kernel
from agents.records import KEPT_SLOTS, MAX_REWARDS, MAX_TIERS

SLOT_BITS = 8
TIER_BITS = 7
MULTIPLIER_BIT = 3
REWARD_BIT = 4


@kernel
def slot_of(account, slot):  # type: ignore[no-untyped-def]
    """What the member keeps of one slot, a byte."""
    return (np.int64(account.kept) >> (SLOT_BITS * slot)) & 255


@kernel
def give_up(account, slot, bits):  # type: ignore[no-untyped-def]
    """Take bits off the byte of one slot."""
    account.kept = np.uint32(np.int64(account.kept) & ~(np.int64(bits) << (SLOT_BITS * slot)))


@kernel
def price_for(account, programme, at):  # type: ignore[no-untyped-def]
    """Price of a reward to this member, points: the published one or a lower one they keep."""
    price = programme.reward_price[at]
    if account.kept > 0:
        for slot in range(KEPT_SLOTS):
            if (slot_of(account, slot) >> (REWARD_BIT + at)) & 1:
                price = min(price, programme.kept_price[slot * MAX_REWARDS + at])
    return price


@kernel
def lowest_price(account, programme):  # type: ignore[no-untyped-def]
    """Price of the reward that is cheapest to this member; there must be one."""
    price = programme.reward_price[0]
    if account.kept > 0:
        for at in range(programme.n_rewards):
            price = min(price, price_for(account, programme, at))
    return price


@kernel
def multiplier_for(account, programme):  # type: ignore[no-untyped-def]
    """Multiplier of the member's tier, basis points: the published one or a higher one kept."""
    multiplier = programme.multiplier[account.tier]
    if account.kept > 0:
        for slot in range(KEPT_SLOTS):
            if (slot_of(account, slot) >> MULTIPLIER_BIT) & 1:
                old = programme.kept_multiplier[slot * MAX_TIERS + account.tier]
                multiplier = max(multiplier, old)
    return multiplier


@kernel
def kept_tier(account, amount, programme, week):  # type: ignore[no-untyped-def]
    """Highest tier that the amount deserves by old terms, 0 if none.

    A tier held, or one below it, is deserved by any threshold of a slot that still counts; a
    higher one only by the old threshold that this member keeps.
    """
    tier = 0
    for slot in range(KEPT_SLOTS):
        if week < programme.kept_until[slot]:
            for at in range(1, account.tier + 1):
                if amount >= programme.kept_threshold[slot * MAX_TIERS + at]:
                    tier = max(tier, at)
            promised = slot_of(account, slot) & TIER_BITS
            if promised > 0 and amount >= programme.kept_threshold[slot * MAX_TIERS + promised]:
                tier = max(tier, promised)
    return tier


@kernel
def reach(account, tier):  # type: ignore[no-untyped-def]
    """Old thresholds of tiers that were reached have done their service."""
    if account.kept > 0:
        for slot in range(KEPT_SLOTS):
            if (slot_of(account, slot) & TIER_BITS) <= tier:
                give_up(account, slot, TIER_BITS)


@kernel
def use_price(account, at):  # type: ignore[no-untyped-def]
    """The old price of a reward is kept for one redemption."""
    if account.kept > 0:
        for slot in range(KEPT_SLOTS):
            give_up(account, slot, 1 << (REWARD_BIT + at))


@kernel
def let_go(account, programme, week):  # type: ignore[no-untyped-def]
    """At the close of ``week`` give up what is kept of slots that count no longer than it."""
    if account.kept > 0:
        for slot in range(KEPT_SLOTS):
            if week + 1 >= programme.kept_until[slot]:
                give_up(account, slot, 255)
