"""Bayesian linear regression for each action, kept as sufficient statistics."""

import numpy as np
from numpy.typing import NDArray

from envs.features import CENTRE, N_FEATURES, SCALE
from policies.base import CLIP

N_BASIS = N_FEATURES + 1
_NOISE_WEIGHT = 10.0  # rows that the noise common to all actions counts for in that of each


def basis(observation: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centred, scaled and clipped features and a constant, shape (n, N_BASIS)."""
    scaled = np.clip((observation.astype(np.float64) - CENTRE) / SCALE, -CLIP, CLIP)
    return np.concatenate([scaled, np.ones((observation.shape[0], 1))], axis=1)


class LinearModels:
    """One model per action: outcome = weight · x + noise (Bishop 2006, PRML, §3.3).

    All that was learned is in four arrays (``state``), so that learning can be kept and taken up
    again to the digit.

    Parameters
    ----------
    actions
        Number of models.
    prior
        Precision of the weights before any data, in units of the noise; above 0.
    """

    def __init__(self, actions: int, prior: float = 1.0) -> None:
        if not prior > 0:
            raise ValueError(f"prior={prior} must be above 0")
        self.gram = np.tile(prior * np.eye(N_BASIS), (actions, 1, 1))
        self.moment = np.zeros((actions, N_BASIS))
        self.squares = np.zeros(actions)
        self.count = np.zeros(actions, np.int64)
        self._solve()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of the sufficient statistics."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take up what ``state`` gave."""
        for name in _STATE:
            getattr(self, name)[...] = state[name]
        self._solve()

    def learn(
        self, x: NDArray[np.float64], action: NDArray[np.integer], outcome: NDArray[np.float64]
    ) -> None:
        """Add rows: basis (n, N_BASIS), action (n,), outcome (n,)."""
        for at in range(self.count.size):
            rows = np.flatnonzero(action == at)
            if rows.size:
                mine, what = x[rows], outcome[rows]
                self.gram[at] += mine.T @ mine
                self.moment[at] += what @ mine
                self.squares[at] += what @ what
                self.count[at] += rows.size
        self._solve()

    def mean(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected outcome of every action, shape (n, n_actions)."""
        expected: NDArray[np.float64] = x @ self.weight.T
        return expected

    def sd(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Posterior sd of the expected outcome, shape (n, n_actions)."""
        spread = np.einsum("aij,nj->nai", self.root, x, optimize=True)
        deviation: NDArray[np.float64] = np.sqrt(np.square(spread).sum(axis=2)) * self.noise
        return deviation

    def _solve(self) -> None:
        """Weights, root of the covariance for unit noise, and noise, from the statistics."""
        self.root = np.linalg.inv(np.linalg.cholesky(self.gram))
        half = np.einsum("aij,aj->ai", self.root, self.moment)
        self.weight = np.einsum("aij,ai->aj", self.root, half)
        residual = np.maximum(self.squares - np.square(half).sum(axis=1), 0.0)
        # Without data the noise is 1, in the outcome's own unit.
        common = (residual.sum() + 1.0) / (self.count.sum() + 1.0)
        variance = (residual + _NOISE_WEIGHT * common) / (self.count + _NOISE_WEIGHT)
        self.noise = np.sqrt(variance)


_STATE = ("gram", "moment", "squares", "count")
