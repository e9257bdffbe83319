"""Learning by paired rollouts: sample, branch, regress, compare, repeat."""

from envs.decision import Policy
from envs.task import OfferTask
from policies.network import one_torch_thread
from policies.rollout.learner import Learner
from policies.rollout.parameters import RolloutParameters
from policies.training_run import TrainingRun


def learn_rollout(
    task: OfferTask, parameters: RolloutParameters, seed: int, run: TrainingRun
) -> Policy:
    """Learn what offers are worth by paired rollouts.

    With several worlds the network sees decisions of all of them, so it learns the mean over the
    worlds given what is observed, and iterates are compared by their mean over worlds.

    Parameters
    ----------
    task
        Worlds, pool, constraints and horizon; ``paired`` does not matter here.
    parameters
        Settings.
    seed
        Of states, branches and networks; the same seed gives the same policy on one machine where
        the run's time is not limited.
    run
        Clock, log and checkpoint. Rows of the log: ``r2_gain`` and ``r2_cost`` on customers left
        out, with the ``weight_decay`` and ``caution`` of the chosen candidate; its ``change`` over
        the iterate before with a 95 % interval as if there were no other candidate, and whether
        it was ``kept``; ``gain`` of the best so far over no offers, ``worst_gain`` and
        ``worst_regret`` over worlds (against the best candidate of each world); all three as
        shares of the profit without offers, by expectations, on customers held out.

    Returns
    -------
    Policy
        The best iterate, a ``RolloutPolicy``, or no offers at all if none was better than that.
    """
    return _learn(task, parameters, seed, run, latent=False)


def learn_clairvoyant_rollout(
    task: OfferTask, parameters: RolloutParameters, seed: int, run: TrainingRun
) -> Policy:
    """The same by networks that also see latent traits and states: a reference, never deployed.

    Returns
    -------
    Policy
        A ``Seeing``; ``policies.rollout.clairvoyant.govern`` makes it the decider of a market.
    """
    return _learn(task, parameters, seed, run, latent=True)


def _learn(
    task: OfferTask, parameters: RolloutParameters, seed: int, run: TrainingRun, latent: bool
) -> Policy:
    learner = Learner(task, parameters, seed, latent)
    saved = run.load()
    if saved is not None:
        learner.restore(saved)
    with one_torch_thread():
        while learner.iteration < learner.rounds(run.seconds) and not run.over:
            figures = learner.step(run)
            run.log(learner.iteration, **figures)
            run.save(learner.state())
    values = learner.best
    if values is None:
        values = learner.new_ensemble()
        values.get_buffer("shrinkage").zero_()
        values.get_buffer("least_gain").fill_(1e9)
    return learner.deployed(values)
