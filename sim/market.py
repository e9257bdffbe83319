"""The market: one Mesa model that every run goes through.

``step`` is one week: the firm decides, rivals answer, customers live, tell their neighbours, the
books are closed, data is collected.
"""

from dataclasses import replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agents.customer import CustomerAgent, MarketAgent, mesa
from agents.network import Network, talk, word_of_mouth
from agents.records import OUTCOME, Customers
from sim.engine import Engine
from sim.goalposts import Goalposts
from sim.kept_terms import keeps_prices, kept_worth
from sim.ledger import Ledger
from sim.offers import ActionTable, with_point_cost
from sim.programme import ProgrammeParameters
from sim.redesign import change_rules, check_change
from sim.totals import STOCKS, WeekTotals, stocks_of, totals_of, week_sums
from sim.world import Rules, World, set_offers

LATENT_OUTCOMES = ("left", "joined")
_VISIBLE = [name for name in OUTCOME.names or () if name not in LATENT_OUTCOMES]


class FirmView(NamedTuple):
    """All that a firm may look at when it decides; no TRAITS, no STATE.

    Arrays have shape (n,). ``outcome`` is that of the week before, without what only the
    simulator knows (``LATENT_OUTCOMES``); None where the market keeps no OUTCOME rows.
    """

    week: int
    customer_id: NDArray[np.uint64]
    account: NDArray[np.void]
    profile: NDArray[np.void]
    outcome: NDArray[np.void] | None
    table: ActionTable
    rules: Rules
    ledger: Ledger


class Decider(Protocol):
    """Chooses this week's action per customer."""

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        """Actions, shape (n,), each a row of ``view.table``; 0 = nothing."""

    def finish(self, view: FirmView) -> None:
        """Look at the last week's outcome when a run ends."""


@runtime_checkable
class LatentDecider(Decider, Protocol):
    """A decider that looks at what no firm can see: a reference, never a policy to deploy."""

    def see(self, customers: Customers) -> None:
        """Take the market's customers, not to be changed; before each decision."""


class FirmAgent(MarketAgent):
    """The firm: asks its decider once a week."""

    def __init__(self, model: "LoyaltyMarket", decider: Decider | None) -> None:
        super().__init__(model)
        self.decider = decider

    def step(self) -> None:
        """Set the market's actions for this week."""
        if isinstance(self.decider, LatentDecider):
            self.decider.see(self.model.customers)
        chosen = None if self.decider is None else self.decider.decide(self.model.firm_view())
        self.model.actions[:] = self.model.engine.checked(chosen)


class CompetitorAgent(MarketAgent):
    """The rivals: planned campaigns are in the calendar; this is their answer to the firm.

    ``held`` is the share of customers who hold an offer of the firm, that of last week until
    ``step`` has answered to it.
    """

    def __init__(self, model: "LoyaltyMarket") -> None:
        super().__init__(model)
        self.held = self._holding()

    def _holding(self) -> float:
        customers = self.model.customers
        account = customers.account
        here = (customers.state["prospect"] == 0) & (account["closed"] == 0)
        held = here & ((account["offer"] > 0) | (self.model.actions > 0))
        return float(held.sum() / max(here.sum(), 1))

    def step(self) -> None:
        """Set this week's reaction, in proportion to the customers who held an offer last week."""
        if self.answers:
            self.model.engine.rules["competitor"] = self.answers * self.held
            self.held = self._holding()

    @property
    def answers(self) -> float:
        """How strongly they answer; 0 if they do not."""
        effect = self.model.engine.rules["behaviour"]["competitor_reaction"][0]
        return float(self.model.world.competitor.reaction * effect)


class LoyaltyMarket(mesa.Model):
    """A cohort, a programme, a firm, its rivals, and word of mouth among customers.

    Parameters
    ----------
    world
        Parameters; compiled once.
    customers
        Changed in place. All rows must share one week. Without OUTCOME rows
        (``Customers.without_outcome``) the market has its books and head counts all the same, and
        needs less memory; word of mouth and ``mode="agents"`` need the rows.
    key
        64-bit seed of the world's luck (``agents.rng.derive_seed``).
    mode
        "engine" advances all rows in one compiled loop; "agents" lets each CustomerAgent step in
        turn. Both give the same bits; the second is the readable reference.
    decider
        What the firm asks; None does nothing for anyone.
    recording
        Write events down (``events()``).
    network
        Word-of-mouth graph; by default made from ``world.network``.

    Examples
    --------
    >>> market = LoyaltyMarket(world, customers, key=derive_seed(1, "world"))  # doctest: +SKIP
    >>> market.advance(52)  # doctest: +SKIP
    >>> market.datacollector.get_model_vars_dataframe()["purchases"]  # doctest: +SKIP
    """

    def __init__(
        self,
        world: World,
        customers: Customers,
        key: np.uint64,
        mode: Literal["engine", "agents"] = "engine",
        decider: Decider | None = None,
        recording: bool = False,
        network: Network | None = None,
    ) -> None:
        if mode not in ("engine", "agents"):
            raise ValueError(f"mode={mode!r}: choose 'engine' or 'agents'")
        super().__init__(seed=int(key) & 0x7FFFFFFF)
        weeks = np.unique(customers.state["week"])
        if weeks.size != 1:
            raise ValueError(f"customers stand at different weeks: {weeks[:5]}")
        self.world = world
        self.table = world.table
        self.mode = mode
        self.week = int(weeks[0])
        self.engine = Engine(customers, world.rules(), key, recording)
        self.ledger = Ledger.open(customers, world.programme.liability_per_point)
        self.totals: WeekTotals | None = None
        self._revalued = 0
        self.stocks = stocks_of(week_sums(customers))  # the week in them is none of this market
        self.actions = np.zeros(customers.n, np.uint8)
        self.firm = FirmAgent(self, decider)
        self.competitor = CompetitorAgent(self)
        self.network = network or word_of_mouth(customers, world.effective().network, key)
        if not customers.keeps_outcome and (self.network is not None or mode == "agents"):
            raise ValueError("word of mouth and mode='agents' need customers with OUTCOME rows")
        self._customer_agents: mesa.agent.AgentSet | None = None
        if mode == "agents":
            self.customer_agents  # noqa: B018 - registers the agents
        fields = tuple(WeekTotals.__dataclass_fields__)
        self.datacollector = mesa.DataCollector(
            model_reporters={
                "week": "week",
                **{name: (lambda m, name=name: getattr(m.totals, name)) for name in fields},
                "revenue": lambda m: m.totals.revenue,
                "profit": lambda m: m.totals.profit,
                "liability": lambda m: m.ledger.liability,
                "open_commitment": lambda m: m.ledger.open_commitment,
                **{name: (lambda m, name=name: m.stocks[name]) for name in STOCKS},
            }
        )
        self._own_collector = self.datacollector
        self._own_reporters = dict(self.datacollector.model_reporters)

    @property
    def customers(self) -> Customers:
        """The cohort."""
        return self.engine.customers

    @property
    def customer_agents(self) -> "mesa.agent.AgentSet":
        """AgentSet of the customers, made when first asked for."""
        if self._customer_agents is None:
            for row in range(self.customers.n):
                CustomerAgent(self, row)
            self._customer_agents = self.agents_by_type[CustomerAgent]
        return self._customer_agents

    def firm_view(self) -> FirmView:
        """What the firm sees now."""
        customers = self.customers
        return FirmView(
            self.week,
            customers.traits["id"],
            customers.account,
            customers.profile,
            customers.outcome[_VISIBLE] if customers.keeps_outcome else None,
            self.table,
            self.engine.rules,
            self.ledger,
        )

    def advance_row(self, row: int) -> None:
        """Advance one customer; called by its agent."""
        self.engine.advance_one(row, self.actions)

    def step(self) -> None:
        """One week."""
        self.firm.step()
        self.competitor.step()
        if self.mode == "engine":
            sums = self.engine.run(1, self.actions)[0]
        else:
            self.engine.require(1)
            self.engine.log.clear()
            self.customer_agents.do("step")
            sums = week_sums(self.customers)
        if self.network is not None:
            rules = self.engine.rules
            talk(self.network, self.customers, rules["behaviour"], self.week, self.engine.key)
        self._close(sums)

    def change_programme(
        self, programme: ProgrammeParameters, goalposts: Goalposts | None = None
    ) -> None:
        """Other terms from the coming week on; members keep old ones as ``goalposts`` say.

        Points outstanding are valued anew at once, but for what members are owed who keep an old
        price (``sim.redesign.kept_worth``); the totals of the coming week have the change in their
        ``liability_change``, which no customer's OUTCOME row has. What an offer of points commits
        is ``commit_points``' part, announcing changes in time that of ``sim.notices``.

        Parameters
        ----------
        programme
            Terms; only thresholds, multipliers, prices and points per unit may differ.
        goalposts
            Default: ``Goalposts()``.

        Raises
        ------
        ValueError
            If anything else differs, or too many changes for the worse follow one another.
        """
        check_change(self.world.programme, programme)
        goalposts = Goalposts() if goalposts is None else goalposts
        change_rules(self.engine.rules, self.customers, programme, goalposts, self.week)
        self.world = self.world._replace(programme=programme)
        self._revalued += self.ledger.revalue(self.customers, programme.liability_per_point)
        self._revalued += self._kept_change()

    def commit_points(self, cost: NDArray[np.float64]) -> None:
        """From now on a point of each new offer commits ``cost`` minor units, shape (offers,).

        Offers that are open settle what was reserved for them at most.
        """
        self.table = with_point_cost(self.table, cost)
        set_offers(self.engine.rules, self.table)

    def _kept_change(self) -> int:
        """Book what is owed to those who keep old prices; the change, micro minor units."""
        worth = kept_worth(self.customers, self.engine.rules["programme"], self.week)
        return self.ledger.keep(worth)

    @property
    def _keeps_prices(self) -> bool:
        """Somebody keeps, or may keep, an old price: its worth changes from week to week."""
        return self.ledger.kept_liability > 0 or keeps_prices(
            self.engine.rules["programme"], self.week
        )

    def _close(self, sums: NDArray[np.int64]) -> None:
        """Close the books of a week and collect its data."""
        self.totals = totals_of(sums)
        self.stocks = stocks_of(sums)
        self.ledger.add(self.totals)
        if self._keeps_prices:
            self._revalued += self._kept_change()
        if self._revalued:
            change = self.totals.liability_change + self._revalued
            self.totals = replace(self.totals, liability_change=change)
            self._revalued = 0
        self.datacollector.collect(self)
        self.week += 1

    @property
    def undisturbed(self) -> bool:
        """Nothing outside a customer acts between two weeks: no decider, no word of mouth, no
        rivals who answer, nobody who looks at the customers, no old price that is kept.
        """
        collector = self.datacollector
        return (
            self.mode == "engine"
            and type(self).step is LoyaltyMarket.step
            and type(self.firm).step is FirmAgent.step
            and self.firm.decider is None
            and self.network is None
            and not self.competitor.answers
            and collector is self._own_collector
            and collector.model_reporters == self._own_reporters
            and not collector.agent_reporters
            and not collector.agenttype_reporters
            and not self.engine.log.recording
            and not self._keeps_prices
        )

    def advance(self, weeks: int) -> None:
        """Several weeks, with the same result as that many steps.

        Where the market is ``undisturbed`` each customer lives through all of them before the
        next one does, which is faster.

        Raises
        ------
        ValueError
            For a negative number of weeks.
        """
        if weeks < 0:
            raise ValueError(f"weeks={weeks} must be at least 0")
        if not self.undisturbed:
            for _ in range(weeks):
                self.step()
            return
        self.actions[:] = 0
        for sums in self.engine.run(weeks):
            self.steps += 1
            self._close(sums)

    def finish(self) -> None:
        """End the run: the decider sees the last week, the books must balance.

        Raises
        ------
        AssertionError
            Naming the books that do not balance and by how much.
        """
        if self.firm.decider is not None:
            self.firm.decider.finish(self.firm_view())
        imbalances = self.ledger.imbalances(self.customers)
        if imbalances:
            raise AssertionError(f"the books do not balance: {imbalances}")

    def events(self) -> NDArray[np.void]:
        """Events of the last week (``recording=True``), ordered by customer, time, sequence."""
        return self.engine.log.events()
