"""PPO and SAC that redesign a programme every quarter (``loyaltylab/ProgrammeDesign-v0``)."""

import copy
import math
import pickle
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback

from agents.ranges import check_range
from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.task import DesignTask
from policies.base import CLIP
from policies.design.episodes import Act, play
from policies.network import one_torch_thread
from policies.training_run import TrainingRun

ITERATION = 8  # episodes between two checkpoints; of PPO, what it learns from at once
CHECK = 64  # episodes between two checks of what was learned
CHECKED = 8  # episodes of a check, or as many more as there are to be as many in each world
_REMEMBERED = 50_000  # quarters that SAC learns from

_LEARNERS: dict[str, type[PPO] | type[SAC]] = {"ppo": PPO, "sac": SAC}


@dataclass(frozen=True)
class DesignLearnerParameters:
    """Settings; an episode is short and a step slow, so batches are small.

    Parameters
    ----------
    algorithm
        ``ppo`` (Schulman et al. 2017) or ``sac`` (Haarnoja et al. 2018).
    episodes
        Episodes of training, unless the time is up before.
    learning_rate, gamma
        Of the optimiser; per quarter.
    network
        Widths of the hidden layers.
    """

    algorithm: Literal["ppo", "sac"] = "ppo"
    episodes: int = 500
    learning_rate: float = 1e-3
    gamma: float = 0.98
    network: tuple[int, ...] = (64, 64)

    def __post_init__(self) -> None:
        if self.algorithm not in _LEARNERS:
            raise ValueError(f"algorithm={self.algorithm!r}: choose one of {list(_LEARNERS)}")
        check_range("episodes", self.episodes, 1, 10_000_000)
        check_range("learning_rate", self.learning_rate, 1e-8, 1.0)
        check_range("gamma", self.gamma, 0.0, 1.0)


@dataclass(frozen=True)
class Redesigner:
    """A learned designer.

    Attributes
    ----------
    act
        KPIs to an action; deterministic.
    kept_after
        Episodes of training after which it was best, which is what ``act`` does.
    history
        The log.
    """

    act: Act
    kept_after: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass
class _Best:
    """What did best in the checks so far: its lift, after how many episodes, its weights."""

    lift: float = -math.inf
    episodes: int = 0
    weights: dict[str, Any] = field(default_factory=dict)


class ScaledKpis(gym.ObservationWrapper[Any, Any, Any]):
    """KPIs centred, scaled and clipped as their table says."""

    def __init__(self, env: ProgrammeDesignEnv) -> None:
        super().__init__(env)
        table = env.table
        self._centre = np.array([kpi.centre for kpi in table], np.float32)
        self._scale = np.array([kpi.scale for kpi in table], np.float32)
        self.observation_space = gym.spaces.Box(-CLIP, CLIP, (len(table),), np.float32)

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (K,)."""
        scaled: NDArray[np.float32] = (observation - self._centre) / self._scale
        return scaled.clip(-CLIP, CLIP)


class _Episodes(BaseCallback):
    """Logs each episode, checks and keeps the learner every few, and stops when there were enough
    or time is up.
    """

    def __init__(
        self, run: TrainingRun, most: int, check: Callable[[Any, int], float], best: _Best
    ) -> None:
        super().__init__()
        self._run = run
        self._most = most
        self._check = check
        self._best = best
        self._lift = 0.0
        self._checked: dict[str, float] = {}
        self.episodes = self._kept = 0

    def _on_rollout_start(self) -> None:
        # Updates are done and no episode is under way: what is kept here can be gone on with.
        if self.episodes < self._kept + ITERATION:
            return
        if self.episodes // CHECK > self._kept // CHECK:
            self._checked = {"checked_lift": self._check(self.model, self.episodes)}
        self._kept = self.episodes
        kept = {"learner": _kept(self.model), "episodes": self.episodes, "best": self._best}
        self._run.save(kept | {"checked": self._checked})

    def go_on(self, kept: Mapping[str, Any]) -> None:
        """Where a session that was killed had come to."""
        self.episodes = self._kept = kept["episodes"]
        self._checked = kept["checked"]

    def _on_step(self) -> bool:
        self._lift += float(self.locals["rewards"][0])
        if not self.locals["dones"][0]:
            return True  # an episode that has begun is played to its end
        self.episodes += 1
        self._run.log(self.episodes, lift_per_customer=self._lift, **self._checked)
        self._lift, self._checked = 0.0, {}
        return self.episodes < self._most and not self._run.over


def _begin(task: DesignTask, parameters: DesignLearnerParameters, seed: int) -> PPO | SAC:
    env = ScaledKpis(ProgrammeDesignEnv(task))
    env.reset(seed=seed)
    common: dict[str, Any] = {
        "learning_rate": parameters.learning_rate,
        "gamma": parameters.gamma,
        "policy_kwargs": {"net_arch": list(parameters.network)},
        "seed": seed,
        "device": "cpu",
    }
    horizon = task.horizon
    if parameters.algorithm == "ppo":
        steps = ITERATION * horizon
        return PPO("MlpPolicy", env, n_steps=steps, batch_size=steps // 2, n_epochs=10, **common)
    return SAC(
        "MlpPolicy",
        env,
        learning_starts=ITERATION * horizon,
        batch_size=128,
        buffer_size=_REMEMBERED,
        **common,
    )


def _kept(model: Any) -> bytes:
    """The whole learner as bytes, with the generators that it shares with the process."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - SB3 draws from it
    states = torch.get_rng_state(), numpy_state, random.getstate()
    return pickle.dumps((model, states))


def _taken_up(kept: bytes) -> Any:
    model, (torch_state, numpy_state, state) = pickle.loads(kept)
    torch.set_rng_state(torch_state)
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(state)
    return model


def learn_design(
    task: DesignTask, parameters: DesignLearnerParameters, seed: int, run: TrainingRun
) -> Redesigner:
    """Train a designer on the difference to leaving the programme alone.

    What is learned late is not always best, so every ``CHECK`` episodes, and at the end, it is
    checked without exploration on the same ``CHECKED`` episodes, of the training customers, luck of
    their own and as many in each world; the best is the designer. Its value there flatters: test it
    on other customers.

    Parameters
    ----------
    task
        Worlds, cohort, protection; paired.
    parameters
        Settings.
    seed
        Of network, episodes and exploration.
    run
        Clock, log and checkpoint; a row an episode, whose ``lift_per_customer`` is the episode's
        reward in currency units, and ``checked_lift``, where there was a check before it, that of
        the check. Every ``ITERATION`` episodes the learner is kept, with environment and random
        states, and goes on to the digit.

    Raises
    ------
    ValueError
        If the task is not paired.
    """
    kept = run.load()
    best = _Best() if kept is None else kept["best"]
    envs = [ProgrammeDesignEnv(replace(task, worlds=(world,))) for world in task.worlds]
    first = int(derive_seed(seed, "plan"))
    seeds = range(first, first + math.ceil(CHECKED / len(envs)))

    def check(model: Any, episodes: int) -> float:
        act = _acting(model, envs[0])
        lift = float(np.mean([play(env, act, at).lift for env in envs for at in seeds]))
        if lift > best.lift:
            best.lift, best.episodes = lift, episodes
            best.weights = copy.deepcopy(model.policy.state_dict())
        return lift

    callback = _Episodes(run, parameters.episodes, check, best)
    with one_torch_thread():
        if kept is None:
            model = _begin(task, parameters, seed)
        else:
            model = _taken_up(kept["learner"])
            callback.go_on(kept)
        begun = callback.episodes
        if not begun or (begun < parameters.episodes and not run.over):
            model.learn(
                10 * parameters.episodes * task.horizon,
                callback=callback,
                reset_num_timesteps=kept is None,
            )
        check(model, callback.episodes)
        model.policy.load_state_dict(best.weights)
    return Redesigner(_acting(model, envs[0]), best.episodes, list(run.history))


def _acting(model: Any, env: ProgrammeDesignEnv) -> Act:
    scaled = ScaledKpis(env)

    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        action, _ = model.predict(scaled.observation(observation), deterministic=True)
        chosen: NDArray[np.float32] = action
        return chosen

    return act
