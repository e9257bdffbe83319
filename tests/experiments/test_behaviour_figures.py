"""docs/behaviour.md shows every mechanism as the rules and the table of behaviour have it now."""

import re
from pathlib import Path

import numpy as np
import pytest

from agents.mechanisms import PLUGGED, Mechanism
from agents.response import MECHANISMS
from experiments import behaviour_figures
from experiments.behaviour_figures import FOLDER, PAGE, digest, filled, main, shown, svg
from experiments.behaviour_panels import FIGURES, Panel, Series
from experiments.behaviour_table import rows
from sim.world import SURROUNDINGS

COMMAND = "run `python -m experiments.behaviour_figures`"
PLUGGED_NAMES = {one.name for one in PLUGGED}


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_tables_of_the_page_are_those_of_the_table_of_behaviour() -> None:
    assert filled(page()) == page(), COMMAND


def test_every_mechanism_has_a_figure_and_every_parameter_is_on_the_page() -> None:
    names = (set(MECHANISMS) - PLUGGED_NAMES) | set(SURROUNDINGS)
    assert set(FIGURES) == names
    for name in names:
        assert page().count(f"(figures/{name}.svg)") == 1, name
        assert re.search(rf"`{name}`", page()), name
    for row in rows():
        if row.status != "P":
            assert page().count(f"| `{row.key}` |") == 1, row.key


def test_the_page_shows_the_figures_of_the_mechanisms_and_all_of_them_are_written() -> None:
    on_the_page = re.findall(r"!\[[^\]]+\]\(figures/(\w+)\.svg\)", page())
    assert sorted(on_the_page) == sorted(FIGURES)
    assert set(on_the_page) <= {path.stem for path in FOLDER.glob("*.svg")}


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", page(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
    links = re.findall(r"\]\(#([^)]+)\)", page())
    assert links
    assert set(links) <= anchors


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_what_the_rules_give_now(name: str) -> None:
    assert shown(FOLDER / f"{name}.svg") == digest(FIGURES[name]()), COMMAND


def example(y: float = 1.0) -> tuple[Panel, ...]:
    return (
        Panel("x", "y", (Series("a", (1, 2), (1, y)), Series("", (1, 2), (1, 2), "dots"))),
        Panel("x", "y", (Series("b", (1, 2), (1, 2), "bars"),), ticks=("one", "two")),
        Panel("", "", (Series("c", (0, 1, np.nan), (0, 1, np.nan), "links"),), bare=True),
    )


def test_the_same_data_give_the_same_bytes_without_a_date_on_white() -> None:
    drawn = svg(example())
    assert drawn == svg(example())
    text = drawn.decode()
    assert "dc:date" not in text
    assert "#ffffff" in text
    assert digest(example()) in text


def test_another_number_label_or_axis_is_another_digest() -> None:
    base = digest(example())
    assert digest(example(1.0 + 1e-9)) == base  # rounding of machines is none
    assert digest(example(1.001)) != base
    assert digest((*example()[:2], Panel("z", "", (), bare=True))) != base


def test_the_command_writes_what_is_missing_or_old_and_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(behaviour_figures, "PAGE", tmp_path / "behaviour.md")
    monkeypatch.setattr(behaviour_figures, "FOLDER", tmp_path / "figures")
    (tmp_path / "behaviour.md").write_text("<!-- table fatigue -->\nold\n<!-- end -->\n")
    main(["category"])
    figure = tmp_path / "figures" / "category.svg"
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {figure}", f"wrote {tmp_path / 'behaviour.md'}"
    ]  # fmt: skip
    assert "| `response.fatigue_weeks` |" in (tmp_path / "behaviour.md").read_text()
    main(["category"])
    assert capsys.readouterr().out == ""
    figure.write_text(figure.read_text().replace(shown(figure), "0" * 16))
    main(["category"])
    assert capsys.readouterr().out == f"wrote {figure}\n"
    main(["category", "--force"])
    assert capsys.readouterr().out == f"wrote {figure}\n"


def test_an_unknown_figure_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fatige"])
    assert end.value.code == 2
    assert "no figure fatige: choose among attention, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table fatige -->\n<!-- end -->\n", "names nothing"),
        ("<!-- graph fatigue -->\n<!-- end -->\n", "names nothing"),
        ("<!-- table fatigue -->\n", "needs its <!-- end -->"),
    ],
)
def test_a_marker_that_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        filled(text)


def test_the_mechanism_that_the_page_shows_works() -> None:
    code = re.search(r"```python\n(.*?)```", page(), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec(code.group(1), names)
    mechanism = names["DISUSE"]
    assert isinstance(mechanism, Mechanism)
    assert len(mechanism.parameters) == 2
    assert mechanism.effect(None, None, None, 2.0, (9.0, 0.1, 0.2), 1) == (-0.2, 0.4)

    class Quiet:
        purchases = 0

    assert mechanism.remember is not None
    assert mechanism.remember(1.0, Quiet, (), 0) == pytest.approx(1.8)
