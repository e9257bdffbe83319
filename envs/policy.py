"""Who decides: the protocol of a policy, what it is told, and the policy that does nothing."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from envs.constraints.budgets import Rooms
from sim.offers import ActionTable


class DecisionContext(NamedTuple):
    """What a policy knows besides observation and mask.

    ``rooms`` is what may be newly committed this week; None where nothing is known of it.
    """

    week: int
    customer_id: NDArray[np.uint64]
    table: ActionTable
    rooms: Rooms | None = None


class Policy(Protocol):
    """Who decides. ``name`` is its name in reports."""

    name: str

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Score every action, shape (n, n_actions).

        The score is the gain over action 0, in any scale common to the customers; at or below 0
        (or -inf) an action is not worth taking. Masked actions may be scored: the mask binds
        later, and the decision then names what bound it.
        """


@runtime_checkable
class Learner(Protocol):
    """A policy that goes on learning while it decides; ``GovernedPolicy`` tells it."""

    def learn_week(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        outcome: NDArray[np.void],
    ) -> None:
        """What came of the last decision, before the next one and at the end of a run.

        Parameters
        ----------
        observation
            What the policy saw when it decided, shape (n, N_FEATURES).
        executed
            Actions carried out, shape (n,); masks and budgets may have changed what it asked for.
        outcome
            The week's OUTCOME rows, shape (n,), without what only the simulator knows.
        """


class Reasons(NamedTuple):
    """Why each customer was chosen or passed over: ``sentences[code[row]]``, in plain English.

    ``code`` has shape (n,), int16. Code 0 is that of customers for whom nothing is wanted.
    """

    code: NDArray[np.int16]
    sentences: tuple[str, ...]

    def of(self, row: int) -> str:
        """The sentence of one customer."""
        return self.sentences[int(self.code[row])]


def no_scores(observation: NDArray[np.float32], table: ActionTable) -> NDArray[np.float64]:
    """Scores that want nothing for anyone, shape (n, n_actions)."""
    score = np.full((observation.shape[0], table.n), -np.inf)
    score[:, 0] = 0.0
    return score


class NoOffers:
    """The programme runs, nobody gets an offer: what everything is compared with."""

    name = "no_offers"

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Nothing for anyone."""
        return no_scores(observation, context.table)

    def explain(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> Reasons:
        """The same for everybody."""
        code = np.zeros(observation.shape[0], np.int16)
        return Reasons(code, ("This policy makes no offers.",))
