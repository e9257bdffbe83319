"""Compiled loops over customers for `agents.calibration.customers`; rows are independent."""

import numpy as np
from numba import prange

from agents.calibration.purchase_likelihoods import dead_odds
from agents.compiled import block_kernel, kernel, parallel_kernel
from agents.elementary import exp, log

OUT = (
    "p_alive", "p_alive_low", "p_alive_high",
    "expected_purchases", "expected_purchases_low", "expected_purchases_high",
    "residual_value", "residual_value_low", "residual_value_high",
    "gap_unusual",
)  # fmt: skip
"""Columns that a loop fills, shape (n, len(OUT))."""

_BINS = 256


@kernel
def bits(x):  # type: ignore[no-untyped-def]
    """A number above 0 as a whole one: in the same order, nearly in proportion to its log."""
    return np.float64(x).view(np.int64)


@block_kernel
def interval(samples, weights, tail, work, out, at):  # type: ignore[no-untyped-def]
    """Equal-tailed interval of a quantity that is 0 or one of the samples.

    Parameters
    ----------
    samples : float64, shape (draws, points)
        Values above 0, equally likely within a draw.
    weights : float64, shape (draws,)
        Probability that the quantity is not 0, given the draw; draws are equally likely.
    tail : float
        Probability in each tail.
    work : float64, shape (2, at least `_BINS` and draws x points)
        Room.
    out, at
        The ends, each a sample or 0, are written to ``out[at]`` and ``out[at + 1]``.
    """
    draws, points = samples.shape
    zero = 1.0
    for d in range(draws):
        zero -= weights[d] / draws
    out[at] = 0.0
    out[at + 1] = 0.0
    if zero >= 1.0 - tail:
        return
    low = bits(samples[0, 0])
    high = low
    for d in range(draws):
        for k in range(points):
            key = bits(samples[d, k])
            low = min(low, key)
            high = max(high, key)
    shift = 0
    while (high - low) >> shift >= _BINS:
        shift += 1
    mass = work[0]
    mass[:_BINS] = 0.0
    for d in range(draws):
        for k in range(points):
            mass[(bits(samples[d, k]) - low) >> shift] += weights[d]
    unit = 1.0 / (draws * points)
    for end in range(2):
        target = tail if end == 0 else 1.0 - tail
        if zero >= target:
            continue
        below = zero
        found = 0
        while found < _BINS - 1 and below + mass[found] * unit < target:
            below += mass[found] * unit
            found += 1
        # The few samples of that bin, in order, with their weights.
        some = 0
        inside = work[1]
        for d in range(draws):
            for k in range(points):
                if (bits(samples[d, k]) - low) >> shift == found:
                    value = samples[d, k]
                    place = some
                    while place > 0 and inside[2 * place - 2] > value:
                        inside[2 * place] = inside[2 * place - 2]
                        inside[2 * place + 1] = inside[2 * place - 1]
                        place -= 1
                    inside[2 * place] = value
                    inside[2 * place + 1] = weights[d]
                    some += 1
        place = 0
        while place < some - 1 and below + inside[2 * place + 1] * unit < target:
            below += inside[2 * place + 1] * unit
            place += 1
        out[at + end] = inside[2 * place]


@kernel
def spread(values, tail, out, at):  # type: ignore[no-untyped-def]
    """Mean and equal-tailed interval of a quantity with one value a draw."""
    ordered = np.sort(values)
    last = len(values) - 1
    out[at] = values.mean()
    for end in range(2):
        place = (tail if end == 0 else 1.0 - tail) * last
        below = min(int(place), max(last - 1, 0))
        above = min(below + 1, last)
        out[at + 1 + end] = ordered[below] + (place - below) * (ordered[above] - ordered[below])


@parallel_kernel
def pareto_histories(  # type: ignore[no-untyped-def]
    x, t_x, T, x_row, age_row, parameters, rates, count_gain, count_mean, nodes, weights, tail,
    alive, out,
):  # fmt: skip
    """Fill what depends on nothing but (x, t_x, T): all of `OUT` but the residual value.

    Parameters
    ----------
    x, t_x, T : float64, shape (k,)
        Frequency, recency and age.
    x_row, age_row : int64, shape (k,)
        Rows of the tables by frequency and by age.
    parameters : float64, shape (draws, 7)
        r, a, s, b, p, q, gamma.
    rates : float64, shape (frequencies, draws, points)
        Quantiles of the standard gamma with shape r + x.
    count_gain : float64, shape (ages, draws, points)
        Purchases per unit of the standard gamma rate, at points of the hazard.
    count_mean : float64, shape (ages, draws)
        The same on average.
    nodes, weights : float64
        Quadrature on (0, 1).
    tail : float
    alive : float64, shape (k, draws)
        Filled with P(alive).
    out : float64, shape (k, len(OUT))
    """
    draws, points = parameters.shape[0], rates.shape[2]
    n = x.shape[0]
    blocks = (n + 63) // 64
    for block in prange(blocks):
        gap = np.empty(draws)
        terms = np.empty(len(nodes))
        counts = np.empty((draws, points))
        work = np.empty((2, 2 * draws * points + _BINS))
        first = np.int64(block) * 64
        for i in range(first, min(first + 64, n)):
            expected = 0.0
            for d in range(draws):
                r, a, s, b = (
                    parameters[d, 0], parameters[d, 1], parameters[d, 2], parameters[d, 3],
                )  # fmt: skip
                odds = dead_odds(r, a, s, b, x[i], t_x[i], T[i], nodes, weights, terms)
                alive[i, d] = 1.0 / (1.0 + odds)
                gap[d] = exp((r + x[i]) * (log(a + t_x[i]) - log(a + T[i])))
                expected += alive[i, d] * (r + x[i]) * count_mean[age_row[i], d]
                for k in range(points):
                    counts[d, k] = rates[x_row[i], d, k] * count_gain[age_row[i], d, k]
            spread(alive[i], tail, out[i], 0)
            out[i, 3] = expected / draws
            interval(counts, alive[i], tail, work, out[i], 4)
            out[i, 9] = 1.0 - gap.mean()


@parallel_kernel
def pareto_values(  # type: ignore[no-untyped-def]
    x, spend, row, x_row, age_row, parameters, rates, spends, value_gain, value_mean, tail, alive,
    out,
):  # fmt: skip
    """Fill the residual value, which depends on a customer's mean spend too.

    Parameters
    ----------
    x, spend : float64, shape (n,)
        Frequency and mean spend (0 without repeat purchase).
    row, x_row, age_row : int64, shape (n,)
        Rows of `alive` and of the tables.
    parameters, rates, tail
        As for `pareto_histories`.
    spends : float64, shape (frequencies, draws, points)
        Quantiles of the standard gamma with shape q + p x; row 0 is that of x = 0.
    value_gain, value_mean : float64, shape (ages, draws, points) and (ages, draws)
        Value per unit of the standard gamma rate and of spend.
    alive : float64, shape (k, draws)
    out : float64, shape (n, len(OUT))
    """
    draws, points = parameters.shape[0], rates.shape[2]
    n = x.shape[0]
    blocks = (n + 63) // 64
    for block in prange(blocks):
        values = np.empty((draws, points))
        work = np.empty((2, 2 * draws * points + _BINS))
        first = np.int64(block) * 64
        for i in range(first, min(first + 64, n)):
            worth = 0.0
            number = x[i] if spend[i] > 0.0 else 0.0
            spend_row = x_row[i] if spend[i] > 0.0 else 0
            for d in range(draws):
                r, p, q, g = (
                    parameters[d, 0], parameters[d, 4], parameters[d, 5], parameters[d, 6],
                )  # fmt: skip
                scale = p * (g + number * spend[i])
                rate = (r + x[i]) * value_mean[age_row[i], d]
                worth += alive[row[i], d] * rate * scale / (q + p * number - 1.0)
                for k in range(points):
                    gain = value_gain[age_row[i], d, k] * scale
                    values[d, k] = rates[x_row[i], d, k] * gain / spends[spend_row, d, k]
            out[i, 6] = worth / draws
            interval(values, alive[row[i]], tail, work, out[i], 7)


@block_kernel
def move(f, up, down, g):  # type: ignore[no-untyped-def]
    """A week's move of a distribution on the grid: `g` from `f`."""
    nodes = len(f)
    for j in range(1, nodes - 1):
        g[j] = f[j] * (1.0 - up[j] - down[j]) + f[j - 1] * up[j - 1] + f[j + 1] * down[j + 1]
    g[0] = f[0] * (1.0 - up[0]) + f[1] * down[1]
    g[nodes - 1] = f[nodes - 1] * (1.0 - down[nodes - 1]) + f[nodes - 2] * up[nodes - 2]


@block_kernel
def weigh(f, likelihood):  # type: ignore[no-untyped-def]
    """Multiply in place by the likelihood; returns the sum."""
    total = 0.0
    for j in range(len(f)):
        f[j] *= likelihood[j]
        total += f[j]
    return total


@block_kernel
def rare_likelihood(count, log_rate, out):  # type: ignore[no-untyped-def]
    """Poisson likelihood of a large count, relative to its largest value on the grid."""
    best = -np.inf
    for j in range(len(log_rate)):
        out[j] = count * log_rate[j] - exp(log_rate[j])
        best = max(best, out[j])
    for j in range(len(log_rate)):
        out[j] = exp(out[j] - best)


@block_kernel
def basket(n, total, centre, sd, shape):  # type: ignore[no-untyped-def]
    """Mode and standard deviation of a customer's log mean basket given its baskets."""
    if n == 0.0:
        return centre, sd
    precision = 1.0 / (sd * sd)
    mode = (n * shape * log(total / n) + centre * precision) / (n * shape + precision)
    for _ in range(6):
        pull = shape * total * exp(-mode)
        mode += (pull - n * shape - (mode - centre) * precision) / (pull + precision)
    return mode, 1.0 / np.sqrt(shape * total * exp(-mode) + precision)


@parallel_kernel
def drift_rows(  # type: ignore[no-untyped-def]
    counts, start, baskets, spend, log_own_rate, spend_parameters, stationary, up, down, moves,
    likelihood, log_rate, stay, log_count, log_value, where, basket_score, tail, out,
):  # fmt: skip
    """Fill `OUT` for the drifting rate and lognormal-Gamma baskets.

    Parameters
    ----------
    counts : int, shape (n, weeks)
        Purchases per week; those before `start` are not looked at.
    start : int64, shape (n,)
        First week of the filter.
    baskets, spend, log_own_rate : float64, shape (n,)
        Positive baskets, their sum, and the log rate that the spend model looks at.
    spend_parameters : float64, shape (draws, 4)
        Log mean, log sd, slope on the log rate, shape of baskets.
    stationary, up, down, log_rate, log_count, log_value : float64, shape (draws, nodes)
        By node of the grid: first distribution, probabilities of a step, log rate, and logs of the
        expected purchases and value of who is alive.
    moves : int
        Steps a week.
    likelihood : float64, shape (draws, counts, nodes)
        Of small weekly counts.
    stay : float64, shape (draws,)
        Weekly probability of staying.
    where, basket_score : float64, shape (draws, points)
        Ascending probabilities at which the rate is taken, and the normal score of the basket.
    tail : float
    out : float64, shape (n, len(OUT))
    """
    draws, nodes = stationary.shape
    points = where.shape[1]
    n, weeks = counts.shape
    blocks = (n + 63) // 64
    for block in prange(blocks):
        f = np.empty(nodes)
        g = np.empty(nodes)
        rare = np.empty(nodes)
        alive = np.empty(draws)
        gap = np.empty(draws)
        work = np.empty((2, 2 * draws * points + _BINS))
        number = np.empty((draws, points))
        values = np.empty((draws, points))
        first = np.int64(block) * 64
        for i in range(first, min(first + 64, n)):
            expected = 0.0
            worth = 0.0
            for d in range(draws):
                f[:] = stationary[d]
                odds = 0.0
                silence = 1.0
                for week in range(start[i], weeks):
                    for _ in range(moves):
                        move(f, up[d], down[d], g)
                        f, g = g, f
                    count = counts[i, week]
                    if count < likelihood.shape[1]:
                        total = weigh(f, likelihood[d, count])
                    else:
                        rare_likelihood(count, log_rate[d], rare)
                        total = weigh(f, rare)
                    total = max(total, 1e-300)
                    for j in range(nodes):
                        f[j] /= total
                    if count > 0:
                        silence = 1.0
                        odds = 0.0
                    else:
                        silence *= total
                        odds /= total
                    odds = (odds + 1.0 - stay[d]) / stay[d]
                alive[d] = 1.0 / (1.0 + odds)
                gap[d] = silence
                mean_count = 0.0
                mean_value = 0.0
                for j in range(nodes):
                    mean_count += f[j] * exp(log_count[d, j])
                    mean_value += f[j] * exp(log_value[d, j])
                level, deviation, slope, shape = (
                    spend_parameters[d, 0], spend_parameters[d, 1],
                    spend_parameters[d, 2], spend_parameters[d, 3],
                )  # fmt: skip
                centre = level + slope * log_own_rate[i]
                mode, width = basket(baskets[i], spend[i], centre, deviation, shape)
                expected += alive[d] * mean_count
                worth += alive[d] * mean_value * exp(mode + width * width / 2.0)
                # Quantiles of the node, each node's mass spread evenly over its cell.
                j = 0
                below = 0.0
                for k in range(points):
                    while j < nodes - 1 and below + f[j] < where[d, k]:
                        below += f[j]
                        j += 1
                    part = (where[d, k] - below) / max(f[j], 1e-300) - 0.5
                    part = min(max(part, -0.5), 0.5)
                    other = min(max(j + (1 if part > 0 else -1), 0), nodes - 1)
                    part = abs(part)
                    number[d, k] = exp(
                        log_count[d, j] + part * (log_count[d, other] - log_count[d, j])
                    )
                    values[d, k] = exp(
                        log_value[d, j]
                        + part * (log_value[d, other] - log_value[d, j])
                        + mode
                        + width * basket_score[d, k]
                    )
            spread(alive, tail, out[i], 0)
            out[i, 3] = expected / draws
            interval(number, alive, tail, work, out[i], 4)
            out[i, 6] = worth / draws
            interval(values, alive, tail, work, out[i], 7)
            out[i, 9] = 1.0 - gap.mean()
