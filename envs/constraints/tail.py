"""Mode ``tail`` of the offer budget: what a set of offers reserves, and who gets what within it.

What offer i settles lies between 0 and its cap c_i. Where customers redeem independently, the sum
exceeds its expectation by sqrt(ln(1/delta) / 2 × sum c_i²) with probability at most delta
(Hoeffding 1963, https://doi.org/10.1080/01621459.1963.10500830, Theorem 2). Reserved is hence

    expected cost + contact cost + sqrt(ln(1/delta) / 2 × sum c_i²),

or the sum of all commitments where that is less. Expected costs are estimates from what the firm
has seen (``expected_costs``), and customers who meet the same season or word of mouth are not
quite independent: the mode is an expected constraint, and the ledger counts how often it failed.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.records import N_CHANNELS
from envs.allocation.hulls import LARGEST_BUDGET
from envs.allocation.knapsack import Allocation, allocate
from envs.features import open_rate, redemption_rate
from sim.offers import ActionTable

FINENESS = 1000  # reservations are counted in these parts of a minor unit, rounded up
_ROUNDS = 4


class TailRoom(NamedTuple):
    """What mode ``tail`` decides a week's offers by, minor units.

    Parameters
    ----------
    limit
        What open and new offers together may reserve.
    delta
        Probability bound.
    expected
        Expected cost of each action, contact included, ``shape (n, n_actions)``.
    caps
        The most each action can settle beyond its contact, ``shape (n_actions,)``.
    open_worst, open_expected, open_squares
        Sums over the open offers: commitments, expected costs, squared commitments.
    """

    limit: int
    delta: float
    expected: NDArray[np.float64]
    caps: NDArray[np.float64]
    open_worst: int
    open_expected: float
    open_squares: float

    @property
    def deviation(self) -> float:
        """sqrt(ln(1/delta) / 2)."""
        return math.sqrt(math.log(1 / self.delta) / 2)

    def reserved(self, expected: float, worst: int, squares: float) -> float:
        """What open offers reserve, with new ones of these sums."""
        bound = self.open_expected + expected
        bound += self.deviation * math.sqrt(self.open_squares + squares)
        return min(float(self.open_worst + worst), bound)


@kernel
def _overall_open_rate(profile):  # type: ignore[no-untyped-def]
    total = 0.0
    for channel in range(N_CHANNELS):
        total += open_rate(profile, channel)
    return total / N_CHANNELS


@kernel
def expected_cost(profile, offer, action):  # type: ignore[no-untyped-def]
    """Expected cost of an offer about to be made, minor units: contact + cap × expected uses.

    Uses are the customer's shrunk redemption rate of the kind, times how much more or less they
    open this channel than the others, at most the offer's. A use is taken to cost its cap, so
    that smaller baskets than the cap allows for leave a margin.
    """
    uses = redemption_rate(profile, offer.kind) * open_rate(profile, action.channel)
    uses /= _overall_open_rate(profile)
    return action.contact_cost + offer.cap * min(uses, float(offer.uses))


@parallel_kernel
def _expected(account, profile, actions, offers, new, standing):  # type: ignore[no-untyped-def]
    for row in prange(account.shape[0]):
        one = profile[row]
        new[row, 0] = 0.0
        for action in range(1, actions.shape[0]):
            new[row, action] = expected_cost(one, offers[actions[action].offer], actions[action])
        standing[row] = 0.0
        if account[row].offer > 0:
            rate = redemption_rate(one, offers[account[row].offer - 1].kind)
            standing[row] = account[row].commitment * rate


def tail_room(
    account: NDArray[np.void],
    profile: NDArray[np.void],
    table: ActionTable,
    limit: int,
    delta: float,
) -> TailRoom:
    """A week's budget from accounts and profiles, shape (n,) each.

    An open offer is expected to cost what is left of its commitment times the redemption rate of
    its kind, whether its message was opened or not: over many offers both come to the same.
    """
    expected = np.empty((account.shape[0], table.n))
    standing = np.empty(account.shape[0])
    _expected(account, profile, table.actions, table.offers, expected, standing)
    held = account["commitment"].astype(np.float64)
    caps = (table.actions["commitment"] - table.actions["contact_cost"]).astype(np.float64)
    return TailRoom(
        limit,
        delta,
        expected,
        caps,
        int(account["commitment"].sum(dtype=np.int64)),
        math.fsum(standing),
        math.fsum(held * held),
    )


def allocate_in_tail(
    score: NDArray[np.float64],
    commitment: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    room: TailRoom,
    customer_id: NDArray[np.uint64],
    week: int,
) -> Allocation:
    """Allocation whose reservation stays within the room.

    The root is concave, so its tangent at any sum of squares bounds it from above, and the bound
    is linear in the offers: a knapsack. The tangent is laid at what the last answer reserved,
    where it is exact; the first answer is the one that commitments themselves allow.
    """
    squares = room.caps * room.caps
    best = allocate(
        score, commitment, allowed, max(0, room.limit - room.open_worst), customer_id, week
    )
    best_total = _total(score, best.action)
    at = room.open_squares + math.fsum(squares[best.action])
    at = at or float(squares.max(initial=0.0))
    for _ in range(_ROUNDS):
        if at <= 0.0 or (best.action == best.wanted).all():
            break
        slope = room.deviation / (2 * math.sqrt(at))
        weight = np.ceil(FINENESS * (room.expected + slope * squares))
        weight = np.minimum(weight, float(LARGEST_BUDGET)).astype(np.int64)
        left = room.limit - room.open_expected - slope * (room.open_squares + at)
        if left < 0:
            break
        free = min(math.floor(FINENESS * left), LARGEST_BUDGET)
        answer = allocate(score, weight, allowed, free, customer_id, week)
        total = _total(score, answer.action)
        if total > best_total:
            best, best_total = answer, total
        now = room.open_squares + math.fsum(squares[answer.action])
        if now == at:
            break
        at = now
    return replace(best, committed=int(commitment[best.action].sum()))


def _total(score: NDArray[np.float64], action: NDArray[np.int16]) -> float:
    taken = np.flatnonzero(action)
    return math.fsum(score[taken, action[taken]])
