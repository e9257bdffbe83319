"""Where the options of a configuration group come from: conf/, folders and installed packages.

Three places, all laid out alike (``programme/mine.yaml``, ``world/…``, ``response/…``):

- this project's ``conf``;
- folders named in the environment variable ``LOYALTYLAB_CONF``, separated as in ``PATH``
  (``loyaltylab --config-dir DIR`` adds one);
- Python packages named by entry points of the group ``loyaltylab.conf``.

A name may stand in one place only, so that a name always means the same file.
"""

import functools
import importlib.resources
import importlib.util
import os
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from agents.errors import InputError
from experiments.config_messages import suggestion

FOLDERS_VARIABLE = "LOYALTYLAB_CONF"
ENTRY_POINT_GROUP = "loyaltylab.conf"
APPLICATIONS = (
    "demo", "simulate", "sensitivity", "calibrate", "train", "tune", "design", "recommend",
)  # fmt: skip
_BUILT_IN = "conf"


@dataclass(frozen=True)
class Source:
    """A place that holds options.

    Parameters
    ----------
    root
        The folder with one folder a group.
    where
        How messages name it.
    search_path
        How Hydra finds it: ``pkg://`` or ``file://``; None for the project's own.
    """

    root: Traversable
    where: str
    search_path: str | None = None

    def options(self, group: str) -> list[str]:
        """Names of the files in a group's folder."""
        folder = self.root / group
        if not folder.is_dir():
            return []
        found = (item.name for item in folder.iterdir() if item.is_file())
        return [name[:-5] for name in found if name.endswith(".yaml") and name[0] not in "._"]


def sources() -> tuple[Source, ...]:
    """Every place, this project's first.

    Raises
    ------
    InputError
        For a folder or package that does not exist or holds no group, and for a name that stands
        in two places.
    """
    found = [Source(importlib.resources.files("conf"), _BUILT_IN), *_folders(), *_packages()]
    for group in _all_groups():
        seen: dict[str, Source] = {}
        for source in found:
            for name in source.options(group):
                if name in seen:
                    raise InputError(
                        f"{group}={name} exists twice, in {seen[name].where} and in "
                        f"{source.where}: rename one of the files"
                    )
                seen[name] = source
    return tuple(found)


def groups(application: str = "demo") -> tuple[str, ...]:
    """Names of an application's groups, those of the defaults list of its file in conf/."""
    return tuple(sorted(chosen_by_default(application)))


@functools.cache
def chosen_by_default(application: str) -> dict[str, str]:
    """The option of every group that is taken when none is chosen."""
    from omegaconf import OmegaConf

    text = (importlib.resources.files("conf") / f"{application}.yaml").read_text("utf-8")
    plain: Any = OmegaConf.to_container(OmegaConf.create(text))
    items = (item for item in plain["defaults"] if isinstance(item, dict))
    return {str(group): str(option) for item in items for group, option in item.items()}


def options(group: str) -> tuple[str, ...]:
    """Options of a group, from every place."""
    return tuple(sorted(places(group)))


def places(group: str) -> dict[str, Source]:
    """Where each option of a group stands."""
    return {name: source for source in sources() for name in source.options(group)}


def search_path() -> list[str]:
    """Places beyond this project's, as Hydra wants them."""
    return [source.search_path for source in sources() if source.search_path is not None]


def _all_groups() -> tuple[str, ...]:
    return tuple(sorted({group for name in APPLICATIONS for group in chosen_by_default(name)}))


def _folders() -> list[Source]:
    found = {}
    for text in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep):
        if not text:
            continue
        path = Path(text).expanduser()
        if not path.is_dir():
            raise InputError(f"{text}: no such folder (from {FOLDERS_VARIABLE} or --config-dir)")
        path = path.resolve()
        found[path] = _checked(Source(path, str(path), f"file://{path}"))
    return list(found.values())


def _packages() -> list[Source]:
    found = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        label = f"package {point.module} (entry point {point.name!r} of {ENTRY_POINT_GROUP})"
        try:
            spec = importlib.util.find_spec(point.module)
        except (ImportError, ValueError):
            spec = None
        folders = [Path(text) for text in (spec and spec.submodule_search_locations) or ()]
        if not folders:
            raise InputError(f"{label}: there is no such Python package")
        if folders[0].is_dir():
            found.append(_checked(Source(folders[0], label, f"file://{folders[0].resolve()}")))
        else:  # in an archive
            root = importlib.resources.files(point.module)
            found.append(_checked(Source(root, label, f"pkg://{point.module}")))
    return found


def _checked(source: Source) -> Source:
    known = _all_groups()
    folders = sorted(item.name for item in source.root.iterdir() if item.is_dir())
    if not set(folders) & set(known):
        hints = (suggestion(name, known) for name in folders)
        hint = next((text for text in hints if text), "")
        held = f"; it has {', '.join(folders)}{hint}" if folders else ""
        raise InputError(f"{source.where}: holds none of the folders {', '.join(known)}{held}")
    return source
