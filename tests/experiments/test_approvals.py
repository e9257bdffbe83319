"""Changed limits run only with an approval, or as an experiment that says so."""

from pathlib import Path

import pytest

from agents.errors import InputError
from experiments.approvals import approval_facts, approval_of, read_approvals
from experiments.cli import main
from experiments.config import compose_simulate, options

CHANGE = "constraints.contact_cap.contacts=5"


def test_every_option_that_comes_with_the_project_is_approved():
    known = read_approvals(None)
    assert set(known) == {"default", "strict", "off"} <= set(options("constraints"))
    for name in known:
        config = compose_simulate([f"constraints={name}"])
        approval = approval_of(config.constraints, None)
        assert approval is not None
        assert approval.name == name


def test_off_still_protects_consent_and_the_vulnerable():
    limits = compose_simulate(["constraints=off"]).constraints
    assert (limits.name, limits.consent, limits.vulnerable) == ("off", True, True)


def test_a_changed_limit_is_one_line_that_names_the_change_and_the_way(capsys, tmp_path):
    assert main(["simulate", CHANGE, f"runs_dir={tmp_path}"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    for words in ("contact_cap.contacts=5", "approved is 2", "loyaltylab approve", "approvals="):
        assert words in line
    assert list(tmp_path.iterdir()) == []


def test_limits_of_an_unknown_name_say_which_are_approved(tmp_path):
    file = str(tmp_path / "ours.yaml")
    assert main(["approve", "constraints=strict", "by=Me", f"out={file}"]) == 0
    with pytest.raises(InputError, match=r"no limits of this name are approved \(there are strict"):
        compose_simulate([f"approvals={file}"])


def test_an_approved_change_runs_and_reports_who_approved_it(tmp_path):
    file = str(tmp_path / "ours.yaml")
    assert main(["approve", CHANGE, 'by="A. Person"', "note=Board, May", f"out={file}"]) == 0
    config = compose_simulate([CHANGE, f"approvals={file}"])
    facts = approval_facts(approval_of(config.constraints, file), config.constraints)
    assert (facts["status"], facts["approved_by"]) == ("approved", "A. Person")
    assert facts["note"] == "Board, May"
    assert main(["approve", "constraints=strict", "by=Me", f"out={file}"]) == 0
    assert set(read_approvals(file)) == {"default", "strict"}


def test_an_experiment_runs_and_says_that_nobody_approved_it():
    config = compose_simulate([CHANGE, "constraints.approval=experiment"])
    assert approval_of(config.constraints, None) is None
    assert approval_facts(None, config.constraints)["status"] == "experiment"


def test_a_file_changed_by_hand_is_refused(tmp_path):
    file = tmp_path / "ours.yaml"
    assert main(["approve", "constraints=default", "by=Me", f"out={file}"]) == 0
    file.write_text(file.read_text().replace("contacts: 2", "contacts: 9"))
    with pytest.raises(InputError, match="'default' were changed after Me approved them"):
        read_approvals(str(file))


@pytest.mark.parametrize(
    ("text", "words"),
    [("approvals: 3", "no list"), ("[", "not valid YAML"), ("approvals: [{name: a}]", "must have")],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text, words):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        read_approvals(str(file))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["out={out}"], "by is missing"),
        (["by= ", "out={out}"], "must name the person"),
        (["by=Me"], "out is missing"),
        (["by=Me", "out={out}", "constraints.contact_cap.contacts=99"], "contact_cap.contacts=99"),
        (["by=Me", "out={out}", "constraint=strict"], "constraint"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capsys, arguments, words):
    out = tmp_path / "a.yaml"
    assert main(["approve", *(text.format(out=out) for text in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()
