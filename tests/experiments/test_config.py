"""Configuration composes, is typed, and says in one line what is wrong with it."""

import dataclasses
from pathlib import Path

import pytest

from agents.calibration.posterior import Posterior
from agents.errors import InputError
from agents.mechanisms import PLUGGED
from agents.population import GROCERY
from experiments.config import (
    compose_calibrate,
    compose_demo,
    compose_design,
    compose_mapping,
    compose_recommend,
    compose_sensitivity,
    compose_simulate,
    compose_train,
    compose_tune,
    groups,
    load_option,
    options,
    other_side,
    response_world,
)
from experiments.config_sources import APPLICATIONS

OPTIONS = [
    (name, group, one) for name in APPLICATIONS for group in groups(name) for one in options(group)
]
COMPOSE = {
    "calibrate": compose_calibrate,
    "demo": compose_demo,
    "design": compose_design,
    "recommend": compose_recommend,
    "simulate": compose_simulate,
    "sensitivity": compose_sensitivity,
    "train": compose_train,
    "tune": compose_tune,
}


@pytest.mark.parametrize(("application", "group", "option"), OPTIONS)
def test_every_option_of_every_group_composes(application: str, group: str, option: str) -> None:
    extra = {"data": ["data.contactable=all"]}.get(group, [])
    if option == "csv":
        extra = ["data.path=log.csv"]
    if application == "sensitivity":
        extra = ["against=null"]  # no programme is compared with itself
    config = COMPOSE[application]([f"{group}={option}", *extra])
    assert dataclasses.is_dataclass(config)
    if group in ("world", "response", "programme", "offers"):
        assert getattr(config, group).name == option


@pytest.mark.parametrize("group", groups())
def test_an_option_is_loaded_by_itself(group: str) -> None:
    assert dataclasses.is_dataclass(load_option(group, options(group)[-1]))


def test_groups_are_those_of_the_application() -> None:
    assert groups("simulate") == ("constraints", "offers", "programme", "response", "world")
    assert set(groups("demo")) == {*groups("simulate"), "calibration", "data", "evaluate", "train"}


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
    assert response_world(config, "null").without().goal_gradient == 0.0
    assert response_world(config, "optimistic").goal_gradient == 0.44


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
        ("response.goal_gradien=1", ["did you mean 'response.goal_gradient'", "momentum_weeks"]),
        ("response.goal_gradient=9", ["response.goal_gradient=9.0", "[-2.0, 2.0]"]),
        ("response.offer_log_rate.coupon=1", ["response.offer_log_rate has", "free_item"]),
        ("response.name=mine", ["response.name", "the name of the file"]),
        ("response.off=[tears]", ["response.off='tears'", "tier_change"]),
        ("response.plugged.x=1", ["'response.plugged.x'"]),
        ("behaviour.response=1", ["'behaviour.response'", "response"]),
        ("off=[fatige]", ["off='fatige'", "did you mean 'fatigue'", "word_of_mouth"]),
        ("off=fatigue", ["off='fatigue'", "a list"]),
        ("world.season.rate_amplitud=0", ["did you mean 'world.season.rate_amplitude'"]),
        ("world.network.kind=ring", ["world.network.kind='ring'", "small_world"]),
        ("world.network.degree=3", ["world.network.degree=3", "even"]),
        ("world.competitor.weeks=0", ["world.competitor.weeks=0"]),
        ("world.subscription.fee=-1", ["world.subscription.fee=-1.0"]),
        ("world.survey.nps_mean=11", ["world.survey.nps_mean=11.0"]),
        ("world.join_hazard=-1", ["world.join_hazard=-1.0"]),
        ("world.close_account_probability=2", ["world.close_account_probability=2.0", "0 to 1"]),
        ("world.membership.category_shares.fresh=0.9", ["world.membership", "category_shares"]),
        ("world.population.spend_model=gamma", ["world.population.spend_model", "gamma_gamma"]),
        ("world.population.spend_model=none", ["world.population.parameters", "spend_log_mean"]),
        ("world.population.parameters.rate_mean=0", ["world.population.parameters.rate_mean=0.0"]),
        ("world.population.parameters.rate_log_sd=9", ["rate_log_sd=9.0", "at most 5"]),
        ("data.world=groceries", ["data.world='groceries'", "did you mean 'grocery'"]),
        ("posterior=x.nc", ["'posterior'", "the keys are"]),
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


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=cdnow"], ["'data'", "posterior"]),
        (["evaluate.customers=3"], ["'evaluate.customers'"]),
        (["policy=maskable_ppo"], ["policy='maskable_ppo'", "triggers"]),
        (["policy=trigger"], ["did you mean 'triggers'"]),
        (["customers=1"], ["customers=1", "2 to"]),
        (["weeks=0"], ["weeks=0", "1 to 520"]),
        (["warmup_weeks=-1"], ["warmup_weeks=-1"]),
        (["posterior=/no/where.nc"], ["posterior='/no/where.nc'", "no such file"]),
        (["against=tierd"], ["against='tierd'", "did you mean 'tiered'"]),
        (["programme=tiered", "against=tiered"], ["against=tiered", "itself"]),
        (["off=[drft]"], ["off='drft'", "did you mean 'drift'"]),
        (["offers=categories", "world=boutique"], ["drinks_30", "category='drinks'", "none"]),
        (["offers=categories", "world.membership.category_shares={drinks: 1}"], ["sum of"]),
        (["name=a/b"], ["name='a/b'"]),
        (["against=no_programme", "against=points"], ["against=no_programme", "against=points"]),
        (["world=boutique", "world=grocery"], ["world=boutique", "world=grocery", "twice"]),
        (["seed=1", "seed=2"], ["seed is given twice", "seed=1", "seed=2"]),
        (["programme.tiers[0].multiplier=1", "programme.tiers.0.multiplier=2"], ["=1", "=2"]),
    ],
)
def test_what_is_wrong_with_a_simulation_is_one_line(
    overrides: list[str], words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        compose_simulate(overrides)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_simulation_needs_no_log() -> None:
    config = compose_simulate()
    assert (config.name, config.customers, config.weeks, config.warmup_weeks) == (
        "simulate",
        20_000,
        104,
        0,
    )
    assert (config.policy, config.posterior, config.against, config.off) == (
        "no_offers",
        None,
        None,
        (),
    )
    assert other_side(config) is None


def test_a_simulation_takes_a_fitted_population_and_a_programme_to_compare_with(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a b.nc"
    Posterior(GROCERY.purchase_model, GROCERY.spend_model, GROCERY.parameters, {}).save(path)
    config = compose_simulate([f"posterior={path}", "against=no_programme", "policy=triggers"])
    assert config.posterior == str(path)
    other = other_side(config)
    assert other is not None
    assert (other.programme.name, other.policy) == ("no_programme", "triggers")


def test_a_changed_programme_is_compared_with_the_one_of_its_name() -> None:
    config = compose_simulate(["programme=tiered", "programme.breakage=0.5", "against=tiered"])
    other = other_side(config)
    assert other is not None
    assert (config.programme.breakage, other.programme.breakage) == (0.5, 0.3)


def test_a_policy_to_compare_with_leaves_the_programme_as_it_is() -> None:
    config = compose_simulate(["policy=triggers", "against=blanket", "programme.breakage=0.5"])
    other = other_side(config)
    assert other is not None
    assert (other.policy, other.programme) == ("blanket", config.programme)


@pytest.mark.parametrize("compose", [compose_demo, compose_simulate])
def test_mechanisms_are_switched_off_by_name(compose: object) -> None:
    assert callable(compose)
    config = compose(["off=[fatigue,drift,word_of_mouth]"])
    assert config.off == ("fatigue", "drift", "word_of_mouth")


def test_a_path_given_as_data_is_the_key_data_path() -> None:
    with pytest.raises(InputError, match=r"data.path is given twice: .*=a.csv and .*=b.csv"):
        compose_demo(["data=a.csv", "data.path=b.csv"])


def test_a_log_may_name_another_world() -> None:
    assert compose_demo(["data=cdnow", "data.world=boutique"]).world.name == "boutique"


@pytest.mark.skipif(bool(PLUGGED), reason="a plug-in with mechanisms is installed")
def test_without_a_plug_in_no_plugged_parameter_is_known() -> None:
    with pytest.raises(InputError, match="no installed package brings a mechanism"):
        compose_demo(["response.plugged.regret=0.1"])


def test_composing_leaves_the_working_directory_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compose_mapping(["seed=3"])
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []
