"""Planted bugs that only somebody with bad intentions profits from."""

from collections.abc import Sequence
from typing import Final

from tests.mutants.mutant import Mutant

ATTACKING: Final[Sequence[Mutant]] = (
    Mutant(
        name="signature-says-nothing-of-the-name",
        function="statement",
        old="name.encode()",
        new='b""',
        loses="A signed hold, or an older base, stands in for another file.",
        ring="unit",
        tests="test_signing.py test_signature.py",
    ),
    Mutant(
        name="altered-files-are-believed",
        function="Ed25519Keys.is_valid",
        old="return False",
        new="return True",
        loses="Any signature that names our key will do.",
        ring="unit",
        tests="test_signing.py",
    ),
    Mutant(
        name="unsigned-files-are-believed",
        function="Signatures._unsigned",
        old="if not self._accept:",
        new="if False:",
        loses="Whoever leaves the signature out restores what they like.",
        ring="unit",
        tests="test_signing.py",
    ),
    Mutant(
        name="source-s-tables-are-locked",
        function="PostgresqlMetadataReader.running_tasks",
        old="WHERE active ORDER BY id",
        new="WHERE active ORDER BY id FOR SHARE",
        loses="A read locks the source's rows, and needs a right to write for it.",
        ring="integration",
        tests="test_postgresql_locks.py",
    ),
    Mutant(
        name="every-role-may-all",
        function="Role.covers",
        old="order.index(self) >= order.index(needed)",
        new="True",
        loses="Whoever may look can promote a standby and expire its backups.",
        ring="unit",
        tests="test_door.py",
    ),
    Mutant(
        name="revoked-token-opens",
        function="AccessToken.refusal",
        old="if self.revoked_at is not None:",
        new="if False:",
        loses="A token that leaked cannot be taken back.",
        ring="unit",
        tests="test_door.py",
    ),
    Mutant(
        name="limited-token-changes-any-target",
        function="Principal.may_touch",
        old="bool(asked) and asked <= self.targets",
        new="True",
        loses="A token for the rehearsal cluster restores production's standby.",
        ring="unit",
        tests="test_door.py",
    ),
    Mutant(
        name="other-sites-may-ask",
        function="Door._refuse_strangers",
        old="if (site not in SAME_SITE and not opened) or",
        new="if False and",
        loses="A page of somebody else's makes an operator's browser ask.",
        ring="unit",
        tests="test_door.py",
    ),
    Mutant(
        name="read-only-disk-ends-run",
        function="_is_on_a_read_only_disk",
        old="return exc.errno == EROFS",
        new="return False",
        loses="A disk that the kernel made read-only under the log ends all targets.",
        ring="unit",
        tests="test_log_sqlite.py",
    ),
)
