"""What a policy would have brought, from decisions that another, randomised one took.

Needed are the probabilities with which the logged actions were drawn, exactly; then no model has
to be right for the estimates to be. Horvitz & Thompson 1952; Swaminathan & Joachims 2015
(https://arxiv.org/abs/1502.02362) for self-normalising; Dudík, Langford & Li 2011
(https://arxiv.org/abs/1103.4601) for the doubly robust one. They estimate one decision followed by
what the logging policy did, not a life under the other policy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from policies.bandits.linear import LinearModels, basis
from policies.folds import fold_of

FOLDS = 2


@dataclass(frozen=True)
class DecisionLog:
    """Randomised decisions and what came of them, one row a decision.

    Attributes
    ----------
    week, customer_id
        When and who, shape (n,).
    observation, mask
        What the policy saw and was allowed, shapes (n, F) and (n, A).
    propensity
        Probability of every action, shape (n, A); rows sum to 1.
    drawn
        Action that was drawn with these probabilities, shape (n,).
    executed
        Action carried out, shape (n,); another one only where a hard limit refused what was
        drawn. Estimates go by what was drawn, and so stay unbiased for it.
    outcome
        What came of it, shape (n,).
    control
        Members of the permanent control group, shape (n,): always action 0, no part of estimates.
    """

    week: NDArray[np.int64]
    customer_id: NDArray[np.uint64]
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    drawn: NDArray[np.int64]
    executed: NDArray[np.int64]
    outcome: NDArray[np.float64]
    control: NDArray[np.bool_]

    @property
    def overridden(self) -> float:
        """Share of decisions that were not carried out as drawn."""
        return float((self.drawn != self.executed).mean()) if self.drawn.size else 0.0

    def randomised(self) -> "DecisionLog":
        """The rows outside the control group."""
        rows = ~self.control
        return DecisionLog(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class OffPolicyEstimate(NamedTuple):
    """Mean outcome per decision with its interval.

    ``effective`` is how many decisions of the policy itself would tell as much (Kish 1965).
    """

    mean: float
    low: float
    high: float
    effective: float


def target_of(action: NDArray[np.integer], n_actions: int) -> NDArray[np.float64]:
    """Probabilities of a policy that is sure of its actions, shape (n, n_actions)."""
    target = np.zeros((action.size, n_actions))
    target[np.arange(action.size), action] = 1.0
    return target


def inverse_propensity(
    log: DecisionLog, target: NDArray[np.float64], confidence: float = 0.95
) -> OffPolicyEstimate:
    """Plain inverse propensity weighting: unbiased, of large variance.

    Parameters
    ----------
    log
        Randomised rows only (``DecisionLog.randomised``).
    target
        Probability of each action under the policy in question, shape (n, A).
    confidence
        Level of the interval; decisions of one customer count as one.

    Raises
    ------
    ValueError
        If the shape does not fit, or the policy takes actions that the log never could.
    """
    weight = _weights(log, target)
    value = weight * log.outcome
    return _estimate(float(value.mean()), value - value.mean(), log, weight, confidence)


def self_normalised(
    log: DecisionLog, target: NDArray[np.float64], confidence: float = 0.95
) -> OffPolicyEstimate:
    """Weights scaled to sum to n: a small bias, of order 1/n, for a far smaller variance.

    Parameters and errors as for ``inverse_propensity``.
    """
    weight = _weights(log, target)
    mean = float(weight @ log.outcome / weight.sum())
    influence = weight * (log.outcome - mean) / weight.mean()
    return _estimate(mean, influence, log, weight, confidence)


def doubly_robust(
    log: DecisionLog,
    target: NDArray[np.float64],
    confidence: float = 0.95,
    against: NDArray[np.float64] | None = None,
) -> OffPolicyEstimate:
    """A linear model of the outcome by action, corrected by weighting what it misses.

    The model of each half of the customers is fitted on the other half, so the estimate stays
    unbiased however wrong the model is. Parameters and errors as for ``inverse_propensity``;
    with ``against``, the probabilities of another policy, what is estimated is the gain over it,
    which is far surer than the difference of two estimates.
    """
    sure = weight = _weights(log, target)
    if against is not None:
        weight = weight - _weights(log, against)
        target = target - against
    x = basis(log.observation)
    fold = fold_of(log.customer_id, FOLDS)
    value = np.empty(weight.size)
    for at in range(FOLDS):
        mine, others = fold == at, fold != at
        models = LinearModels(target.shape[1])
        models.learn(x[others], log.drawn[others], log.outcome[others])
        expected = models.mean(x[mine])
        missed = log.outcome[mine] - expected[np.arange(mine.sum()), log.drawn[mine]]
        value[mine] = (target[mine] * expected).sum(axis=1) + weight[mine] * missed
    return _estimate(float(value.mean()), value - value.mean(), log, sure, confidence)


def _weights(log: DecisionLog, target: NDArray[np.float64]) -> NDArray[np.float64]:
    if target.shape != log.propensity.shape:
        raise ValueError(f"target has shape {target.shape}, not {log.propensity.shape}")
    unseen = ((target > 0) & (log.propensity <= 0)).any(axis=1)
    if unseen.any():
        row = int(np.flatnonzero(unseen)[0])
        raise ValueError(
            f"row {row}: the policy takes an action of propensity 0, of which the log tells "
            f"nothing ({int(unseen.sum())} such rows)"
        )
    rows = np.arange(log.drawn.size)
    weight: NDArray[np.float64] = target[rows, log.drawn] / log.propensity[rows, log.drawn]
    return weight


def _estimate(
    mean: float,
    influence: NDArray[np.float64],
    log: DecisionLog,
    weight: NDArray[np.float64],
    confidence: float,
) -> OffPolicyEstimate:
    _, customer = np.unique(log.customer_id, return_inverse=True)
    by_customer = np.bincount(customer, influence)
    groups = by_customer.size
    scale = groups / max(groups - 1, 1)
    error = np.sqrt(scale * np.square(by_customer).sum()) / influence.size
    half = float(stats.t.ppf(0.5 + confidence / 2, max(groups - 1, 1)) * error)
    effective = float(weight.sum() ** 2 / np.square(weight).sum()) if weight.any() else 0.0
    return OffPolicyEstimate(mean, mean - half, mean + half, effective)
