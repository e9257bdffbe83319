import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.calibration.posterior import (
    CORRELATIONS,
    PURCHASE_PARAMETERS,
    SPEND_PARAMETERS,
    Posterior,
)
from agents.errors import InputError

ROOT = Path(__file__).parents[3]


def make_posterior(draws=5, purchase="drift", spend="lognormal_gamma", **changes):
    rng = np.random.default_rng(0)
    names = PURCHASE_PARAMETERS[purchase] + SPEND_PARAMETERS[spend]
    scores = {name: rng.normal(size=draws + 1) for name in names}
    parameters = {
        name: np.tanh(score) if name in CORRELATIONS else np.exp(score)
        for name, score in scores.items()
    }
    return Posterior(purchase, spend, parameters | changes, {"data": "toy 51° ü", "customers": "9"})


@pytest.mark.parametrize(
    ("purchase", "spend"),
    [
        ("drift", "lognormal_gamma"),
        ("drift", "gamma_gamma"),
        ("pareto_nbd", "lognormal_gamma"),
        ("pareto_nbd", "gamma_gamma"),
        ("lognormal", "lognormal"),
    ],
)
def test_a_saved_posterior_comes_back_bit_for_bit(tmp_path, purchase, spend):
    posterior = make_posterior(purchase=purchase, spend=spend)
    posterior.save(tmp_path / "new" / "posterior.nc")
    loaded = Posterior.load(tmp_path / "new" / "posterior.nc")
    assert (loaded.purchase_model, loaded.spend_model) == (purchase, spend)
    assert loaded.attributes == posterior.attributes
    assert loaded.n_draws == 5
    for name, values in posterior.parameters.items():
        assert loaded.parameters[name].tobytes() == values.tobytes()
    assert loaded.values(3) == posterior.values(3)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["posterior.nc"]


def test_saving_over_a_file_keeps_the_old_one_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "posterior.nc"
    make_posterior().save(path)
    before = path.read_bytes()
    broken = make_posterior(draws=2)
    monkeypatch.setattr("agents.calibration.posterior._checksum", lambda posterior: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_xarray_reads_the_file(tmp_path):
    import xarray

    posterior = make_posterior()
    posterior.save(tmp_path / "posterior.nc")
    with xarray.open_dataset(tmp_path / "posterior.nc", engine="scipy") as dataset:
        assert dataset.sizes["draw"] == 6
        assert np.array_equal(dataset["rate_mean"], posterior.parameters["rate_mean"])


@pytest.mark.parametrize("damage", ["missing", "foreign", "empty", "truncated", "flipped"])
def test_a_damaged_or_foreign_file_is_refused(tmp_path, damage):
    path = tmp_path / "posterior.nc"
    make_posterior().save(path)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "foreign":
        from scipy.io import netcdf_file

        with netcdf_file(str(path), "w") as file:
            file.createDimension("draw", 2)
            file.createVariable("rate", "f8", ("draw",))[:] = 1.0
    else:
        changed = {"empty": b"", "truncated": whole[: len(whole) // 2]}
        middle = bytearray(whole)
        middle[-20] ^= 1
        path.write_bytes(changed.get(damage, bytes(middle)))
    with pytest.raises(InputError) as caught:
        Posterior.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("at", range(0, 4000, 97))
def test_no_cut_of_the_file_is_accepted(tmp_path, at):
    path = tmp_path / "posterior.nc"
    make_posterior(draws=50).save(path)
    path.write_bytes(path.read_bytes()[:at])
    with pytest.raises(InputError):
        Posterior.load(path)


def test_loading_imports_no_heavy_package(tmp_path):
    make_posterior(draws=200).save(tmp_path / "posterior.nc")
    program = (
        "import sys; from agents.calibration.posterior import Posterior;"
        f"Posterior.load({str(tmp_path / 'posterior.nc')!r});"
        "heavy = {'pymc', 'pytensor', 'arviz', 'xarray', 'pandas', 'duckdb', 'pyarrow'};"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_mean": np.array([1.0, np.nan] * 3)}, "rate_mean"),
        ({"rate_mean": np.zeros(6)}, "0 to inf"),
        ({"rate_mean": np.ones(3)}, "one value per draw"),
        ({"extra": np.ones(6)}, "allowed"),
        ({"spend_log_mean": np.full(6, np.inf)}, "-inf to inf"),
    ],
)
def test_impossible_parameters_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_posterior(**change)


def test_an_unknown_model_or_draw_is_refused():
    with pytest.raises(ValueError, match="allowed: pareto_nbd, lognormal, drift"):
        Posterior("bg_nbd", "gamma_gamma", {}, {})
    with pytest.raises(IndexError, match=r"0\.\.5"):
        make_posterior().values(6)
