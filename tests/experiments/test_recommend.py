"""`loyaltylab recommend` names a choice, a runner-up, and what would change the answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.errors import InputError
from experiments import kept_run
from experiments.config import compose_recommend
from experiments.recommend import _MAY_CHANGE, _gains, _options, recommend, run_recommend
from experiments.report.recommend import headline, render_recommendation, what_would_change_it
from policies.training_run import TrainingRun

SMALL = (
    "world=music_store", "programmes=[no_programme,tiered]", "policies=[no_offers,blanket]",
    "responses=[null,optimistic]", "customers=150", "warmup_weeks=4", "weeks=8", "pool=40",
)  # fmt: skip


@pytest.fixture(scope="module")
def summary():
    return recommend(*SMALL)


def test_every_choice_is_compared_with_nothing_at_all(summary):
    choices = {(row["programme"], row["policy"]): row for row in summary["choices"]}
    assert len(choices) == 4
    idle = choices["no_programme", "no_offers"]
    assert (idle["gain"], idle["low"], idle["high"]) == (0.0, 0.0, 0.0)
    assert choices["no_programme", "blanket"]["by_response"][0] <= 0  # null: offers only cost
    assert summary["violations"] == 0


def test_the_choice_has_the_largest_mean_gain(summary):
    gains = [row["gain"] for row in summary["choices"]]
    assert gains == sorted(gains, reverse=True)
    best, runner_up = summary["choices"][:2]
    assert best["behind"] == 0
    assert runner_up["behind"] == pytest.approx(best["gain"] - runner_up["gain"])
    assert best["programme"].replace("_", " ") in headline(summary)


def test_a_runner_up_that_does_the_same_is_said_to(summary):
    same = {"gain": 0.0, "low": 0.0, "high": 0.0}
    found = summary | {"confirmed": summary["confirmed"] | {"ahead": same}}
    assert headline(found).endswith("which did the same for every one of these customers.")
    ahead = {"gain": -0.7, "low": -0.9, "high": -0.5}
    found = summary | {"confirmed": summary["confirmed"] | {"ahead": ahead}}
    assert headline(found).endswith("which did better on these customers, by 0.70.")
    close = {"gain": 0.001, "low": -0.002, "high": 0.004}
    found = summary | {"confirmed": summary["confirmed"] | {"ahead": close}}
    assert headline(found).endswith("no different within luck (0.00 to 0.00).")


def test_other_budgets_and_worlds_are_told(summary):
    told = " ".join(what_would_change_it(summary))
    assert [row["weekly_budget"] for row in summary["budgets"]] == [0.125, 0.5]
    assert "worst response world" in told
    assert "What would change the answer" in render_recommendation(summary)


def test_violations_are_those_of_every_comparison(monkeypatch):
    def broken(*args, **kwargs):
        gains, facts = _gains(*args, **kwargs)
        return gains, [fact | {"violations": 1} for fact in facts]

    monkeypatch.setattr("experiments.recommend._gains", broken)
    # Four choices, the first two on other customers, all four at either other budget.
    assert recommend(*SMALL)["violations"] == 4 + 2 + 2 * 4


def test_beliefs_move_the_means():
    sure = recommend(*SMALL, "beliefs=[1,0]")  # null for certain: whatever is done only costs
    assert (sure["choices"][0]["programme"], sure["choices"][0]["policy"]) == (
        "no_programme", "no_offers",
    )  # fmt: skip
    for row in sure["choices"]:
        assert row["gain"] == pytest.approx(row["by_response"][0])


def test_a_policy_that_learns_is_trained_for_each_set_of_offers():
    small = [text for text in SMALL if not text.startswith("policies=")]
    found = recommend(*small, "policies=[no_offers,lin_ucb]", "minutes=0.002")
    assert len(found["choices"]) == 4


def test_trainings_of_an_interrupted_run_are_gone_on_with(tmp_path: Path, monkeypatch):
    small = [text for text in SMALL if not text.startswith(("policies=", "programmes="))]
    config = compose_recommend(
        [*small, "programmes=[tiered]", "policies=[no_offers,lin_ucb]", "minutes=0.002",
         f"runs_dir={tmp_path}"]
    )  # fmt: skip
    begun = []

    class Watched(TrainingRun):
        def load(self):
            state = super().load()
            begun.append(state is None)
            return state

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.recommend.TrainingRun", Watched)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("experiments.recommend.rank", killed)
        run_recommend(config)
    run_recommend(config)
    assert begun == [True, False]
    assert (tmp_path / "recommend" / "train-lin_ucb-tiered" / "log.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["recommend"]


@pytest.mark.parametrize("change", ["minutes", "contents", None])
def test_unfinished_work_of_other_settings_or_rules_is_not_gone_on_with(
    tmp_path: Path, monkeypatch, change
):
    config = compose_recommend([*SMALL, f"runs_dir={tmp_path}"])
    with pytest.raises(KeyboardInterrupt), _resumable(config) as (_, first):
        (first / "training").mkdir()
        raise KeyboardInterrupt
    if change == "minutes":
        config = replace(config, minutes=config.minutes + 1)
    if change == "contents":
        read = kept_run.load_option

        def edited(group, name):
            found = read(group, name)
            return replace(found, points_per_unit=7.0) if name == "tiered" else found

        monkeypatch.setattr(kept_run, "load_option", edited)
    notes = []
    with _resumable(config, notes.append) as (_, second):
        assert (second == first) is (change is None)
    (note,) = notes
    assert str(first) in note
    assert ("Goes on" if change is None else "unfinished work of other settings") in note
    assert first.exists() is (change is not None)


def test_the_same_command_is_not_at_work_twice(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("os.getpid", iter(range(10**6, 2 * 10**6)).__next__)  # as if by others
    config = compose_recommend([*SMALL, f"runs_dir={tmp_path}"])
    with _resumable(config) as (_, kept):
        (kept / "training").mkdir()
        with pytest.raises(InputError, match="name=recommend: the same command is at work"):
            _resumable(config).__enter__()
        for other in (replace(config, name="other"), replace(config, seed=9)):
            notes = []
            with _resumable(other, notes.append):
                assert notes == []  # nothing about work that is under way
        assert (kept / "training").exists()
    assert not kept.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"recommend", "other"}


def test_what_was_trained_stays_until_the_run_has_its_name(tmp_path: Path):
    config = compose_recommend([*SMALL, f"runs_dir={tmp_path}"])
    with pytest.raises(InputError, match="is not a run"), _resumable(config) as (run, kept):
        (kept / "training").mkdir()
        (run.final / "thesis").mkdir(parents=True)  # somebody takes the name meanwhile
    assert (kept / "training").exists()
    assert [path.name for path in run.final.iterdir()] == ["thesis"]


def test_a_run_that_fails_before_anything_was_trained_leaves_nothing(tmp_path: Path):
    config = compose_recommend([*SMALL, f"runs_dir={tmp_path / 'runs'}"])
    with pytest.raises(InputError, match="nothing"), _resumable(config):
        raise InputError("nothing can be trained")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_deleted_while_it_is_waited_for_is_not_had(tmp_path: Path, monkeypatch):
    folder = tmp_path / "kept"
    folder.mkdir()
    found = kept_run.fcntl.flock

    def late(held, operation):
        found(held, operation)
        folder.rmdir()  # by one who was done
        folder.mkdir()  # by another

    monkeypatch.setattr(kept_run.fcntl, "flock", late)
    assert kept_run._hold(folder) is None


def _resumable(config, note=lambda line: None):
    return kept_run.resumable(config, _options(config), _MAY_CHANGE, note)


def test_the_command_writes_summary_and_report(tmp_path: Path, capsys):
    run_recommend(compose_recommend([*SMALL, f"runs_dir={tmp_path}", "budget=0.1"]))
    written = json.loads((tmp_path / "recommend" / "summary.json").read_text("utf-8"))
    assert written["weekly_budget"] == 0.1
    assert (tmp_path / "recommend" / "report.html").stat().st_size > 0
    assert "Choose" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("policies=[trigers]", "triggers"),
        ("policies=[clairvoyant]", "policies"),
        ("programmes=[tired]", "tiered"),
        ("responses=[nul]", "null"),
        ("beliefs=[0.5,0.2]", "beliefs"),
        ("budget=-1", "budget"),
        ("budget=much", "budget"),
    ],
)
def test_what_cannot_be_compared_is_named(override: str, named: str):
    with pytest.raises(InputError, match=named):
        compose_recommend([override])
