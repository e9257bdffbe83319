"""The protocol is frozen, and results of another one are refused."""

import dataclasses

import pytest

from agents.errors import InputError
from experiments.benchmark.protocol import PROTOCOL, Cell, Entry
from experiments.benchmark.results import Outcome, Results

CELL = Cell("grocery", "null", "tiered", 1)
OUTCOME = Outcome(
    margin=50.0, gain=-0.5, error=0.1, settled=2.0, reserved=9.0, budget=13.0, violations=0,
    override_rate=0.2, contacts=3.0, alive=0.9, alive_without=0.9, offers_used=0.3, rewards=1.0,
    rewards_without=1.0, seconds=0.5,
)  # fmt: skip


def test_version_3_is_as_it_was_frozen():
    assert (PROTOCOL.version, PROTOCOL.digest) == (3, "06396fa3019b5984")


def test_results_of_other_code_or_configuration_are_refused(tmp_path):
    Results(tmp_path, PROTOCOL, "one")
    with pytest.raises(
        InputError, match=r"state of the code or configuration \('one', not 'other'\)"
    ):
        Results(tmp_path, PROTOCOL, "other")


def test_results_of_other_code_can_be_read_and_not_added_to(tmp_path):
    with pytest.raises(InputError, match="no results to read"):
        Results(tmp_path / "none", PROTOCOL, reads=True)
    assert not (tmp_path / "none").exists()
    Results(tmp_path, PROTOCOL, "one").add(CELL, {"random:rule": OUTCOME})
    read = Results(tmp_path, PROTOCOL, reads=True)
    assert read.known(CELL) == {"random:rule": OUTCOME}
    assert read.mark == "one"
    with pytest.raises(RuntimeError, match="to be read"):
        read.add(CELL, {"blanket:rule": OUTCOME})
    with pytest.raises(InputError, match="another protocol"):
        Results(tmp_path, dataclasses.replace(PROTOCOL, customers=7), reads=True)


def test_every_market_is_covered_by_every_seed():
    cells = PROTOCOL.cells
    assert len(cells) == len(set(cells)) == 3 * 5 * 3 * 5
    assert {cell.seed for cell in cells[:45]} == {PROTOCOL.seeds[0]}


def test_entries_have_names_of_their_own():
    names = [entry.name for entry in PROTOCOL.entries]
    assert len(set(names)) == len(names)
    assert Entry("rollout", "robust", 10.0).name in names


def test_any_change_of_the_protocol_changes_its_digest():
    for field in dataclasses.fields(PROTOCOL):
        if field.name == "version":
            continue
        value = getattr(PROTOCOL, field.name)
        other = {} if isinstance(value, dict) else value * 2
        changed = dataclasses.replace(PROTOCOL, **{field.name: other})
        assert changed.digest != PROTOCOL.digest, field.name


def test_finished_entries_are_not_missing_any_more(tmp_path):
    results = Results(tmp_path, PROTOCOL)
    entries = [Entry("random", "rule"), Entry("blanket", "rule")]
    assert results.missing(CELL, entries) == entries
    results.add(CELL, {entries[0].name: OUTCOME})
    again = Results(tmp_path, PROTOCOL)
    assert again.missing(CELL, entries) == entries[1:]
    again.add(CELL, {entries[1].name: OUTCOME._replace(gain=1.0)})
    assert again.known(CELL)[entries[0].name] == OUTCOME
    assert again.known(CELL)[entries[1].name].share == pytest.approx(0.02)


@pytest.mark.parametrize("text", ["{", "[]", '{"random:rule": {"gain": 1.0}}'])
def test_a_file_of_something_else_is_named(tmp_path, text):
    results = Results(tmp_path, PROTOCOL)
    (tmp_path / f"{CELL.name}.json").write_text(text)
    with pytest.raises(InputError, match=r"grocery-null-tiered-1\.json"):
        results.known(CELL)


def test_results_of_another_protocol_are_refused(tmp_path):
    Results(tmp_path, PROTOCOL)
    with pytest.raises(InputError, match="give another --folder"):
        Results(tmp_path, dataclasses.replace(PROTOCOL, customers=7))
