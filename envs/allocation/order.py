"""An order of customers that favours nobody for long: a hash of customer and week."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def tie_order(customer_id: NDArray[np.uint64], week: int) -> NDArray[np.uint64]:
    """Hash of (customer, week): distinct for distinct customers of a week."""
    salt = _splitmix64(np.array([int(week) & 0xFFFFFFFFFFFFFFFF], np.uint64))
    return _splitmix64(customer_id ^ salt)


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Output function of splitmix64 (Steele, Lea & Flood 2014), a bijection of 64-bit words.

    https://doi.org/10.1145/2660193.2660195
    """
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def smallest(key: NDArray[Any], rank: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Positions of the ``k`` smallest by (key, rank), in that order."""
    chosen = np.arange(len(key))
    if len(key) > k:
        threshold = np.partition(key, k)[k]
        below, equal = np.flatnonzero(key < threshold), np.flatnonzero(key == threshold)
        equal = equal[np.argsort(rank[equal])][: k - len(below)]
        chosen = np.concatenate([below, equal])
    return np.asarray(chosen[np.lexsort((rank[chosen], key[chosen]))])
