"""Two-model uplift as a policy: scores are a lower bound of uplift less expected cost.

A model of the margin after no offer, and for each action one of what is left above it (two models,
Radcliffe & Surry 2011; fitted one on top of the other as in the X-learner of Künzel et al. 2019,
https://doi.org/10.1073/pnas.1804597116, because the difference of two models fitted apart is
mostly noise). Even so they find differences between customers where there are none, so what they
say is
checked against customers it was not fitted on: a straight line of measured on predicted gain, the
best linear predictor of Chernozhukov, Demirer, Duflo & Fernández-Val 2018
(https://arxiv.org/abs/1712.04802). Its slope shrinks the prediction, its error gives the bound.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.policy import Reasons
from policies.base import DecisionContext, no_scores

REACH = 3.0  # sd of the prediction to which a line is trusted


def one_thread() -> AbstractContextManager[Any]:
    """One thread for small trees: threads that wait for each other take far longer."""
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="openmp")
    return limited


class ArmModels(NamedTuple):
    """Margin after an action above that after none (of action 0: itself), and cost of offers.

    A number where it hardly varies.
    """

    margin: Any
    cost: Any


class Line(NamedTuple):
    """Measured net gain over predicted, of one action: intercept at the mean prediction, slope.

    ``covariance`` is that of intercept and slope, shape (2, 2); ``mean`` and ``sd`` are of the
    prediction. Minor units.
    """

    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    mean: float
    sd: float

    def lower(self, predicted: NDArray[np.float64], z: float) -> NDArray[np.float64]:
        """Lower bound of the gain at these predictions, ``z`` standard errors down."""
        off = np.clip(predicted - self.mean, -REACH * self.sd, REACH * self.sd)
        spread = self.covariance
        variance = spread[0, 0] + 2 * off * spread[0, 1] + off**2 * spread[1, 1]
        bound: NDArray[np.float64] = (
            self.intercept + self.slope * off - z * np.sqrt(np.maximum(variance, 0.0))
        )
        return bound

    def best(self, z: float) -> float:
        """The highest that the bound can be."""
        ends = self.mean + self.sd * np.linspace(-REACH, REACH, 61)
        return float(self.lower(ends, z).max())


@dataclass(frozen=True)
class FoldModels:
    """Models fitted on one part of the customers, by action; None where too little was seen."""

    arms: tuple[ArmModels | None, ...]

    def net(self, observation: NDArray[np.float32], action: int) -> NDArray[np.float64]:
        """Predicted margin after an action less cost of offers, minor units, shape (n,)."""
        arm = self.arms[action]
        assert arm is not None
        net = predicted(arm.margin, observation) - predicted(arm.cost, observation)
        first = self.arms[0]
        if action > 0 and first is not None:
            net += predicted(first.margin, observation)
        return net


def predicted(model: Any, observation: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a model says, or the number that stands for one."""
    if isinstance(model, float):
        return np.full(observation.shape[0], model)
    with one_thread():
        said: NDArray[np.float64] = model.predict(observation)
    return said


class UpliftPolicy:
    """Scores by the lower bound of uplift less expected cost; see the module.

    Parameters
    ----------
    folds
        Models of each fold; predictions are their mean.
    lines
        Of each action, None for action 0 and where too little was seen.
    z
        Standard errors that the bound lies below the estimate.
    """

    name = "uplift"

    def __init__(
        self, folds: tuple[FoldModels, ...], lines: tuple[Line | None, ...], z: float
    ) -> None:
        self.folds = folds
        self.lines = lines
        self.z = z
        # Most actions are never worth it; their models need not be asked each week.
        self.hopeful = tuple(
            action for action, line in enumerate(lines) if line is not None and line.best(z) > 0
        )

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Lower bound of the net gain in minor units; the knapsack decides within the budget."""
        score = no_scores(observation, context.table)
        if not self.hopeful:
            return score
        without = self._net(observation, 0)
        for action in self.hopeful:
            line = self.lines[action]
            assert line is not None
            score[:, action] = line.lower(self._net(observation, action) - without, self.z)
        return score

    def _net(self, observation: NDArray[np.float32], action: int) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.mean(
            [fold.net(observation, action) for fold in self.folds], axis=0
        )
        return mean

    def explain(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> Reasons:
        """For whom an offer is worth its cost, with the offer."""
        score = np.where(mask, self.propose(observation, mask, context), -np.inf)
        code = np.where(score.max(axis=1) > 0, score.argmax(axis=1), 0).astype(np.int16)
        sentences = ["In the trial no offer clearly earned more than it cost with such customers."]
        sentences += [
            f"In the trial customers like this one brought more margin after {label} than without "
            "an offer, surely enough and by more than it costs."
            for label in context.table.labels[1:]
        ]
        return Reasons(code, tuple(sentences))
