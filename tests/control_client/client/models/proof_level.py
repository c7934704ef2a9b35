from enum import StrEnum

class ProofLevel(StrEnum):
    CHECKSUM = "checksum"
    EXISTS = "exists"
    QUERY = "query"
    ROWS = "rows"

    def __str__(self) -> str:
        return str(self.value)
