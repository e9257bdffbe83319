"""Files of approved limits: read, checked, and asked whether limits may run.

The file that comes with the project, conf/approved.yaml, approves the options of conf/constraints
as examples. A firm keeps its own and gives it as ``approvals=FILE``; then only that one counts.
"""

import dataclasses
import importlib.resources
from pathlib import Path
from typing import Any

from agents.errors import InputError
from envs.constraints.approval import Approval, differences, digest_of, limits_of
from envs.constraints.parameters import ConstraintParameters
from experiments.config_messages import first_line

_OURS = "approved.yaml"
_FIELDS = tuple(Approval.__dataclass_fields__)


def read_approvals(path: str | None) -> dict[str, Approval]:
    """Approvals by name; None reads the project's own file.

    Raises
    ------
    InputError
        For a file that is missing, not as ``loyaltylab approve`` writes it, or changed since.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    if path is None:
        where, text = (
            f"conf/{_OURS}",
            (importlib.resources.files("conf") / _OURS).read_text("utf-8"),
        )
    elif not Path(path).is_file():
        raise InputError(f"approvals={path!r}: no such file")
    else:
        where, text = path, Path(path).read_text("utf-8", errors="replace")
    try:
        plain: Any = OmegaConf.to_container(OmegaConf.create(text))
    except (YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{where}: not valid YAML ({first_line(error)})") from None
    listed = plain.get("approvals") if isinstance(plain, dict) else None
    if not isinstance(listed, list):
        raise InputError(f"{where}: holds no list `approvals`")
    found = {}
    for at, entry in enumerate(listed):
        if not isinstance(entry, dict) or set(entry) != set(_FIELDS):
            raise InputError(f"{where}: approvals[{at}] must have {', '.join(_FIELDS)}")
        approval = Approval(**entry)
        if digest_of(approval.limits) != approval.digest:
            raise InputError(
                f"{where}: limits of {approval.name!r} were changed after {approval.approved_by} "
                f"approved them (digest differs)"
            )
        found[approval.name] = approval
    return found


def approval_of(constraints: ConstraintParameters, approvals: str | None) -> Approval | None:
    """Who approved these limits; None where nobody did and ``approval`` is ``experiment``.

    Raises
    ------
    InputError
        Naming what was changed, if limits nobody approved are to run.
    """
    known = read_approvals(approvals)
    digest = digest_of(limits_of(constraints))
    for approval in known.values():
        if approval.digest == digest:
            return approval
    if constraints.approval == "experiment":
        return None
    name = constraints.name
    change = f"no limits of this name are approved (there are {', '.join(known) or 'none'})"
    if name in known:
        changed = differences(known[name].limits, limits_of(constraints))
        change = "; ".join(f"{key}={new!r}, approved is {old!r}" for key, old, new in changed)
        change = change or "approved for another version's set of limits"
    raise InputError(
        f"constraints={name}: {change}: have it approved (loyaltylab approve constraints={name} … "
        "by=… out=FILE) and give approvals=FILE, or constraints.approval=experiment"
    )


def approval_facts(approval: Approval | None, constraints: ConstraintParameters) -> dict[str, Any]:
    """What reports say: status, digest, who and when."""
    digest = digest_of(limits_of(constraints))
    facts: dict[str, Any] = {"limits": constraints.name, "digest": digest, "status": "experiment"}
    if approval is None:
        return facts
    return facts | {
        "status": "approved",
        "approved_by": approval.approved_by,
        "date": approval.date,
        "note": approval.note,
    }


def written(approvals: dict[str, Approval]) -> str:
    """The text of a file, which ``read_approvals`` reads back."""
    from omegaconf import OmegaConf

    head = "# Approved limits, written by `loyaltylab approve`; a change by hand is refused.\n"
    listed = [dataclasses.asdict(one) for one in approvals.values()]
    return head + OmegaConf.to_yaml(OmegaConf.create({"approvals": listed}))
