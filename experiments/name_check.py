"""Do the top-level names belong to this project?

Other distributions ship packages called `agents` or `envs`, and an installed one silently wins
over a checkout. So the command looks before it runs.
"""

import importlib.util
from pathlib import Path

NAMES = ("agents", "sim", "envs", "policies", "experiments", "conf")


def foreign_names(names: tuple[str, ...] = NAMES) -> dict[str, str]:
    """Names that resolve elsewhere than beside this package, with the place they resolve to.

    Nothing is imported that was not imported before.
    """
    home = Path(__file__).resolve().parents[1]
    found = {}
    for name in names:
        place = _place(name)
        if place is None:
            found[name] = "nowhere"
        elif place.parent != home:
            found[name] = str(place)
    return found


def name_check() -> str | None:
    """One line that says which names are shadowed and by what, or None when all is well."""
    found = foreign_names()
    if not found:
        return None
    listed = ", ".join(f"{name!r} resolves to {place}" for name, place in found.items())
    return (
        f"{listed}, not to loyaltylab; use an environment of its own (make install) "
        "and check PYTHONPATH"
    )


def _place(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin and spec.origin != "built-in":
        origin = Path(spec.origin).resolve()
        return origin.parent if origin.name == "__init__.py" else origin
    places = list(spec.submodule_search_locations or ())
    return Path(places[0]).resolve() if places else None
