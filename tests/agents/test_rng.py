"""Draws: known answers, addresses, distributions.

Samples are fixed by their key. The chance that a correct generator fails one of the 33
distribution tests on a fresh key is ALPHA, 1e-5 each.
"""

import math
from itertools import product

import numba
import numpy as np
import pytest
from scipy import stats

from agents.rng import (
    LOW_COUNTS,
    MAX_PURCHASES,
    MAX_RATE,
    Purpose,
    block,
    derive_seed,
    following_block,
    low_poisson,
    normal,
    philox,
    poisson,
    splitmix64,
    splitmix64_words,
    uniform,
    unit_gamma,
    unit_lognormal,
)

ALPHA = 1e-5
KEY = derive_seed(20, "world")
N = 50_000
ONES = 0xFFFFFFFF


def blocks(n: int = N, key: np.uint64 = KEY, week: int = 0, purpose: int = 3, replica: int = 0):
    return [block(key, np.uint64(c), week, purpose, 0, replica) for c in range(n)]


@pytest.fixture(scope="module")
def words() -> list[tuple[int, ...]]:
    return blocks()


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_answers_published_with_random123(counter, key, answer) -> None:
    assert philox(*map(np.uint64, (*counter, *key))) == answer
    assert philox(*counter, *key) == answer  # Python's integers are int64 to a kernel


def test_the_counter_packs_customer_week_purpose_index_and_replica() -> None:
    key, customer = np.uint64(0x299F31D0_A4093822), np.uint64(0x85A308D3_243F6A88)
    packed = (0x243F6A88, 0x85A308D3, 0x1319_8A_2E, 0x03707344, 0xA4093822, 0x299F31D0)
    expected = philox(*packed)
    assert block(key, customer, 0x1319, 0x8A, 0x2E, 0x03707344) == expected
    # The types that records hold give the same address; the week wraps at 2**16.
    assert block(key, customer, np.int32(0x1319), 0x8A, 0x2E, np.uint32(0x03707344)) == expected
    assert block(key, customer, np.int32(0x7_1319), 0x8A, 0x2E, 0x03707344) == expected


def test_a_chain_encrypts_its_own_last_block_under_the_same_key() -> None:
    first = block(KEY, np.uint64(5), 1, 2, 3, 4)
    key_words = (KEY & np.uint64(ONES), KEY >> np.uint64(32))
    assert following_block(first, KEY) == philox(*first, *key_words)


def test_uniforms_are_never_0_or_1() -> None:
    assert uniform(np.uint64(0)) == 0.5 / 2**32
    assert uniform(np.uint64(ONES)) == 1 - 0.5 / 2**32


@pytest.mark.parametrize("word", range(4))
def test_every_word_of_a_block_is_uniform(words, word: int) -> None:
    sample = [uniform(w[word]) for w in words]
    assert stats.kstest(sample, "uniform").pvalue > ALPHA


def test_normals_invert_the_normal_distribution() -> None:
    extremes = [0, 1, 2**10, 2**20, 2**31, ONES - 1, ONES]
    probe = np.array(extremes + [w[1] for w in blocks(2_000)], np.uint64)
    exact = stats.norm.ppf([uniform(w) for w in probe])
    np.testing.assert_allclose([normal(w) for w in probe], exact, atol=1e-6)


def test_normals_are_normal(words) -> None:
    assert stats.kstest([normal(w[0]) for w in words], "norm").pvalue > ALPHA


@pytest.mark.parametrize("rate", [0.01, 0.3, 1.0, 4.5, 20.0, 59.0])
def test_counts_are_poisson(words, rate: float) -> None:
    counts = np.array([poisson(rate, w[0]) for w in words])
    low, high = stats.poisson.ppf([1e-3, 1 - 1e-3], rate).astype(int)
    observed = np.bincount(np.clip(counts, low, high) - low, minlength=high - low + 1)
    expected = stats.poisson.pmf(np.arange(low, high + 1), rate)
    expected[0] = stats.poisson.cdf(low, rate)
    expected[-1] = stats.poisson.sf(high - 1, rate)
    assert stats.chisquare(observed, expected * N).pvalue > ALPHA


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0, 4.5, 20.0, MAX_RATE])
def test_low_counts_are_those_of_the_whole_sampler(words, rate: float) -> None:
    for w in words[:2000]:
        assert low_poisson(rate, w[0]) == min(poisson(rate, w[0]), LOW_COUNTS)


def test_counts_rise_with_the_rate_for_the_same_luck(words) -> None:
    rates = np.linspace(0.0, 8.0, 60)
    for w in words[:300]:
        counts = [poisson(rate, w[0]) for rate in rates]
        assert counts == sorted(counts)


def test_counts_are_clamped() -> None:
    assert poisson(0.0, np.uint64(ONES)) == 0
    assert poisson(1e300, np.uint64(ONES)) == poisson(60.0, np.uint64(ONES)) < MAX_PURCHASES
    assert poisson(math.inf, np.uint64(0)) == poisson(60.0, np.uint64(0))


@numba.njit
def gammas(shape, n, key):
    out = np.empty(n)
    for customer in range(n):
        words = block(key, np.uint64(customer), 0, 5, 0, 0)
        out[customer] = unit_gamma(shape, words, key)
    return out


@pytest.mark.parametrize("shape", [0.3, 0.7, 1.0, 1.2, 6.25, 20.0])
def test_gamma_draws_are_gamma_with_mean_1(shape: float) -> None:
    """A million draws, for two in a hundred need the exact acceptance rule."""
    sample = gammas(shape, 1_000_000, KEY)
    assert stats.kstest(sample, stats.gamma(shape, scale=1 / shape).cdf).pvalue > ALPHA


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_lognormal_draws_are_lognormal_with_mean_1(words, sigma: float) -> None:
    sample = [unit_lognormal(sigma, normal(w[2])) for w in words]
    assert (
        stats.kstest(sample, stats.lognorm(sigma, scale=math.exp(-(sigma**2) / 2)).cdf)[1] > ALPHA
    )


@pytest.mark.parametrize(
    "other",
    [
        {"week": 1},
        {"purpose": 4},
        {"replica": 1},
        {"key": derive_seed(20, "evaluate")},
        {"key": derive_seed(21, "world")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_weeks_purposes_replicas_and_keys_are_independent(words, other) -> None:
    ours = [uniform(w[0]) for w in words]
    theirs = [uniform(w[0]) for w in blocks(**other)]
    cells = np.histogram2d(ours, theirs, bins=16, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > ALPHA


def test_neighbouring_customers_and_the_words_of_one_block_are_independent(words) -> None:
    sample = np.array([[uniform(x) for x in w] for w in words])
    pairs = [(sample[:-1, 0], sample[1:, 0])]
    pairs += [(sample[:, a], sample[:, b]) for a, b in product(range(4), repeat=2) if a < b]
    for ours, theirs in pairs:
        cells = np.histogram2d(ours, theirs, bins=16, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(cells.ravel()).pvalue > ALPHA


def test_purchases_of_one_week_have_independent_baskets() -> None:
    draws = [
        [uniform(block(KEY, np.uint64(c), 9, int(Purpose.BASKET), i, 0)[2]) for i in range(2)]
        for c in range(N)
    ]
    cells = np.histogram2d(*np.transpose(draws), bins=16, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > ALPHA


def test_no_two_addresses_share_a_block() -> None:
    axes = ([np.uint64(0), np.uint64(1), np.uint64(2**32)], [0, 1, 255], Purpose, [0, 1, 254])
    seen = {block(KEY, c, w, int(p), i, r) for c, w, p, i in product(*axes) for r in (0, 1)}
    assert len(seen) == 3 * 3 * len(Purpose) * 3 * 2


def test_seeds_differ_by_role_and_by_seed() -> None:
    roles = ("population", "world", "plan", "train", "evaluate")
    assert len({derive_seed(seed, role) for seed in range(50) for role in roles}) == 250
    # First eight bytes, little endian, of SHA-256 over "0:world".
    assert derive_seed(0, "world") == 0x1DFEA39A2B518388


def test_an_unknown_role_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"role='test'.*population, world, plan"):
        derive_seed(0, "test")


def test_splitmix64_has_the_published_sequence_for_words_and_for_arrays():
    """First words of Vigna's splitmix64.c from seed 0."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    key = np.uint64(0)
    numbers = np.arange(1, 4, dtype=np.uint64)
    assert [int(splitmix64(key, number)) for number in numbers] == published
    assert splitmix64_words(key, numbers).tolist() == published
    assert splitmix64_words(numbers * 0, np.uint64(1)).tolist() == published[:1] * 3
