"""What is known of each KPI and assumption, as rows of sensitivity.csv and as summary.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.config import SensitivityConfig
from experiments.sensitivity_assumptions import Assumption
from experiments.sensitivity_indices import Screening, Shares, drivers, verdict
from experiments.sensitivity_runs import INCREMENTAL
from experiments.simulate import CONFIDENCE
from sim.metrics import KPIS, paired_mean

if TYPE_CHECKING:
    import pandas as pd

_SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)
_INDICES = (*Screening._fields, *Shares._fields)
_RENAMED = {"first": "S1", "first_conf": "S1_conf", "total": "ST", "total_conf": "ST_conf"}


@dataclass(frozen=True)
class KpiResult:
    """All that is known of one KPI.

    ``base`` has its values at the defaults by cohort; ``spread`` and ``varying`` those where all
    assumptions, or the few of Sobol, are drawn: means over cohorts.
    """

    name: str
    base: NDArray[np.float64]
    screening: Screening | None
    variance: Shares | None
    spread: NDArray[np.float64] | None
    varying: NDArray[np.float64] | None

    def summary(self) -> dict[str, Any]:
        """What summary.json has of it."""
        unit, meaning = described(self.name)
        return {
            "name": self.name,
            "unit": unit,
            "meaning": meaning,
            "base": paired_mean(self.base, CONFIDENCE)._asdict(),
            "luck_sd": float(self.base.std(ddof=1)),
            "spread": self._spread(),
            "variance_covered": self._covered(),
        }

    def _spread(self) -> dict[str, float] | None:
        values = self.spread
        if values is None or not np.isfinite(values).all():
            return None
        quantiles = {f"q{100 * at:02.0f}": float(np.quantile(values, at)) for at in _SPREAD}
        return quantiles | {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)),
            "lowest": float(values.min()),
            "highest": float(values.max()),
            "below_zero": float((values < 0).mean()),
        }

    def _covered(self) -> float | None:
        """Variance where only Sobol's few are drawn over that where all assumptions are."""
        if self.varying is None or self.spread is None:
            return None
        whole = float(self.spread.var(ddof=1))
        return float(self.varying.var(ddof=1)) / whole if whole > 0 else None


def described(kpi: str) -> tuple[str, str]:
    """Unit and meaning of a KPI."""
    if kpi.startswith(INCREMENTAL):
        what = kpi.removeprefix(INCREMENTAL)
        units = {"purchases": "purchases per person", "still_there": "share"}
        text = f"{what.replace('_', ' ')} per person over the run, above the other programme"
        return units.get(what, "currency per person"), text
    known = next(one for one in KPIS if one.name == kpi)
    return known.unit, known.meaning


def row_of(
    config: SensitivityConfig, kpi: KpiResult, one: Assumption, at: int, few: Sequence[int]
) -> dict[str, Any]:
    """A row of sensitivity.csv: the effect of an assumption, at a place of the screening."""
    row: dict[str, Any] = {
        "kpi": kpi.name,
        "key": one.key,
        "mechanism": one.mechanism,
        "default": one.default,
        "low": one.low,
        "high": one.high,
        "unit": one.unit,
        "status": one.status,
    }
    screening = kpi.screening
    if screening is None:
        return row | {"verdict": "no value"}
    own = drivers(screening, config.cover, config.most)
    row |= {name: float(values[at]) for name, values in screening._asdict().items()}
    if kpi.variance is not None and at in few:
        place = list(few).index(at)
        row |= {name: float(values[place]) for name, values in kpi.variance._asdict().items()}
    return row | {"verdict": verdict(screening, at, own)}


def indices_of(row: dict[str, Any]) -> dict[str, Any]:
    """The indices of a row by their usual names, and the verdict."""
    found = {_RENAMED.get(name, name): row.get(name) for name in _INDICES}
    return found | {"verdict": row["verdict"]}


def table_of(rows: Sequence[dict[str, Any]]) -> "pd.DataFrame":
    """sensitivity.csv."""
    import pandas as pd

    columns = ["kpi", "key", "mechanism", "default", "low", "high", "unit", "status"]
    frame = pd.DataFrame(rows, columns=[*columns, *_INDICES, "verdict"])
    return frame.rename(columns=_RENAMED)
