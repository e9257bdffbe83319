"""A bundle: policy.onnx, manifest.json, golden.parquet, MODEL_CARD.md; no pickles.

Golden vectors hold profiles, observations and outputs. A bundle whose features or network give
anything else on this machine is refused at load: training and serving cannot drift apart unseen.
"""

import dataclasses
import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import nn

from agents.dynamics import Dynamics
from agents.errors import InputError
from agents.profile import FilterParameters
from agents.records import PROFILE
from agents.response import ResponseParameters
from envs.constraints.approval import Approval, digest_of, limits_of
from envs.constraints.parameters import ConstraintParameters, as_plain, constraints_from
from envs.features import FEATURES, N_FEATURES, VALUE_WEEKS, observe
from sim.offers import Offer, OfferBook
from sim.programme import Challenge, ProgrammeParameters, Reward, Streak, Tier
from sim.scenario import SeasonParameters
from sim.world import World

FORMAT = "loyaltylab-bundle-3"
OUTPUTS = ("score", "value", "value_lower", "expected_cost", "action")
TOLERANCE = 1e-4
_FILES = ("policy.onnx", "golden.parquet", "MODEL_CARD.md")
_BLOCK = 4096


class ScoringModel(nn.Module):
    """All that a bundle computes, scaling and mask inside.

    ``values`` gives value, value_lower and expected_cost (``policies.values.ValueHeads``, say)
    and has a buffer ``floor``, the least an action can cost, shape (A,).
    ``forward(observation, mask)`` gives score (n, A), value, value_lower, expected_cost (n, A,
    minor units) and the best allowed action (n,), 0 where no score is above 0.
    """

    def __init__(self, scores: nn.Module, values: nn.Module) -> None:
        super().__init__()
        self.scores = scores
        self.values = values

    def forward(self, observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Outputs in the order of ``OUTPUTS``."""
        score = self.scores(observation)
        value, lower, cost = self.values(observation)
        allowed = torch.where(mask, score, torch.full_like(score, -1e30))
        return score, value, lower, cost, allowed.argmax(dim=1)


def run_torch(
    model: ScoringModel, observation: NDArray[np.float32], mask: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Outputs of the torch model by name."""
    with torch.no_grad():
        outputs = model(torch.from_numpy(observation), torch.from_numpy(mask))
    return {name: value.numpy() for name, value in zip(OUTPUTS, outputs, strict=True)}


def open_session(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """ONNX session on the CPU; ``threads`` 0 lets the runtime choose."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_onnx(
    session: onnxruntime.InferenceSession,
    observation: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> dict[str, NDArray[Any]]:
    """Outputs of an ONNX session by name, computed in blocks of 4,096 rows."""
    blocks = [
        session.run(
            OUTPUTS, {"observation": observation[at : at + _BLOCK], "mask": mask[at : at + _BLOCK]}
        )
        for at in range(0, max(observation.shape[0], 1), _BLOCK)
    ]
    return {
        name: np.concatenate(parts)
        for name, parts in zip(OUTPUTS, zip(*blocks, strict=True), strict=True)
    }


@dataclass(frozen=True)
class Parity:
    """How far ONNX is from torch, scaling and mask included."""

    rows: int
    max_abs_diff: float
    actions_identical: bool
    differing: int  # rows whose actions differ
    largest_gap: float  # between best and second score where actions differ, 0 if none do


def compare(
    model: ScoringModel,
    session: onnxruntime.InferenceSession,
    observation: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> Parity:
    """Largest difference of any output, and whether every chosen action is the same."""
    torch_outputs = run_torch(model, observation, mask)
    onnx_outputs = run_onnx(session, observation, mask)
    floats = [name for name in OUTPUTS if name != "action"]
    difference = max(
        float(np.abs(torch_outputs[name] - onnx_outputs[name]).max()) for name in floats
    )
    differ = torch_outputs["action"] != onnx_outputs["action"]
    best = np.sort(np.where(mask, torch_outputs["score"], -np.inf)[differ], axis=1)[:, -2:]
    gap = float((best[:, 1] - best[:, 0]).max()) if differ.any() else 0.0
    return Parity(observation.shape[0], difference, not differ.any(), int(differ.sum()), gap)


def export_onnx(model: ScoringModel, path: Path) -> None:
    """Write the model as ONNX, any number of rows."""
    n_actions = int(model.values.get_buffer("floor").shape[0])
    rows = torch.export.Dim("rows")
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of every library that is not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model.eval(),
                (torch.zeros(2, N_FEATURES), torch.ones(2, n_actions, dtype=torch.bool)),
                input_names=["observation", "mask"],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: rows}, {0: rows}),
                dynamo=True,
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx gave no program")
    program.save(str(path))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _feature_rows() -> list[dict[str, Any]]:
    return [dict(feature._asdict()) for feature in FEATURES]


def _profile_layout() -> str:
    return hashlib.sha256(repr(PROFILE.descr).encode()).hexdigest()


def write_bundle(
    folder: Path,
    model: ScoringModel,
    world: World,
    constraints: ConstraintParameters,
    profile: NDArray[np.void],
    week: int,
    mask: NDArray[np.bool_],
    facts: Mapping[str, Any],
    model_card: str,
    approval: Approval | None = None,
) -> None:
    """Write a bundle into ``folder``, which must exist; the manifest comes last.

    Parameters
    ----------
    model
        What is served.
    world, constraints
        Programme, offers, season, filter and margin the features and costs rest on, and the
        limits approved with the policy. Response and dynamics stay behind: they are latent.
    profile, week, mask
        Customers for the golden vectors, shapes (k,) and (k, A).
    facts
        Name, seeds, training worlds, evaluation: free form, JSON.
    model_card
        Markdown.
    approval
        Who approved the limits; without, the bundle says that they are an experiment's.
    """
    export_onnx(model, folder / "policy.onnx")
    observation = observe(profile, week, world.rules(), allowed=constraints.features)
    outputs = run_torch(model, observation, mask)
    columns = {
        "profile": [row.tobytes() for row in profile],
        "week": np.full(profile.shape[0], week),
        "observation": list(observation),
        "mask": list(mask),
        **{name: list(value) if value.ndim > 1 else value for name, value in outputs.items()},
    }
    pq.write_table(pa.table(columns), folder / "golden.parquet")
    (folder / "MODEL_CARD.md").write_text(model_card)
    manifest = {
        "format": FORMAT,
        "inputs": {"observation": [None, N_FEATURES], "mask": [None, world.table.n]},
        "outputs": list(OUTPUTS),
        "features": _feature_rows(),
        "profile_layout": _profile_layout(),
        "actions": list(world.table.labels),
        "value_weeks": VALUE_WEEKS,
        **world_facts(world),
        "constraints": as_plain(constraints),
        "approval": _approval_facts(constraints, approval),
        "facts": dict(facts),
        "sha256": {name: _sha256(folder / name) for name in _FILES},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))


def replace_model_card(folder: Path, model_card: str) -> None:
    """Write another model card into a bundle and bring the manifest's hash in line."""
    (folder / "MODEL_CARD.md").write_text(model_card, encoding="utf-8")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["sha256"]["MODEL_CARD.md"] = _sha256(folder / "MODEL_CARD.md")
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was checked: its session, world, constraints and manifest."""

    folder: Path
    session: onnxruntime.InferenceSession
    world: World
    constraints: ConstraintParameters
    manifest: dict[str, Any]


def world_facts(world: World) -> dict[str, Any]:
    """What of a world scoring needs, as it stands in a manifest; ``_world`` reads it back."""
    effective = world.effective()
    return {
        "programme": dataclasses.asdict(world.programme),
        "offers": dataclasses.asdict(world.book),
        "categories": list(world.categories),
        "season": dataclasses.asdict(effective.season),
        "filter": dataclasses.asdict(effective.filter),
        "contribution_margin": world.contribution_margin,
    }


def _world(manifest: Mapping[str, Any]) -> World:
    programme = dict(manifest["programme"])
    programme["tiers"] = tuple(Tier(**tier) for tier in programme["tiers"])
    programme["rewards"] = tuple(Reward(**reward) for reward in programme["rewards"])
    for name, kind in (("challenge", Challenge), ("streak", Streak)):
        if programme[name] is not None:
            programme[name] = kind(**programme[name])
    book = dict(manifest["offers"])
    book["offers"] = tuple(Offer(**offer) for offer in book["offers"])
    book["channels"] = tuple(book["channels"])
    return World(
        ResponseParameters(),
        Dynamics(),
        FilterParameters(**manifest["filter"]),
        SeasonParameters(**manifest["season"]),
        ProgrammeParameters(**programme),
        OfferBook(**book),
        manifest["contribution_margin"],
        categories=tuple(manifest["categories"]),
    )


def _approval_facts(constraints: ConstraintParameters, approval: Approval | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"digest": digest_of(limits_of(constraints)), "status": "experiment"}
    if approval is not None and approval.digest == facts["digest"]:
        facts |= {"status": "approved", "approved_by": approval.approved_by, "date": approval.date}
    return facts


def require_approval(bundle: Bundle) -> None:
    """Refuse a bundle whose limits nobody approved, or that were changed since.

    Raises
    ------
    InputError
        In one line.
    """
    path = bundle.folder / "manifest.json"
    facts = bundle.manifest.get("approval", {})
    if facts.get("status") != "approved":
        raise InputError(
            f"{path}: approval.status={facts.get('status')!r}: the limits "
            f"{bundle.constraints.name!r} were an experiment; approve them and export again"
        )
    if facts.get("digest") != digest_of(limits_of(bundle.constraints)):
        raise InputError(
            f"{path}: constraints differ from those approved by {facts['approved_by']!r}"
        )


def load_bundle(folder: Path, threads: int = 0) -> Bundle:
    """Load and check a bundle: hashes, feature table, golden vectors.

    Raises
    ------
    InputError
        Naming the file and what does not match; nothing is served then.
    """
    folder = Path(folder)
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{folder}: not a bundle, manifest.json is missing") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path}: format must be {FORMAT!r}")
    for name in _FILES:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: {name} is missing")
        if _sha256(folder / name) != manifest["sha256"].get(name):
            raise InputError(f"{folder / name}: changed since export (SHA-256 differs)")
    if manifest["features"] != _feature_rows():
        raise InputError(f"{path}: features differ from this version's feature table")
    if manifest["profile_layout"] != _profile_layout():
        raise InputError(f"{path}: profile_layout differs from this version's PROFILE record")
    bundle = Bundle(
        folder,
        open_session(folder / "policy.onnx", threads),
        _world(manifest),
        constraints_from(manifest["constraints"]),
        manifest,
    )
    _check_golden(bundle)
    return bundle


def _check_golden(bundle: Bundle) -> dict[str, Any]:
    path = bundle.folder / "golden.parquet"
    golden = pq.read_table(path)
    profile = np.frombuffer(b"".join(golden["profile"].to_pylist()), dtype=PROFILE)
    expected = np.array(golden["observation"].to_pylist(), np.float32)
    observation = observe(
        profile,
        golden["week"].to_numpy(),
        bundle.world.rules(),
        allowed=bundle.constraints.features,
    )
    if not np.array_equal(observation, expected):
        column = int(np.flatnonzero((observation != expected).any(axis=0))[0])
        raise InputError(f"{path}: feature {FEATURES[column].name} is computed differently here")
    mask = np.array(golden["mask"].to_pylist(), bool)
    outputs = run_onnx(bundle.session, observation, mask)
    worst = 0.0
    for name in OUTPUTS:
        stored = np.array(golden[name].to_pylist())
        difference = np.abs(stored - outputs[name]) / np.maximum(1.0, np.abs(stored))
        worst = max(worst, float(difference.max()))
        if difference.max() > TOLERANCE or (name == "action" and difference.max() > 0):
            raise InputError(f"{path}: output {name} is off by {difference.max():.3g} here")
    return {"golden_rows": int(profile.shape[0]), "largest_relative_difference": worst}


def verify_bundle(folder: Path) -> dict[str, Any]:
    """Load a bundle, check everything, and say what was checked."""
    bundle = load_bundle(folder)
    return {
        "format": bundle.manifest["format"],
        "actions": len(bundle.manifest["actions"]),
        "features": len(bundle.manifest["features"]),
        **_check_golden(bundle),
    }
