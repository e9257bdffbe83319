"""The installed version, and the code that decides on results."""

import hashlib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version
from pathlib import Path

_MARKETS = (
    "agents/calibration", "policies", "experiments/market_run.py", "experiments/worlds.py",
    "experiments/evaluation.py", "experiments/sensitivity_assumptions.py",
)  # fmt: skip


def version() -> str:
    """Version of the distribution; "unknown" where it runs from a checkout alone."""
    try:
        return _version("loyaltylab")
    except PackageNotFoundError:
        return "unknown"


def market_code() -> str:
    """Digest of all code that decides on a market: unfinished work of other code is not gone on
    with.
    """
    from agents.compiled import kernel_digest

    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(f"{version()} {kernel_digest()}".encode())
    for place in (root / name for name in _MARKETS):
        for source in sorted(place.rglob("*.py")) if place.is_dir() else (place,):
            digest.update(source.read_bytes())
    return digest.hexdigest()
