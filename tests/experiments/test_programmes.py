"""The programmes in conf/programme: complete, valid, and worth what their comments say."""

import dataclasses
from pathlib import Path

import pytest
import yaml

import conf
from experiments.config import build
from experiments.report.programme import earning
from sim.programme import ProgrammeParameters, Reward, Tier

FILES = sorted((Path(conf.__path__[0]) / "programme").glob("*.yaml"))


def programme(name: str) -> ProgrammeParameters:
    path = next(path for path in FILES if path.stem == name)
    return build(ProgrammeParameters, yaml.safe_load(path.read_text()), "programme")


def names(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_spells_out_every_key_in_order_and_bears_its_own_name(path: Path) -> None:
    """Keys that stand in the file can be overridden on the command line."""
    keys = yaml.safe_load(path.read_text())
    assert list(keys) == names(ProgrammeParameters)
    assert all(list(reward) == names(Reward) for reward in keys["rewards"])
    assert all(list(tier) == names(Tier) for tier in keys["tiers"])
    assert programme(path.stem).name == path.stem


def test_there_is_a_preset_for_every_kind_of_programme() -> None:
    assert [path.stem for path in FILES] == [
        "cashback", "challenge", "cltv_tiers", "no_programme", "points", "stamp_card", "tiered",
    ]  # fmt: skip


def test_only_no_programme_is_none() -> None:
    assert [path.stem for path in FILES if not programme(path.stem).active] == ["no_programme"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_point_is_worth_a_cent_and_a_stamp_a_tenth_of_the_reward(path: Path) -> None:
    """Hence one percent of what counts, and programmes differ in their rules, not in their size.

    One that pays by purchase gives stamps, each a tenth of the reward.
    """
    preset = programme(path.stem)
    if preset.points_per_purchase:
        assert preset.points_per_unit == 0.0
        assert [10 * preset.points_per_purchase] == [r.points_price for r in preset.rewards]
    else:
        assert preset.point_cost * preset.points_per_unit == 1.0


def test_points_and_challenge_are_tiered_without_its_tiers() -> None:
    tiered = programme("tiered")
    plain = dataclasses.replace(tiered, name="points", tiers=tiered.tiers[:1])
    assert programme("points") == plain
    bonuses = {"challenge": None, "streak": None, "welcome_points": 0, "referral_points": 0}
    assert dataclasses.replace(programme("challenge"), name="points", **bonuses) == plain


def test_tiers_by_predicted_value_ask_for_the_margin_on_the_spend_that_tiered_asks_for() -> None:
    asked = [tier.threshold for tier in programme("tiered").tiers]
    assert [tier.threshold for tier in programme("cltv_tiers").tiers] == [0.25 * a for a in asked]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "tiered",
            "1 point per USD paid, vouchers counted as money, usable after 1 week and for 4",
        ),
        ("stamp_card", "It gives 1 point per purchase, usable at once and for ever."),
    ],
)
def test_the_report_says_what_a_programme_gives(name: str, words: str) -> None:
    assert words in earning(dataclasses.asdict(programme(name)), "USD")
