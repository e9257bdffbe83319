"""The market has Mesa's manners and refuses what it cannot do."""

import subprocess
import sys
from pathlib import Path

import mesa
import numpy as np
import pytest

from agents.customer import CustomerAgent
from agents.records import ACCOUNT, PROFILE, STATE, TRAITS
from agents.rng import derive_seed
from sim.ledger import WeekTotals
from sim.market import STOCKS, FirmView, LoyaltyMarket
from sim.world import World

KEY = derive_seed(6, "world")
ROOT = Path(__file__).resolve().parents[2]


class Always:
    """The same answer every week."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.views: list[FirmView] = []

    def decide(self, view: FirmView):
        self.views.append(view)
        return self.answer


def test_customers_are_a_mesa_agent_set_of_views_on_the_cohort(world: World, population) -> None:
    market = LoyaltyMarket(world, population(40), KEY, mode="agents")
    agents = market.customer_agents
    assert isinstance(agents, mesa.agent.AgentSet)
    assert agents is market.agents_by_type[CustomerAgent]
    assert len(agents) == 40
    assert len({agent.unique_id for agent in market.agents}) == 42  # and the firm and its rivals
    market.advance(8)
    cohort = market.customers
    assert agents.get("points") == cohort.account["points"].tolist()
    assert agents.agg("purchases", sum) == cohort.outcome["purchases"].sum()
    assert len(agents.select(lambda c: c.enrolled)) == cohort.account["enrolled"].sum()
    assert set(agents.groupby("tier").groups) == set(cohort.account["tier"])
    cohort.account["points"][3] = 777
    assert agents[3].points == 777


def test_agents_exist_in_engine_mode_once_asked_for(world: World, population) -> None:
    market = LoyaltyMarket(world, population(5), KEY)
    assert len(market.agents) == 2
    market.step()
    assert [agent.week for agent in market.customer_agents] == [1] * 5
    assert len(market.agents) == 7


def test_an_unknown_field_of_a_customer_is_an_attribute_error(world: World, population) -> None:
    agent = LoyaltyMarket(world, population(1), KEY).customer_agents[0]
    with pytest.raises(AttributeError, match="a customer has no field 'shoe_size'"):
        agent.shoe_size  # noqa: B018
    assert not hasattr(agent, "_repr_html_")


def test_the_data_collector_has_a_row_of_totals_per_week(world: World, population) -> None:
    market = LoyaltyMarket(world, population(300), KEY, decider=Always(np.arange(300) % 4))
    spent = []
    for _ in range(6):
        market.step()
        spent.append(int(market.customers.outcome["gross"].sum()))
    frame = market.datacollector.get_model_vars_dataframe()
    own = {"week", "revenue", "profit", "liability", "open_commitment", *STOCKS}
    assert set(frame) == {*own, *WeekTotals.__dataclass_fields__}
    assert frame["week"].tolist() == list(range(6))
    assert frame["gross"].tolist() == spent
    assert frame["contacts"].iloc[0] == 225
    assert frame["liability"].iloc[-1] == frame["liability_change"].sum() == market.ledger.liability
    commitment = frame["reserved"] - frame["settled"] - frame["released"]
    assert frame["open_commitment"].tolist() == commitment.cumsum().tolist()
    assert market.ledger.imbalances(market.customers) == {}


@pytest.mark.parametrize("mode", ["engine", "agents"])
def test_advancing_several_weeks_is_that_many_steps(world: World, population, mode: str) -> None:
    at_once, stepwise = (LoyaltyMarket(world, population(50), KEY, mode=mode) for _ in range(2))
    at_once.advance(9)
    for _ in range(9):
        stepwise.step()
    assert at_once.steps == stepwise.steps == at_once.week == 9
    for ours, theirs in zip(at_once.customers, stepwise.customers, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    frames = [m.datacollector.get_model_vars_dataframe() for m in (at_once, stepwise)]
    assert frames[0].equals(frames[1])


def test_a_market_goes_on_where_its_customers_stand(world: World, population) -> None:
    customers = population(20)
    LoyaltyMarket(world, customers, KEY).advance(4)
    later = LoyaltyMarket(world, customers, KEY)
    assert later.week == 4
    later.advance(3)
    whole = LoyaltyMarket(world, population(20), KEY)
    whole.advance(7)
    assert later.customers.profile.tobytes() == whole.customers.profile.tobytes()
    assert later.ledger.imbalances(customers) == {}


def test_the_firm_is_asked_every_week_and_sees_nothing_latent(world: World, population) -> None:
    decider = Always(np.zeros(10, int))
    LoyaltyMarket(world, population(10), KEY, decider=decider).advance(3)
    assert [view.week for view in decider.views] == [0, 1, 2]
    view = decider.views[0]
    assert (view.account.dtype, view.profile.dtype) == (ACCOUNT, PROFILE)
    latent = {TRAITS, STATE}
    assert not any(getattr(field, "dtype", None) in latent for field in view)


@pytest.mark.parametrize("mode", ["engine", "agents"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.full(3, 16), r"actions must lie in 0\.\.15"),
        (np.full(3, 256), r"actions must lie in 0\.\.15"),
        (np.full(3, -1), r"actions must lie in 0\.\.15"),
        (np.zeros(2, int), r"actions have shape \(2,\), not \(3,\)"),
    ],
)
def test_a_decision_outside_the_table_is_refused(world, population, mode, answer, message) -> None:
    market = LoyaltyMarket(world, population(3), KEY, mode=mode, decider=Always(answer))
    with pytest.raises(ValueError, match=message):
        market.step()
    assert market.customers.state["week"].tolist() == [0, 0, 0]


def test_an_unknown_mode_is_refused_with_the_choices(world: World, population) -> None:
    with pytest.raises(ValueError, match="mode='fast': choose 'engine' or 'agents'"):
        LoyaltyMarket(world, population(2), KEY, mode="fast")


def test_customers_at_different_weeks_are_refused(world: World, population) -> None:
    customers = population(3)
    customers.state["week"] = [0, 1, 0]
    with pytest.raises(ValueError, match=r"different weeks: \[0 1\]"):
        LoyaltyMarket(world, customers, KEY)


@pytest.mark.parametrize("chosen", ["None", "'fork'"])
def test_importing_the_market_leaves_multiprocessing_as_it_was(chosen: str) -> None:
    """Mesa on its own sets it to spawn for the whole process."""
    code = f"""
import multiprocessing
multiprocessing.set_start_method({chosen}, force=True)
import sim.market
print(multiprocessing.get_start_method(allow_none=True))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [chosen.strip("'")]
