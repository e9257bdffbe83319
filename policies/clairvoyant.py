"""The clairvoyant: knows every customer's traits and state, but not tomorrow's luck.

A reference for what could be gained if the firm knew its customers, not a bound: it looks one
offer ahead and then does nothing, or what it is told to follow. Its branches live on planning
luck, so that what it gains is not what it chose by.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range
from agents.records import Customers
from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, GovernedPolicy
from sim.expected_values import Continuation, expected_values
from sim.world import World

_STRIDE = 4096  # replicas of a week, so that no two weeks share planning luck


@dataclass(frozen=True)
class ClairvoyantParameters:
    """Settings of the clairvoyant.

    Parameters
    ----------
    weeks, replicas
        Length of a branch, and how often those that passed the screening are lived through.
    screening_replicas, finalists
        All allowed actions are lived through so often first; the best few of a customer go on.
    onward_weeks
        Weeks after a branch whose margin counts in closed form.
    caution
        Standard errors by which a gain must be above 0.
    least_gain
        What an offer must promise at least, minor units.
    """

    weeks: int = 13
    replicas: int = 16
    screening_replicas: int = 4
    finalists: int = 3
    onward_weeks: float = 13.0
    caution: float = 1.0
    least_gain: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weeks", 1, 520),
            ("replicas", 2, 4096),
            ("screening_replicas", 1, 4096),
            ("finalists", 1, 255),
            ("onward_weeks", 0, 5200),
            ("caution", 0, 10),
            ("least_gain", 0, 1e6),
        ):
            check_range(name, getattr(self, name), low, high)


class _LatentScores:
    """Scores from the latent state of the market's customers."""

    name = "clairvoyant"

    def __init__(
        self,
        world: World,
        key: np.uint64,
        parameters: ClairvoyantParameters,
        follow: Continuation | None,
    ) -> None:
        self.world = world
        self.key = key
        self.parameters = parameters
        self.follow = follow
        self.customers: Customers

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Lower bounds of the finalists' gains, -inf for all else."""
        parameters = self.parameters
        first = 1 + context.week * 2 * _STRIDE
        rough = self._gains(mask, parameters.screening_replicas, first)[0]
        rough[:, 0] = -np.inf
        finalists = np.zeros_like(mask)
        best = np.argsort(-rough, axis=1, kind="stable")[:, : parameters.finalists]
        np.put_along_axis(finalists, best, True, axis=1)
        finalists &= np.isfinite(rough) & (rough > 0)
        gain, error = self._gains(finalists, parameters.replicas, first + _STRIDE)
        score = np.where(
            finalists, gain - parameters.caution * error - parameters.least_gain, -np.inf
        )
        score[:, 0] = 0.0
        return score

    def _gains(
        self, wanted: NDArray[np.bool_], replicas: int, first: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gain and its standard error per customer and action; -inf where not wanted."""
        found = expected_values(
            self.world, self.customers, wanted, self.key, self.parameters.weeks, replicas,
            first_replica=first, onward_weeks=self.parameters.onward_weeks, follow=self.follow,
        )  # fmt: skip
        gain = np.where(np.isfinite(found.gain), found.gain, -np.inf)
        return gain, np.where(np.isfinite(found.error), found.error, 0.0)


class Clairvoyant(GovernedPolicy):
    """A ``Decider`` that sees latent fields, under the same masks and budgets as any policy.

    Parameters
    ----------
    world
        The world that its market runs in: it knows the response, too.
    constraints, n
        As for ``GovernedPolicy``.
    key
        Seed of planning luck, ``derive_seed(seed, "plan")``; never the market's own.
    parameters
        Settings.
    follow
        What it expects to be done after an offer; None: nothing.
    """

    def __init__(
        self,
        world: World,
        constraints: ConstraintParameters,
        n: int,
        key: np.uint64,
        parameters: ClairvoyantParameters | None = None,
        follow: Continuation | None = None,
    ) -> None:
        parameters = ClairvoyantParameters() if parameters is None else parameters
        self._latent = _LatentScores(world, key, parameters, follow)
        super().__init__(self._latent, constraints, n)

    def see(self, customers: Customers) -> None:
        """Take the market's customers, latent fields and all; before each decision."""
        self._latent.customers = customers
