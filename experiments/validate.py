"""Where the simulator stands against real logs, published figures and closed forms.

``validation_facts`` measures; ``experiments.report.validation`` writes docs/validation.md from it.
Nothing in the facts depends on the day or the number of threads.
"""

import json
from pathlib import Path
from typing import Any

from agents.errors import InputError
from experiments.console import Progress

SEED = 0


def validation_facts(progress: Progress | None = None) -> dict[str, Any]:
    """Fit both logs, simulate, and compare; takes about a minute.

    Returns
    -------
    dict
        ``grocery``, ``cdnow`` and ``closed_forms``: plain numbers, texts and lists.

    Raises
    ------
    InputError
        If a data package is missing and cannot be installed.
    """
    from agents.calibration.fit import fit
    from agents.calibration.sources import load_log
    from experiments.validation import cdnow, closed_forms, groceries

    progress = progress or Progress()
    with progress.stage("Groceries: fit Complete Journey"):
        log = load_log("completejourney", notify=progress.note)
        posterior = fit(log, seed=SEED)
    with progress.stage("Groceries: simulate", total=2 * log.weeks) as tick:
        grocery = groceries.grocery_facts(log, posterior, SEED, tick)
    with progress.stage(f"CDNOW: fit {cdnow.CALIBRATION_WEEKS} weeks"):
        log = load_log("cdnow", sample=True, notify=progress.note)
        calibration, _ = log.split(cdnow.CALIBRATION_WEEKS)
        models = ("pareto_nbd", "gamma_gamma")
        # Flat priors give maximum likelihood, which is what was published.
        likeliest = fit(calibration, *models, priors="flat", draws=1)
        usual = fit(calibration, *models, seed=SEED)
    with progress.stage(f"CDNOW: simulate {cdnow.WEEKS} weeks", total=cdnow.WEEKS) as tick:
        music = cdnow.cdnow_facts(log, likeliest, usual, SEED, tick)
    with progress.stage("Closed forms", total=max(closed_forms.WEEKS)) as tick:
        exact = closed_forms.closed_form_facts(SEED, tell=tick)
    return {"grocery": grocery, "cdnow": music, "closed_forms": exact}


def run_validate(write: Path | None = None, as_json: bool = False) -> dict[str, Any]:
    """Measure, then write the page and its figure, or print the page or the facts.

    Parameters
    ----------
    write
        Where the page goes; its figure goes to ``figures/`` beside it. None prints the page.
    as_json
        Print the facts instead.

    Raises
    ------
    InputError
        Before anything is measured, where the page cannot be written.
    """
    from agents.files import write_atomic
    from experiments.report.validation import FIGURE, tracking_figure, validation_page

    if write is not None and (write.is_dir() or not write.parent.is_dir()):
        reason = "is a folder" if write.is_dir() else "lies in a folder that does not exist"
        raise InputError(f"--write {write} {reason}: name a file, e.g. docs/validation.md")
    with Progress() as progress:
        facts = validation_facts(progress)
    page = validation_page(facts)
    if write is not None:
        figure = write.parent / FIGURE
        figure.parent.mkdir(exist_ok=True)
        write_atomic(figure, tracking_figure(facts["cdnow"]))
        write_atomic(write, page)
    if as_json:
        print(json.dumps(facts, indent=1))
    elif write is None:
        print(page, end="")
    else:
        print(f"{write}\n{figure}")
    return facts
