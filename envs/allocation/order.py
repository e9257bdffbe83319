"""An order of customers that favours nobody for long: a hash of customer and week."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.rng import splitmix64_words

_ONE = np.uint64(1)


def tie_order(customer_id: NDArray[np.uint64], week: int) -> NDArray[np.uint64]:
    """Hash of (customer, week): distinct for distinct customers of a week."""
    salt = splitmix64_words(np.array([int(week) & 0xFFFFFFFFFFFFFFFF], np.uint64), _ONE)
    words: NDArray[np.uint64] = splitmix64_words(customer_id ^ salt, _ONE)
    return words


def smallest(key: NDArray[Any], rank: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Positions of the ``k`` smallest by (key, rank), in that order."""
    chosen = np.arange(len(key))
    if len(key) > k:
        threshold = np.partition(key, k)[k]
        below, equal = np.flatnonzero(key < threshold), np.flatnonzero(key == threshold)
        equal = equal[np.argsort(rank[equal])][: k - len(below)]
        chosen = np.concatenate([below, equal])
    return np.asarray(chosen[np.lexsort((rank[chosen], key[chosen]))])
