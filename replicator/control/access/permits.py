"""Checks that a handler makes itself, as only the job or the plan names the targets."""

from collections.abc import Sequence
from http import HTTPStatus

from replicator.control.problems import Problem
from replicator.model.operations.access import Principal, Role


def require(principal: Principal, targets: Sequence[str], role: Role = Role.VIEWER) -> None:
    """Check that the principal may do something with these targets.

    Raises:
        Problem: the role is too small, or a target is not open to whoever asks (403).
    """
    if not principal.role.covers(role):
        raise Problem(HTTPStatus.FORBIDDEN, f"this needs the role {role.value}")
    if not principal.may_touch(targets):
        raise Problem(HTTPStatus.FORBIDDEN, "this is about targets that are not open to you")
