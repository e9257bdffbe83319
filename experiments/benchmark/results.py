"""Results of cells on disk: a file each, so that an interruption loses one cell at most; an entry a
line, so that a change shows which.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from agents.errors import InputError
from agents.files import write_atomic
from experiments.benchmark.protocol import Cell, Entry, Protocol


class Outcome(NamedTuple):
    """One entry in one cell; money in currency units per customer, of all weeks that count.

    ``margin`` is the profit of no_offers on the same customers and luck; ``gain`` what the entry
    brings above it, ``error`` that mean's standard error over customers. ``alive`` is the share of
    customers alive at the end, ``rewards`` those handed out per customer, both also without
    offers; ``override_rate`` is a share of proposals.
    """

    margin: float
    gain: float
    error: float
    settled: float
    reserved: float
    budget: float
    violations: int
    override_rate: float
    contacts: float
    alive: float
    alive_without: float
    offers_used: float
    rewards: float
    rewards_without: float
    seconds: float

    @property
    def share(self) -> float:
        """Gain as a share of the no_offers margin."""
        return self.gain / self.margin


class Results:
    """Outcomes by cell and entry.

    Parameters
    ----------
    folder
        Holds a JSON file for each cell. Files of another protocol, configuration or code are
        refused: a table of mixed results says nothing.
    protocol
        What they are of.
    mark
        Digest of configuration and code; see ``experiments.benchmark.markets.mark``.

    Raises
    ------
    InputError
        If the folder holds results of another protocol.
    """

    def __init__(self, folder: Path, protocol: Protocol, mark: str = "") -> None:
        self.folder = folder
        self.protocol = protocol
        path = folder / "protocol.json"
        about = {"version": protocol.version, "digest": protocol.digest, "mark": mark}
        if path.exists():
            known = json.loads(path.read_text("utf-8"))
            for name, value in about.items():
                if known.get(name) != value:
                    raise InputError(
                        f"{folder}: results of protocol {name}={known.get(name)!r}, not {value!r}; "
                        "give another folder"
                    )
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(about))

    def known(self, cell: Cell) -> dict[str, Outcome]:
        """Outcomes of a cell by the name of the entry, as far as they have been run."""
        path = self._path(cell)
        if not path.exists():
            return {}
        rows = json.loads(path.read_text("utf-8"))
        return {name: Outcome(**values) for name, values in rows.items()}

    def add(self, cell: Cell, outcomes: Mapping[str, Outcome]) -> None:
        """Keep outcomes of a cell beside those that are known."""
        whole = {**self.known(cell), **outcomes}
        lines = [
            f"{json.dumps(name)}: {json.dumps(whole[name]._asdict())}" for name in sorted(whole)
        ]
        write_atomic(self._path(cell), "{\n" + ",\n".join(lines) + "\n}\n")

    def missing(self, cell: Cell, entries: list[Entry]) -> list[Entry]:
        """Entries that have not been run in a cell."""
        known = self.known(cell)
        return [entry for entry in entries if entry.name not in known]

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.json"
