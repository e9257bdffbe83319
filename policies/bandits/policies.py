"""LinUCB and LinTS as policies: scores, and learning week by week from what is observed.

Each action has a linear model of the profit of the weeks after it. A bandit sees no further than
that window: an offer that brings purchases forward, tires a customer or teaches them to wait for
deals looks better than it is, and a contact whose worth lies in what it teaches is not sought.
What later offers bring or cost within the window is laid to the decision it follows.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.ranges import check_range
from agents.rng import Purpose, draw_normals
from policies.bandits.linear import LinearModels, basis
from policies.base import DecisionContext
from policies.feedback import OutcomeWindows, weekly_profit

_MINOR = 100.0


class LinearBandit(ABC):
    """What both have in common; outcomes are in currency units, scores in minor units.

    Parameters
    ----------
    actions
        Number of actions of the table.
    key
        64-bit seed; draws are addressed by customer and week.
    window
        Weeks whose profit is laid to a decision. Offers are used for some weeks, so with one
        week the cost of using an offer later is not seen.
    prior
        Precision of the weights before any data.
    exploration
        How many posterior standard deviations count, above 0.
    confidence
        Of the lower bound that a frozen policy acts on, for one action.
    learning
        Whether it goes on learning and exploring; a frozen one does neither.
    """

    name: str

    def __init__(
        self,
        actions: int,
        key: np.uint64,
        window: int = 4,
        prior: float = 1.0,
        exploration: float = 1.0,
        confidence: float = 0.95,
        learning: bool = True,
    ) -> None:
        check_range("exploration", exploration, 0.0, 100.0)
        check_range("confidence", confidence, 0.5, 1 - 1e-9)
        self.models = LinearModels(actions, prior)
        self.windows = OutcomeWindows(window)
        self.key = np.uint64(key)
        self.exploration = exploration
        self.caution = float(stats.norm.ppf(confidence))
        self.learning = learning

    @abstractmethod
    def _explore(
        self, mean: NDArray[np.float64], sd: NDArray[np.float64], context: DecisionContext
    ) -> NDArray[np.float64]:
        """Optimistic or sampled outcome of every action, shape (n, n_actions)."""

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Gain over action 0 in minor units, shape (n, n_actions).

        While learning: optimistic or sampled. Frozen: a lower bound of the expected gain, so that
        what was tried too little is left alone.
        """
        x = basis(observation)
        mean, sd = self.models.mean(x), self.models.sd(x)
        if self.learning:
            reckoned = self._explore(mean, sd, context)
            gain = reckoned - reckoned[:, :1]
        else:
            gain = mean - mean[:, :1] - self.caution * np.sqrt(sd**2 + sd[:, :1] ** 2)
        gain[:, 0] = 0.0
        gain *= _MINOR
        return gain

    def learn_week(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        outcome: NDArray[np.void],
    ) -> None:
        """Learn from a week of a market; see ``envs.policy.Learner``."""
        if self.learning:
            valid = np.ones(executed.shape, bool)
            self.observe(observation, executed, weekly_profit(outcome) / _MINOR, valid)

    def observe(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        profit: NDArray[np.float64],
        valid: NDArray[np.bool_],
        ended: NDArray[np.bool_] | None = None,
        cut: NDArray[np.bool_] | None = None,
    ) -> None:
        """A week's decisions and what it brought, currency units; see ``OutcomeWindows``."""
        self.windows.decided(valid, observation=observation, action=executed)
        ripe = self.windows.observed(profit, ended, cut)
        if ripe is not None:
            rows = np.flatnonzero(ripe.whole)
            seen: Any = ripe.known["observation"][rows]
            action: Any = ripe.known["action"][rows]
            self.models.learn(basis(seen), action, ripe.total[rows])

    def frozen(self) -> "LinearBandit":
        """Stop learning and exploring; returns itself."""
        self.learning = False
        self.windows.clear()
        return self


class LinUcb(LinearBandit):
    """Disjoint LinUCB (Li, Chu, Langford & Schapire 2010, https://doi.org/10.1145/1772690.1772758).

    Every action counts for its expected outcome plus ``exploration`` posterior standard
    deviations; the noise is estimated, so that the width has the unit of the outcome.
    """

    name = "lin_ucb"

    def _explore(
        self, mean: NDArray[np.float64], sd: NDArray[np.float64], context: DecisionContext
    ) -> NDArray[np.float64]:
        return mean + self.exploration * sd


class LinTs(LinearBandit):
    """Linear Thompson sampling (Agrawal & Goyal 2013, https://arxiv.org/abs/1209.3352).

    The outcome of every action is drawn from its posterior. The draw is made for the outcome
    itself, one normal for each customer, week and action, which has the same law as drawing
    weights anew for each customer.
    """

    name = "lin_ts"

    def _explore(
        self, mean: NDArray[np.float64], sd: NDArray[np.float64], context: DecisionContext
    ) -> NDArray[np.float64]:
        draws = np.column_stack(
            [
                draw_normals(self.key, context.customer_id, Purpose.POLICY, at, context.week)
                for at in range(mean.shape[1])
            ]
        )
        return mean + self.exploration * sd * draws
