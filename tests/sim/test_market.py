"""The market has Mesa's manners and refuses what it cannot do."""

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import mesa
import numba
import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from agents.customer import CustomerAgent
from agents.records import ACCOUNT, MAX_WEEKS, PROFILE, STATE, TRAITS
from agents.rng import derive_seed
from sim.branch_totals import RunningTotals
from sim.market import FirmView, LoyaltyMarket
from sim.metrics import weekly_kpis
from sim.totals import STOCKS, WeekTotals
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
    assert agents.get("points") == cohort.profile["points"].tolist()
    assert agents.agg("purchases", sum) == cohort.outcome["purchases"].sum()
    assert len(agents.select(lambda c: c.enrolled)) == cohort.account["enrolled"].sum()
    assert set(agents.groupby("tier").groups) == set(cohort.account["tier"])
    cohort.profile["points"][3] = 777
    assert agents[3].points == 777


def test_a_market_that_nobody_needs_is_forgotten(world: World, population) -> None:
    market = LoyaltyMarket(world, population(3), KEY, mode="agents")
    market.advance(2)
    assert sorted(agent.unique_id for agent in market.agents) == [1, 2, 3, 4, 5]
    seen = weakref.ref(market)
    del market
    gc.collect()
    assert seen() is None


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


def same_run(ours: LoyaltyMarket, theirs: LoyaltyMarket) -> None:
    for mine, other in zip(ours.customers, theirs.customers, strict=True):
        assert mine.tobytes() == other.tobytes()
    assert_frame_equal(
        ours.datacollector.get_model_vars_dataframe(),
        theirs.datacollector.get_model_vars_dataframe(),
    )
    assert (ours.week, ours.steps) == (theirs.week, theirs.steps)
    assert (ours.totals, ours.stocks, ours.ledger) == (theirs.totals, theirs.stocks, theirs.ledger)


@pytest.mark.parametrize(
    ("mode", "n"),
    [
        ("agents", 50),
        *(("engine", n) for n in (1, 63, 64, 65, 5000)),
    ],  # blocks of 64, sums of 4,096
)
def test_weeks_at_once_are_that_many_steps(world: World, population, mode: str, n: int) -> None:
    ours, theirs = (LoyaltyMarket(world, population(n), KEY, mode=mode) for _ in range(2))
    assert ours.undisturbed == (mode == "engine")
    ours.advance(9)
    ours.advance(5)
    for _ in range(14):
        theirs.step()
    same_run(ours, theirs)
    ours.finish()


def test_weeks_at_once_are_that_many_steps_where_neighbours_and_rivals_answer(
    society: World, population
) -> None:
    ours, theirs = (LoyaltyMarket(society, population(300, prospects=0.3), KEY) for _ in range(2))
    assert not ours.undisturbed
    ours.advance(14)
    for _ in range(14):
        theirs.step()
    same_run(ours, theirs)


def test_a_decider_is_asked_every_week_and_a_subclass_steps_every_week(
    world: World, population
) -> None:
    decider = Always(np.zeros(10, np.uint8))
    LoyaltyMarket(world, population(10), KEY, decider=decider).advance(6)
    assert len(decider.views) == 6

    class Counting(LoyaltyMarket):
        seen = 0

        def step(self) -> None:
            super().step()
            self.seen += 1

    market = Counting(world, population(10), KEY)
    market.advance(6)
    assert market.seen == 6


def test_another_collector_sees_every_week(world: World, population) -> None:
    market = LoyaltyMarket(world, population(10), KEY)
    market.datacollector = mesa.DataCollector(
        {"bought": lambda m: int(m.customers.outcome["purchases"].sum())}
    )
    market.advance(8)
    weekly = market.datacollector.get_model_vars_dataframe()["bought"]
    assert weekly.sum() == market.customers.profile["repeats"].sum()
    assert weekly.nunique() > 1


def test_a_reporter_added_to_the_collector_sees_every_week(world: World, population) -> None:
    ours, theirs = (LoyaltyMarket(world, population(40), KEY) for _ in range(2))
    for market in (ours, theirs):
        market.datacollector._new_model_reporter(
            "mine", lambda m: int(m.customers.outcome["purchases"].sum())
        )
    ours.advance(6)
    for _ in range(6):
        theirs.step()
    same_run(ours, theirs)


def test_fewer_than_no_weeks_are_refused(world: World, population) -> None:
    with pytest.raises(ValueError, match="weeks=-1 must be at least 0"):
        LoyaltyMarket(world, population(2), KEY).advance(-1)


def test_more_baskets_than_a_block_lists_give_the_bits_of_single_customers(
    world: World, population
) -> None:
    """Blocks of 64 list some 250 baskets; what is over is drawn one by one."""
    busy = [population(130) for _ in range(2)]
    for customers in busy:
        customers.traits["log_rate"] = np.log(np.linspace(0.1, 30, 130)[::-1])
        customers.traits["spend_shape"][::3] = 0.4
    markets = [
        LoyaltyMarket(world, customers, KEY, mode=mode, decider=Always(np.arange(130) % 4))
        for customers, mode in zip(busy, ("engine", "agents"), strict=True)
    ]
    for market in markets:
        market.advance(4)
    assert markets[0].customers.outcome["purchases"][:64].sum() > 4 * 64
    same_run(*markets)


def test_the_sums_of_a_week_are_those_of_the_rows(world: World, population) -> None:
    market = LoyaltyMarket(world, population(5000), KEY, decider=Always(np.arange(5000) % 4))
    for _ in range(6):
        market.step()
        outcome, account, state = (
            market.customers.outcome, market.customers.account, market.customers.state,
        )  # fmt: skip
        assert market.totals.gross == outcome["gross"].sum()
        assert market.totals.liability_change == outcome["liability_change"].sum()
        assert market.totals.contacts == np.count_nonzero(outcome["action"])
        assert market.totals.rose == np.count_nonzero(outcome["tier_change"] > 0)
        here = account["closed"] == 0
        assert market.stocks == {
            "customers": here.sum(),
            "alive": (here & (state["alive"] > 0)).sum(),
            "members": (here & (account["enrolled"] > 0)).sum(),
            "consenting": (here & account["consent"].any(axis=1)).sum(),
        }


def test_a_market_that_keeps_no_outcome_has_the_same_books_and_customers(
    world: World, population
) -> None:
    markets = [
        LoyaltyMarket(world, customers, KEY, decider=Always(np.arange(300) % 4))
        for customers in (population(300), population(300).without_outcome())
    ]
    for market in markets:
        market.advance(20)
        market.firm.decider = None
        market.advance(7)
        market.finish()
    assert markets[1].customers.outcome.size == 0
    frames = [market.datacollector.get_model_vars_dataframe() for market in markets]
    assert_frame_equal(*frames)
    assert frames[0]["purchases"].min() > 0
    for kept, other in zip(markets[0].customers[:-1], markets[1].customers[:-1], strict=True):
        assert kept.tobytes() == other.tobytes()
    assert markets[1].firm_view().outcome is None


def test_who_reads_outcome_by_customer_is_refused_without_it(
    world: World, society: World, population
) -> None:
    less = population(60).without_outcome()
    for wanted, mode in ((world, "agents"), (society, "engine")):
        with pytest.raises(ValueError, match="need customers with OUTCOME rows"):
            LoyaltyMarket(wanted, less, KEY, mode=mode)
    with pytest.raises(ValueError, match=r"outcome has shape \(0,\), not \(60,\)"):
        RunningTotals(60, 1).add(less.outcome)


@pytest.mark.parametrize("mode", ["engine", "agents"])
def test_weeks_whose_times_fit_no_profile_are_refused(world: World, population, mode: str) -> None:
    customers = population(2)
    customers.state["week"] = MAX_WEEKS - 2
    market = LoyaltyMarket(world, customers, KEY, mode=mode)
    market.advance(2)
    with pytest.raises(ValueError, match=f"ends with week {MAX_WEEKS} at the latest"):
        market.step()
    assert set(customers.state["week"]) == {MAX_WEEKS}
    assert customers.profile["last_purchase"].min() >= 0


def test_threads_change_no_digit_of_any_kpi(society: World, population) -> None:
    frames = []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        try:
            market = LoyaltyMarket(
                society, population(9000, prospects=0.2), KEY, decider=Always(np.arange(9000) % 4)
            )
            market.advance(15)
        finally:
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        frames.append(weekly_kpis(market.datacollector.get_model_vars_dataframe()))
    assert_frame_equal(*frames, check_exact=True)
