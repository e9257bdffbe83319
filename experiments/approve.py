"""Sign off limits: `loyaltylab approve`."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from agents.errors import InputError
from agents.files import write_atomic
from envs.constraints.approval import Approval, approve
from envs.constraints.parameters import ConstraintParameters
from experiments.approvals import read_approvals, written
from experiments.config import build, compose_mapping
from experiments.own_keys import output_file, own_keys


@dataclass(frozen=True)
class ApproveKeys:
    """Who approves, what they say about it, and the file."""

    by: str
    out: str
    note: str = ""

    def __post_init__(self) -> None:
        if not self.by.strip():
            raise InputError("by='' must name the person who approves")


def run_approve(overrides: Sequence[str]) -> Approval:
    """Write the approval of ``constraints=…`` to a file, beside those that it holds already.

    Raises
    ------
    InputError
        For limits out of range and a file that cannot be written or read.
    """
    keys, rest = own_keys(ApproveKeys, overrides, ("constraints",))
    out = output_file(keys.out)
    mapping = compose_mapping(rest, "simulate")["constraints"]
    constraints: ConstraintParameters = build(ConstraintParameters, mapping, "constraints")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    approval = approve(constraints, keys.by, today, keys.note)
    known = read_approvals(str(out)) if out.exists() else {}
    write_atomic(out, written(known | {approval.name: approval}))
    print(f"{out}: limits {approval.name!r} approved by {approval.approved_by} ({approval.date})")
    print(f"SHA-256 {approval.digest}; use them with approvals={out}")
    return approval
