"""Search for a learner's settings with Optuna, judged by lift on validation customers.

Optuna is called directly: the study lies in the run's folder as a journal, so that a search that
was cut off goes on.
"""

import json
import logging
from typing import Any

from agents.files import write_atomic
from experiments.config_schema import TuneConfig
from experiments.console import Progress
from experiments.kept_run import open_run
from experiments.learners import SPACES, learner_parameters
from experiments.run_directory import write_json
from experiments.training_task import Judge, training_task
from experiments.version import version
from policies.catalogue import entry

_JOURNAL = "study.journal"


def run_tune(config: TuneConfig) -> dict[str, Any]:
    """Run what is missing of ``config.trials``; writes best.yaml, trials.csv and summary.json."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from policies.training_run import TrainingRun

    learn = entry(config.policy).learn()
    folder = open_run(config, may_change=("trials",))
    logging.getLogger("optuna").setLevel(logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / _JOURNAL))),
        sampler=optuna.samplers.TPESampler(seed=config.seed % 2**32, multivariate=True),
        study_name=config.policy,
        direction="maximize",
        load_if_exists=True,
    )
    finished = (optuna.trial.TrialState.COMPLETE,)
    done = len(study.get_trials(deepcopy=False, states=finished))
    with Progress() as progress:
        with progress.stage("Draw customers"):
            task, judge = training_task(config), Judge(config, "plan")
        space = _space(config)
        for trial in study.trials:
            if not trial.state.is_finished():  # a killed session was at it
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        defaults = _defaults(config)
        tried = [trial.params for trial in study.trials if trial.values]
        if defaults not in tried:  # the defaults are tried first: nothing worse may win
            study.enqueue_trial(defaults)
        if done:  # going on draws anew instead of repeating the beginning
            study.sampler.reseed_rng()

        def objective(trial: Any) -> float:
            chosen = {name: _suggest(trial, name, where) for name, where in space.items()}
            run = TrainingRun(seconds=60.0 * config.minutes if config.minutes else float("inf"))
            # A seed of its own for each trial, so that no setting wins by one lucky seed.
            policy = learn(task, learner_parameters(config, **chosen), trial.number, run)
            found, _ = judge.lift(policy)
            trial.set_user_attr("interval", [found.low, found.high])
            trial.set_user_attr("seconds", run.elapsed)
            progress.note(f"trial {trial.number:>3}  {found.mean:+.4f}  {json.dumps(chosen)}")
            return found.mean

        with progress.stage("Search", max(config.trials - done, 0)) as tick:
            study.optimize(
                objective,
                n_trials=max(config.trials - done, 0),
                callbacks=[lambda study, trial: tick()],
            )
    best = study.best_trial
    first = next(
        trial
        for trial in study.get_trials(deepcopy=False, states=finished)
        if trial.params == defaults
    )
    frame = study.trials_dataframe()
    write_atomic(folder / "trials.csv", frame.to_csv(index=False))
    write_atomic(folder / "best.yaml", "".join(f"{k}: {v}\n" for k, v in best.params.items()))
    summary = {
        "version": version(),
        "policy": config.policy,
        "world": config.world.name,
        "response": config.response.name,
        "trials": len(study.get_trials(deepcopy=False, states=finished)),
        "best": best.params,
        "lift": best.value,
        "interval": best.user_attrs["interval"],
        "default_lift": first.value,
    }
    write_json(folder / "summary.json", summary)
    given = ",".join(f"{name}:{value}" for name, value in best.params.items())
    print(
        f"best of {summary['trials']} trials: {best.value:+.4f} a customer over {config.weeks} "
        f"weeks (defaults {summary['default_lift']:+.4f})\nparameters={{{given}}}\n"
        f"trials   {folder / 'trials.csv'}"
    )
    return summary


def _space(config: TuneConfig) -> dict[str, Any]:
    """What is searched: no setting that is held fixed, and the default among the choices."""
    held = config.parameters or {}
    defaults = _defaults(config)
    space = {}
    for name, where in SPACES[config.policy].items():
        if name not in held:
            missing = isinstance(where, list) and defaults[name] not in where
            space[name] = [*where, defaults[name]] if missing else where
    return space


def _defaults(config: TuneConfig) -> dict[str, Any]:
    parameters, held = learner_parameters(config), config.parameters or {}
    space = SPACES[config.policy]
    return {name: getattr(parameters, name) for name in space if name not in held}


def _suggest(trial: Any, name: str, where: Any) -> Any:
    if isinstance(where, list):
        return trial.suggest_categorical(name, where)
    low, high = where
    return trial.suggest_float(name, low, high, log=True)
