"""What to choose among programmes and policies when the response world is not known.

Pure functions of gains per customer: arrays of shape (choices, response worlds, customers).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.metrics import Estimate, paired_mean


class Ranked(NamedTuple):
    """Choices by expected gain, best first.

    Attributes
    ----------
    order
        Indices of choices, best first.
    expected
        Gain of each in that order, mean over response worlds, with interval over customers.
    behind
        How far each is behind the best, paired by customer; 0 for the best itself.
    regret
        Largest gain in any response world that each gives away, shape of ``order``.
    """

    order: list[int]
    expected: list[Estimate]
    behind: list[Estimate]
    regret: list[float]


def rank(gains: NDArray[np.float64], weights: NDArray[np.float64], confidence: float) -> Ranked:
    """Rank choices by the mean gain over response worlds.

    Parameters
    ----------
    gains
        Shape (choices, worlds, customers): above the same reference, same customers and luck.
    weights
        Belief in each world, shape (worlds,), sum 1.
    confidence
        Of the intervals.
    """
    mixed = np.einsum("cwn,w->cn", gains, weights)
    order = [int(at) for at in np.argsort(-mixed.mean(axis=1), kind="stable")]
    best = mixed[order[0]]
    means = gains.mean(axis=2)
    regret = (means.max(axis=0) - means).max(axis=1)
    return Ranked(
        order,
        [paired_mean(mixed[at], confidence) for at in order],
        [paired_mean(best - mixed[at], confidence) for at in order],
        [float(regret[at]) for at in order],
    )


class Turn(NamedTuple):
    """A response world that would change the answer.

    Attributes
    ----------
    world
        Its index.
    choice
        What is best in it.
    gain
        How much better there than the answer, with interval.
    belief
        Probability of that world from which on ``choice`` beats the answer, the others keeping
        their proportions; None if it is ahead from the start or would need more than certainty.
    """

    world: int
    choice: int
    gain: Estimate
    belief: float | None


def turns(
    gains: NDArray[np.float64], weights: NDArray[np.float64], answer: int, confidence: float
) -> list[Turn]:
    """Response worlds in which another choice is better than the answer, surest first."""
    found = []
    for world in range(gains.shape[1]):
        best = int(gains[:, world].mean(axis=1).argmax())
        ahead = paired_mean(gains[best, world] - gains[answer, world], confidence)
        if best == answer or ahead.low <= 0:
            continue
        found.append(Turn(world, best, ahead, _belief(gains[best] - gains[answer], weights, world)))
    return sorted(found, key=lambda turn: 2.0 if turn.belief is None else turn.belief)


def _belief(
    difference: NDArray[np.float64], weights: NDArray[np.float64], world: int
) -> float | None:
    """Probability of a world from which a difference, (worlds, customers), is above 0."""
    means = difference.mean(axis=1)
    others = np.delete(weights, world)
    if others.sum() <= 0:
        return None
    elsewhere = float(np.delete(means, world) @ others / others.sum())
    here = float(means[world])
    if here <= 0 or elsewhere >= 0:
        return None
    return -elsewhere / (here - elsewhere)
