"""The core: customers near the price, solved again over all their actions.

A dynamic programme over undominated (commitment, score) states with a linear bound, as in Pisinger
(1995), "A minimal algorithm for the multiple-choice knapsack problem",
https://doi.org/10.1016/0377-2217(95)00015-I.
"""

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from envs.allocation.hulls import LARGEST_BUDGET, threshold
from envs.allocation.order import smallest

CORE_CUSTOMERS = 256
CORE_STATES = 1 << 15  # kept at once
CORE_NODES = 1 << 21  # decisions remembered

_ROWS = 2048  # rows per parallel block


def core_customers(
    score: NDArray[Any],
    commitment: NDArray[Any],
    mask: NDArray[Any],
    base: NDArray[np.int16],
    price: float,
    room: int,
    filled: float,
    rank: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Customers near the price, in turn one who may spend more and one who may spend less."""
    up, down = np.empty(len(score)), np.empty(len(score))
    _core_distance(score, commitment, mask, base, price, room, filled, up, down)
    position: dict[int, float] = {}
    for distance, offset in ((up, 0.0), (down, 0.5)):
        near = np.flatnonzero(np.isfinite(distance))
        for place, row in enumerate(near[smallest(distance[near], rank[near], CORE_CUSTOMERS)]):
            position[row] = min(position.get(row, np.inf), place + offset)
    return np.array(sorted(position, key=position.__getitem__)[:CORE_CUSTOMERS], np.int64)


@parallel_kernel
def _core_distance(  # type: ignore[no-untyped-def]
    score, commitment, mask, base, price, room, best, up, down
):
    """Least change of price that moves a customer to a dearer (``up``) or cheaper action.

    Forcing one customer from its base action to another, all others free, is worth at most
    ``gain + price * (room - cost)``; inf where no such action can pass ``best``.
    """
    n, n_actions = score.shape
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            base_cost = commitment[own, base[row]]
            base_score = score[row, base[row]] if base[row] > 0 else 0.0
            up[row] = down[row] = np.inf
            for column in range(n_actions):
                value = score[row, column] if column > 0 else 0.0
                if column > 0 and not (value > 0.0 and mask[row, column]):
                    continue
                cost = commitment[own, column] - base_cost
                gain = value - base_score
                if cost != 0 and gain + price * np.float64(room - cost) > best:
                    least = abs(gain / np.float64(cost) - price)
                    if cost > 0:
                        up[row] = min(up[row], least)
                    else:
                        down[row] = min(down[row], least)


@kernel
def _trace(node, node_before, node_row, node_action, base):  # type: ignore[no-untyped-def]
    """Actions along the nodes back to the root; empty for no node."""
    if node < 0:
        return base[:0].copy()
    choice = base.copy()
    while node >= 0:
        choice[node_row[node]] = node_action[node]
        node = node_before[node]
    return choice


@kernel
def _drop(cost, gain, node, action, held, room, up, down):  # type: ignore[no-untyped-def]
    """Keep `CORE_STATES` states: highest bound, then closest to the budget; returns how many."""
    bound = np.empty(held)
    nearness = np.zeros(held, np.uint64)
    for i in range(held):
        slack = room - cost[i]
        bound[i] = gain[i] + np.float64(slack) * (up if slack >= 0 else down)
        nearness[i] = np.uint64(LARGEST_BUDGET) * np.uint64(2) - np.uint64(abs(slack))
    one = np.ones(held, np.int64)
    bits = bound.view(np.uint64)
    bar = threshold(bits, one, CORE_STATES)
    places = CORE_STATES
    for i in range(held):
        one[i] = bits[i] == bar
        places -= bits[i] > bar
    near = threshold(nearness, one, places)
    m = 0
    for i in range(held):
        if bits[i] > bar or (bits[i] == bar and nearness[i] > near):
            cost[m], gain[m], node[m], action[m] = cost[i], gain[i], node[i], action[i]
            m += 1
    return m


@kernel
def _merge(  # type: ignore[no-untyped-def]
    states, n_states, held, n_held, out, more_cost, more_gain, action, room, best, up, down, release
):
    """Merge the held states with all states moved by one action; drop dominated, hopeless ones.

    Returns
    -------
    tuple of int, int
        Number of states in ``out``; which of the moved ones is within the budget and the best so
        far, or −1.
    """
    state_cost, state_gain, state_node, _ = states
    held_cost, held_gain, held_node, held_action = held
    out_cost, out_gain, out_node, out_action = out
    i, j, m, found = 0, 0, 0, -1
    top = -np.inf
    while i < n_held or j < n_states:
        if j < n_states:
            c, g = state_cost[j] + more_cost, state_gain[j] + more_gain
        if j == n_states or (
            i < n_held and (held_cost[i] < c or (held_cost[i] == c and held_gain[i] >= g))
        ):
            if held_gain[i] > top:
                top = held_gain[i]
                out_cost[m], out_gain[m] = held_cost[i], top
                out_node[m], out_action[m] = held_node[i], held_action[i]
                m += 1
            i += 1
            continue
        slack = room - c
        if g > top and slack >= -release:
            bound = g + np.float64(slack) * (up if slack >= 0 else down)
            if bound > best:
                top = g
                out_cost[m], out_gain[m] = c, g
                out_node[m], out_action[m] = state_node[j], action
                if slack >= 0 and g > best:
                    best, found = g, m
                m += 1
        j += 1
    return m, found


@kernel
def _state_arrays(size):  # type: ignore[no-untyped-def]
    """Cost and gain relative to the base actions, node before, action."""
    return (
        np.zeros(size, np.int64),
        np.zeros(size, np.float64),
        np.full(size, -1, np.int32),
        np.full(size, -1, np.int16),
    )


@kernel
def search(  # type: ignore[no-untyped-def]
    score, commitment, mask, base, price, room, best, enough, work
):
    """Best actions of the core customers, in the given order; empty if none passes ``best``.

    Stops at a gain of ``enough`` or after ``work`` states. States are (cost, gain) relative to
    the base actions, sorted by cost with rising gain; nodes are the decisions behind them.
    """
    n, n_actions = score.shape
    shared = len(commitment) == 1

    # Actions that may be in a better answer, and bounds on the customers from here on.
    gain = np.full((n, n_actions), -np.inf)
    cost = np.zeros((n, n_actions), np.int64)
    up = np.zeros(n + 1)  # most gain per unit more
    down = np.full(n + 1, np.inf)  # least loss per unit less
    release = np.zeros(n + 1, np.int64)  # most that can be given back
    for row in range(n - 1, -1, -1):
        own = 0 if shared else row
        base_cost = commitment[own, base[row]]
        base_score = score[row, base[row]] if base[row] > 0 else 0.0
        up[row], down[row], most = up[row + 1], down[row + 1], np.int64(0)
        for column in range(n_actions):
            value = score[row, column] if column > 0 else 0.0
            if column > 0 and not (value > 0.0 and mask[row, column]):
                continue
            c = commitment[own, column] - base_cost
            g = value - base_score
            if c == 0 or not g + price * np.float64(room - c) > best:
                continue
            gain[row, column], cost[row, column] = g, c
            if c > 0:
                up[row] = max(up[row], g / np.float64(c))
            else:
                down[row] = min(down[row], g / np.float64(c))
                most = max(most, -c)
        release[row] = release[row + 1] + most

    size = 2 * CORE_STATES
    node_before = np.empty(CORE_NODES, np.int32)
    node_row = np.empty(CORE_NODES, np.int16)
    node_action = np.empty(CORE_NODES, np.int16)
    nodes, best_node = 0, -1
    states, held, out = _state_arrays(size), _state_arrays(size), _state_arrays(size)
    n_states = 1

    for row in range(n):
        rest = row + 1
        n_held = 0
        for step in range(-1, n_actions):  # -1: the base action
            if step >= 0 and gain[row, step] == -np.inf:
                continue
            work -= n_held + n_states
            if work < 0 or best >= enough or nodes + size + n_actions > CORE_NODES:
                return _trace(best_node, node_before, node_row, node_action, base)
            n_held, found = _merge(
                states,
                n_states,
                held,
                n_held,
                out,
                cost[row, step] if step >= 0 else 0,
                gain[row, step] if step >= 0 else 0.0,
                step,
                room,
                best,
                up[rest],
                down[rest],
                release[rest],
            )
            held, out = out, held
            if found >= 0:
                best, best_node = held[1][found], nodes
                node_before[nodes] = held[2][found]
                node_row[nodes], node_action[nodes] = row, step
                nodes += 1
            if n_held > CORE_STATES:
                n_held = _drop(
                    held[0], held[1], held[2], held[3], n_held, room, up[rest], down[rest]
                )
        for i in range(n_held):
            if held[3][i] >= 0:
                node_before[nodes] = held[2][i]
                node_row[nodes], node_action[nodes] = row, held[3][i]
                held[2][i] = nodes
                nodes += 1
        states, held = held, states
        n_states = n_held
    return _trace(best_node, node_before, node_row, node_action, base)
