"""LinUCB and LinTS as policies: scores, and learning week by week from what is observed.

Each action has a linear model of the profit of its week. Weeks in which a customer cannot be
contacted, such as those in which an offer is open, belong to the decision before: what they bring
above an ordinary week is added to it. A bandit sees no further than the next choice: an offer that
brings purchases forward, tires a customer or teaches them to wait for deals looks better than it
is, and a contact whose worth lies in what it teaches is not sought.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.ranges import check_range
from agents.rng import Purpose, draw_normals
from envs.features import N_FEATURES
from policies.bandits.linear import LinearModels, basis
from policies.base import DecisionContext
from policies.feedback import weekly_profit

MINOR = 100.0
WORTHWHILE = 0.01  # currency units; an offer that surely brings next to nothing is left alone


class _Open(NamedTuple):
    """Decisions to which more weeks may be laid, one per row; ``weeks`` 0: none."""

    observation: NDArray[np.float32]
    action: NDArray[np.int64]
    total: NDArray[np.float64]
    weeks: NDArray[np.int64]

    @classmethod
    def of(cls, n: int) -> "_Open":
        return cls(
            np.zeros((n, N_FEATURES), np.float32),
            np.zeros(n, np.int64),
            np.zeros(n),
            np.zeros(n, np.int64),
        )


class LinearBandit(ABC):
    """What both have in common; outcomes are in currency units, scores in minor units.

    Parameters
    ----------
    actions
        Number of actions of the table.
    key
        64-bit seed; draws are addressed by customer and week.
    window
        Most weeks that are laid to a decision.
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
        check_range("window", window, 1, 52)
        check_range("exploration", exploration, 0.0, 100.0)
        check_range("confidence", confidence, 0.5, 1 - 1e-9)
        self.models = LinearModels(actions, prior)
        self.window = window
        self._open: _Open | None = None
        self._choice: NDArray[np.bool_] | None = None
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
        self._choice = np.asarray(mask[:, 1:].any(axis=1))
        x = basis(observation)
        mean, sd = self.models.mean(x), self.models.sd(x)
        if self.learning:
            reckoned = self._explore(mean, sd, context)
            gain = reckoned - reckoned[:, :1]
        else:
            gain = mean - mean[:, :1] - self.caution * np.sqrt(sd**2 + sd[:, :1] ** 2)
            gain -= WORTHWHILE
        gain[:, 0] = 0.0
        gain *= MINOR
        return gain

    def learn_week(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        outcome: NDArray[np.void],
    ) -> None:
        """Learn from a week of a market; see ``envs.policy.Learner``."""
        if self.learning:
            self.observe(observation, executed, weekly_profit(outcome) / MINOR)

    def observe(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        profit: NDArray[np.float64],
        valid: NDArray[np.bool_] | None = None,
        ended: NDArray[np.bool_] | None = None,
    ) -> None:
        """Learn from a week.

        Parameters
        ----------
        observation, executed
            Of the decision last proposed, shapes (n, N_FEATURES) and (n,).
        profit
            What the week brought, currency units, shape (n,).
        valid
            Rows that lived the week; None: all.
        ended
            Rows that start anew after it; None: none.
        """
        n = executed.size
        if self._open is None or self._open.weeks.size != n:
            self._open = _Open.of(n)
        begun = self._open
        choice = np.ones(n, bool) if self._choice is None else self._choice
        if valid is not None:
            choice = choice & valid
        self._learn(choice)
        begun.observation[choice] = observation[choice]
        begun.action[choice] = executed[choice]
        begun.total[choice] = profit[choice]
        begun.weeks[choice] = 1
        waiting = np.flatnonzero(~choice & (begun.weeks > 0))
        ordinary = self.models.mean(basis(observation[waiting]))[:, 0]
        begun.total[waiting] += profit[waiting] - ordinary
        begun.weeks[waiting] += 1
        self._learn(begun.weeks >= self.window)
        if ended is not None:
            self._learn(ended)

    def _learn(self, rows: NDArray[np.bool_]) -> None:
        """Learn from decisions to which nothing more is laid."""
        begun = self._open
        if begun is None:
            return
        done = np.flatnonzero(rows & (begun.weeks > 0))
        if done.size:
            x = basis(begun.observation[done])
            self.models.learn(x, begun.action[done], begun.total[done])
            begun.weeks[done] = 0

    def finish(self) -> None:
        """Learn from all decisions that are still open; the next week is another episode's."""
        if self._open is not None:
            self._learn(self._open.weeks > 0)

    def frozen(self) -> "LinearBandit":
        """Stop learning and exploring; returns itself."""
        self.learning = False
        self._open = None
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
