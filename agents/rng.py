"""Counter-based random draws: every draw has an address, no draw has a history.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
https://doi.org/10.1145/2063384.2063405). The layout of key and counter is in docs/contracts.md §3.
Adding customers, threads, purchases or mechanisms changes no other draw.
"""

import hashlib
import math
from enum import IntEnum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agents.compiled import kernel
from agents.elementary import exp, fma, log
from agents.records import MAX_PURCHASES

SeedRole = Literal["population", "world", "plan", "train", "evaluate"]


class Purpose(IntEnum):
    """What a block of four words is for (8 bits of the counter)."""

    TRAITS = 1  # index = number of the trait; word 0: normal
    ACCOUNT = 2  # index = number of the attribute; word 0: uniform
    WEEK = 3  # word 0: number of purchases, 1: death time, 2: drift, 3: points redemption
    CONTACT = 4  # word 0: attention, 1: intention to redeem, 2: opt-out
    BASKET = 5  # index = purchase; word 0: time, 1: boost, 2-3: first gamma attempt
    EXIT = 6  # word 0: account closure, 1: cancelling at a renewal
    POLICY = 7  # index = draw number; for randomised policies
    JOIN = 8  # word 0: joining, or enrolment; 1: who is credited with a newcomer
    SURVEY = 9  # word 0: answers at all, 1: recommendation, 2: satisfaction
    CATEGORY = 10  # index = purchase; word 0: main category of the basket
    NETWORK = 11  # index 0: place on the ring, 1-30: is the link rewired, 33-62: to whom


WEEK, CONTACT, BASKET, EXIT, POLICY, JOIN, SURVEY, CATEGORY = (
    int(purpose) for purpose in list(Purpose)[2:-1]
)
MAX_RATE = 60.0
LOW_COUNTS = 8

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_TINY = 1e-300
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX0, _MIX1 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_RECIPROCAL = 1.0 / np.maximum(np.arange(MAX_PURCHASES + 1), 1)


def derive_seed(seed: int, role: SeedRole) -> np.uint64:
    """Seed of one role, so that planning and training never see evaluation's luck.

    Returns
    -------
    numpy.uint64
        First eight bytes (little endian) of SHA-256 over ``"{seed}:{role}"``.

    Raises
    ------
    ValueError
        For an unknown role.
    """
    if role not in get_args(SeedRole):
        raise ValueError(f"role={role!r}: choose one of {', '.join(get_args(SeedRole))}")
    digest = hashlib.sha256(f"{seed}:{role}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


@kernel
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Philox4x32-10 on 32-bit words held in uint64; returns four uint64 below 2**32."""
    # Python's integers arrive as int64, whose products would keep their sign when shifted.
    c0, c1, c2, c3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def splitmix64_words(key, number):  # type: ignore[no-untyped-def]
    """Word ``number`` of the SplitMix64 sequence that starts at ``key``, uint64; arrays of either.

    A bijection of either, so distinct numbers have distinct words (Steele, Lea & Flood 2014,
    https://doi.org/10.1145/2660193.2660195). For choices that need no place in Philox's counter.
    ``splitmix64`` is the same compiled, for single words in kernels; numpy is faster on arrays.
    """
    # One name throughout: an array is freed, and its memory used again, as soon as it is read.
    key = key + number * _GOLDEN
    key = (key ^ (key >> np.uint64(30))) * _MIX0
    key = (key ^ (key >> np.uint64(27))) * _MIX1
    return key ^ (key >> np.uint64(31))


splitmix64 = kernel(splitmix64_words)


@kernel
def block(key, customer, week, purpose, index, replica):  # type: ignore[no-untyped-def]
    """Four words addressed by (key, customer, week, purpose, index, replica)."""
    key = np.uint64(key)
    customer = np.uint64(customer)
    c2 = np.uint64(((week & 0xFFFF) << 16) | ((purpose & 0xFF) << 8) | (index & 0xFF))
    return philox(
        customer & _LOW, customer >> _32, c2, np.uint64(replica) & _LOW, key & _LOW, key >> _32
    )


@kernel
def following_block(words, key):  # type: ignore[no-untyped-def]
    """Next four words of a chain, for samplers that may need more than one block."""
    key = np.uint64(key)
    return philox(words[0], words[1], words[2], words[3], key & _LOW, key >> _32)


@kernel
def uniform(word):  # type: ignore[no-untyped-def]
    """Uniform in (0, 1) from one word; never 0 or 1."""
    return (np.float64(word) + 0.5) * 2.3283064365386963e-10


@kernel
def normal(word):  # type: ignore[no-untyped-def]
    """Standard normal by inversion (Acklam 2003, relative error below 1.2e-9), branch-free."""
    p = uniform(word)
    q = p - 0.5
    r = q * q
    top = fma(-39.69683028665376, r, 220.9460984245205)
    top = fma(fma(top, r, -275.9285104469687), r, 138.3577518672690)
    top = fma(fma(top, r, -30.66479806614716), r, 2.506628277459239)
    low = fma(-54.47609879822406, r, 161.5858368580409)
    low = fma(fma(low, r, -155.6989798598866), r, 66.80131188771972)
    low = fma(fma(low, r, -13.28068155288572), r, 1.0)
    centre = top * q / low
    t = math.sqrt(-2.0 * log(min(p, 1.0 - p)))
    top = fma(fma(-0.007784894002430293, t, -0.3223964580411365), t, -2.400758277161838)
    top = fma(fma(fma(top, t, -2.549732539343734), t, 4.374664141464968), t, 2.938163982698783)
    low = fma(fma(0.007784695709041462, t, 0.3224671290700398), t, 2.445134137142996)
    low = fma(fma(low, t, 3.754408661907416), t, 1.0)
    tail = math.copysign(top / low, q)
    return centre if abs(q) <= 0.47575 else tail


@kernel
def poisson(rate, word):  # type: ignore[no-untyped-def]
    """Poisson count by inversion of one uniform: monotone in the rate for the same luck.

    The rate is clamped to ``MAX_RATE`` and the count to ``MAX_PURCHASES`` (docs/contracts.md §3).
    """
    rate = min(rate, MAX_RATE)
    u = uniform(word)
    probability = exp(-rate)
    cumulative = probability
    count = 0
    while u >= cumulative and count < MAX_PURCHASES:
        count += 1
        probability *= rate * _RECIPROCAL[count]
        cumulative += probability
    return count


@kernel
def low_poisson(rate, word):  # type: ignore[no-untyped-def]
    """``poisson`` where it is below ``LOW_COUNTS``, else ``LOW_COUNTS``; branch-free.

    ``rate`` is at most ``MAX_RATE``.
    """
    u = uniform(word)
    probability = exp(-rate)
    cumulative = probability
    count = 0
    for at in range(1, LOW_COUNTS + 1):
        count += u >= cumulative
        probability *= rate * _RECIPROCAL[at]
        cumulative += probability
    return count


@kernel
def gamma_attempt(shape, z, u):  # type: ignore[no-untyped-def]
    """One attempt at a gamma draw with mean 1 and shape >= 1 (Marsaglia & Tsang 2000).

    Returns the draw and whether it is accepted, in 95 % of cases and more. Branch-free.
    """
    d = shape - 1.0 / 3.0
    v = 1.0 + z / (3.0 * math.sqrt(d))
    cube = v * v * v
    log_cube = log(max(cube, _TINY))
    return d / shape * cube, (v > 0.0) & (log(u) < 0.5 * z * z + d - d * cube + d * log_cube)


@kernel
def gamma_boosted(shape, draw, u):  # type: ignore[no-untyped-def]
    """A draw of shape + 1 brought to a shape below 1 by a uniform (Marsaglia & Tsang 2000, §6).

    Branch-free; both have mean 1.
    """
    return draw * exp(log(u) / shape) * ((shape + 1.0) / shape)


@kernel
def unit_gamma(shape, words, key):  # type: ignore[no-untyped-def]
    """Gamma draw with mean 1 (Marsaglia & Tsang 2000); words 1-3 of the block, then its chain."""
    boost = uniform(words[1])
    a = shape if shape >= 1.0 else shape + 1.0
    draw, accepted = gamma_attempt(a, normal(words[2]), uniform(words[3]))
    second = False
    while not accepted:
        if second:
            draw, accepted = gamma_attempt(a, normal(words[2]), uniform(words[3]))
        else:
            words = following_block(words, key)
            draw, accepted = gamma_attempt(a, normal(words[0]), uniform(words[1]))
        second = not second
    return draw if shape >= 1.0 else gamma_boosted(shape, draw, boost)


@kernel
def unit_lognormal(sigma, z):  # type: ignore[no-untyped-def]
    """Lognormal draw with mean 1 and log standard deviation ``sigma`` from a standard normal."""
    return exp(sigma * z - 0.5 * sigma * sigma)


@kernel
def _fill(key, customers, week, purpose, index, replica, gaussian, out):  # type: ignore[no-untyped-def]
    for row in range(customers.shape[0]):
        word = block(key, customers[row], week, purpose, index, replica)[0]
        out[row] = normal(word) if gaussian else uniform(word)


def draw_uniforms(
    key: np.uint64, customers: NDArray[np.uint64], purpose: Purpose, index: int = 0, week: int = 0
) -> NDArray[np.float64]:
    """One uniform per customer, shape (n,), from word 0 of the addressed block."""
    out = np.empty(customers.shape[0])
    _fill(np.uint64(key), customers, week, int(purpose), index, 0, False, out)
    return out


def draw_normals(
    key: np.uint64, customers: NDArray[np.uint64], purpose: Purpose, index: int = 0, week: int = 0
) -> NDArray[np.float64]:
    """One standard normal per customer, shape (n,), from word 0 of the addressed block."""
    out = np.empty(customers.shape[0])
    _fill(np.uint64(key), customers, week, int(purpose), index, 0, True, out)
    return out
