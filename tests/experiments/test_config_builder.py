"""Mappings become frozen dataclasses, or one line says which key does not fit."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from agents.errors import InputError
from experiments.config_builder import build


@dataclass(frozen=True)
class Tier:
    threshold: int
    kind: Literal["null", "spend"] = "spend"

    def __post_init__(self) -> None:
        if self.threshold < 0:
            raise ValueError(f"threshold={self.threshold} is below 0")


@dataclass(frozen=True)
class Programme:
    tiers: tuple[Tier, ...]
    rate: float = 1.0
    pair: tuple[int, str] = (1, "a")
    limit: int | None = None
    prices: Mapping[str, float] = dataclasses.field(default_factory=dict)
    active: bool = True
    off: tuple[str, ...] = ()


def test_a_mapping_becomes_nested_frozen_dataclasses() -> None:
    built = build(
        Programme,
        {
            "tiers": [{"threshold": 0}, {"threshold": 5.0, "kind": None}],
            "rate": 2,
            "pair": [3, "b"],
            "prices": {"a": 1},
        },
        "programme",
    )
    assert built == Programme((Tier(0), Tier(5, "null")), 2.0, (3, "b"), None, {"a": 1.0})
    assert isinstance(built.rate, float)
    assert isinstance(built.tiers[1].threshold, int)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, ["programme.tiers is missing"]),
        ({"tiers": 3}, ["programme.tiers=3", "list"]),
        ({"tiers": "abc"}, ["programme.tiers='abc'", "list"]),
        ({"tiers": [3]}, ["programme.tiers[0]=3", "threshold"]),
        ({"tiers": [{"threshold": "x"}]}, ["programme.tiers[0].threshold='x'", "whole number"]),
        ({"tiers": [{"threshold": -1}]}, ["programme.tiers[0].threshold=-1"]),
        ({"tiers": [{"treshold": 1}]}, ["programme.tiers[0].treshold", "did you mean"]),
        ({"tiers": [{"threshold": 1, "kind": "x"}]}, ["programme.tiers[0].kind='x'", "spend"]),
        ({"tiers": [], "limit": "x"}, ["programme.limit='x'"]),
        ({"tiers": [], "pair": [1]}, ["programme.pair", "2 items"]),
        ({"tiers": [], "prices": []}, ["programme.prices=[]", "mapping"]),
        ({"tiers": [], "prices": {"a": "b"}}, ["programme.prices.a='b'", "a number"]),
        ({"tiers": [], "active": 1}, ["programme.active=1", "true or false"]),
        ({"tiers": [], "rate": float("inf")}, ["programme.rate=inf"]),
        ({"tiers": [], "rate": float("nan")}, ["programme.rate=nan"]),
        ({"tiers": [], "rate": 10**400}, ["programme.rate=1000", "a number"]),
        ({"tiers": [], "limit": float("inf")}, ["programme.limit=inf", "whole number"]),
        ({"tiers": [], False: ["a"]}, ["programme: ", '"off" in quotes']),
    ],
)
def test_errors_name_the_whole_key(mapping: dict[object, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build(Programme, mapping, "programme")
    for word in words:
        assert word in str(caught.value)
