"""Weekly offers to customers, as Gymnasium environments: one customer, or N in one engine."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agents.population import GROCERY, draw_population, dynamics_from, filter_from
from agents.profile import residual_value
from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from envs.constraints.budgets import FirmBudgets, Rooms
from envs.constraints.masks import blocking, limits_record
from envs.constraints.parameters import ConstraintParameters, ContactCap
from envs.decision import decide
from envs.features import HIGH, LOW, VALUE_WEEKS, observe
from sim.engine import Engine
from sim.ledger import cash_cost, points_outstanding, profit
from sim.offers import Offer, OfferBook
from sim.programme import ProgrammeParameters, Tier
from sim.world import World

HORIZON = 52
CAPPED = ConstraintParameters(contact_cap=ContactCap())
WARMUP = 52


def default_world() -> World:
    """A small example with grocery customers; the real worlds are in conf/."""
    return World(
        response=ResponseParameters(
            name="example",
            offer_log_rate=KindEffects(0.10, 0.06, 0.06, 0.02),
            offer_log_rate_sd=0.10,
            goal_gradient=0.22,
            reward_log_hazard=-0.1,
        ),
        dynamics=dynamics_from(GROCERY),
        filter=filter_from(GROCERY),
        programme=ProgrammeParameters(
            "tiered",
            active=True,
            tiers=(Tier("base", 0), Tier("silver", 1800, 1.25), Tier("gold", 3600, 1.5)),
        ),
        book=OfferBook(
            "standard",
            (
                Offer("discount_5", "discount", depth=0.05, cap=3.0, weeks=2, strength=0.6),
                Offer("bonus_points", "points", points=200, weeks=2),
                Offer("thank_you", "recognition"),
            ),
        ),
    )


@dataclass(frozen=True)
class OfferTask:
    """What an episode is about: worlds, customers, constraints, horizon.

    Parameters
    ----------
    worlds
        Worlds that differ in their response only; an episode lives in one of them, never told.
    pool
        Customers who start episodes, all at one week, usually after a warm-up; prospects and
        those who have closed their account are passed over.
    constraints
        Masks always bind. The offer budget is shared by all rows of a vector environment, so a
        single customer's environment does without.
    horizon
        Weeks per episode.
    paired
        Reward is the difference to a twin with the same luck and no offers. The twin does not
        depend on the actions, so the optimum over the horizon is the same and the variance far
        smaller. An episode then ends early only when both have closed their accounts.
    """

    worlds: tuple[World, ...]
    pool: Customers
    constraints: ConstraintParameters = CAPPED
    horizon: int = HORIZON
    paired: bool = False

    def __post_init__(self) -> None:
        if not self.worlds:
            raise ValueError("worlds is empty: give at least one")
        if self.starts.size == 0:
            raise ValueError("pool has no customer with an open account")
        if not self.pool.keeps_outcome:
            raise ValueError("pool keeps no OUTCOME rows, which rewards are made of")
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon} must be at least 1")

    @property
    def starts(self) -> NDArray[np.intp]:
        """Rows of the pool that episodes may start from."""
        return np.flatnonzero(
            (self.pool.account["closed"] == 0) & (self.pool.profile["joined"] >= 0)
        )


def make_pool(world: World, n: int, seed: int, warmup: int = WARMUP) -> Customers:
    """Grocery customers after ``warmup`` weeks of the programme without offers."""
    pool = draw_population(GROCERY, n, derive_seed(seed, "population"))
    engine = Engine(pool, world.rules(), derive_seed(seed, "train"))
    for _ in range(warmup):
        engine.advance()
    return pool


def default_task(seed: int = 0, pool_size: int = 512) -> OfferTask:
    """The task of the registered ids."""
    world = default_world()
    return OfferTask((world,), make_pool(world, pool_size, seed))


class OfferVectorEnv(VectorEnv[Any, Any, Any]):
    """N customers decided on week by week, in one parallel engine. Id: ``loyaltylab/Offers-v0``.

    Description
        A firm runs a points programme and may send each customer one offer a week. It sees a
        profile folded from events, never the customer. A customer who silently left stays in
        the environment: not knowing is the problem.

    Action
        ``Discrete(A)``: row of the flat table (offer, channel); 0 = nothing. Masked actions are
        replaced by 0, actions beyond the shared budget too; ``info["executed"]`` tells.

    Observation
        ``Box(float32, (N_FEATURES,))``: ``envs.features.FEATURES`` gives name, unit, range and
        purpose of each. Natural units, not scaled.

    Reward
        margin − cash cost − change of points liability of the week, in currency units; with
        ``task.paired`` less the same of a twin without offers.

    Start
        A customer of the pool, drawn by the seed; its replica number is new in every episode.

    End
        Terminated when the customer closes the account (all a firm observes of leaving);
        truncated at ``task.horizon``. ``info["residual_value"]`` holds the margin to expect in
        the 13 weeks after; it is not in the reward.

    Info
        ``action_mask`` (N, A); ``cost`` = offer cost settled this week in currency units;
        ``costs`` by constraint name; ``executed`` (N,); ``residual_value`` (N,); with SAME_STEP
        ``final_obs`` and ``_final_obs`` on ending.

    Arguments
        ``num_envs``; ``task`` (default: ``default_task()``); ``autoreset_mode``
        NEXT_STEP (default), SAME_STEP or DISABLED.

    Version history
        v0: first release.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: OfferTask | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be at least 1")
        if render_mode is not None:
            raise ValueError(f"render_mode={render_mode!r}: this environment draws nothing")
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
        self._rules = tuple(world.rules() for world in self.task.worlds)
        self._limits = limits_record(self.task.constraints, self.table.categories)
        self._key = np.uint64(0)
        self._rows = np.arange(num_envs)
        self._episode = np.zeros(num_envs, np.int64)
        self._needs_reset = np.ones(num_envs, bool)
        self._blocked = np.zeros((num_envs, self.table.n), np.uint8)
        self._first_week = int(self.task.pool.state["week"][0])
        self._budget_refused = 0.0
        self._settled = np.zeros(num_envs, np.int64)
        self._weeks = 0
        self._starts = self.task.starts
        start = np.full(num_envs, self._starts[0])
        # One engine per response world; rows are dealt to worlds once, by number.
        self._parts = [self._rows[at :: len(self._rules)] for at in range(len(self._rules))]
        self.customers = self.task.pool.take(start)
        self._twins = self.task.pool.take(start) if self.task.paired else None
        self._budgets = self._new_budgets()
        self._rooms = Rooms()

    # ------------------------------------------------------------------ gymnasium interface

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start all rows; a seed fixes every later draw."""
        if isinstance(seed, (list, tuple)):
            seed = int(seed[0]) if len(seed) else None
        if seed is not None or self._np_random is None:
            super().reset(seed=seed)
            base = seed if seed is not None else int(self.np_random.integers(2**31))
            self._key = derive_seed(base, "train")
            self._episode[:] = 0
        chosen = self._rows
        if options is not None and "reset_mask" in options:
            chosen = np.flatnonzero(options["reset_mask"])
        else:
            self._budget_refused = 0.0
            self._weeks = 0
        self._start(chosen)
        if chosen is self._rows:
            self._budgets = self._new_budgets()
        observation = self._observe()
        return observation, self._info()

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
        wanted: NDArray[np.int64] = np.asarray(actions, dtype=np.int64)
        if wanted.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {wanted.shape}, not ({self.num_envs},)")
        if wanted.min() < 0 or wanted.max() >= self.table.n:
            raise ValueError(f"actions must lie in 0..{self.table.n - 1}")
        restarting = np.flatnonzero(self._needs_reset)
        if restarting.size and self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise gym.error.ResetNeeded("an episode has ended: reset its row before stepping")
        wanted = np.where(self._needs_reset, 0, wanted)
        executed = self._execute(wanted)
        self._advance(executed)
        reward = self._reward(self.customers)
        if self._twins is not None:
            reward -= self._reward(self._twins)
        terminated = self.customers.account["closed"] > 0
        if self._twins is not None:  # a twin who stays is what closing the account costs
            terminated &= self._twins.account["closed"] > 0
        truncated = ~terminated & (
            self.customers.state["week"] - self._first_week >= self.task.horizon
        )
        settled = self.customers.outcome["settled"] / 100.0
        contacts = (self.customers.outcome["action"] > 0).astype(np.float64)
        if restarting.size:
            self._start(restarting)
            for array in (reward, settled, contacts, terminated, truncated, executed):
                array[restarting] = 0
        self._needs_reset = terminated | truncated
        residual = self._residual_value(np.flatnonzero(self._needs_reset))
        observation = self._observe()
        info: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._needs_reset.any():
            ended = np.flatnonzero(self._needs_reset)
            info["final_obs"] = np.full(self.num_envs, None, dtype=object)
            for row in ended:
                info["final_obs"][row] = observation[row].copy()
            info["_final_obs"] = self._needs_reset.copy()
            self._start(ended)
            observation = self._observe()
        info |= self._info()
        info |= {
            "cost": settled,
            "costs": {"offer_budget": settled, "contact_cap": contacts},
            "executed": executed,
            "residual_value": residual,
        }
        return observation, reward, terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, shape (N, A); column 0 is always true."""
        mask: NDArray[np.bool_] = self._blocked == 0
        return mask

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing to release."""

    # ---------------------------------------------------------------------------- one week

    def _start(self, rows: NDArray[np.integer]) -> None:
        """New episodes for some rows: a pool customer chosen by address, a new replica."""
        if rows.size == 0:
            return
        episode = self._episode[rows]
        replica = 1 + episode * self.num_envs + rows
        pick = _hash(self._key, replica) % np.uint64(self._starts.size)
        source = self.task.pool.take(self._starts[pick.astype(np.int64)])
        source.state["replica"] = replica.astype(np.uint32)
        self.customers.put(rows, source)
        if self._twins is not None:
            self._twins.put(rows, source)
        self._settled[rows] = 0
        self._episode[rows] += 1
        self._needs_reset[rows] = False

    def _execute(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Masks and shared budget: the executed actions, shape (N,)."""
        allowed = np.where(self._blocked[self._rows, actions] == 0, actions, 0)
        rooms, commitment = self._rooms, self.table.commitment
        available = rooms.offer_budget
        one_limit = rooms.tail is None and rooms.discount_exposure is None
        if one_limit and (available is None or int(commitment[allowed].sum()) <= available):
            self._budget_refused = 0.0
            return allowed
        # The learner gives actions, not values: a lottery at equal efficiency among those asked.
        score = np.full((self.num_envs, self.table.n), -np.inf)
        score[self._rows, allowed] = commitment[allowed]
        score[:, 0] = 0.0
        decision = decide(
            score,
            self._blocked,
            self.table,
            rooms,
            self.customers.state["replica"].astype(np.uint64),
            self._weeks,
        )
        self._budget_refused = decision.budget_refused
        free = commitment[allowed] == 0
        return np.where(free, allowed, decision.executed.astype(np.int64))

    def _advance(self, executed: NDArray[np.int64]) -> None:
        self._weeks += 1
        nothing = np.zeros_like(executed)
        for cohort, chosen in ((self.customers, executed), (self._twins, nothing)):
            if cohort is None:
                continue
            if len(self._rules) == 1:
                Engine(cohort, self._rules[0], self._key).advance(chosen)
                continue
            for rows, rules in zip(self._parts, self._rules, strict=True):
                part = cohort.take(rows)
                Engine(part, rules, self._key).advance(chosen[rows])
                cohort.put(rows, part)
        outcome = self.customers.outcome
        self._settled += outcome["settled"]
        paid = outcome["gross"] - outcome["discount"] - outcome["voucher"] + outcome["fees"]
        self._budgets.books.close_week(
            int(paid.sum(dtype=np.int64)), int(outcome["discount"].sum(dtype=np.int64))
        )

    @staticmethod
    def _reward(cohort: Customers) -> NDArray[np.float64]:
        outcome = cohort.outcome
        reward: NDArray[np.float64] = profit(
            outcome["margin"], cash_cost(outcome), outcome["liability_change"]
        )
        return reward / 100.0

    def _new_budgets(self) -> FirmBudgets:
        return FirmBudgets(self.task.constraints, self.table, self.num_envs, self.customers.profile)

    def _observe(self) -> NDArray[np.float32]:
        customers, constraints = self.customers, self.task.constraints
        liability = 0
        if constraints.liability_alarm is not None:
            per_point = self.task.worlds[0].programme.liability_per_point
            liability = points_outstanding(customers) * per_point
        # What ended episodes settled counts no more.
        self._rooms = self._budgets.rooms(
            customers.account, customers.profile, int(self._settled.sum())
        )
        self._limits["points_stopped"] = self._budgets.stops_points(liability)
        self._blocked = blocking(customers.account, customers.profile, self.table, self._limits)
        return observe(
            customers.profile,
            customers.state["week"],
            self._rules[0],
            constraints.offer_budget.free_share(self.num_envs, self._rooms.offer_budget),
            self._budget_refused,
            constraints.features,
        )

    def _residual_value(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Margin to expect after the episodes that ended, 0 elsewhere; currency units."""
        rules = self._rules[0]
        share = float(rules["margin_share"][0]) / 10_000.0
        value = np.zeros(self.num_envs)
        for row in rows:
            value[row] = residual_value(
                self.customers.profile[row], rules["filter"][0], share, VALUE_WEEKS
            )
        return value / 100.0

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.action_masks()}


def _hash(key: np.uint64, values: NDArray[np.integer]) -> NDArray[np.uint64]:
    """SplitMix64 finaliser of key and value (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


class OfferEnv(gym.Env[Any, Any]):
    """One customer decided on week by week: ``OfferVectorEnv`` with a single row.

    Action, observation, reward, start, end and info are those of ``OfferVectorEnv`` without the
    leading axis. Id: ``loyaltylab/Offers-v0``.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own form

    def __init__(self, task: OfferTask | None = None, render_mode: str | None = None) -> None:
        self.vector = OfferVectorEnv(1, task, AutoresetMode.DISABLED, render_mode)
        self.render_mode = None
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; a seed fixes all that follows."""
        super().reset(seed=seed)
        observation, info = self.vector.reset(seed=seed)
        return observation[0], _first(info)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One week."""
        observation, reward, terminated, truncated, info = self.vector.step(np.array([int(action)]))
        return (
            observation[0],
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _first(info),
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, shape (A,)."""
        mask: NDArray[np.bool_] = self.vector.action_masks()[0]
        return mask


def _first(info: dict[str, Any]) -> dict[str, Any]:
    """Info of the only row."""
    return {k: _first(v) if isinstance(v, dict) else v[0] for k, v in info.items()}
