"""Configuration composes, is typed, and says in one line what is wrong with it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from agents.errors import InputError
from experiments.config import (
    build,
    compose_demo,
    compose_mapping,
    groups,
    load_option,
    options,
    response_world,
)


def test_every_option_of_every_group_composes() -> None:
    for group in groups():
        for option in options(group):
            if (group, option) == ("data", "csv"):
                continue
            extra = ["data.contactable=all"] if group == "data" else []
            config = compose_demo([f"{group}={option}", *extra])
            assert dataclasses.is_dataclass(config)
            assert dataclasses.is_dataclass(load_option(group, option))


def test_the_default_is_the_main_job_on_complete_journey() -> None:
    config = compose_demo()
    assert (config.name, config.seed, config.runs_dir) == ("demo", 0, "runs")
    assert config.data.source == "completejourney"
    assert config.data.contactable == "campaigns"
    assert [tier.name for tier in config.programme.tiers] == ["base", "silver", "gold"]
    assert config.evaluate.responses == ("null", "literature")
    assert config.evaluate.policies[0] == "no_offers"


def test_overrides_reach_their_fields() -> None:
    config = compose_demo(
        [
            "seed=3",
            "name=my_run",
            "evaluate.customers=2000",
            "train.network=[32,16]",
            "programme.tiers[1].threshold=2000",
        ]
    )
    assert (config.seed, config.name, config.evaluate.customers) == (3, "my_run", 2000)
    assert config.train.network == (32, 16)
    assert config.programme.tiers[1].threshold == 2000


@pytest.mark.parametrize("path", ["/path/to.csv", "log.csv", "/a b/c,d=(1).csv", "../ä/l.csv.gz"])
def test_a_path_given_as_data_is_a_csv_log(path: str) -> None:
    config = compose_demo([f"data={path}"])
    assert (config.data.source, config.data.path) == ("csv", path)


def test_a_log_brings_its_world_unless_one_is_chosen() -> None:
    assert compose_demo(["data=cdnow"]).world.name == "music_store"
    assert compose_demo(["data=cdnow", "world=grocery"]).world.name == "grocery"
    assert compose_demo(["world=grocery", "data=cdnow"]).world.name == "grocery"


@pytest.mark.parametrize("word", ["null", "'null'", '"null"'])
def test_null_is_the_name_of_a_response_world(word: str) -> None:
    config = compose_demo([f"response={word}", f"evaluate.responses=[{word}]"])
    assert config.response.name == "null"
    assert config.train.responses == ("null",)
    assert config.evaluate.responses == ("null",)


def test_an_override_of_a_response_world_holds_for_that_world_only() -> None:
    config = compose_demo(["response=literature", "response.goal_gradient=0.5"])
    assert response_world(config, "literature").goal_gradient == 0.5
    assert response_world(config, "null").goal_gradient == 0.0


def test_names_and_paths_are_taken_as_written() -> None:
    config = compose_demo(["name=007", "runs_dir=/a b/c, d"])
    assert (config.name, config.runs_dir) == ("007", "/a b/c, d")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data=cdno", ["'cdno'", "did you mean 'cdnow'", "completejourney", ".csv"]),
        ("dat=cdnow", ["'dat'", "did you mean 'data'", "evaluate"]),
        ("evaluate.costumers=3", ["did you mean 'evaluate.customers'", "warmup_weeks"]),
        ("programme.tiers[7].threshold=3", ["programme.tiers", "0, 1, 2"]),
        ("seed.x=3", ["'seed.x'"]),
        ("evaluate.policies=[no_offers,blankt]", ["evaluate.policies[1]", "'blanket'"]),
        ("evaluate.policies=[blanket]", ["evaluate.policies", "no_offers"]),
        ("evaluate.policies=[no_offers,no_offers]", ["evaluate.policies", "twice"]),
        ("evaluate.responses=[nul]", ["evaluate.responses", "'null'", "literature"]),
        ("evaluate.responses=[]", ["evaluate.responses", "empty"]),
        ("evaluate.customers=many", ["evaluate.customers='many'", "whole number"]),
        ("evaluate.customers=1.5", ["evaluate.customers=1.5", "whole number"]),
        ("evaluate.customers=1", ["evaluate.customers=1", "2 to"]),
        ("evaluate.customers=true", ["evaluate.customers=True", "whole number"]),
        ("evaluate.confidence=nan", ["evaluate.confidence", "a number"]),
        ("seed=-1", ["seed=-1", "0 to"]),
        ("seed=1,2", ["seed=1,2", "several values"]),
        ("seed=[1", ["seed=[1", "quotes"]),
        ("seed", ["key=value"]),
        ("+seed=3", ["key=value"]),
        ("~seed", ["key=value"]),
        ("seed=${nobody}", ["nobody"]),
        ("name=../x", ["name='../x'"]),
        ("name=.x", ["name='.x'"]),
        ("world.contribution_margin=2", ["world.contribution_margin=2.0", "at most 1"]),
        ("world.season.christmas_weeks=60", ["world.season.christmas_weeks=60"]),
        ("response.offer_log_rate.discount=9", ["response.offer_log_rate.discount=9.0"]),
        ("train.network=64", ["train.network=64", "a list"]),
        ("train.batch_size=100000", ["train.batch_size=100000", "rollout_length"]),
        ("train.total_steps=5", ["train.total_steps=5"]),
        ("data.time_zone=Europe/Berlyn", ["data.time_zone", "did you mean 'Europe/Berlin'"]),
        ("data.columns.time=customer", ["data.columns"]),
        ("data.sample=published", ["data.sample", "cdnow"]),
        ("data=csv", ["data.path", "data=/path/to.csv"]),
        ("data.path=/x.csv", ["data.path", "data=csv"]),
        ("programme=null", ["programme='null'", "tiered"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(override: str, words: list[str]) -> None:
    if override == "data.columns.time=customer":
        overrides = ["data=cdnow", override]
    else:
        overrides = [override]
    with pytest.raises(InputError) as caught:
        compose_demo(overrides)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_composing_leaves_the_working_directory_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compose_mapping(["seed=3"])
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []


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
    ],
)
def test_errors_name_the_whole_key(mapping: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build(Programme, mapping, "programme")
    for word in words:
        assert word in str(caught.value)
