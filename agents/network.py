"""Who talks to whom: a word-of-mouth graph over a cohort, and what goes along it each week."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray
from scipy import sparse

from agents.compiled import kernel, parallel_kernel
from agents.ranges import check_range
from agents.records import Customers
from agents.rng import JOIN, Purpose, block, draw_normals, draw_uniforms

KINDS_OF_NETWORK = ("none", "small_world")
_TARGET = 32


@dataclass(frozen=True)
class NetworkParameters:
    """A small world (Watts & Strogatz 1998): a ring of like customers, some links rewired.

    Parameters
    ----------
    kind
        "none" or "small_world".
    degree
        Mean number of neighbours, even.
    rewiring
        Share of links that lead to anybody instead of somebody near on the ring.
    homophily
        Correlation of a customer's place on the ring with the purchase rate: friends are alike.
    """

    kind: str = "none"
    degree: int = 6
    rewiring: float = 0.1
    homophily: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in KINDS_OF_NETWORK:
            raise ValueError(f"kind={self.kind!r}: choose one of {KINDS_OF_NETWORK}")
        check_range("degree", self.degree, 2, 60)
        if self.degree % 2:
            raise ValueError(f"degree={self.degree} must be even")
        check_range("rewiring", self.rewiring, 0.0, 1.0)
        check_range("homophily", self.homophily, 0.0, 1.0)


class Network(NamedTuple):
    """Neighbours of row i are ``neighbours[start[i]:start[i + 1]]``, in rising order.

    ``start`` has shape (n + 1,), ``neighbours`` one entry per direction of each link.
    """

    start: NDArray[np.int64]
    neighbours: NDArray[np.int32]

    @property
    def n_links(self) -> int:
        """Links, each counted once."""
        return self.neighbours.size // 2


def word_of_mouth(
    customers: Customers, parameters: NetworkParameters, key: np.uint64
) -> Network | None:
    """Graph over the rows of a cohort; None without a network.

    Parameters
    ----------
    customers
        Only ids and purchase rates are read, the rates as they are now.
    key
        ``derive_seed(seed, "population")`` or any other 64-bit seed.
    """
    n = customers.n
    half = min(parameters.degree // 2, (n - 1) // 2)
    if parameters.kind == "none" or half < 1:
        return None
    ids = customers.traits["id"]
    log_rate = (customers.traits["log_rate"] + customers.state["drift"]).astype(np.float64)
    spread = log_rate.std()
    likeness = (log_rate - log_rate.mean()) / spread if spread > 0 else np.zeros(n)
    noise = draw_normals(key, ids, Purpose.NETWORK, 0)
    place = parameters.homophily * likeness + np.sqrt(1 - parameters.homophily**2) * noise
    ring = np.argsort(place, kind="stable").astype(np.int32)
    at = np.empty(n, np.int32)
    at[ring] = np.arange(n, dtype=np.int32)
    ends = []
    for step in range(1, half + 1):
        near = ring[(at + step) % n]
        rewired = draw_uniforms(key, ids, Purpose.NETWORK, step) < parameters.rewiring
        anybody = draw_uniforms(key, ids, Purpose.NETWORK, _TARGET + step) * n
        ends.append(np.where(rewired, anybody.astype(np.int32), near))
    origin = np.tile(np.arange(n, dtype=np.int32), half)
    target = np.concatenate(ends)
    apart = origin != target
    origin, target = origin[apart], target[apart]
    links = sparse.coo_array(
        (np.ones(2 * origin.size, bool), (np.r_[origin, target], np.r_[target, origin])), (n, n)
    ).tocsr()
    links.sum_duplicates()
    links.sort_indices()
    return Network(links.indptr.astype(np.int64), links.indices.astype(np.int32))


@parallel_kernel
def _tell(traits, state, outcome, told, left):  # type: ignore[no-untyped-def]
    for row in prange(outcome.shape[0]):
        rewards = (outcome[row].rewards + outcome[row].redeemed) * state[row].alive
        told[row] = rewards * traits[row].influence
        left[row] = outcome[row].left


@parallel_kernel
def _hear(start, neighbours, told, left, state, buzz_keep, contagion_keep):  # type: ignore[no-untyped-def]
    for row in prange(state.shape[0]):
        heard = 0.0
        gone = 0
        for link in range(start[row], start[row + 1]):
            heard += told[neighbours[link]]
            gone += left[neighbours[link]]
        state[row].buzz = state[row].buzz * buzz_keep + heard
        state[row].defections = state[row].defections * contagion_keep + gone


@kernel
def may_refer(state, account, outcome):  # type: ignore[no-untyped-def]
    """1 for a member still there, with an open account, who was so before this week; else 0."""
    there = state.alive and account.closed == 0 and outcome.joined == 0
    return 1 if there and account.enrolled else 0


@kernel
def _credit(start, neighbours, traits, state, account, outcome, week, key):  # type: ignore[no-untyped-def]
    for row in range(state.shape[0]):
        if outcome[row].joined != 2:
            continue
        members = 0
        for link in range(start[row], start[row + 1]):
            other = neighbours[link]
            members += may_refer(state[other], account[other], outcome[other])
        if members == 0:
            continue
        word = block(key, traits[row].id, week, JOIN, 0, state[row].replica)[1]
        chosen = np.int64(word * np.uint64(members) >> np.uint64(32))
        for link in range(start[row], start[row + 1]):
            other = neighbours[link]
            if may_refer(state[other], account[other], outcome[other]):
                if chosen == 0:
                    state[other].referrals = min(state[other].referrals + 1, 255)
                    break
                chosen -= 1


def talk(
    network: Network,
    customers: Customers,
    behaviour: NDArray[np.void],
    week: int,
    key: np.uint64,
) -> None:
    """What customers hear of the week that ended: it acts on them in the next.

    Rewards that neighbours got (times their influence) and neighbours who left add to fading
    memories; a newcomer who came through neighbours is credited to one member among them.
    """
    traits, state, account, _, outcome = customers
    keep = float(behaviour["buzz_keep"][0]), float(behaviour["contagion_keep"][0])
    # Gathered once, so that the scattered reads are of bytes rather than of whole records.
    told, left = np.empty(customers.n, np.float32), np.empty(customers.n, np.uint8)
    _tell(traits, state, outcome, told, left)
    _hear(network.start, network.neighbours, told, left, state, *keep)
    if (outcome["joined"] == 2).any():
        _credit(network.start, network.neighbours, traits, state, account, outcome, week, key)
