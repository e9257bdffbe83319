"""A price on the budget as an input: one network for any budget.

In training each episode has a price per unit of commitment, which the network sees and which is
subtracted from the reward for every offer made. The network learns what to do at any price; a
budget then only asks which price keeps commitments within it. That is bisected on the batch at
every decision; an export holds the price found on training's customers.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from envs.features import column
from policies.base import DecisionContext
from policies.network import TorchPolicy

UNIT = 0.02  # prices are told on a log scale above this, in currency per currency of commitment
_BUDGET_LEFT = column("budget_left")
_HALVINGS = 12


def draw_prices(rng: np.random.Generator, n: int, highest: float) -> NDArray[np.float64]:
    """Prices of n episodes, shape (n,): even on the scale that networks see, 0 to ``highest``."""
    prices: NDArray[np.float64] = UNIT * np.expm1(rng.random(n) * np.log1p(highest / UNIT))
    return prices


class PricedScores(nn.Module):
    """Scores at one price: a module of the plain observation, to decide with and to export.

    Parameters
    ----------
    scores
        Observation with the price as its last column to scores, shape (n, n_actions).
    price
        Currency units per currency unit of commitment.
    """

    def __init__(self, scores: nn.Module, price: float = 0.0) -> None:
        super().__init__()
        self.scores = scores
        self.register_buffer("price", torch.tensor(float(price)))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Score, shape (n, n_actions); column 0 is 0."""
        price = self.get_buffer("price").expand(observation.shape[0], 1)
        scores: torch.Tensor = self.scores(torch.cat([observation, price], dim=1))
        return scores


class PricedPolicy(TorchPolicy):
    """Price-conditioned PPO: acts at the lowest price that keeps commitments within the budget.

    Parameters
    ----------
    name, scores
        Name in reports; module of observation and price.
    weekly_per_customer
        The budget, minor units per customer and week; None: no limit, price 0. Any other budget
        is ``PricedPolicy(name, policy.scores, other)`` without training.
    highest
        Highest price seen in training.

    Attributes
    ----------
    price
        Of the last decision, currency units per currency unit of commitment.
    """

    def __init__(
        self, name: str, scores: nn.Module, weekly_per_customer: float | None, highest: float
    ) -> None:
        self.scores = scores
        self.weekly_per_customer = weekly_per_customer
        self.highest = highest
        super().__init__(name, PricedScores(scores))

    @property
    def price(self) -> float:
        """See the class."""
        return float(self.module.get_buffer("price"))

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Scores at this week's price; that of the free share of the budget."""
        self.set_price(observation, mask, context.table.commitment)
        return super().propose(observation, mask, context)

    def set_price(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        commitment: NDArray[np.integer],
    ) -> None:
        """Bisect the price on a batch: shapes (n, N_FEATURES), (n, n_actions), (n_actions,)."""
        if self.weekly_per_customer is None or observation.shape[0] == 0:
            self._take(0.0)
            return
        # Every customer of the firm is in the batch and sees the same free share.
        room = float(observation[0, _BUDGET_LEFT]) * self.weekly_per_customer * mask.shape[0]
        seen = torch.from_numpy(observation)
        allowed = torch.from_numpy(mask)

        def asks(price: float) -> float:
            self._take(price)
            with torch.no_grad():
                score = self.module(seen).masked_fill(~allowed, -torch.inf)
            best = score.argmax(dim=1).numpy()
            return float(commitment[best].sum())

        if asks(0.0) <= room:
            return
        low, high = 0.0, float(np.log1p(self.highest / UNIT))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if asks(UNIT * np.expm1(middle)) > room else (low, middle)
        self._take(UNIT * float(np.expm1(high)))

    def _take(self, price: float) -> None:
        self.module.get_buffer("price").fill_(price)
