"""Score a batch of customers with a bundle, under its constraints, with reasons."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.constraints.budgets import Rooms
from envs.constraints.masks import blocking, limits_record
from envs.decision import Decision, DecisionContext, decide
from envs.features import CENTRE, FEATURES, observe
from policies.export.bundle import Bundle, load_bundle, require_approval, run_onnx
from sim.world import Rules, starting_in

_REASONS = 3
_CONTEXT_FEATURES = ("budget_left", "budget_refused", "season", "age")


class OnnxPolicy:
    """A bundle's network as a policy, for evaluating exactly what is served."""

    def __init__(self, name: str, bundle: Bundle) -> None:
        self.name = name
        self.bundle = bundle

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Scores of the network."""
        outputs = run_onnx(self.bundle.session, observation, mask)
        score: NDArray[np.float64] = outputs["score"].astype(np.float64)
        return score


@dataclass(frozen=True)
class Scores:
    """What a batch gets, arrays of shape (n,); money in minor units.

    ``value``, ``value_lower`` and ``expected_cost`` are those of the executed action, 0 for
    nothing; ``reasons`` says what moved the decision.
    """

    decision: Decision
    value: NDArray[np.float64]
    value_lower: NDArray[np.float64]
    expected_cost: NDArray[np.float64]
    commitment: NDArray[np.int64]
    reasons: list[str]


class Scorer:
    """Loads a bundle (refusing a damaged one) and scores batches.

    Parameters
    ----------
    bundle
        Folder of the bundle, or one already loaded.
    experiment
        Score although nobody approved the bundle's limits: for research, never for customers.

    Raises
    ------
    InputError
        For a damaged bundle, and for one whose limits are not approved.
    """

    def __init__(self, bundle: Path | Bundle, experiment: bool = False) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        if not experiment:
            require_approval(self.bundle)
        self.table = self.bundle.world.table
        self.limits = limits_record(self.bundle.constraints, self.table.categories)

    def rules(self, first_week_of_year: int = 0) -> Rules:
        """Rules of the bundle, with the calendar turned so that week 0 is that week of the year."""
        return starting_in(self.bundle.world.rules(), first_week_of_year)

    def score(
        self,
        profile: NDArray[np.void],
        account: NDArray[np.void],
        customer_id: NDArray[np.uint64],
        week: int,
        rules: Rules,
        budget: Rooms | int | None,
        budget_refused: float = 0.0,
        points_stopped: bool = False,
    ) -> Scores:
        """Decide on a batch at the start of ``week``.

        Parameters
        ----------
        profile, account, customer_id
            Shape (n,) each.
        week, rules
            The coming week, and ``self.rules(...)``.
        budget
            What may be newly committed (``envs.constraints.budgets.FirmBudgets.rooms``); a
            number is the offer budget's, in minor units; None = no limit.
        budget_refused
            Share of last week's asked commitment that the budget refused
            (``Decision.budget_refused``), 0 at the start.
        points_stopped
            Whether the liability alarm stops offers of points (``FirmBudgets.stops_points``).
        """
        rooms = budget if isinstance(budget, Rooms) else Rooms(budget)
        constraints = self.bundle.constraints
        self.limits["points_stopped"] = points_stopped
        blocked = blocking(account, profile, self.table, self.limits)
        free = constraints.offer_budget.free_share(profile.shape[0], rooms.offer_budget)
        observation = observe(profile, week, rules, free, budget_refused, constraints.features)
        outputs = run_onnx(self.bundle.session, observation, blocked == 0)
        decision = decide(
            outputs["score"].astype(np.float64), blocked, self.table, rooms, customer_id, week
        )
        rows = np.arange(profile.shape[0])
        action = decision.executed
        chosen = {
            name: outputs[name][rows, action].astype(np.float64)
            for name in ("value", "value_lower", "expected_cost")
        }
        return Scores(
            decision,
            **chosen,
            commitment=self.table.commitment[action],
            reasons=self._reasons(observation, outputs, decision),
        )

    def _reasons(
        self,
        observation: NDArray[np.float32],
        outputs: dict[str, NDArray[Any]],
        decision: Decision,
    ) -> list[str]:
        """The features that speak most for the proposed action, by occlusion.

        A feature's weight is the fall of the action's score when the feature is set to its
        typical value. Where nothing was proposed the reason says so.
        """
        reasons = ["no offer is worth more than none"] * observation.shape[0]
        rows = np.flatnonzero(decision.proposed > 0)
        if rows.size == 0:
            return reasons
        action = decision.proposed[rows]
        mask = np.ones((rows.size, self.table.n), bool)
        weight = np.full((rows.size, len(FEATURES)), -np.inf)
        for at, feature in enumerate(FEATURES):
            if feature.name in _CONTEXT_FEATURES:
                continue
            typical = observation[rows].copy()
            typical[:, at] = CENTRE[at]
            without = run_onnx(self.bundle.session, typical, mask)["score"]
            picked = np.arange(rows.size)
            weight[:, at] = outputs["score"][rows, action] - without[picked, action]
        order = np.argsort(-weight, axis=1, kind="stable")[:, :_REASONS]
        for at, row in enumerate(rows):
            told = [
                f"{FEATURES[k].name}={observation[row, k]:.3g} {FEATURES[k].unit}"
                for k in order[at]
                if weight[at, k] > 0
            ]
            reasons[row] = "; ".join(told) or "typical customer"
        return reasons
