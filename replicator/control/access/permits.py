"""Checks made by handlers themselves, because only the job or plan names the targets."""

from collections.abc import Sequence
from http import HTTPStatus

from replicator.control.problems import Problem
from replicator.model.operations.access import Principal, Role


def require(principal: Principal, targets: Sequence[str], role: Role = Role.VIEWER) -> None:
    """Check that a principal may access these targets.

    Raises:
        Problem: the role does not suffice, or a target is not open to the principal (403).
    """
    if not principal.role.covers(role):
        raise Problem(HTTPStatus.FORBIDDEN, f"this needs the role {role.value}")
    if not principal.may_touch(targets):
        raise Problem(HTTPStatus.FORBIDDEN, "this is about targets that are not open to you")
