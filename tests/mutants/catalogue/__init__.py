"""The planted bugs, by the room of the product that they stand in."""

from collections.abc import Sequence
from typing import Final

from tests.mutants.catalogue.adapters import ADAPTERS
from tests.mutants.catalogue.attacking import ATTACKING
from tests.mutants.catalogue.following import FOLLOWING
from tests.mutants.catalogue.keeping import KEEPING
from tests.mutants.catalogue.model import MODEL
from tests.mutants.catalogue.outside import OUTSIDE
from tests.mutants.catalogue.restoring import RESTORING
from tests.mutants.mutant import Mutant

MUTANTS: Final[Sequence[Mutant]] = (
    *MODEL,
    *FOLLOWING,
    *KEEPING,
    *RESTORING,
    *ADAPTERS,
    *OUTSIDE,
    *ATTACKING,
)
