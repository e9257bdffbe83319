"""Folds share customers out evenly, whatever pattern their ids follow."""

import numpy as np
import pytest

from policies.folds import fold_of


@pytest.mark.parametrize("folds", [2, 5])
def test_customers_of_any_remainder_are_in_every_fold_alike(folds):
    ids = np.arange(20_000, dtype=np.uint64)
    of = fold_of(ids, folds)
    assert set(of) == set(range(folds))
    for remainder in range(folds):
        share = np.bincount(of[ids % folds == remainder], minlength=folds) / (ids.size / folds)
        # 4 standard errors: a false alarm in 1 of 600 draws of ids, and these are fixed
        assert np.abs(share - 1 / folds).max() < 4 * np.sqrt(0.25 / (ids.size / folds))


def test_a_customer_stays_in_a_fold_whoever_else_is_there():
    ids = np.arange(1000, dtype=np.uint64)
    np.testing.assert_array_equal(fold_of(ids[::-3], 2), fold_of(ids, 2)[::-3])
