"""A week of the customer environment in one compiled call: act, live, reward, look.

Rows are shared out in chunks. A chunk is the same machine code whether Python calls it once for
all rows or its threads take one chunk after another, so both give the same bits. They are Python's
threads and not numba's: a ``prange`` around it would compile all of the week a second time.
"""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from agents.compiled import block_kernel, kernel, threaded_kernel
from agents.profile import residual_value
from agents.records import OUTCOME
from agents.rng import splitmix64
from envs.constraints.masks import blocking_row
from envs.features import VALUE_WEEKS, observe_row
from sim.block import BLOCK, WORK
from sim.ledger import BASIS, MICRO
from sim.totals import chunks
from sim.week import step_block

# Waiting for threads is not worth it for fewer rows, least of all on a busy machine.
PARALLEL_FROM = 4096
_LEAST_ROWS = 2048  # of a chunk: a call costs as much as some ten rows
COSTS = ("offer_budget", "contact_cap", "discount_exposure", "liability_alarm")
_WORLD = np.uint64(0xD1B54A32D192ED03)


@kernel
def week_profit(outcome):  # type: ignore[no-untyped-def]
    """``sim.ledger.profit`` of one OUTCOME row, currency units."""
    cash = np.int64(outcome.discount) + outcome.item_cost
    cash += np.int64(outcome.contact_cost) + outcome.reward_cost
    return (outcome.margin - cash - outcome.liability_change / MICRO) / 100.0


@block_kernel
def live(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, actions, world, top, end, work, rules, key
):
    """A week of the rows top..end, each under the rules of its world."""
    begin = top
    while begin < end:
        own = world[begin]
        stop = begin + 1
        while stop < end and world[stop] == own:
            stop += 1
        step_block(
            traits, state, account, profile, outcome[begin - top : stop - top], log, actions,
            begin, stop - begin, work[0], rules[own], key,
        )  # fmt: skip
        begin = stop


@kernel
def look(  # type: ignore[no-untyped-def]
    row, state, account, profile, world, rules, limits, actions, offers, left, refused,
    observation, blocked, mask,
):  # fmt: skip
    """Observation and mask of one row."""
    observe_row(profile[row], state[row].week, rules[world[row]], left, refused, observation[row])
    blocking_row(account[row], profile[row], actions, offers, limits[0], blocked[row])
    for action in range(mask.shape[1]):
        mask[row, action] = blocked[row, action] == 0


@threaded_kernel
def step_chunk(  # type: ignore[no-untyped-def]
    first, last, traits, state, account, profile, twin_state, twin_account, twin_profile, log,
    wanted, nothing, world, rules, key, first_week, horizon, limits, actions, offers, left, refused,
    blocked, settled, executed, reward, costs, terminated, truncated, residual, observation, mask,
    sales,
):  # fmt: skip
    """A week of the rows first..last, and what the firm sees of them afterwards.

    Parameters
    ----------
    traits, state, account, profile, twin_state, twin_account, twin_profile
        All rows; the twins have none where rewards are not paired. They share their traits.
    log
        LOG without room: nothing is written down.
    wanted, nothing
        Actions asked for; zeros for the twins. Shape (n,).
    world, rules, first_week
        World of each row; rules and the pool's week by world.
    limits, actions, offers
        LIMITS of the constraints; ACTION and OFFER tables.
    left, refused
        The budget's two features, shares.
    blocked
        In: what blocked each action when the firm decided. Out: the same for next week. (n, A).
    settled
        Settled since the episode began, minor units; this week's is added.
    executed, reward, costs, terminated, truncated, residual, observation, mask, sales
        Results; shapes (n,), (n,), (len(COSTS), n), (n,), (n,), (n,), (n, N_FEATURES), (n, A),
        (2, n): revenue paid and discounts given, minor units.
    """
    paired = twin_state.shape[0] > 0
    work = np.empty(1, WORK)
    outcome = np.empty(BLOCK, OUTCOME)
    for top in range(first, last, BLOCK):
        end = min(top + BLOCK, last)
        for row in range(top, end):
            action = wanted[row]
            executed[row] = action if blocked[row, action] == 0 else 0
        live(
            traits, state, account, profile, outcome, log, executed, world, top, end, work, rules,
            key,
        )  # fmt: skip
        for row in range(top, end):
            week = outcome[row - top]
            reward[row] = week_profit(week)
            settled[row] += week.settled
            costs[0, row] = week.settled / 100.0
            costs[1, row] = 1.0 if week.action > 0 else 0.0
            costs[2, row] = week.discount / 100.0
            costs[3, row] = week.liability_change / MICRO / 100.0
            sales[0, row] = np.int64(week.gross) - week.discount - week.voucher + week.fees
            sales[1, row] = week.discount
        if paired:
            live(
                traits, twin_state, twin_account, twin_profile, outcome, log, nothing, world, top,
                end, work, rules, key,
            )  # fmt: skip
            for row in range(top, end):
                reward[row] -= week_profit(outcome[row - top])
        for row in range(top, end):
            closed = account[row].closed > 0
            if paired:  # a twin who stays is what closing the account costs
                closed = closed and twin_account[row].closed > 0
            own = world[row]
            late = np.int64(state[row].week) - first_week[own] >= horizon
            terminated[row] = closed
            truncated[row] = late and not closed
            residual[row] = 0.0
            if closed or late:
                share = rules[own].margin_share / BASIS
                value = residual_value(profile[row], rules[own].filter, share, VALUE_WEEKS)
                residual[row] = value / 100.0
            look(
                row, state, account, profile, world, rules, limits, actions, offers, left, refused,
                observation, blocked, mask,
            )  # fmt: skip


def step_rows(n, *arguments):  # type: ignore[no-untyped-def]
    """``step_chunk`` for n rows, on as many threads as numba has where they are worth it."""
    threads = numba.get_num_threads()
    if n < PARALLEL_FROM or threads == 1:
        step_chunk(0, n, *arguments)
        return
    rows = max(chunks(n)[1], min(_LEAST_ROWS, -(-n // threads)))
    with ThreadPoolExecutor(threads) as pool:
        # ``list`` hands on what a thread raises.
        list(
            pool.map(lambda top: step_chunk(top, min(top + rows, n), *arguments), range(0, n, rows))
        )


@block_kernel
def look_rows(  # type: ignore[no-untyped-def]
    rows, state, account, profile, world, rules, limits, actions, offers, left, refused,
    observation, blocked, mask,
):  # fmt: skip
    """Observation and mask of the rows listed; see ``step_chunk``."""
    for k in range(rows.shape[0]):
        look(
            rows[k], state, account, profile, world, rules, limits, actions, offers, left, refused,
            observation, blocked, mask,
        )  # fmt: skip


@block_kernel
def start_rows(  # type: ignore[no-untyped-def]
    rows, pool, own, twins, state, twin_state, world, episode, settled, first_row, all_rows, key,
    offsets, fixed,
):  # fmt: skip
    """New episodes for the rows listed: a world, a customer of its pool, a new replica.

    All three depend on seed, row and episode alone.

    Parameters
    ----------
    pool, own, twins
        Records as bytes: traits, state, account, profile; the twins' have no rows where rewards
        are not paired.
    state, twin_state
        The same rows as records.
    world, episode, settled
        Of each row, changed.
    first_row, all_rows
        Which rows of how many these are, for replica numbers.
    offsets
        First row of each world's customers in ``pool``, and their end; shape (worlds + 1,).
    fixed
        World of all, or -1 to draw.
    """
    worlds = np.uint64(offsets.shape[0] - 1)
    paired = twin_state.shape[0] > 0
    for k in range(rows.shape[0]):
        row = rows[k]
        replica = np.uint64(1 + episode[row] * all_rows + first_row + row)
        chosen = np.int64(fixed)
        if fixed < 0:
            chosen = np.int64(splitmix64(key ^ _WORLD, replica) % worlds)
        size = np.uint64(offsets[chosen + 1] - offsets[chosen])
        at = offsets[chosen] + np.int64(splitmix64(key, replica) % size)
        for part in range(4):
            for byte in range(own[part].shape[1]):
                own[part][row, byte] = pool[part][at, byte]
        state[row].replica = np.uint32(replica)
        if paired:
            for part in range(1, 4):
                for byte in range(own[part].shape[1]):
                    twins[part - 1][row, byte] = pool[part][at, byte]
            twin_state[row].replica = np.uint32(replica)
        world[row] = chosen
        episode[row] += 1
        settled[row] = 0
