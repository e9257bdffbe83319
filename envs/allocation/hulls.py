"""Kernels of the linear relaxation: hulls of (commitment, score), their steps and the price."""

import numpy as np
from numba import prange

from agents.compiled import kernel, parallel_kernel

LARGEST_SCORE = 1e150  # sums and ratios of scores stay finite
LARGEST_BUDGET = 2**62 - 1  # sums and differences of commitments stay within int64

_ROWS = 2048  # rows per parallel block


@parallel_kernel
def want(score, commitment, mask, wanted, fault):  # type: ignore[no-untyped-def]
    """Best action at price 0; column + 1 of a refused score, −(column + 1) of a commitment."""
    n, n_actions = score.shape
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            best, best_score, best_cost = 0, 0.0, np.int64(0)
            if commitment[own, 0] != 0:
                fault[row] = -1
            for column in range(1, n_actions):
                value = score[row, column]
                cost = commitment[own, column]
                if not value < LARGEST_SCORE:
                    fault[row] = column + 1
                elif cost < 0:
                    fault[row] = -(column + 1)
                elif (
                    value >= best_score
                    and value > 0.0
                    and mask[row, column]
                    and (value > best_score or cost < best_cost)
                ):
                    best, best_score, best_cost = column, value, cost
            wanted[row] = best


@kernel
def fits(cost, budget):  # type: ignore[no-untyped-def]
    """Whether the sum is within the budget, without overflow."""
    room = np.int64(budget)
    for c in cost:
        if c > room:
            return False
        room -= c
    return True


@parallel_kernel
def upper_hulls(score, commitment, mask, budget, by_cost, chain, length):  # type: ignore[no-untyped-def]
    """Actions on each customer's upper hull: best free action, then steps of falling efficiency.

    ``by_cost`` is an order of the columns by commitment, exact or nearly so.
    """
    n, n_actions = score.shape
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        candidate = np.empty(n_actions, np.int64)
        slope = np.empty(n_actions, np.float64)
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            free, free_score = 0, 0.0
            m = 0
            for column in by_cost:
                value = score[row, column]
                if column == 0 or not value > 0.0 or not mask[row, column]:
                    continue
                c = commitment[own, column]
                if c == 0:
                    if value > free_score or (value == free_score and column < free):
                        free, free_score = column, value
                elif c <= budget:
                    i = m
                    while i > 0:  # insertion by (commitment, column)
                        other = candidate[i - 1]
                        other_cost = commitment[own, other]
                        if other_cost < c or (other_cost == c and other < column):
                            break
                        candidate[i] = other
                        i -= 1
                    candidate[i] = column
                    m += 1
            chain[row, 0] = free
            h = 0
            top_score, top_cost = free_score, np.int64(0)
            for k in range(m):
                column = candidate[k]
                value, c = score[row, column], commitment[own, column]
                if not value > top_score:
                    continue
                while True:
                    e = np.inf if c == top_cost else (value - top_score) / np.float64(c - top_cost)
                    if h == 0 or e < slope[h]:
                        break
                    h -= 1
                    before = chain[row, h]
                    top_score = free_score if h == 0 else score[row, before]
                    top_cost = commitment[own, before]
                h += 1
                chain[row, h] = column
                slope[h] = e
                top_score, top_cost = value, c
            length[row] = h


@parallel_kernel
def hull_steps(score, commitment, chain, start, efficiency, cost):  # type: ignore[no-untyped-def]
    """Efficiency and commitment of every step of every hull, flat, ``start[row]`` onwards."""
    n = len(chain)
    shared = len(commitment) == 1
    for block in prange((n + _ROWS - 1) // _ROWS):
        for row in range(block * _ROWS, min(n, (block + 1) * _ROWS)):
            own = 0 if shared else row
            action = chain[row, 0]
            value = score[row, action] if action > 0 else 0.0
            c = commitment[own, action]
            for i in range(start[row + 1] - start[row]):
                action = chain[row, i + 1]
                step = commitment[own, action] - c
                efficiency[start[row] + i] = (score[row, action] - value) / np.float64(step)
                cost[start[row] + i] = step
                value, c = score[row, action], commitment[own, action]


@kernel
def threshold(bits, weight, limit):  # type: ignore[no-untyped-def]
    """Highest value such that the weights at or above it exceed the limit.

    Bisects the uint64 words 65,536 ways at a time; floats ≥ 0 order like their bits. The total
    of the weights, each ≥ 0, must exceed the limit.
    """
    most = np.int64(np.iinfo(np.int64).max)
    digit_weight = np.empty(1 << 16, np.int64)
    room = np.int64(limit)
    prefix = np.uint64(0)
    for shift in (48, 32, 16, 0):
        digit_weight[:] = 0
        for i in range(len(bits)):
            high = bits[i] >> np.uint64(shift)
            if shift == 48 or (high >> np.uint64(16)) == prefix:
                digit = np.int64(high & np.uint64(0xFFFF))
                digit_weight[digit] += min(weight[i], most - digit_weight[digit])
        top = (1 << 16) - 1
        while digit_weight[top] <= room:
            room -= digit_weight[top]
            top -= 1
        prefix = (prefix << np.uint64(16)) | np.uint64(top)
    return prefix


@kernel
def take_above(efficiency, cost, start, price, level):  # type: ignore[no-untyped-def]
    """Climb each hull while the step is worth more than the price; returns what that costs."""
    spent = np.int64(0)
    for row in range(len(level)):
        i = start[row]
        while i < start[row + 1] and efficiency[i] > price:
            spent += cost[i]
            i += 1
        level[row] = i - start[row]
    return spent


@kernel
def fill_steps(steps, rows, start, cost, level, room):  # type: ignore[no-untyped-def]
    """Take in turn each step that is the next of its customer and fits; returns the room left."""
    for i in range(len(steps)):
        row = rows[i]
        if start[row] + level[row] == steps[i] and cost[steps[i]] <= room:
            room -= cost[steps[i]]
            level[row] += 1
    return room
