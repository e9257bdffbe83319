"""The constraints by name: what each one limits, and whether it can be broken at all."""

from enum import IntEnum
from typing import NamedTuple


class Constraint(IntEnum):
    """What can bind a decision; 0 = nothing. The first that blocks an action is named."""

    NONE = 0
    ACCOUNT_CLOSED = 1
    NOT_ENROLLED = 2
    CONSENT = 3
    OPT_OUT = 4
    VULNERABLE = 5
    OFFER_OPEN = 6
    CONTACT_CAP = 7
    QUIET_WEEKS = 8
    PRICE_SPREAD = 9
    LIABILITY_ALARM = 10
    OFFER_BUDGET = 11
    DISCOUNT_EXPOSURE = 12


MASK, HARD_BUDGET, EXPECTED = "mask", "hard budget", "expected"


class Nature(NamedTuple):
    """Kind (mask, hard budget or expected) and scope (customer, channel, offer kind, firm)."""

    kind: str
    scope: str


# Of the offer budget in mode worst_case; in mode tail it is expected.
NATURE = {
    Constraint.ACCOUNT_CLOSED: Nature(MASK, "customer"),
    Constraint.NOT_ENROLLED: Nature(MASK, "customer"),
    Constraint.CONSENT: Nature(MASK, "channel"),
    Constraint.OPT_OUT: Nature(MASK, "channel"),
    Constraint.VULNERABLE: Nature(MASK, "customer"),
    Constraint.OFFER_OPEN: Nature(MASK, "customer"),
    Constraint.CONTACT_CAP: Nature(MASK, "customer"),
    Constraint.QUIET_WEEKS: Nature(MASK, "customer"),
    Constraint.PRICE_SPREAD: Nature(MASK, "offer kind"),
    Constraint.LIABILITY_ALARM: Nature(EXPECTED, "firm"),
    Constraint.OFFER_BUDGET: Nature(HARD_BUDGET, "firm"),
    Constraint.DISCOUNT_EXPOSURE: Nature(HARD_BUDGET, "offer kind"),
}
EVERY_CONSTRAINT = sum(1 << int(code) for code in Constraint if code)


def all_but(*constraints: Constraint) -> int:
    """Bit set of the constraints to enforce, some left out: to see whether the ledger tells."""
    return EVERY_CONSTRAINT & ~sum(1 << int(code) for code in constraints)


def enforces(enforced: int, constraint: Constraint) -> bool:
    """Whether a bit set holds a constraint."""
    return bool(enforced >> int(constraint) & 1)
