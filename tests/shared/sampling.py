"""What many runs of luck should average to, and by how much a sample may miss it."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIMIT = 4.5  # standard errors that a comparison allows: one false alarm in 150,000


def compare(what: str, sample: ArrayLike, exact: float = 0.0) -> None:
    """Sample mean against the exact value; prints the error and what was allowed."""
    sample = np.asarray(sample, float)
    allowed = LIMIT * sample.std(ddof=1) / math.sqrt(sample.size)
    error = sample.mean() - exact
    print(f"{what}: exact {exact:.6g}, error {error:+.2e}, allowed {allowed:.1e}")
    assert abs(error) < allowed, what


def compare_hazards(what: str, there: NDArray[np.bool_], hazards: ArrayLike) -> None:
    """Deaths against those that each week's hazard, shape (weeks,), makes expected."""
    died = there[:-1] & ~there[1:]
    expected = there[:-1] * -np.expm1(-np.asarray(hazards, float))[:, None]
    compare(what, (died - expected).sum(axis=0))


def memory(events: ArrayLike, weeks: float) -> NDArray[np.float64]:
    """A fading memory at the start of each week, from what was added at each week's end."""
    level, found = 0.0, []
    for added in np.asarray(events, float):
        level *= math.exp(-1 / weeks)
        found.append(level)
        level += added
    return np.array(found)


def at(weeks: int, *events: int) -> NDArray[np.float64]:
    """1 in the weeks named, 0 in the others."""
    return np.isin(np.arange(weeks), events).astype(float)
