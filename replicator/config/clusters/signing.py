"""Settings of the signatures of a target's files."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from replicator.config.values import AbsolutePath, AsTuple, Section, secret_in, secret_of

SIGNING_KEY = "private signing key"


class SigningSettings(Section):
    """Keys that sign the files of a target's store, and that its readers trust.

    Use a key for each target: a file of one store is valid in every store with the same key.
    """

    key_env: Annotated[str, Field(min_length=1)] | None = None
    """Name of the environment variable with this machine's private key: PEM, Ed25519."""
    key_file: AbsolutePath | None = None
    """File with that key, as `openssl genpkey -algorithm ed25519` writes it."""
    trusted_keys: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AsTuple] = ()
    """Public keys of other machines and earlier ones: base64, as `openssl pkey -pubout` prints."""
    unsigned: Literal["refuse", "accept"] = "refuse"
    """Whether a file without a signature is refused, or accepted with a warning and no proof."""

    witness: Annotated[str, Field(min_length=1)] | None = None
    """Name of another target, whose store remembers how far this target's store reached."""
    witness_folder: AbsolutePath | None = None
    """Existing folder that remembers it instead, local or on a mount."""

    @model_validator(mode="after")
    def _one_witness(self) -> Self:
        if self.witness is not None and self.witness_folder is not None:
            raise ValueError("witness and witness_folder are both set; keep one of them")
        return self

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("key_env and key_file are both set; keep one of them")
        if self.key_env is None and self.key_file is None and not self.trusted_keys:
            raise ValueError("no key is set: key_env, key_file or trusted_keys")
        return self

    def key(self, environ: Mapping[str, str]) -> str | None:
        """Return the text of the private key; None if none is named.

        Raises:
            ConfigError: the variable is not set, or the file cannot be read.
        """
        if self.key_env is not None:
            return secret_of(environ, self.key_env, what=SIGNING_KEY, setting="key_env")
        return None if self.key_file is None else secret_in(self.key_file, what=SIGNING_KEY)
