"""Results of cells on disk: a file each, so that an interruption loses one cell at most; an entry a
line, so that a change shows which.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agents.errors import InputError
from agents.files import write_atomic
from experiments.benchmark.protocol import Cell, Entry, Protocol

ABOUT = "protocol.json"  # says what a folder's results are of
_WORDS = {
    "version": "version of the protocol",
    "digest": "protocol",
    "mark": "state of the code or configuration",
}


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
        Digest of configuration and code, see ``experiments.benchmark.markets.mark``.
    reads
        Only reads, whatever code the results are of; ``mark`` becomes theirs.

    Raises
    ------
    InputError
        If the folder holds results of another protocol, or none where they are only read.
    """

    def __init__(
        self, folder: Path, protocol: Protocol, mark: str = "", reads: bool = False
    ) -> None:
        self.folder = folder
        self.protocol = protocol
        self._reads = reads
        about = {"version": protocol.version, "digest": protocol.digest}
        self.mark = owner(folder, about if reads else about | {"mark": mark}, reads)

    def known(self, cell: Cell) -> dict[str, Outcome]:
        """Outcomes of a cell by the name of the entry, as far as they have been run."""
        path = self._path(cell)
        if not path.exists():
            return {}
        try:
            return {name: Outcome(**values) for name, values in read_json(path).items()}
        except TypeError as error:
            raise InputError(f"{path}: not outcomes of this benchmark ({error})") from None

    def add(self, cell: Cell, outcomes: Mapping[str, Outcome]) -> None:
        """Keep outcomes of a cell beside those that are known.

        Raises
        ------
        RuntimeError
            If the results are only read.
        """
        if self._reads:
            raise RuntimeError(f"{self.folder}: opened to be read")
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


def read_json(path: Path) -> dict[str, Any]:
    """An object from a file; InputError with its name if it is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object")
    return found


def owner(folder: Path, about: Mapping[str, object], reads: bool = False) -> str:
    """Say what a folder's results are of, or check that they are of just that; gives their mark.

    Parameters
    ----------
    folder
        Made where it does not exist.
    about
        What must be equal.
    reads
        The folder must exist and nothing is written.

    Raises
    ------
    InputError
        If they are of something else, or there are none to read.
    """
    path = folder / ABOUT
    if path.exists():
        known = read_json(path)
        for name, value in about.items():
            if known.get(name) != value:
                raise InputError(
                    f"{folder}: results of another {_WORDS[name]} ({known.get(name)!r}, not "
                    f"{value!r}); give another --folder"
                    + (", or --hours 0 to read them" if name == "mark" else "")
                )
        return str(known.get("mark", ""))
    if reads:
        raise InputError(f"{folder}: no results to read")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(dict(about)))
    return str(about.get("mark", ""))
