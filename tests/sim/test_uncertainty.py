"""Variance components and variance-reduction factors with known answers."""

import math

import numpy as np
import pytest
from sampling import LIMIT, compare
from scipy import stats

from sim.uncertainty import Decomposition, decompose, variance_reduction

# ------------------------------------------------------------------------------ common luck


def test_the_factor_is_the_ratio_of_variances_worked_by_hand() -> None:
    treated = np.array([3.0, 5.0, 4.0, 8.0])
    control = np.array([1.0, 2.0, 2.0, 5.0])
    again = np.array([2.0, 0.0, 6.0, 4.0])
    saved = variance_reduction(treated, control, again)
    # Differences 2, 3, 2, 3 and 1, 5, -2, 4.
    assert saved.common == pytest.approx((1 / 3) / 4)
    assert saved.independent == pytest.approx(10.0 / 4)
    assert saved.different == pytest.approx((14 / 3 + 3.0) / 4)
    assert saved.factor == pytest.approx(30.0)
    assert saved.different_factor == pytest.approx(23.0)
    assert saved.independent_low < 30.0 < saved.independent_high
    assert saved.different_low < 23.0 < saved.different_high


def luck(rng: np.random.Generator, n: int, lift_sd: float) -> tuple[np.ndarray, ...]:
    """Outcomes of customers whose luck has sd 2 and whose lift has mean 1."""
    noise, again = rng.normal(0, 2, (2, n))
    return noise + rng.normal(1, lift_sd, n), noise, again


def test_independent_luck_needs_as_many_more_customers_as_variances_say() -> None:
    """var(d) = .25, var(d') = 8.25, the arms' sum 8.25: 33 times as many for normal outcomes.

    Intervals of 95 % hold the truth in 95 % of 400 cases, give or take 4.5 standard errors.
    """
    rng = np.random.default_rng(1)
    inside = {"independent": [], "different": []}
    for _ in range(400):
        saved = variance_reduction(*luck(rng, 800, 0.5))
        for name, kept in inside.items():
            low, high = getattr(saved, f"{name}_low"), getattr(saved, f"{name}_high")
            kept.append(low <= 33.0 <= high)
    for name, kept in inside.items():
        compare(name, np.array(kept, float), 0.95)


def test_the_variance_is_that_of_the_mean_over_many_cohorts() -> None:
    rng = np.random.default_rng(2)
    runs = [luck(rng, 50, 0.5) for _ in range(2000)]
    saved = [variance_reduction(*run) for run in runs]
    for name, gains in {
        "common": [treated - control for treated, control, _ in runs],
        "independent": [treated - again for treated, _, again in runs],
    }.items():
        spread = np.var([gain.mean() for gain in gains], ddof=1)
        told = np.array([getattr(one, name) for one in saved])
        # The variance of a variance of 2,000 normal means.
        assert told.mean() == pytest.approx(spread, rel=LIMIT * math.sqrt(2 / 2000)), name


def test_a_lift_that_is_the_same_for_all_cannot_be_matched() -> None:
    control = np.random.default_rng(3).normal(0, 1, 40) * 0.1
    saved = variance_reduction(control, control, control[::-1])
    assert saved.common == 0.0
    assert saved.factor == saved.different_factor == math.inf
    assert saved.independent_low == saved.independent_high == math.inf
    known = variance_reduction(np.full(3, 0.1), np.full(3, 0.0), np.full(3, 0.0))
    assert known.common == known.independent == 0.0
    assert math.isnan(known.factor)


@pytest.mark.parametrize(
    "shapes", [((3,), (3,), (4,)), ((1,), (1,), (1,)), ((2, 2), (2, 2), (2, 2))]
)
def test_other_shapes_are_refused(shapes) -> None:
    with pytest.raises(ValueError, match=r"one shape \(n,\) with n at least 2"):
        variance_reduction(*(np.zeros(shape) for shape in shapes))


# ------------------------------------------------------------------------- parameters and luck


def test_components_of_a_table_worked_by_hand() -> None:
    """Means 2 and 5 of draws, 2 and 5 of replicas; what is left is ±.5 (one degree of freedom)."""
    parts = decompose(np.array([[1.0, 3.0], [3.0, 7.0]]))
    assert parts.mean == 3.5
    # MS_draw = MS_replica = 2 × 4.5 = 9 and MS_both = 4 × .25 = 1.
    assert parts.interaction == pytest.approx(1.0)
    assert parts.parameters == pytest.approx((9 - 1) / 2)
    assert parts.shared_luck == pytest.approx((9 - 1) / 2)
    assert parts.luck == pytest.approx(5.0)
    assert parts.parameter_share == pytest.approx(4 / 9)
    assert parts.p_value == pytest.approx(stats.f.sf(9, 1, 1))
    # 4 + 4 + 1 and what the mean lacks, 4/2 + 4/2 + 1/4; Satterthwaite's weights on mean squares.
    variance = 13.25
    degrees = variance**2 / ((0.75 * 9) ** 2 + (0.75 * 9) ** 2 + (1.25 - 1.5) ** 2)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(variance)
    assert (parts.low, parts.high) == pytest.approx((3.5 - half, 3.5 + half))
    expected = 4 + 4.25
    degrees = expected**2 / ((0.75 * 9) ** 2 + (0.25 * 9) ** 2 + (0.25 - 1.0) ** 2)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(expected)
    assert (parts.expected_low, parts.expected_high) == pytest.approx((3.5 - half, 3.5 + half))


def tables(
    parameters: float, shared: float, interaction: float, draws: int, replicas: int, count: int
) -> list[tuple[Decomposition, float, float]]:
    """Decompositions of many tables of mean 3, each with a further run and expected lift."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(count):
        table = 3 + rng.normal(0, parameters, draws)[:, None] + rng.normal(0, shared, replicas)
        table += rng.normal(0, interaction, (draws, replicas))
        sds = (parameters, shared, interaction)
        further = 3 + sum(rng.normal(0, sd) for sd in sds)
        found.append((decompose(table), further, 3 + rng.normal(0, parameters)))
    return found


@pytest.mark.parametrize(
    ("parameters", "shared", "interaction"), [(2.0, 0.5, 1.0), (0.0, 1.0, 1.0), (0.5, 0.0, 2.0)]
)
def test_components_are_unbiased_and_the_interval_holds_both(
    parameters, shared, interaction
) -> None:
    """Means of 1,500 estimates within 4.5 standard errors; further runs inside 95 % of intervals.

    Satterthwaite's degrees of freedom are an approximation: 2 points are allowed on top.
    """
    found = tables(parameters, shared, interaction, 12, 3, 1500)
    parts = [one for one, _, _ in found]
    compare("parameters", [one.parameters for one in parts], parameters**2)
    compare("shared", [one.shared_luck for one in parts], shared**2)
    compare("interaction", [one.interaction for one in parts], interaction**2)
    compare("luck", [one.luck for one in parts], shared**2 + interaction**2)
    inside = np.mean([one.low <= further <= one.high for one, further, _ in found])
    assert abs(inside - 0.95) < 0.02 + LIMIT * math.sqrt(0.95 * 0.05 / 1500)
    expected = np.mean([one.expected_low <= truth <= one.expected_high for one, _, truth in found])
    assert expected > 0.95 - LIMIT * math.sqrt(0.95 * 0.05 / 1500)  # luck left over widens it
    if parameters == 0.0:
        below = np.mean([one.parameters < 0 for one in parts])
        assert 0.3 < below < 0.8  # the estimator is not clipped
        compare("p < .05", np.array([one.p_value < 0.05 for one in parts], float), 0.05)


def test_luck_that_replicas_leave_in_a_draws_mean_is_not_taken_for_parameters() -> None:
    parts = [one for one, _, _ in tables(0.0, 0.0, 1.0, 20, 2, 500)]
    assert np.mean([one.parameters for one in parts]) == pytest.approx(0.0, abs=0.05)
    naive = np.mean([one.interaction / 2 for one in parts])
    assert naive == pytest.approx(0.5, abs=0.05)  # what the plain variance of means would say


def test_intervals_never_get_narrower_by_a_component_below_zero() -> None:
    table = np.array([[1.0, -1.0], [-1.0, 1.0]])
    parts = decompose(table)
    assert parts.parameters < 0
    assert parts.shared_luck < 0
    assert parts.parameter_share == 0.0
    assert parts.high - parts.mean >= stats.norm.ppf(0.975) * math.sqrt(parts.interaction)


def test_a_table_without_any_variance_is_known_exactly() -> None:
    parts = decompose(np.full((5, 3), 2.0))
    assert (parts.low, parts.mean, parts.high) == (2.0, 2.0, 2.0)
    assert parts.parameters == parts.luck == 0.0
    assert math.isnan(parts.p_value)
    assert math.isnan(parts.parameter_share)
    rows = np.repeat(np.arange(4.0)[:, None], 3, axis=1)
    assert decompose(rows).p_value == 0.0
    assert decompose(rows).parameters == pytest.approx(np.var(np.arange(4.0), ddof=1))
    assert decompose(rows).luck == 0.0


@pytest.mark.parametrize(
    "table", [np.zeros(4), np.zeros((1, 4)), np.zeros((4, 1)), np.full((2, 2), np.nan)]
)
def test_too_small_a_table_is_refused(table) -> None:
    with pytest.raises(ValueError, match="at least 2 of each"):
        decompose(table)
