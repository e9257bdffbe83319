from dataclasses import replace

import numpy as np
import pytest

from agents.calibration import models
from agents.calibration.fit import choose, fit
from agents.calibration.laplace import compile_density, find_mode
from agents.calibration.log import SECONDS_PER_WEEK
from agents.calibration.predictive import predict
from agents.errors import InputError


@pytest.fixture(scope="module")
def cdnow_posterior(cdnow):
    """Maximum likelihood on the calibration weeks of the published sample."""
    return fit(cdnow[0], priors="flat")


def test_cdnow_gives_the_published_estimates(cdnow_posterior):
    assert (cdnow_posterior.purchase_model, cdnow_posterior.spend_model) == (
        "pareto_nbd",
        "gamma_gamma",
    )
    published = {
        "rate_shape": 0.5533,
        "rate_rate": 10.578,
        "dropout_shape": 0.6062,
        "dropout_rate": 11.669,
        "spend_within_shape": 6.250,
        "spend_shape": 3.744,
        "spend_scale": 15.444,
    }
    assert cdnow_posterior.values() == pytest.approx(published, rel=0.005)
    attributes = cdnow_posterior.attributes
    assert float(attributes["purchase_log_likelihood"]) == pytest.approx(-9594.98, abs=0.01)
    assert float(attributes["spend_log_likelihood"]) == pytest.approx(-4055.92, abs=0.01)


def test_cdnow_holdout_forecast_is_the_published_one(cdnow_posterior, cdnow):
    found = predict("pareto_nbd", cdnow_posterior.values(), cdnow[0], 39)
    assert found.expected().sum() == pytest.approx(1666, abs=1)


def test_draws_have_the_mode_first_and_its_uncertainty(cdnow_posterior):
    shape = cdnow_posterior.parameters["rate_shape"]
    assert cdnow_posterior.n_draws == 200
    # Standard error from the Hessian of the closed form: .0477 (four standard errors of an sd).
    assert np.log(shape[1:]).std() == pytest.approx(0.0477 / 0.5533, rel=0.2)
    assert shape[0] != shape[1:].mean()


def test_complete_journey_gives_the_measured_parameters(complete_journey):
    posterior = fit(complete_journey)
    found = posterior.values()
    assert (posterior.purchase_model, posterior.spend_model) == ("drift", "lognormal_gamma")
    assert found["rate_mean"] == pytest.approx(1.21, abs=0.03)
    assert found["rate_log_sd"] == pytest.approx(0.94, abs=0.02)
    assert found["drift_time_constant"] == pytest.approx(154, abs=20)
    assert found["dropout_shape"] / found["dropout_rate"] <= 0.0007
    assert found["spend_log_mean"] == pytest.approx(3.30, abs=0.02)
    assert found["spend_log_sd"] == pytest.approx(0.60, abs=0.03)
    assert found["spend_within_shape"] == pytest.approx(1.2, abs=0.02)
    assert "only fitted parameters" in posterior.attributes["notice"]


@pytest.mark.slow
def test_drift_and_spend_parameters_are_recovered(drifting_log):
    """Every true value lies within 3.5 posterior sd of the mode: false alarms below .3 %."""
    posterior = fit(drifting_log, "drift", "lognormal_gamma")
    true = {
        "rate_mean": 1.2,
        "rate_log_sd": 0.9,
        "drift_time_constant": 80.0,
        "spend_log_mean": 3.3,
        "spend_log_sd": 0.6,
        "spend_within_shape": 1.2,
    }
    for name, value in true.items():
        draws = posterior.parameters[name]
        assert abs(draws[0] - value) < 3.5 * draws[1:].std(), name
        assert draws[1:].std() < 0.25 * value, name
    assert abs(posterior.values()["spend_rate_slope"]) < 0.05


@pytest.mark.slow
def test_the_drift_forecast_is_calibrated_in_aggregate(drifting_log):
    calibration, holdout = drifting_log.split(47)
    posterior = fit(calibration)
    expected = predict("drift", posterior.values(), calibration, 13).expected()
    actual = holdout.weekly_counts().sum(axis=1)
    assert expected.sum() == pytest.approx(actual.sum(), rel=0.05)
    before = calibration.weekly_counts().sum(axis=1)
    assert np.corrcoef(expected, actual)[0, 1] > np.corrcoef(before, actual)[0, 1]


@pytest.mark.slow
def test_fitting_twice_gives_the_same_bits(cdnow):
    some = cdnow[0].select(np.arange(600))
    first, second = fit(some), fit(some)
    for name, values in first.parameters.items():
        assert values.tobytes() == second.parameters[name].tobytes()


def test_the_choice_is_explained(drifting_log):
    assert choose(drifting_log)[:2] == ("drift", "lognormal_gamma")
    assert "existed before the log" in choose(drifting_log)[2]
    young = replace(drifting_log, origin="first_purchase")
    assert choose(young)[0] == "drift"
    short = drifting_log.split(20)[0]
    assert choose(short)[:2] == ("pareto_nbd", "gamma_gamma")
    assert choose(drifting_log, "pareto_nbd", "gamma_gamma")[2].startswith(
        "pareto_nbd and gamma_gamma (as asked"
    )
    with pytest.raises(
        InputError, match="model is 'bg_nbd'; allowed: auto, pareto_nbd, lognormal, drift"
    ):
        choose(drifting_log, "bg_nbd")
    with pytest.raises(InputError, match="spend is 'normal'"):
        choose(drifting_log, "auto", "normal")


def test_a_log_that_cannot_be_fitted_is_refused(drifting_log):
    few = drifting_log.select(np.arange(15))
    with pytest.raises(InputError, match=r"1\d customers bought more than once; allowed.* 20"):
        fit(few)
    same = replace(drifting_log, amount=np.full_like(drifting_log.amount, 500))
    with pytest.raises(InputError, match="amount is the same"):
        fit(same)
    short = drifting_log.split(5)[0]
    with pytest.raises(InputError, match="5 whole weeks observed; allowed: at least 8"):
        fit(short)
    with pytest.raises(InputError, match="at least 26 for drift"):
        fit(drifting_log.split(20)[0], "drift")
    once = replace(
        drifting_log,
        customer=np.arange(drifting_log.n_customers),
        time=np.zeros(drifting_log.n_customers, np.int64),
        amount=np.arange(drifting_log.n_customers) + 1,
        end_time=40 * SECONDS_PER_WEEK,
        origin="first_purchase",
    )
    with pytest.raises(InputError, match="0 customers bought more than once"):
        fit(once, "pareto_nbd")


def test_data_that_do_not_identify_a_model_are_refused():
    frequency, mean_spend = np.full(30, 2.0), np.linspace(9.999, 10.001, 30)
    with pytest.raises(InputError, match="does not identify"):
        find_mode(compile_density(models.gamma_gamma(frequency, mean_spend, "flat")), "toy")
