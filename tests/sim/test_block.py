"""What is done for a block at once gives the bits of the scalar rules, and sums are sums."""

import numpy as np
import pytest

from agents.behaviour import basket, basket_draw, log_intensities, seconds_within
from agents.records import OUTCOME
from agents.rng import BASKET, block, derive_seed, uniform
from experiments.config import compose_simulate
from experiments.worlds import build_world, draw_customers
from sim.block import (
    BLOCK,
    WORK,
    address,
    boost_gamma,
    draw_baskets,
    draw_gamma,
    draw_lognormal,
    draw_week,
    is_due,
    list_baskets,
    price_baskets,
    settle_draws,
    weigh_up,
)
from sim.engine import Engine
from sim.stimuli import expect, expect_members, expect_offers, stimulus_of
from sim.totals import N_SUMS, add_week, stocks_of, totals_of

KEY = derive_seed(0, "world")
WEEKS = 30


def lived(world: str, response: str) -> Engine:
    """A block of customers after some weeks in which a third of them gets any offer and, in the
    last week, all get the first one, a discount.
    """
    config = compose_simulate([f"world={world}", f"response={response}", "programme=tiered"])
    posterior = config.world.population.posterior
    market = build_world(config, posterior, config.response.name)
    customers = draw_customers(config, posterior, "population", BLOCK)
    engine = Engine(customers, market.rules(), KEY)
    rng = np.random.default_rng(0)
    for _ in range(WEEKS):
        contacted = rng.random(BLOCK) < 1 / 3
        engine.advance(np.where(contacted, rng.integers(1, market.table.n, BLOCK), 0))
    engine.advance(np.ones(BLOCK, np.uint8))
    return engine


@pytest.mark.parametrize(
    ("world", "response"), [("grocery", "literature"), ("coffee_shop", "deal_seekers")]
)
def test_rates_of_a_block_are_those_of_the_scalar_rule_to_the_bit(
    world: str, response: str
) -> None:
    engine = lived(world, response)
    traits, state, account, profile, _ = engine.customers
    rules, work, log = engine.rules[0], np.zeros(1, WORK)[0], engine.log.rows
    address(traits, state, 0, BLOCK, work)
    draw_week(work, BLOCK, KEY)
    offers = expect(traits, state, account, log, 0, BLOCK, work, rules)
    expect_members(account, profile, 0, BLOCK, work, rules)
    expect_offers(traits, account, 0, offers, work, rules)
    weigh_up(work, BLOCK, rules["behaviour"])
    lives = np.flatnonzero(work["lives"])
    assert lives.size > BLOCK / 4
    assert set(work["waits"][lives]) == {0, 1}
    assert work["reward_ready"][lives].any()
    assert (state["deals"][lives] > 0).any()
    for i in lives:
        stimulus = stimulus_of(account[i], profile[i], work["of_year"][i], rules)
        alone = log_intensities(traits[i], state[i], stimulus, rules["behaviour"])
        assert (work["log_rate"][i], work["log_hazard"][i], work["spend"][i]) == alone


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
def test_baskets_of_a_block_are_those_of_the_scalar_rule_to_the_bit(family: str) -> None:
    engine = lived("grocery", "null")
    traits, state, _, _, _ = engine.customers
    traits["spend_shape"] = np.random.default_rng(1).uniform(0.3, 2.0, BLOCK)
    behaviour = engine.rules["behaviour"][0]
    behaviour["lognormal_spend"] = family == "lognormal"
    work = np.zeros(1, WORK)[0]
    address(traits, state, 0, BLOCK, work)
    work["purchases"] = work["week"] % 2 + 2
    work["spend"], work["fraction"] = traits["spend_mean"], 0.75
    listed = list_baskets(work, BLOCK)
    draw_baskets(work, listed, KEY)
    if family == "lognormal":
        draw_lognormal(work, listed)
    else:
        assert 0 < draw_gamma(work, listed) < listed  # some shapes are below 1, some are not
        boost_gamma(work, listed)
        assert not work["drawn"][:listed].all()
        settle_draws(traits, 0, listed, work, behaviour, KEY)
    price_baskets(work, listed, behaviour["max_basket"])
    assert listed > BLOCK
    for k in range(listed):
        i, index = work["basket_row"][k], work["basket_index"][k]
        words = block(KEY, traits[i]["id"], state[i]["week"], BASKET, index, state[i]["replica"])
        draw = basket_draw(traits[i], behaviour, words, KEY)
        assert work["draw"][k] == draw
        mean = np.float64(traits[i]["spend_mean"])
        assert work["basket_gross"][k] == basket(mean, draw, behaviour["max_basket"])
        assert work["basket_second"][k] == seconds_within(uniform(words[0]), 0.75)


@pytest.mark.parametrize(
    ("world", "programme", "points"),
    [
        ("grocery", "tiered", 0),
        ("grocery", "challenge", 3_000),
        ("grocery", "tiered", 399_999_900),  # all but full accounts
        ("coffee_shop", "stamp_card", 0),
        ("fitness_app", "cltv_tiers", 0),
        ("grocery", "cashback", 0),
    ],
)
def test_baskets_booked_by_the_row_leave_what_baskets_booked_one_by_one_do(
    world: str, programme: str, points: int
) -> None:
    """Who writes events down books each basket by itself."""
    config = compose_simulate([f"world={world}", f"programme={programme}", "response=literature"])
    posterior = config.world.population.posterior
    market = build_world(config, posterior, config.response.name)
    actions = np.random.default_rng(3).integers(0, 2 * market.table.n, (12, 300))
    left = []
    for recording in (False, True):
        customers = draw_customers(config, posterior, "population", 300)
        customers.traits["log_rate"] += 1.0  # several baskets a week
        customers.profile["points"] += points
        customers.account["lots"][:, 0] += points
        engine = Engine(customers, market.rules(), KEY, recording=recording)
        for week in actions:
            engine.advance(np.where(week < market.table.n, week, 0))
        left.append(customers)
    plainly, one_by_one = left
    assert (plainly.profile["repeats"] > 24).any()
    for records, others in zip(plainly, one_by_one, strict=True):
        for name in records.dtype.names:
            np.testing.assert_array_equal(records[name], others[name], err_msg=name)


def test_what_is_due_is_what_the_remainder_says() -> None:
    for every in (0, 1, 4, 13, 104):
        for week in (0, 1, 12, 13, 3_000):
            for customer in (0, 1, 12, 65_535, 65_536, 2**40 + 7):
                due = every > 0 and (week + customer % 65_536) % every == 0
                assert is_due(np.uint64(customer), week, every) == due


def test_sums_of_a_week_are_the_sums_of_its_columns() -> None:
    rng = np.random.default_rng(2)
    outcome = np.zeros(BLOCK - 3, OUTCOME)
    for name in OUTCOME.names or ():
        high = min(np.iinfo(OUTCOME[name]).max, 2**40)
        outcome[name] = rng.integers(0, high, outcome.size, endpoint=True)
        if OUTCOME[name].itemsize == 1:  # rare, as they are
            outcome[name] *= rng.random(outcome.size) < 0.1
    half = outcome[: outcome.size // 2]
    half["joined"] = rng.integers(0, 3, half.size)
    half["nps"] = rng.integers(0, 12, half.size)
    half["csat"] = rng.integers(0, 6, half.size)
    half["tier_change"] = rng.integers(-1, 2, half.size)
    narrow = [name for name in OUTCOME.names or () if OUTCOME[name].itemsize == 1]
    for at, name in enumerate(narrow, start=half.size):  # rows with nothing else that is rare
        for other in narrow:
            outcome[other][at] = other == name
    sums = np.zeros(N_SUMS, np.int64)
    add_week(outcome, sums)
    totals, rows = totals_of(sums), {n: outcome[n].astype(np.int64) for n in OUTCOME.names or ()}
    counted = {
        "contacts": rows["action"] > 0,
        "joined": rows["joined"] > 0,
        "referred": rows["joined"] == 2,
        "promoters": rows["nps"] > 9,
        "detractors": (rows["nps"] > 0) & (rows["nps"] <= 7),
        "answers": rows["nps"] > 0,
        "satisfied": rows["csat"] >= 4,
        "rose": rows["tier_change"] > 0,
        "fell": rows["tier_change"] < 0,
    }
    for name in totals.__dataclass_fields__:
        column = counted.get(name, rows.get(name))
        assert getattr(totals, name) == column.sum(), name
    assert not any(stocks_of(sums).values())
