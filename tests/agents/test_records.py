"""Records: how much a customer takes, and how cohorts are taken apart and put together."""

import numpy as np
import pytest

from agents.records import (
    MAX_WEEKS,
    N_MEMORIES,
    PROFILE,
    SECONDS_PER_WEEK,
    STATE,
    Customers,
    empty_customers,
    mutable_bytes_per_customer,
)


def numbered(n: int) -> Customers:
    customers = empty_customers(n)
    customers.traits["id"] = customers.state["replica"] = np.arange(n)
    customers.outcome["gross"] = np.arange(n)
    return customers


def test_what_a_week_changes_and_the_next_reads_is_at_most_256_bytes_a_customer() -> None:
    # Each installed plug-in may keep a float of its own.
    assert mutable_bytes_per_customer() - 4 * N_MEMORIES <= 256
    assert STATE["memory"].shape == (N_MEMORIES,)


def test_times_of_every_week_of_a_run_fit_the_profile() -> None:
    last_second = MAX_WEEKS * SECONDS_PER_WEEK - 1
    for name in ("joined", "last_purchase"):
        assert np.iinfo(PROFILE[name]).max >= last_second
    assert np.iinfo(STATE["week"]).max >= MAX_WEEKS


@pytest.mark.parametrize("keeps", [True, False])
def test_rows_taken_and_put_back_are_copies_of_all_records_that_are_kept(keeps: bool) -> None:
    customers = numbered(5) if keeps else numbered(5).without_outcome()
    taken = customers.take(np.array([3, 1]))
    assert taken.n == 2
    assert taken.keeps_outcome is keeps
    assert taken.state["replica"].tolist() == [3, 1]
    assert taken.outcome["gross"].tolist() == ([3, 1] if keeps else [])
    taken.state["replica"] += 10
    customers.put(np.array([3, 1]), taken)
    assert customers.state["replica"].tolist() == [0, 11, 2, 13, 4]
    assert customers.take(slice(None)).n == 5


def test_a_cohort_without_outcome_shares_its_other_records() -> None:
    customers = numbered(3)
    less = customers.without_outcome()
    assert not less.keeps_outcome
    assert less.n == 3
    assert less.state is customers.state
    with pytest.raises(ValueError, match="only one of the two cohorts keeps OUTCOME rows"):
        customers.put(np.arange(3), less)
