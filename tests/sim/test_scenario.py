"""The season moves demand within the year and not over it."""

import numpy as np
import pytest

from sim.scenario import SeasonParameters, calendar

GROCERY_SEASON = SeasonParameters(0.024, 0.044, 26, 0.12, 0.28)


def test_over_a_year_the_season_changes_neither_mean_rate_nor_mean_basket():
    table = calendar(GROCERY_SEASON)
    assert table["exposure"].mean() == pytest.approx(1)
    assert table["spend"].mean() == pytest.approx(1)
    np.testing.assert_allclose(np.exp(table["log_rate"]), table["exposure"])


def test_christmas_and_the_wave_have_their_sizes():
    table = calendar(SeasonParameters(0.0, 0.0, 26, 0.12, 0.28))
    assert table["exposure"][50] / table["exposure"][10] == pytest.approx(1.12)
    assert table["spend"][51] / table["spend"][10] == pytest.approx(1.28)
    wave = calendar(SeasonParameters(0.024, 0.0, 26))["log_rate"]
    assert wave[26] - wave[0] == pytest.approx(0.048)


def test_no_season_is_flat():
    table = calendar(SeasonParameters())
    assert (table["exposure"] == 1).all()
    assert (table["spend"] == 1).all()
