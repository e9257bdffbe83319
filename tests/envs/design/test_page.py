"""The example of docs/programme-design.md runs and prints what the page shows."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "programme-design.md").read_text("utf-8")


@pytest.mark.slow
def test_the_example_prints_what_the_page_shows(capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "docs/programme-design.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_the_page_names_every_lever_and_the_goalposts() -> None:
    for name in ("threshold_<tier>", "multiplier_<tier>", "price_<reward>", "earn_rate", "budget"):
        assert f"`{name}`" in PAGE
    assert "`Goalposts(notice_weeks=13, close_share=0.2, grandfathering_weeks=52)`" in PAGE
