"""Weekly offers to N customers in one engine, as a Gymnasium vector environment."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agents.records import Customers
from agents.rng import derive_seed
from envs.constraints.names import EVERY_CONSTRAINT
from envs.episodes import Episodes
from envs.features import HIGH, LOW, N_FEATURES
from envs.shared_limits import SharedLimits, liability_by_world
from envs.step import COSTS, look_rows, step_rows
from envs.task import OfferTask, default_task
from sim.engine import EventLog


class OfferVectorEnv(VectorEnv[Any, Any, Any]):
    """N customers decided on week by week, in one parallel engine. Id: ``loyaltylab/Offers-v0``.

    Description
    -----------
    A firm runs a points programme and may send each customer one offer a week. It sees a profile
    folded from events, never the customer. A customer who silently left stays in the
    environment: not knowing is the problem. One step is one week.

    Action
    ------
    ``Discrete(A)``, a row of the flat table (offer, channel) of the task's worlds.

    =======  ==========================================================================
    action   meaning
    =======  ==========================================================================
    0        nothing
    1..A-1   ``env.table.labels[action]``, "offer/channel"; costs at most
             ``env.table.commitment[action]`` minor units
    =======  ==========================================================================

    A masked action is replaced by 0, and so are actions beyond the shared budget;
    ``info["executed"]`` tells. An action outside the table is a ``ValueError``.

    Observation
    -----------
    ``Box(float32, (N_FEATURES,))`` in natural units, not scaled; ``envs.features.FEATURES`` adds
    a typical value and scale to each.

     #  name                         unit            min    max  meaning
     0  p_alive                      probability       0      1  has the customer silently left?
     1  expected_rate                1/week            0     60  purchases to expect while alive
     2  expected_basket              currency          0    1e5  basket to expect
     3  residual_value               currency          0    1e6  margin to expect in 13 weeks
     4  weeks_since_purchase         weeks             0    520  recency
     5  gap_ratio                    purchases         0    520  purchases missed since the last one
     6  age                          weeks             0   5200  time known
     7  repeats                      purchases         0    1e5  frequency
     8  purchases_fast               1/week            0    255  purchases of about 4 weeks
     9  revenue_fast                 currency/week     0    1e6  revenue of about 4 weeks
    10  revenue_slow                 currency/week     0    1e6  revenue of about 26 weeks
    11  spend_trend                  ratio             0     20  recent against longer revenue
    12  rewards_worth                rewards           0   1000  points balance in cheapest rewards
    13  goal_progress                share             0      1  share of the next reward earned
    14  tier                         tier              0      6  status
    15  next_tier_gap                share             0      1  share missing for the next tier
    16  contacts_4                   contacts          0      4  contacts of the last 4 weeks
    17  contacts_13                  contacts          0     13  contacts of the last 13 weeks
    18  open_rate_email              probability       0      1  attention by email, shrunk
    19  open_rate_sms                probability       0      1  attention by sms, shrunk
    20  open_rate_push               probability       0      1  attention by push, shrunk
    21  redemption_rate_discount     probability       0      1  use of discount, shrunk
    22  redemption_rate_points       probability       0      1  use of points, shrunk
    23  redemption_rate_free_item    probability       0      1  use of free_item, shrunk
    24  redemption_rate_recognition  probability       0      1  use of recognition, shrunk
    25  offer_lift                   ratio             0     20  purchases with offers over usual
    26  offer_weeks                  weeks             0  65535  weeks with an open offer so far
    27  offer_weeks_left             weeks             0     52  validity of the open offer
    28  season                       log              -2      3  season of the coming week
    29  budget_left                  share             0      1  offer budget free this week
    30  budget_refused               share             0      1  asked commitment refused last week

    The last two stand for a shadow price. A price in units of a policy's scores would mean one
    thing in training, where a policy gives actions, and another in serving, where it gives
    values; shares of the budget mean the same in both.

    Reward
    ------
    Margin − cash cost − change of the points liability of the week, currency units; with
    ``task.paired`` less the same of a twin with the same luck and no offers.

    Start
    -----
    A world of the task and a customer of its pool, drawn by seed, row and episode. Neither is
    told. The replica number, and with it all luck, is new in every episode.

    End
    ---
    Terminated when the customer closes the account, all that a firm observes of leaving (with
    ``task.paired``: when the twin has too); truncated after ``task.horizon`` weeks.

    Info
    ----
    ==================  ==============  =====================================================
    key                 shape           meaning
    ==================  ==============  =====================================================
    action_mask         (N, A) bool     allowed actions of the coming week; 0 always is
    executed            (N,) int64      action carried out
    cost                (N,) float64    offer cost settled this week, currency units
    costs               dict of (N,)    cost of each constraint by name, see below
    residual_value      (N,) float64    margin to expect in the 13 weeks after an episode
                                        ended, currency units, 0 elsewhere; it is not in the
                                        reward
    final_obs           (N,) object     SAME_STEP: last observation of rows that ended
    final_info          dict            SAME_STEP: all of the above as of the ended episodes
    _final_obs          (N,) bool       SAME_STEP: which rows ended; ``_final_info`` too
    ==================  ==============  =====================================================

    ``costs``: offer_budget (offer cost settled, currency units), contact_cap (contacts),
    discount_exposure (discounts settled, currency units), liability_alarm (change of the points
    liability, currency units). After ``reset`` there is only ``action_mask``.

    Every array returned is new and belongs to the caller.

    Arguments
    ---------
    ==================  ===============================================================
    argument            meaning
    ==================  ===============================================================
    num_envs            customers N, at least 1
    task                an ``OfferTask``; default ``default_task()``
    autoreset_mode      NEXT_STEP (default), SAME_STEP or DISABLED, as in Gymnasium
    first_row, rows     these are rows first_row.. of ``rows`` in all (default: all):
                        the same customers with the same luck as there
    enforced            bit set of the constraints that bind (``envs.constraints.names``);
                        less than all only where a check must see that a ledger finds
                        what a missing constraint lets through
    ==================  ===============================================================

    ``reset(seed=...)`` fixes every later draw; a list counts by its first seed.
    ``reset(options={"world": k})`` holds all episodes in world k until the next full reset;
    ``options={"reset_mask": mask}`` starts those rows only.

    Version history
    ---------------
    v0: first release.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: OfferTask | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        first_row: int = 0,
        rows: int | None = None,
        enforced: int = EVERY_CONSTRAINT,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be at least 1")
        if render_mode is not None:
            raise ValueError(f"render_mode={render_mode!r}: this environment draws nothing")
        all_rows = num_envs if rows is None else rows
        if not 0 <= first_row <= all_rows - num_envs:
            raise ValueError(f"first_row={first_row} must lie in 0..{all_rows - num_envs}")
        self.task = task or default_task()
        self.num_envs = num_envs
        self.render_mode = None
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.table = self.task.worlds[0].table
        self.single_observation_space = gym.spaces.Box(LOW, HIGH, dtype=np.float32)
        self.single_action_space = gym.spaces.Discrete(self.table.n)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rules = np.concatenate([world.rules() for world in self.task.worlds])
        self._shared = SharedLimits(
            self.task.constraints, self.table, num_envs, liability_by_world(self._rules), enforced
        )
        self.episodes = Episodes(self.task, num_envs, first_row, all_rows)
        self._rows = np.arange(num_envs)
        self._log = EventLog(num_envs, recording=False).rows
        self._nothing = np.zeros(num_envs, np.int64)
        self._ended = np.ones(num_envs, bool)
        self._blocked = np.zeros((num_envs, self.table.n), np.uint8)
        self._weeks = 0

    @property
    def customers(self) -> Customers:
        """Who is behind the rows: for audits, not for policies."""
        return self.episodes.customers

    # ------------------------------------------------------------------ gymnasium interface

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start all rows, or those of ``options["reset_mask"]``; see the class."""
        options = options or {}
        chosen = self._rows
        if "reset_mask" in options:
            chosen = self._chosen(options["reset_mask"])
            if seed is not None:
                raise ValueError(f"seed={seed} with a reset_mask: all rows share one seed")
        else:
            self.episodes.fixed_world = -1
        if "world" in options:
            self.episodes.fixed_world = self._checked_world(options["world"])
        if isinstance(seed, (list, tuple)):
            seed = int(seed[0]) if len(seed) else None
        if seed is not None or self._np_random is None:
            super().reset(seed=seed)
            base = seed if seed is not None else int(self.np_random.integers(2**31))
            self.episodes.reseed(derive_seed(base, "train"))
        self._start(chosen)
        if chosen.size == self.num_envs or not self._shared.opened:
            self._weeks = 0
            self._shared.open(self.customers.profile)
        observation = np.empty((self.num_envs, N_FEATURES), np.float32)
        mask = np.empty((self.num_envs, self.table.n), np.bool_)
        self._review()
        self._look(self._rows, observation, mask)
        self._shared.show(observation)
        return observation, {"action_mask": mask}

    def step(
        self, actions: NDArray[np.integer]
    ) -> tuple[
        NDArray[np.float32],
        NDArray[np.float64],
        NDArray[np.bool_],
        NDArray[np.bool_],
        dict[str, Any],
    ]:
        """One week for every row; see the class for all values."""
        if not self._shared.opened:
            raise gym.error.ResetNeeded("reset before the first step")
        wanted = self._checked(actions)
        restarting = np.flatnonzero(self._ended)
        if restarting.size:
            if self.autoreset_mode != AutoresetMode.NEXT_STEP:
                raise gym.error.ResetNeeded("an episode has ended: reset its row before stepping")
            wanted = np.where(self._ended, 0, wanted)
        if self._shared.bind:
            wanted = self._shared.within(wanted, self._blocked, self.episodes.replica, self._weeks)
        week = self._advance(wanted)
        if restarting.size:
            self._start(restarting)
            for array in (week.reward, week.terminated, week.truncated, week.executed):
                array[restarting] = 0
            week.costs[:, restarting] = 0.0
            week.residual[restarting] = 0.0
            week.sales[:, restarting] = 0
        self._ended = week.terminated | week.truncated
        self._shared.close_week(*week.sales)
        if self._review():
            self._look(self._rows, week.observation, week.mask)
        elif restarting.size:
            self._look(restarting, week.observation, week.mask)
        self._shared.show(week.observation)
        costs = dict(zip(COSTS, week.costs, strict=True))
        info: dict[str, Any] = {
            "action_mask": week.mask,
            "executed": week.executed,
            "cost": week.costs[0],
            "costs": costs,
            "residual_value": week.residual,
        }
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._ended.any():
            self._restart_now(week, info)
        return week.observation, week.reward, week.terminated, week.truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, shape (N, A); column 0 is always true."""
        mask: NDArray[np.bool_] = self._blocked == 0
        return mask

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing to release."""

    # ------------------------------------------------------------------------------- checks

    def _checked(self, actions: NDArray[np.integer]) -> NDArray[np.int64]:
        wanted: NDArray[np.int64] = np.asarray(actions, dtype=np.int64)
        if wanted.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {wanted.shape}, not ({self.num_envs},)")
        if wanted.min() < 0 or wanted.max() >= self.table.n:
            raise ValueError(f"actions must lie in 0..{self.table.n - 1}")
        return wanted

    def _chosen(self, mask: Any) -> NDArray[np.intp]:
        shape = (self.num_envs,)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != shape:
            raise ValueError(f"reset_mask must be a bool array of shape {shape}")
        if not mask.any():
            raise ValueError("reset_mask chooses no row")
        return np.flatnonzero(mask)

    def _checked_world(self, world: Any) -> int:
        last = len(self.task.worlds) - 1
        if not isinstance(world, (int, np.integer)) or not 0 <= world <= last:
            raise ValueError(f"options['world']={world!r} must be a number in 0..{last}")
        return int(world)

    # ---------------------------------------------------------------------------- one week

    def _start(self, rows: NDArray[np.intp]) -> None:
        """New episodes for some rows."""
        self.episodes.start(rows)
        self._ended[rows] = False

    def _advance(self, wanted: NDArray[np.int64]) -> "_Week":
        self._weeks += 1
        n = self.num_envs
        week = _Week(
            np.empty(n, np.int64),
            np.empty(n, np.float64),
            np.empty((len(COSTS), n), np.float64),
            np.empty(n, np.bool_),
            np.empty(n, np.bool_),
            np.empty(n, np.float64),
            np.empty((n, N_FEATURES), np.float32),
            np.empty((n, self.table.n), np.bool_),
            np.empty((2, n), np.int64),
        )
        played = self.episodes
        own, twins = played.customers, played.twins
        step_rows(
            n, own.traits, own.state, own.account, own.profile, twins.state, twins.account,
            twins.profile, self._log, wanted, self._nothing, played.world, self._rules, played.key,
            played.first_week, self.task.horizon, self._shared.record, self.table.actions,
            self.table.offers, 1.0, 0.0, self._blocked, played.settled, *week,
        )  # fmt: skip
        return week

    def _look(
        self,
        rows: NDArray[np.intp],
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
    ) -> None:
        """Observe some rows again, in place."""
        own = self.customers
        look_rows(
            rows, own.state, own.account, own.profile, self.episodes.world, self._rules,
            self._shared.record, self.table.actions, self.table.offers, 1.0, 0.0, observation,
            self._blocked, mask,
        )  # fmt: skip

    def _review(self) -> bool:
        """What may be committed now; whether the masks of all rows have changed."""
        played = self.episodes
        return self._shared.look(played.customers, played.world, played.settled)

    def _restart_now(self, week: "_Week", info: dict[str, Any]) -> None:
        """SAME_STEP: hand over how episodes ended, and start the next ones."""
        ended = np.flatnonzero(self._ended)
        final = np.full(self.num_envs, None, dtype=object)
        for row, last in zip(ended, week.observation[ended], strict=True):
            final[row] = last
        info |= {
            "final_info": info | {"action_mask": week.mask.copy()},
            "_final_info": self._ended.copy(),
            "final_obs": final,
            "_final_obs": self._ended.copy(),
        }
        self._start(ended)
        if self._review():
            self._look(self._rows, week.observation, week.mask)
        else:
            self._look(ended, week.observation, week.mask)
        self._shared.show(week.observation)


class _Week(NamedTuple):
    """Results of ``envs.step.step_chunk``, in its order."""

    executed: NDArray[np.int64]
    reward: NDArray[np.float64]
    costs: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    residual: NDArray[np.float64]
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    sales: NDArray[np.int64]
