"""``loyaltylab/ProgrammeDesign-v0``: a whole programme, decided on a quarter at a time."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.records import Customers
from agents.rng import derive_seed
from envs.design.kpis import Quarter, kpi_table, kpis
from envs.design.render import Row, episode_table, row_of
from envs.design.running import RunningProgramme, with_replica
from envs.design.task import DesignTask, default_design_task
from envs.features import column, observe
from sim.ledger import MICRO
from sim.redesign import same_terms


class ProgrammeDesignEnv(gym.Env[Any, Any]):
    """A loyalty programme redesigned every quarter. Id: ``loyaltylab/ProgrammeDesign-v0``.

    Description
        A firm runs a programme with tiers, rewards and offers for N customers. Each quarter (13
        weeks) it may announce other terms and set the offer budget. An offer policy decides on
        single customers inside. The firm sees KPIs that it could compute itself, never who has
        silently left.

    Action
        ``Box(-1, 1, (A,), float32)``, one entry for each lever; 0, and what is nearer to 0 than
        the dead band (0.1), changes nothing. Steps start from the terms announced last.

        ======================  ========================================================
        lever                   +1 / -1
        ======================  ========================================================
        threshold_<tier>        gap to the threshold below × 1.25 / ÷ 1.25
        multiplier_<tier>       multiplier above the tier below + 0.1 / - 0.1, at least 0
        price_<reward>          gap to the price below (the price) × 1.25 / ÷ 1.25
        earn_rate               points per currency unit × 1.25 / ÷ 1.25
        budget                  weekly offer budget per customer × 1.25 / ÷ 1.25
        split_<kind>            the kind's weight in the budget × 1.25 / ÷ 1.25
        ======================  ========================================================

        Thresholds and prices rise by construction. Everything stays within a fourth and four
        times its start. ``LeverParameters`` sets the figures. NaN and values beyond ±1 are refused.

    Observation
        ``Box(float32, (K,))`` in natural units, not scaled; money in currency units per customer
        of the cohort and quarter. ``env.unwrapped.table`` has unit, range, centre and scale.

        ===============================  ===============================================
        column                           meaning
        ===============================  ===============================================
        profit                           margin - cash cost - change of liability
        margin                           before programme cost
        offer_cost                       discounts, items and messages
        reward_cost                      rewards handed out
        liability_change                 of points owed, revaluation included
        liability                        points owed at the quarter's end
        purchases                        per customer and week
        points_earned                    per customer
        redemption_rate                  points redeemed of those earned
        breakage_rate                    points expired of those earned
        active                           share whom the firm's filter believes alive
        members                          share with an open account in the programme
        close_to_tier                    members within close_share of their next tier
        close_to_reward                  members within close_share of a reward
        keeping                          members who keep old terms
        rose, fell                       changes of tier per member
        offers                           sent per customer
        budget_settled                   share of the quarter's offer budget spent
        budget_reserved                  share of the weekly budget open at the end
        tier_<tier>                      share of members
        threshold_<tier>                 in force, to the start's
        multiplier_<tier>                in force
        price_<reward>                   in force, to the start's
        earn_rate                        in force, to the start's
        announced_threshold_<tier>       when all that was announced holds
        announced_multiplier_<tier>      the same
        announced_price_<reward>         the same
        announced_earn_rate              the same
        budget                           weekly offer budget per customer
        split_<kind>                     its shares
        weeks_to_change                  until announced terms hold, 0 = none
        quarter_<1-4>                    1 for the quarter of the year about to start
        horizon_left                     share of the quarters left
        ===============================  ===============================================

    Reward
        Profit of the quarter per customer of the cohort, currency units: margin - cash cost -
        change of the points liability, points valued anew by a change of prices included. With
        ``task.paired`` less that of a twin whose programme never changes.

    Protection (``task.constraints.goalposts``; no action gets around it)
        Worse terms hold 13 weeks after their announcement, better ones at once. Who is within 20 %
        of the next tier or of a reward when it gets dearer keeps the old threshold or price until
        it is reached. Worse terms take no tier and no multiplier from anybody who has it. Both
        last 52 weeks at most. Offers promised before the budget fell stay promised.

    Start
        The cohort after 4 quarters under the starting programme, the same for all episodes of a
        world; the world is drawn by the seed, and every episode has a replica number of its own.

    End
        Truncated at ``task.horizon`` quarters (12); never terminated. ``info["residual_value"]``
        then has the margin to expect per customer in the 13 weeks after; it is not in the reward.

    Info
        ``cost``: what offers settled per customer; ``costs``: ``offer_budget`` the same,
        ``reward_cost``, ``liability`` per customer, all in currency units; ``kpis`` by name, not
        clipped; ``announced``: whether the action announced other terms; ``clamped``: levers that
        went less far than asked, and why; ``lift`` (paired only).

    Arguments
        ``task`` (default: ``default_design_task()``: 2,000 customers, no offers), ``render_mode``
        None or ``"ansi"``: ``render`` gives a table of the episode's quarters.

    Version history
        v0: first release.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, task: DesignTask | None = None, render_mode: str | None = None) -> None:
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode={render_mode!r}: choose None or 'ansi'")
        self.task = default_design_task() if task is None else task
        self.render_mode = render_mode
        self.levers = self.task.levers_of(0)
        self.table = kpi_table(self.levers)
        self.names = tuple(kpi.name for kpi in self.table)
        self._low = np.array([kpi.low for kpi in self.table], np.float32)
        self._high = np.array([kpi.high for kpi in self.table], np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self.levers.n,), np.float32)
        self.observation_space = gym.spaces.Box(self._low, self._high, dtype=np.float32)
        self._starts: dict[int, tuple[Customers, Quarter]] = {}
        self._key = np.uint64(0)
        self._episode = 0
        self._world = 0
        self._quarters = 0
        self._running: RunningProgramme | None = None
        self._twin: RunningProgramme | None = None
        self._rows: list[Row] = []

    # ------------------------------------------------------------------ gymnasium interface

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; a seed fixes all that follows, further episodes too."""
        super().reset(seed=seed)
        if seed is not None or self._running is None:
            base = seed if seed is not None else int(self.np_random.integers(2**31))
            self._key = derive_seed(base, "train")
            self._episode = 0
        self._episode += 1
        world = self._world = int(self.np_random.integers(len(self.task.worlds)))
        self.levers = self.task.levers_of(world)
        self._running = self._start(world)
        self._twin = self._start(world) if self.task.paired else None
        self._quarters = 0
        self._rows = []
        values = self._values(self._running)
        info = self._info(self._running, values, announced=False)
        return self._clipped(values), info | {"clamped": {}}

    def step(
        self, action: ArrayLike
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Announce, then live through one quarter."""
        running = self._running
        if running is None or self._quarters >= self.task.horizon:
            raise gym.error.ResetNeeded("call reset before the first step and after the last")
        now = running.design._replace(programme=running.notices.latest)
        design, clamped = self.levers.move(action, now, running.standing)
        announced = not same_terms(design.programme, now.programme)
        running.announce(design)
        week, notices = running.market.week, running.notices
        in_force, pending = notices.in_force, notices.pending
        quarter = running.live()
        self._quarters += 1
        reward = quarter.profit / 100.0 / running.market.customers.n
        values = self._values(running)
        info = self._info(running, values, announced) | {"clamped": clamped}
        if self._twin is not None:
            reward -= self._twin.live().profit / 100.0 / running.market.customers.n
            info["lift"] = reward
        if self.render_mode is not None:
            self._rows.append(row_of(week, in_force, pending, design, info["kpis"]))
        truncated = self._quarters >= self.task.horizon
        if truncated:
            info["residual_value"] = self._residual_value(running)
        return self._clipped(values), float(reward), False, truncated, info

    def render(self) -> str | None:
        """The episode so far as a table, with ``render_mode="ansi"``."""
        return episode_table(self._rows) if self.render_mode == "ansi" else None

    # ------------------------------------------------------------------------------- parts

    @property
    def world(self) -> int:
        """Which of the task's worlds this episode lives in: for analyses, not for policies."""
        return self._world

    @property
    def running(self) -> RunningProgramme:
        """The programme of this episode: for audits and analyses, not for policies.

        Raises
        ------
        gymnasium.error.ResetNeeded
            Before the first reset.
        """
        if self._running is None:
            raise gym.error.ResetNeeded("call reset first")
        return self._running

    def _start(self, world: int) -> RunningProgramme:
        """The world's cohort after its warm-up, with the luck of this episode."""
        if world not in self._starts:
            self._starts[world] = self.task.warmed(world)
        customers, quarter = self._starts[world]
        own = self.task.run(world, with_replica(customers, self._episode), self._key)
        own.quarter = quarter
        return own

    def _values(self, running: RunningProgramme) -> NDArray[np.float64]:
        left = 1.0 - self._quarters / self.task.horizon
        design, notices = running.design, running.notices
        return kpis(
            running.market, running.quarter, design, notices, self.levers, running.open_share, left
        )

    def _clipped(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.clip(values.astype(np.float32), self._low, self._high)

    def _info(
        self, running: RunningProgramme, values: NDArray[np.float64], announced: bool
    ) -> dict[str, Any]:
        money = 100.0 * running.market.customers.n
        settled = running.quarter.settled / money
        return {
            "cost": settled,
            "costs": {
                "offer_budget": settled,
                "reward_cost": running.quarter.reward_cost / money,
                "liability": running.market.ledger.liability / MICRO / money,
            },
            "kpis": dict(zip(self.names, values.tolist(), strict=True)),
            "announced": announced,
        }

    def _residual_value(self, running: RunningProgramme) -> float:
        """Margin to expect per customer in the 13 weeks after the episode, currency units."""
        market = running.market
        seen = observe(market.customers.profile, market.week, market.engine.rules)
        value = seen[:, column("residual_value")].astype(np.float64)
        return float(value[market.customers.profile["joined"] >= 0].sum()) / market.customers.n
