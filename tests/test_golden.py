"""The golden run: what five markets bring, to the last cent. A change of behaviour must be meant.

`make golden` (pytest --update-golden) accepts new figures; say in CHANGELOG.md what changed them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from agents.rng import derive_seed
from experiments.config import compose_simulate
from experiments.worlds import build_world, draw_customers, population_of
from sim.market import FirmView, LoyaltyMarket
from sim.totals import WeekTotals

GOLDEN = Path(__file__).resolve().parent / "golden" / "market.json"
CUSTOMERS, WEEKS, BLOCK = 500, 65, 13
RUNS = {
    "grocery": ("tiered", "literature"),
    "music_store": ("points", "null"),
    "coffee_shop": ("challenge", "optimistic"),
    "boutique": ("cltv_tiers", "deal_seekers"),
    "fitness_app": ("cashback", "backfire"),
}


class Scattergun:
    """Some offer for everyone now and then."""

    def decide(self, view: FirmView) -> np.ndarray:
        turn = view.customer_id.astype(np.int64) * 7 + view.week * 11
        account = view.account
        free = (account["offer"] == 0) & (account["closed"] == 0) & (account["enrolled"] > 0)
        return np.where(free & (turn % 4 == 0), turn % view.table.n, 0)

    def finish(self, view: FirmView) -> None:
        """Nothing to look at."""


def figures(world: str) -> dict[str, list[int]]:
    """Totals per quarter by name."""
    programme, response = RUNS[world]
    config = compose_simulate([f"world={world}", f"programme={programme}", f"response={response}"])
    posterior = population_of(config)
    customers = draw_customers(config, posterior, "population", CUSTOMERS)
    market = LoyaltyMarket(
        build_world(config, posterior, response),
        customers,
        derive_seed(config.seed, "world"),
        decider=Scattergun(),
    )
    market.advance(WEEKS)
    market.finish()
    frame = market.datacollector.get_model_vars_dataframe()[list(WeekTotals.__dataclass_fields__)]
    quarters = frame.groupby(frame.index // BLOCK).sum()
    return {name: [int(value) for value in quarters[name]] for name in quarters}


@pytest.mark.parametrize("world", RUNS)
def test_a_market_brings_what_it_brought_when_its_figures_were_last_accepted(
    world: str, request: pytest.FixtureRequest
) -> None:
    accepted = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    found = figures(world)
    if request.config.getoption("--update-golden"):
        accepted[world] = found
        GOLDEN.write_text(json.dumps(accepted, indent=1, sort_keys=True) + "\n")
    differ = {name: (accepted[world].get(name), found[name]) for name in found
              if accepted[world].get(name) != found[name]}  # fmt: skip
    assert accepted[world].keys() == found.keys()
    assert differ == {}, "accepted and found by quarter; `make golden` if the change is meant"
