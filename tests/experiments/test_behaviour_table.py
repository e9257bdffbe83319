"""The behaviour table holds every parameter once, and is where the numbers come from."""

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from agents.errors import InputError
from agents.population import MembershipParameters
from agents.records import CHANNELS, KINDS
from agents.response import MECHANISMS, RESPONSE_FIELDS, KindEffects, ResponseParameters
from experiments import behaviour_table
from experiments.behaviour_table import Row, by_mechanism, defaults, references, row, rows
from experiments.config import build, compose_mapping, load_option, options
from experiments.config_schema import PopulationConfig, WorldConfig
from sim.world import SURROUNDINGS

CONF = Path(__file__).resolve().parents[2] / "conf"
OWN = tuple(one for one in rows() if one.status != "P")
RESPONSE = tuple(one for one in OWN if one.section == "response")
WORLD = tuple(one for one in OWN if one.section == "world")
NUMBERS = tuple(one for one in OWN if one.numeric)

# Names of a trade, not sizes of anything.
NO_ROW = {"name", "membership.category_shares"}
# Surroundings that cannot be switched off.
ALWAYS = {"economics", "consent", "accounts"}


def key(one: Row) -> str:
    return one.key


def leaves(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {
            leaf
            for name, item in value.items()
            for leaf in leaves(item, f"{path}.{name}" if path else name)
        }
    return {path}


def test_every_response_parameter_has_its_rows_and_no_other_has() -> None:
    expected = set()
    for name in RESPONSE_FIELDS:
        by_kind = isinstance(getattr(ResponseParameters(), name), KindEffects)
        expected |= {f"{name}.{kind}" for kind in KINDS} if by_kind else {name}
    assert sorted(one.parameter for one in RESPONSE) == sorted(expected)


def test_every_parameter_of_the_surroundings_has_its_row_and_no_other_has() -> None:
    expected: set[str] = set()
    for field in dataclasses.fields(WorldConfig):
        cls = field.type if dataclasses.is_dataclass(field.type) else None
        if cls is PopulationConfig:
            continue  # what a log tells
        inner = [one.name for one in dataclasses.fields(cls)] if cls is not None else [""]
        expected |= {f"{field.name}.{name}".rstrip(".") for name in inner}
    for name, parts in (
        ("consent_share", CHANNELS),
        ("openness", CHANNELS),
        ("rate_correlation", tuple(defaults("world")["membership"]["rate_correlation"])),
    ):
        expected.remove(f"membership.{name}")
        expected |= {f"membership.{name}.{part}" for part in parts}
    drift = {f"population.parameters.{name}" for name in ("rate_log_sd", "drift_time_constant")}
    assert {one.parameter for one in WORLD} == (expected | drift) - NO_ROW


def test_correlations_have_a_row_for_every_trait_that_takes_one() -> None:
    named = defaults("world")["membership"]["rate_correlation"]
    assert MembershipParameters(rate_correlation=dict.fromkeys(named, 0.1))
    for name in ("goal_gradient", "fatigue", "price_sensitivity", "deal_learning", "influence"):
        assert name in named
    with pytest.raises(ValueError, match=r"rate_correlation\.patience"):
        MembershipParameters(rate_correlation={"patience": 0.1})


def test_no_parameter_has_two_rows() -> None:
    keys = [one.key for one in rows()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("one", RESPONSE, ids=key)
def test_mechanisms_are_those_of_the_behaviour_model(one: Row) -> None:
    assert one.mechanism == RESPONSE_FIELDS[one.parameter.partition(".")[0]]["mechanism"]


def test_mechanisms_of_the_surroundings_can_be_switched_off_or_are_named_as_always_on() -> None:
    assert {one.mechanism for one in WORLD} <= {*MECHANISMS, *SURROUNDINGS, *ALWAYS}
    assert {one.mechanism for one in rows()} >= {*MECHANISMS, *SURROUNDINGS}


@pytest.mark.parametrize("one", NUMBERS, ids=key)
def test_a_default_lies_in_a_true_range(one: Row) -> None:
    low, high = one.range
    assert low < high
    assert one.default is None or low <= one.default <= high


@pytest.mark.parametrize("one", [one for one in OWN if not one.numeric], ids=key)
def test_a_word_is_one_of_its_choices(one: Row) -> None:
    assert len(one.range) > 1
    assert one.default in one.range


@pytest.mark.parametrize("one", OWN, ids=key)
def test_a_row_says_what_it_is_and_where_it_is_from(one: Row) -> None:
    assert one.status in ("M", "V", "A")
    assert one.meaning
    assert "\n" not in one.meaning
    assert one.source
    if one.status != "A":
        assert any(short in one.source for short in references())


@pytest.mark.parametrize("one", RESPONSE, ids=key)
def test_a_plausible_range_lies_in_the_hard_one(one: Row) -> None:
    about = RESPONSE_FIELDS[one.parameter.partition(".")[0]]
    assert about["low"] <= one.range[0]
    assert one.range[1] <= about["high"]


@pytest.fixture(scope="module")
def grocery() -> dict[str, Any]:
    world: dict[str, Any] = compose_mapping(["world=grocery"])["world"]
    return world


@pytest.mark.parametrize("one", WORLD, ids=key)
def test_both_ends_of_a_range_make_a_world(one: Row, grocery: dict[str, Any]) -> None:
    for end in one.range:
        mapping = copy.deepcopy(grocery)
        node = mapping
        *parents, leaf = one.parameter.split(".")
        for parent in parents:
            node = node[parent]
        node[leaf] = end
        assert build(WorldConfig, mapping, "world")


def test_every_paper_is_spelled_out_and_every_reference_is_used() -> None:
    text = "\n".join(one.source for one in OWN)
    for one in OWN:
        left = one.source
        for short in references():
            left = left.replace(short, "")
        assert re.search(r"\b(19|20)\d\d\b", left) is None, one.source
    for short, full in references().items():
        assert short in text, short
        assert len(full) > len("journal")


def test_the_response_world_literature_is_the_table() -> None:
    literature = load_option("response", "literature")
    mapping = dataclasses.asdict(literature)
    for one in RESPONSE:
        name, _, kind = one.parameter.partition(".")
        value = mapping[name][kind] if kind else mapping[name]
        assert value == one.default, one.key
    assert (literature.off, literature.plugged) == ((), {})


@pytest.mark.parametrize("group", ["response", "world"])
def test_files_hold_only_what_differs_and_stay_in_plausible_ranges(group: str) -> None:
    own = {one.parameter: one for one in OWN if one.section == group}
    for option in options(group):
        raw = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
        assert isinstance(raw, dict)
        assert raw.pop("defaults") == [f"/behaviour/{group}@_here_", "_self_"]
        raw.pop("name")
        raw.pop("off", None)
        for leaf in leaves(raw):
            value: Any = raw
            for part in leaf.split("."):
                value = value[part]
            if leaf not in own:
                assert leaf.startswith(("population.", "membership.category_shares.")), leaf
                continue
            assert value != own[leaf].default, f"{option}: {leaf}"
            if own[leaf].numeric:
                low, high = own[leaf].range
                assert low <= value <= high, f"{option}: {leaf}"
            else:
                assert value in own[leaf].range


def test_a_row_is_found_by_its_key() -> None:
    assert row("response.goal_gradient").default == 0.22
    assert row("response.goal_gradient").status == "V"
    with pytest.raises(KeyError):
        row("response.nonsense")


def test_an_unknown_mechanism_is_one_line_with_the_nearest() -> None:
    with pytest.raises(InputError, match="'fatige' is not known, did you mean 'fatigue'"):
        by_mechanism("fatige")


def test_the_listing_shows_every_row_and_one_mechanism_in_full() -> None:
    text = behaviour_table.listing()
    for one in rows():
        assert re.search(rf"^  {re.escape(one.key)} ", text, flags=re.MULTILINE), one.key
    assert "\nconsent (always on)\n" in text
    assert "\nfatigue\n" in text
    text = behaviour_table.listing("goal_gradient")
    assert "fatigue" not in text
    assert row("response.goal_gradient").meaning in text
    assert "https://doi.org/10.1509/jmkr.43.1.39" in text
