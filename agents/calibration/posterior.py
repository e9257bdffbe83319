"""What calibration keeps: parameters and their draws, never customers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agents.errors import InputError
from agents.files import atomic_path

FORMAT = "loyaltylab-posterior-1"

PURCHASE_PARAMETERS: dict[str, tuple[str, ...]] = {
    "pareto_nbd": ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate"),
    "lognormal": (
        "rate_log_mean", "rate_log_sd", "dropout_log_mean", "dropout_log_sd",
        "rate_dropout_correlation",
    ),
    "drift": ("rate_mean", "rate_log_sd", "drift_time_constant", "dropout_shape", "dropout_rate"),
}  # fmt: skip
SPEND_PARAMETERS: dict[str, tuple[str, ...]] = {
    "gamma_gamma": ("spend_within_shape", "spend_shape", "spend_scale"),
    "lognormal_gamma": ("spend_log_mean", "spend_log_sd", "spend_rate_slope", "spend_within_shape"),
    "lognormal": (
        "spend_log_mean", "spend_log_sd", "spend_within_log_sd", "rate_spend_correlation",
        "dropout_spend_correlation",
    ),
}  # fmt: skip
PURCHASE_MODELS, SPEND_MODELS = tuple(PURCHASE_PARAMETERS), tuple(SPEND_PARAMETERS)
SIGNED = ("rate_log_mean", "dropout_log_mean", "spend_log_mean", "spend_rate_slope")
CORRELATIONS = (
    "rate_dropout_correlation", "rate_spend_correlation", "dropout_spend_correlation",
)  # fmt: skip


def range_of(name: str) -> tuple[float, float]:
    """Open range of a parameter."""
    if name in CORRELATIONS:
        return -1.0, 1.0
    return (-np.inf if name in SIGNED else 0.0), np.inf


@dataclass(frozen=True)
class Posterior:
    """Fitted parameters of a purchase and a spend model.

    Attributes
    ----------
    purchase_model : {"pareto_nbd", "lognormal", "drift"}
        Model of purchases and dropout; rates and hazards per week, time constant in weeks.
    spend_model : {"gamma_gamma", "lognormal_gamma", "lognormal"}
        Model of baskets, in currency units. `lognormal` is one model of purchases, dropout and
        baskets: it comes with itself only.
    parameters : dict of float64, shape (1 + draws,)
        The parameters in `PURCHASE_PARAMETERS` and `SPEND_PARAMETERS` of the models. Index 0 is
        the mode (MAP); the others are draws. One index is one joint draw.
    attributes : dict of str
        Source, size, period, fit and versions.

    Raises
    ------
    ValueError
        If a model is unknown, a parameter is missing, extra, of another length, not finite, or
        not positive where it must be.
    """

    purchase_model: str
    spend_model: str
    parameters: dict[str, npt.NDArray[np.float64]]
    attributes: dict[str, str]

    def __post_init__(self) -> None:
        for model, allowed in (
            (self.purchase_model, PURCHASE_MODELS),
            (self.spend_model, SPEND_MODELS),
        ):
            if model not in allowed:
                raise ValueError(f"model is {model!r}; allowed: {', '.join(allowed)}")
        expected = PURCHASE_PARAMETERS[self.purchase_model] + SPEND_PARAMETERS[self.spend_model]
        if set(self.parameters) != set(expected):
            raise ValueError(
                f"parameters are {sorted(self.parameters)}; allowed: {sorted(expected)}"
            )
        lengths = {len(values) for values in self.parameters.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError("parameters must have one value per draw, and at least one")
        for name, values in self.parameters.items():
            low, high = range_of(name)
            if not (np.isfinite(values) & (values > low) & (values < high)).all():
                raise ValueError(
                    f"{name} has a value outside its range; allowed: finite, {low:g} to {high:g}"
                )

    @property
    def n_draws(self) -> int:
        """Draws, the mode at index 0 not counted."""
        return len(next(iter(self.parameters.values()))) - 1

    def values(self, draw: int = 0) -> dict[str, float]:
        """One joint draw; 0 is the mode.

        Raises
        ------
        IndexError
            If the draw does not exist.
        """
        if not 0 <= draw <= self.n_draws:
            raise IndexError(f"draw is {draw}; allowed: 0..{self.n_draws}")
        return {name: float(values[draw]) for name, values in self.parameters.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a NetCDF 3 file, readable by xarray (`engine="scipy"`); atomic."""
        from scipy.io import netcdf_file

        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_path(target) as partial,
            netcdf_file(os.fspath(partial), "w", version=1) as file,
        ):
            file.createDimension("draw", self.n_draws + 1)
            index = file.createVariable("draw", "i4", ("draw",))
            index[:] = np.arange(self.n_draws + 1)
            index.long_name = "0 is the mode (MAP), the others are draws"
            for name, values in self.parameters.items():
                file.createVariable(name, "f8", ("draw",))[:] = values
            file.format = FORMAT
            file.purchase_model = self.purchase_model
            file.spend_model = self.spend_model
            file.attributes = json.dumps(self.attributes, sort_keys=True)
            file.checksum = _checksum(self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Posterior:
        """Read what `save` wrote; imports neither pymc nor pandas nor xarray.

        Raises
        ------
        InputError
            If the file is missing, is no posterior of this project, or is damaged.
        """
        from scipy.io import netcdf_file

        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; allowed: a posterior written by calibration")
        try:
            with netcdf_file(os.fspath(path), "r", mmap=False) as file:
                found = dict(file._attributes)
                arrays = {
                    name: np.array(variable.data, np.float64)
                    for name, variable in file.variables.items()
                    if name != "draw"
                }
        except Exception as error:  # the reader raises whatever the damaged bytes lead it to
            raise InputError(
                f"{path}: not a readable NetCDF 3 file; allowed: a posterior written by calibration"
            ) from error
        text = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in found.items()
        }
        if text.get("format") != FORMAT:
            raise InputError(f"{path}: format is {text.get('format')!r}; allowed: {FORMAT!r}")
        try:
            posterior = cls(
                text["purchase_model"], text["spend_model"], arrays, json.loads(text["attributes"])
            )
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: damaged posterior: {error}") from error
        if text.get("checksum") != _checksum(posterior):
            raise InputError(f"{path}: checksum differs; the file was damaged or edited")
        return posterior


def _checksum(posterior: Posterior) -> str:
    """SHA-256 over models, attributes and parameter values."""
    head: Mapping[str, object] = {
        "purchase_model": posterior.purchase_model,
        "spend_model": posterior.spend_model,
        "attributes": posterior.attributes,
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(posterior.parameters):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(posterior.parameters[name], "<f8").tobytes())
    return digest.hexdigest()
