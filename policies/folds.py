"""Parts of customers for cross-fitting: what is checked on one part is fitted on the others."""

import numpy as np
from numpy.typing import NDArray

from agents.rng import Purpose, draw_uniforms

_KEY = np.uint64(0x666F6C6473)
_DRAW = 255  # index; policies draw with low ones and keys of their own


def fold_of(customer_id: NDArray[np.uint64], folds: int) -> NDArray[np.int64]:
    """Fold of each customer, 0 to folds − 1, shape (n,); the same whoever else is there.

    By a hash of the id. Ids often follow a pattern (who joined when, in which shop): by their
    remainder one fold could hold all customers of a kind, and models would never meet those that
    they are checked on.
    """
    place = draw_uniforms(_KEY, np.asarray(customer_id, np.uint64), Purpose.POLICY, _DRAW)
    return (place * folds).astype(np.int64)
