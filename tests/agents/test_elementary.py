"""exp and log against numpy's, in scalar calls and in vectorised loops."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.elementary import MOST_EXPONENT, exp, fma, log


@numba.njit
def exps(x):
    out = np.empty(x.size)
    for at in range(x.size):
        out[at] = exp(x[at])
    return out


@numba.njit
def logs(x):
    out = np.empty(x.size)
    for at in range(x.size):
        out[at] = log(x[at])
    return out


@numba.njit
def fused(a, b, c):
    return fma(a, b, c)


def test_exp_and_log_are_exact_where_they_must_be() -> None:
    assert exp(0.0) == 1.0
    assert log(1.0) == 0.0


def test_exp_is_within_its_error() -> None:
    x = np.linspace(-MOST_EXPONENT, MOST_EXPONENT, 1_000_001)
    assert np.abs(exps(x) / np.exp(x) - 1).max() < 1e-14


def test_log_is_within_its_error() -> None:
    x = np.concatenate(
        [np.exp(np.linspace(-700, 700, 1_000_001)), 1 + np.linspace(-0.4, 0.6, 9999)]
    )
    assert (np.abs(logs(x) - np.log(x)) / (1 + np.abs(np.log(x)))).max() < 1e-14


@pytest.mark.parametrize("x", [701.0, 1e300, math.inf])
def test_exp_stays_finite(x: float) -> None:
    assert exp(x) == exp(MOST_EXPONENT) < math.inf
    assert exp(-x) == exp(-MOST_EXPONENT) > 0.0


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=40))
def test_a_vectorised_loop_has_the_bits_of_single_calls(values: list[float]) -> None:
    x = np.array(values)
    assert exps(x).tobytes() == np.array([exp(v) for v in x]).tobytes()
    positive = np.exp(x)
    assert logs(positive).tobytes() == np.array([log(v) for v in positive]).tobytes()


def test_a_fused_multiply_add_rounds_once() -> None:
    tiny = 2.0**-30
    assert fused(1 + tiny, 1 - tiny, -1.0) == -(2.0**-60)
    assert (1 + tiny) * (1 - tiny) - 1.0 == 0.0
