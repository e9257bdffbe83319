"""Draws of the posterior, and the gate they must pass."""

import numpy as np
import pytest

from agents.calibration import fit as fit_module
from agents.calibration import models
from agents.calibration.fit import fit
from agents.calibration.laplace import Compiled, Mode
from agents.calibration.nuts import Diagnostics, diagnose, sample
from agents.errors import InputError


def normal(covariance):
    """A normal density around (1, -2), and its mode."""
    centre, precision = np.array([1.0, -2.0]), np.linalg.inv(covariance)

    def evaluate(point):
        away = point - centre
        return -float(away @ precision @ away) / 2, 0.0, -precision @ away

    density = Compiled(
        ("x", "y"), centre, evaluate, lambda: evaluate, lambda points: {"x": points[:, 0]}
    )
    return density, Mode(("x", "y"), centre, covariance, 0.0)


def test_nuts_draws_a_normal_posterior_and_repeats_itself():
    """Means within 4 standard errors: a false alarm in 1 of 4,000."""
    covariance = np.array([[1.0, 0.9], [0.9, 2.0]])
    density, mode = normal(covariance)
    told = []
    points, found = sample(density, mode, draws=500, seed=3, tell=lambda *at: told.append(at))
    assert points.shape == (4, 500, 2)
    assert not found.failures()
    flat = points.reshape(-1, 2)
    error = np.sqrt(np.diag(covariance) / found.effective_bulk)
    assert (np.abs(flat.mean(axis=0) - [1, -2]) < 4 * error).all()
    assert np.cov(flat.T) == pytest.approx(covariance, rel=0.2)
    again, _ = sample(density, mode, draws=500, seed=3)
    assert again.tobytes() == points.tobytes()
    assert told[-1][0] == told[-1][1]


def test_chains_that_disagree_fail():
    rng = np.random.default_rng(0)
    apart = rng.standard_normal((4, 200, 1)) + np.arange(4)[:, None, None]
    failures = diagnose(apart, 3, 1.0).failures()
    assert any("R-hat" in text for text in failures)
    assert any("bulk" in text for text in failures)
    assert any("3 of 800 transitions diverged" in text for text in failures)
    assert diagnose(rng.standard_normal((4, 500, 1)), 0, 1.0).failures() == []
    stuck = diagnose(np.ones((4, 500, 1)), 0, 1.0).failures()
    assert any("R-hat is nan" in text for text in stuck)


def test_a_fit_that_fails_is_refused_unless_asked_for(cdnow, monkeypatch):
    bad = Diagnostics(r_hat=1.3, effective_bulk=12, effective_tail=20, draws=400)
    points = np.zeros((4, 100, 4))

    def failing(density, mode, **options):
        return mode.point + points[:, :, : len(mode.point)], bad

    monkeypatch.setattr(fit_module, "sample", failing)
    some = cdnow[0].select(np.arange(800))
    with pytest.raises(InputError, match=r"R-hat is 1\.300.*untrusted=true"):
        fit(some, "pareto_nbd", "gamma_gamma", inference="nuts")
    kept = fit(some, "pareto_nbd", "gamma_gamma", inference="nuts", untrusted=True, draws=50)
    assert kept.n_draws == 50
    with pytest.raises(InputError, match="inference is 'vi'; allowed: map, nuts"):
        fit(some, inference="vi")


@pytest.mark.slow
def test_nuts_and_the_normal_approximation_agree_where_they_should(cdnow):
    """Rates are well identified: medians within a fifth of a posterior sd."""
    sampled = fit(cdnow[0], "pareto_nbd", "gamma_gamma", inference="nuts", draws=2000)
    normal = fit(cdnow[0], "pareto_nbd", "gamma_gamma", draws=2000)
    assert sampled.n_draws == 2000
    for name in ("rate_shape", "rate_rate", "spend_shape"):
        one, other = sampled.parameters[name][1:], normal.parameters[name][1:]
        assert abs(np.median(one) - np.median(other)) < 0.2 * one.std(), name


def test_priors_are_written_down():
    from agents.calibration.sufficient import PurchaseHistories

    known = PurchaseHistories(np.array([1]), np.array([2.0]), np.array([9.0]), np.array([5]))
    priors = models.pareto_nbd(known).priors
    assert set(priors) == {"rate_shape", "rate_rate", "dropout_shape", "dropout_rate"}
    assert priors["rate_rate"] == ("log", pytest.approx(np.log(10)), 2.0)
    assert models.pareto_nbd(known, "flat").priors["rate_rate"].sd == np.inf
