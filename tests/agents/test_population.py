"""A customer's draws depend on its id alone: not on who else is drawn, nor on chunks."""

from typing import Any

import pytest

from agents import population
from agents.population import GROCERY, MUSIC_STORE, MembershipParameters, draw_population
from agents.records import Customers
from agents.rng import derive_seed

MEMBERSHIP = MembershipParameters(
    category_shares={"fresh": 0.5, "pantry": 0.3, "household": 0.2},
    rate_correlation={"influence": 0.4},
    prospect_share=0.2,
)


def draw(n: int, posterior: Any = GROCERY, first_id: int = 0) -> Customers:
    return draw_population(posterior, n, derive_seed(5, "population"), MEMBERSHIP, first_id)


def bits(customers: Customers) -> list[bytes]:
    return [part.tobytes() for part in customers]


@pytest.mark.parametrize("posterior", [GROCERY, MUSIC_STORE], ids=["grocery", "music_store"])
@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 299, 301])
def test_customers_do_not_depend_on_how_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch, posterior: Any, chunk: int
) -> None:
    whole = draw(300, posterior, first_id=40)
    monkeypatch.setattr(population, "_CHUNK", chunk)
    assert bits(draw(300, posterior, first_id=40)) == bits(whole)


def test_customers_do_not_depend_on_who_else_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "_CHUNK", 64)
    everybody = draw(300)
    assert bits(draw(100, first_id=150)) == [part[150:250].tobytes() for part in everybody]


def test_ids_run_on_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "_CHUNK", 64)
    assert draw(130, first_id=9).traits["id"].tolist() == list(range(9, 139))


def test_a_failure_in_one_chunk_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(population, "_fill", fail)
    with pytest.raises(MemoryError, match="no room"):
        draw(10)
