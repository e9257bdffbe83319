"""Continuous experimentation: several policies at once, exact propensities, traffic to winners.

Every week each candidate decides for all customers as if it alone had the whole room. Then one
lottery per customer mixes these decisions by the arms' traffic, replaces a stated share of the
contacts by a random allowed offer, and thins all of it so that what is drawn fits the room with
near certainty. All three are known numbers, so the probability of every action of every customer
is known exactly, given what was observed.

A decision is one customer and week. Its outcome is the profit of ``window`` weeks, in which the
lottery goes on. What comes only of living under one policy for long is not seen by the traffic
rule; the permanent control group tells what the experiment as a whole brings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.ranges import check_range
from agents.rng import Purpose, draw_uniforms
from envs.constraints.budgets import Rooms
from envs.decision import decide
from policies.bandits.linear import basis
from policies.bandits.lottery import draw, mixed, thin
from policies.bandits.off_policy import DecisionLog
from policies.bandits.traffic import ArmTraffic, Standing
from policies.base import DecisionContext, Policy, no_scores
from policies.feedback import OutcomeWindows, weekly_profit
from sim.metrics import Estimate

CONTROL_GROUP = "control_group"
_MINOR = 100.0
# Indices of the draws. Arms share the key and draw by low indices (Random 0 and 1), traffic from 2.
_CONTROL_DRAW, _LOTTERY_DRAW, _LOG_DRAW = 253, 254, 255


@dataclass(frozen=True)
class ExperimentParameters:
    """Settings of an experiment.

    Parameters
    ----------
    control_share
        Share of customers who never get an offer while the experiment runs.
    explore_share
        Share of the contacts that are a random allowed offer in place of the arm's own.
    floor
        Least traffic of each arm.
    window
        Weeks of profit that count as the outcome of a decision.
    safety
        Standard deviations by which what is drawn stays below the room on average, so that the
        hard limit refuses next to nothing.
    draws
        For the probability that an arm is best.
    log_share
        Share of customers whose decisions are kept for off-policy estimates, about half a
        kilobyte each; 0 keeps none.
    """

    control_share: float = 0.05
    explore_share: float = 0.10
    floor: float = 0.05
    window: int = 4
    safety: float = 4.0
    draws: int = 4096
    log_share: float = 0.0

    def __post_init__(self) -> None:
        check_range("control_share", self.control_share, 0.0, 0.9)
        check_range("explore_share", self.explore_share, 0.0, 1.0)
        check_range("floor", self.floor, 1e-6, 0.5)
        check_range("window", self.window, 1, 52)
        check_range("safety", self.safety, 0.0, 10.0)
        check_range("draws", self.draws, 100, 1_000_000)
        check_range("log_share", self.log_share, 0.0, 1.0)


class ContinuousExperiment:
    """A policy that tries candidates side by side; see the module.

    Parameters
    ----------
    candidates
        Any policies, of different names. No offers is always an arm, named ``control_group``: its
        permanent members, and the traffic that goes to it.
    key
        64-bit seed; draws are addressed by customer and week.
    parameters
        Settings.

    Attributes
    ----------
    arms
        Names, the control group first.
    weeks, shares_by_week
        Weeks of decisions, and traffic of each arm in them, one array of shape (arms,) a week.

    Raises
    ------
    ValueError
        If names coincide or the floors do not leave any traffic to move.
    """

    name = "experiment"

    def __init__(
        self,
        candidates: Sequence[Policy],
        key: np.uint64,
        parameters: ExperimentParameters | None = None,
    ) -> None:
        self.parameters = parameters or ExperimentParameters()
        self.candidates = tuple(candidates)
        self.arms = (CONTROL_GROUP, *(one.name for one in self.candidates))
        if len(set(self.arms)) < len(self.arms) or len(self.arms) < 2:
            raise ValueError(f"arms {self.arms}: give at least one candidate, names must differ")
        if self.parameters.floor * len(self.arms) > 1.0:
            raise ValueError(
                f"floor={self.parameters.floor} for {len(self.arms)} arms is more than all traffic"
            )
        self.key = np.uint64(key)
        self.traffic = ArmTraffic(len(self.arms), self.parameters.floor, self.parameters.draws)
        self.windows = OutcomeWindows(self.parameters.window)
        self.shares = self.traffic.shares(self.key, 0)
        self.weeks: list[int] = []
        self.shares_by_week: list[NDArray[np.float64]] = []
        self._decided: dict[str, NDArray[Any]] | None = None
        self._log: list[dict[str, NDArray[Any]]] = []
        self._profit: NDArray[np.float64] | None = None
        self._lived = 0

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Scores that ask for the drawn actions and nothing else."""
        ids, week, table = context.customer_id, context.week, context.table
        rooms = context.rooms or Rooms()
        blocked = (~mask).astype(np.uint8)
        arms = np.zeros((len(self.arms), ids.size), np.int64)  # the first makes no offers
        for at, candidate in enumerate(self.candidates, start=1):
            score = candidate.propose(observation, mask, context)
            arms[at] = decide(score, blocked, table, rooms, ids, week).executed
        lot = draw_uniforms(self.key, ids, Purpose.POLICY, _CONTROL_DRAW)
        control = lot < self.parameters.control_share
        self.shares = self.traffic.shares(self.key, week)
        self.weeks.append(week)
        self.shares_by_week.append(self.shares)
        propensity = mixed(arms, self.shares, mask, self.parameters.explore_share)
        propensity[control] = 0.0
        propensity[control, 0] = 1.0
        thin(propensity, rooms, table, self.parameters.safety)
        lot = draw_uniforms(self.key, ids, Purpose.POLICY, _LOTTERY_DRAW, week)
        drawn = draw(propensity, lot)
        self._decided = {
            "week": np.full(ids.size, week),
            "customer_id": ids.copy(),
            "observation": observation.copy(),
            "mask": mask.copy(),
            "propensity": propensity,
            "drawn": drawn,
            "control": control,
            "arms": arms.T.copy(),
        }
        score = no_scores(observation, table)
        rows = np.flatnonzero(drawn)
        score[rows, drawn[rows]] = np.maximum(table.commitment[drawn[rows]], 1)
        return score

    def learn_week(
        self,
        observation: NDArray[np.float32],
        executed: NDArray[np.integer],
        outcome: NDArray[np.void],
    ) -> None:
        """Count what a week brought; see ``envs.policy.Learner``."""
        if self._decided is None:
            return
        profit = weekly_profit(outcome) / _MINOR
        if self._profit is None:
            self._profit = np.zeros(profit.size)
        self._profit += profit
        self._lived += 1
        valid = np.ones(profit.size, bool)
        self.windows.decided(valid, executed=executed.astype(np.int64), **self._decided)
        self._control, self._decided = self._decided["control"], None
        ripe = self.windows.observed(profit)
        if ripe is None:
            return
        known: dict[str, Any] = ripe.known
        if self.parameters.log_share > 0:
            lot = draw_uniforms(self.key, known["customer_id"], Purpose.POLICY, _LOG_DRAW)
            kept = lot < self.parameters.log_share
            self._log.append(
                {name: rows[kept] for name, rows in {**known, "outcome": ripe.total}.items()}
            )
        rows = np.flatnonzero(~known["control"])
        drawn = known["drawn"][rows]
        self.traffic.learn(
            basis(known["observation"][rows]),
            known["arms"][rows] == drawn[:, None],
            known["propensity"][rows, drawn],
            ripe.total[rows],
        )

    def log(self) -> DecisionLog:
        """Kept decisions whose window is over.

        Raises
        ------
        ValueError
            If there are none.
        """
        kept = self.kept()
        if kept is None:
            raise ValueError("no decisions are kept: set log_share, and run for a window at least")
        return kept

    def kept(self) -> DecisionLog | None:
        """``log``, None without decisions."""
        if not self._log:
            return None
        return DecisionLog(
            *(
                np.concatenate([part[field.name] for part in self._log])
                for field in fields(DecisionLog)
            )
        )

    def arm_actions(self) -> NDArray[np.int64]:
        """What each arm would have done in the rows of ``log``, shape (n, arms)."""
        return np.concatenate([part["arms"] for part in self._log])

    def standings(self, confidence: float = 0.95) -> tuple[Standing, ...]:
        """Arms with traffic and gain over no offers, currency units per decision and window."""
        return self.traffic.standings(self.arms, self.shares, confidence)

    def lift(self, confidence: float = 0.95) -> Estimate:
        """Profit per customer-week of all others above the control group's, currency units.

        Raises
        ------
        ValueError
            Before a week has passed, or with fewer than two customers on a side.
        """
        if self._profit is None:
            raise ValueError("no week has passed yet")
        weekly = self._profit / self._lived
        kept, treated = weekly[self._control], weekly[~self._control]
        if min(kept.size, treated.size) < 2:
            raise ValueError(f"{kept.size} in the control group, {treated.size} outside: too few")
        gain = float(treated.mean() - kept.mean())
        spread = treated.var(ddof=1) / treated.size + kept.var(ddof=1) / kept.size
        half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(spread))
        return Estimate(gain, gain - half, gain + half)
