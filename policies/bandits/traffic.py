"""Which arm does best so far, and how much traffic each gets: Thompson sampling with a floor."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.rng import Purpose, draw_normals
from policies.bandits.linear import LinearModels

_FIRST_INDEX = 2  # of the draws; lower ones are the experiment's own


class Standing(NamedTuple):
    """An arm: traffic it gets, and gain over no offers per decision and window with interval."""

    arm: str
    traffic: float
    gain: float
    low: float
    high: float


class ArmTraffic:
    """Values of arms from weighted outcomes, all arms from all decisions.

    A decision tells of every arm that would have decided the same, weighted by one over the
    probability of that decision (Agarwal et al. 2014 use it likewise). What the customer would
    have brought anyway is taken off by a model that knows nothing of the action, which leaves
    the comparison unbiased and less noisy.

    Parameters
    ----------
    arms
        Number of arms, the first being no offers.
    floor
        Least traffic of each; at most 1 / arms.
    draws
        Draws from the posterior for the probability of being best.
    """

    def __init__(self, arms: int, floor: float, draws: int) -> None:
        self.arms, self.floor, self.draws = arms, floor, draws
        self.count = 0
        self.total = np.zeros(arms)
        self.products = np.zeros((arms, arms))
        self.expected = LinearModels(1)

    def learn(
        self,
        x: NDArray[np.float64],
        agrees: NDArray[np.bool_],
        propensity: NDArray[np.float64],
        outcome: NDArray[np.float64],
    ) -> None:
        """Add decisions.

        Parameters
        ----------
        x
            Basis of the observation, shape (n, N_BASIS).
        agrees
            Whether each arm would have decided what was drawn, shape (n, arms).
        propensity
            Of what was drawn, shape (n,).
        outcome
            Shape (n,).
        """
        known = self.expected.mean(x)[:, 0]
        self.expected.learn(x, np.zeros(outcome.size, np.int64), outcome)
        weighted = agrees * ((outcome - known) / propensity)[:, None]
        self.count += outcome.size
        self.total += weighted.sum(axis=0)
        self.products += weighted.T @ weighted

    @property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of each arm and covariance of the means.

        Windows of one customer overlap; what that adds to the covariance is the same for all
        arms, since draws are independent, and leaves the order of the arms alone.
        """
        mean = self.total / max(self.count, 1)
        spread = self.products / max(self.count, 1) - np.outer(mean, mean)
        return mean, spread / max(self.count, 1)

    def shares(self, key: np.uint64, week: int) -> NDArray[np.float64]:
        """Traffic of each arm, shape (arms,), sum 1: probability of being best, above a floor."""
        if self.count == 0:
            return np.full(self.arms, 1.0 / self.arms)
        mean, covariance = self._moments
        numbers = np.arange(self.draws, dtype=np.uint64)
        normals = np.column_stack(
            [
                draw_normals(key, numbers, Purpose.POLICY, _FIRST_INDEX + arm, week)
                for arm in range(self.arms)
            ]
        )
        values, vectors = np.linalg.eigh(covariance)
        sampled = mean + normals @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
        best = np.bincount(sampled.argmax(axis=1), minlength=self.arms) / self.draws
        shares: NDArray[np.float64] = self.floor + (1.0 - self.arms * self.floor) * best
        return shares

    def standings(
        self, names: tuple[str, ...], traffic: NDArray[np.float64], confidence: float = 0.95
    ) -> tuple[Standing, ...]:
        """All arms against the first."""
        mean, covariance = self._moments
        z = float(stats.norm.ppf(0.5 + confidence / 2))
        rows = []
        for arm, name in enumerate(names):
            gain = float(mean[arm] - mean[0])
            spread = covariance[arm, arm] + covariance[0, 0] - 2 * covariance[arm, 0]
            half = z * float(np.sqrt(max(spread, 0.0)))
            rows.append(Standing(name, float(traffic[arm]), gain, gain - half, gain + half))
        return tuple(rows)
