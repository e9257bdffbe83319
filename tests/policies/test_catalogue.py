"""One table of policies that command line, documents and benchmark agree with."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from experiments import config_schema
from policies import catalogue
from policies.training_run import TrainingRun

ROOT = Path(__file__).resolve().parents[2]


def test_every_policy_is_built_or_learned_or_sees_what_no_firm_can():
    for name, one in catalogue.CATALOGUE.items():
        assert (one.build is not None) + one.learned + one.latent == 1, name
        assert one.sentence.endswith(".")
        assert one.name == name
        if one.build is not None:
            assert catalogue.build_policy(name, 0).name == name


@pytest.mark.parametrize("name", catalogue.LEARNED)
def test_a_learner_is_found_where_the_table_says(name):
    one = catalogue.entry(name)
    assert callable(one.learn())
    assert one.parameters_with() is not None


def test_a_policy_is_learned_by_its_name_with_settings_changed(paired_task):
    settings = {"total_steps": 64 * 12, "environments": 64, "keep_learning": True}
    policy = catalogue.learn_policy("lin_ts", paired_task, 0, TrainingRun(), **settings)
    assert policy.name == "lin_ts"
    assert policy.learning
    with pytest.raises(ValueError, match="environments=0"):
        catalogue.learn_policy("lin_ts", paired_task, 0, TrainingRun(), environments=0)


def test_names_that_do_not_fit_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'triggers'"):
        catalogue.entry("trigers")
    with pytest.raises(ValueError, match="cannot be built"):
        catalogue.build_policy("uplift", 0)
    with pytest.raises(ValueError, match="is not learned"):
        catalogue.entry("blanket").learn()


def test_documents_and_configuration_list_the_same_policies():
    contracts = (ROOT / "docs" / "contracts.md").read_text("utf-8")
    line = next(text for text in contracts.splitlines() if text.startswith("Policies ("))
    listed = re.findall(r"`(\w+)`", line.partition("Programmes:")[0].partition("):")[2])
    assert tuple(listed) == catalogue.NAMES
    assert get_args(config_schema.Rule) == catalogue.RULES
    assert set(catalogue.RULES) < set(get_args(config_schema.Policy)) <= set(catalogue.NAMES)
    page = (ROOT / "docs" / "policies.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in catalogue.NAMES:
        assert f"`{name}`" in page
    for name in catalogue.RULES:
        assert f"`{name}`" in readme


def test_the_table_is_read_without_torch_and_scikit_learn():
    code = "import policies.catalogue, sys; print({'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
