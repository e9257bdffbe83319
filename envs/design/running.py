"""A programme that runs: its market, what it has announced, its offers, a quarter at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.network import Network
from agents.records import WEEKS_PER_QUARTER, Customers
from envs.constraints.parameters import ConstraintParameters
from envs.decision import NoOffers, Policy
from envs.design.kpis import Quarter
from envs.design.ledger import DesignLedger
from envs.design.levers import Design, Levers, kinds_of
from envs.design.offers import SplitBudget
from sim.market import LoyaltyMarket
from sim.notices import Notices
from sim.programme import ProgrammeParameters
from sim.world import World


class RunningProgramme:
    """Changes go through ``announce`` only, so that none escapes notice and grandfathering.

    It can be copied and pickled between two quarters; the market's collected data is then lost.

    Parameters
    ----------
    world
        Its programme is in force at the start.
    customers
        Changed in place.
    key
        64-bit seed of the luck.
    design
        Budget and split at the start; its programme is the world's.
    levers
        How far later designs can move.
    audited
        A ledger with books of its own watches budget shares and goalposts, week by week, which
        takes longer; ``ledger_rows`` has what it found. ``customers`` need OUTCOME rows.

    Attributes
    ----------
    released
        What the weeks lived so far have booked for changes of price, micro minor units: by how much
        the points outstanding were worth less the day a price held, less what is owed on that day
        to those who keep an old one.
    lived_under
        Terms of the last week lived; those of the next may be in force already.
    """

    def __init__(
        self,
        world: World,
        customers: Customers,
        key: np.uint64,
        design: Design,
        policy: Policy,
        constraints: ConstraintParameters,
        levers: Levers,
        improve_at_once: bool = True,
        network: Network | None = None,
        audited: bool = False,
    ) -> None:
        self.design = design
        self.levers = levers
        self._superseded: tuple[tuple[int, ProgrammeParameters], ...] = ()
        self.notices = Notices(world.programme, constraints.goalposts, improve_at_once)
        self.offers = SplitBudget(policy, constraints, kinds_of(world.book), customers.n)
        self.offers.set_budget(design.weekly_budget, design.split)
        self.market = LoyaltyMarket(world, customers, key, decider=self._decider, network=network)
        self.quarter = Quarter()
        self.released = 0
        self.lived_under = world.programme
        self.ledger: DesignLedger | None = None
        if audited:
            self.ledger = DesignLedger(
                constraints.goalposts, world.programme, self.market.week, self.offers.kinds
            )
            self.offers.ledger = self.ledger
        self._commit_points()

    @property
    def standing(self) -> tuple[ProgrammeParameters, ...]:
        """Terms in force, announced, and those that members may still keep."""
        pending = (notice.programme for notice in self.notices.pending)
        kept = (terms for until, terms in self._superseded if until > self.market.week)
        return (self.notices.in_force, *pending, *kept)

    def _commit_points(self) -> None:
        """Reserve for offers of points, until the next decision, what a point can cost at most
        while they are valid: further decisions may make rewards cheaper.
        """
        weeks = self.market.table.offers["weeks"].astype(np.int64)
        decisions = (WEEKS_PER_QUARTER - 2 + weeks) // WEEKS_PER_QUARTER  # of one of the last week
        announced = self.design._replace(programme=self.notices.latest)
        costs = self.levers.dearest_points(announced, self.standing, int(decisions.max()))
        self.market.commit_points(np.array(costs)[decisions])

    def announce(self, design: Design) -> None:
        """Announce terms; budget and split hold at once. ``design.programme`` says what then
        holds when all that was announced is in force.
        """
        self.notices.announce(design.programme, self.market.week)
        self.design = design
        self.offers.set_budget(design.weekly_budget, design.split)
        if self.ledger is not None:
            self.ledger.announced(self.market.week, design.programme)
        self._commit_points()

    def live(self) -> Quarter:
        """Live through a quarter; returns its sums.

        Terms for the first day of the next quarter are in force at the end, when it is decided on.
        """
        market = self.market
        end = market.week + WEEKS_PER_QUARTER
        self._put_into_force()
        while market.week < end:
            weeks = [notice.week for notice in self.notices.pending]
            self._advance(min([*weeks, end]) - market.week)
            self._put_into_force()
        self.quarter = Quarter.of(market.datacollector.model_vars, WEEKS_PER_QUARTER)
        return self.quarter

    def _advance(self, weeks: int) -> None:
        self.released -= self.market._revalued  # else 0: a week's close leaves nothing unbooked
        self.lived_under = self.market.world.programme
        if self.ledger is None:
            self.market.advance(weeks)
            return
        for _ in range(weeks):
            tier = self.market.customers.account["tier"].copy()
            self.market.step()
            self.ledger.lived(self.market, tier)

    def _put_into_force(self) -> None:
        market, goalposts = self.market, self.notices.goalposts
        for programme in self.notices.due(market.week):
            until = market.week + goalposts.grandfathering_weeks
            kept = [one for one in self._superseded if one[0] > market.week]
            self._superseded = (*kept, (until, market.world.programme))
            if self.ledger is not None:
                self.ledger.changing(market, programme)
            market.change_programme(programme, goalposts)

    def ledger_rows(self) -> list[dict[str, Any]]:
        """What each constraint was used for: offers', then the design's own where audited."""
        rows = [] if self.offers.audit is None else self.offers.audit.rows()
        return rows + ([] if self.ledger is None else self.ledger.rows())

    @property
    def _decider(self) -> SplitBudget | None:
        """Nobody to ask where nobody gets an offer: weeks then go by at once."""
        return None if isinstance(self.offers.policy, NoOffers) else self.offers

    @property
    def open_share(self) -> float:
        """Open commitments as a share of the weekly budget."""
        limit = self.offers.limit
        return self.market.ledger.open_commitment / limit if limit > 0 else 0.0

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        market: LoyaltyMarket = state.pop("market")
        state["market_state"] = (
            market.world, market.customers, market.engine.key, market.engine.rules, market.ledger,
            market.actions, market.competitor.held, market.network, market._revalued, market.table,
        )  # fmt: skip
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        parts = state.pop("market_state")
        world, customers, key, rules, ledger, actions, held, network, revalued, table = parts
        self.__dict__.update(state)
        market = LoyaltyMarket(world, customers, key, decider=self._decider, network=network)
        market.engine.rules = rules
        market.ledger = ledger
        market.actions = actions
        market.competitor.held = held
        market._revalued = revalued
        market.table = table
        self.market = market


def with_replica(customers: Customers, replica: int) -> Customers:
    """A copy whose luck from here on is that of another episode."""
    own = customers.take(slice(None))
    replicas: NDArray[np.uint32] = own.state["replica"]
    replicas[:] = replica
    return own
