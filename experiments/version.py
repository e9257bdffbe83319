"""The installed version."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version


def version() -> str:
    """Version of the distribution; "unknown" where it runs from a checkout alone."""
    try:
        return _version("loyaltylab")
    except PackageNotFoundError:
        return "unknown"
