"""Engine and market whose weeks are scored by expectations; the customers live as ever."""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.behaviour import Stimulus, intensities
from agents.compiled import kernel, parallel_kernel
from agents.elementary import exp
from agents.network import Network
from agents.records import OUTCOME, STATE, Customers
from sim.block import BLOCK, WORK
from sim.engine import Engine
from sim.expectation import SCORE
from sim.ledger import BASIS
from sim.market import Decider, LoyaltyMarket
from sim.totals import add_standing, add_week, chunks
from sim.week import step_block
from sim.world import Rules, World

_KEPT_STATE = ("replica", "drift", "week", "alive", "habit")


@parallel_kernel
def score_rows(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, actions, rules, key, rows, sums, scores, truth
):
    """``sim.engine.advance_rows`` with scores."""
    n = traits.shape[0]
    kept = outcome.shape[0] > 0
    weeks = sums.shape[1]
    counting = sums.shape[2] > 0
    for chunk in prange(sums.shape[0]):
        work = np.empty(1, WORK)
        passing = np.empty(BLOCK, OUTCOME)
        first = np.int64(chunk) * rows
        last = min(first + rows, n)
        for top in range(first, last, BLOCK):
            size = min(BLOCK, last - top)
            own = outcome[top : top + size] if kept else passing[:size]
            for week in range(weeks):
                step_block(
                    traits, state, account, profile, own, log, actions, top, size, work[0],
                    rules[0], key, scores, truth[0],
                )  # fmt: skip
                if counting:
                    add_week(own, sums[chunk, week])
                    add_standing(state, account, top, top + size, sums[chunk, week])


@kernel
def _onward(traits, state, account, rules, weeks):  # type: ignore[no-untyped-def]
    """Expected margin of a customer who is there, over ``weeks`` at the same rate and hazard."""
    stimulus = Stimulus(
        0.0, 1.0, 0.0, -1, 0.0, -1, account.tier,
        1 if rules.programme.active and account.enrolled else 0, 0.0, 0, -1, -1,
    )  # fmt: skip
    ahead = intensities(traits, state, stimulus, rules.behaviour)
    lived = weeks
    if ahead.hazard > 1e-9:
        lived = (1.0 - exp(-ahead.hazard * weeks)) / ahead.hazard
    return ahead.rate * ahead.spend_mean * rules.margin_share / BASIS * lived


@parallel_kernel
def _add_onward(traits, state, quiet, account, rules, weeks, scores):  # type: ignore[no-untyped-def]
    for row in prange(traits.shape[0]):
        if state[row].alive and not state[row].prospect and not account[row].closed:
            worth = _onward(traits[row], quiet[row], account[row], rules[0], weeks)
            scores[row].profit += scores[row].survival * worth


class ExpectedEngine(Engine):
    """An engine that adds up what is expected of each row beside letting it live.

    Rows do not leave; ``scores`` (``sim.expectation.SCORE``) has their survival, and profit,
    offer cost and purchases expected so far. Rows may stand at different weeks.

    Parameters
    ----------
    customers, rules, key
        As for ``Engine``.
    turn
        Added, modulo 1, to the draws for attention and intention of every contact.
    luck
        Replica that draws these two; by default the row's own. Replicas that share it and differ
        in turn cover the outcomes of a contact evenly.
    """

    def __init__(
        self,
        customers: Customers,
        rules: Rules,
        key: np.uint64,
        turn: tuple[float, float] = (0.0, 0.0),
        luck: int | None = None,
    ) -> None:
        staying = rules.copy()
        staying["behaviour"]["cancel_probability"] = 0.0
        super().__init__(customers, staying, key)
        self.truth = rules
        self.scores: NDArray[np.void] = np.zeros(customers.n, SCORE)
        self.scores["survival"] = 1.0
        self.scores["luck"] = customers.state["replica"] if luck is None else luck
        self.scores["attending_turn"], self.scores["intending_turn"] = turn

    def _run(self, actions: NDArray[np.uint8], weeks: int, columns: int) -> NDArray[np.int64]:
        self.require(weeks)
        number, rows = chunks(self.customers.n)
        sums = np.zeros((number, weeks, columns), np.int64)
        score_rows(
            *self.customers, self.log.rows, actions, self.rules, self.key, rows, sums,
            self.scores, self.truth,
        )  # fmt: skip
        return np.asarray(sums.sum(axis=0))

    def add_onward(self, weeks: float) -> None:
        """Add the margin expected in the ``weeks`` after, in closed form from rate and hazard.

        Rate and hazard are those of the customer's own state when all memories have faded.
        """
        state = self.customers.state
        quiet = np.zeros(state.shape, STATE)
        for name in _KEPT_STATE:
            quiet[name] = state[name]
        traits, account = self.customers.traits, self.customers.account
        _add_onward(traits, state, quiet, account, self.truth, float(weeks), self.scores)


class ExpectedMarket(LoyaltyMarket):
    """A market whose weeks are scored by expectations; see ``ExpectedEngine``.

    Books and collected data are those of customers who do not leave: look at ``scores``.
    """

    def __init__(
        self,
        world: World,
        customers: Customers,
        key: np.uint64,
        decider: Decider | None = None,
        network: Network | None = None,
    ) -> None:
        super().__init__(world, customers, key, decider=decider, network=network)
        self.engine: ExpectedEngine = ExpectedEngine(customers, self.engine.rules, key)

    @property
    def scores(self) -> NDArray[np.void]:
        """What each row brought in expectation, shape (n,), dtype SCORE."""
        return self.engine.scores
