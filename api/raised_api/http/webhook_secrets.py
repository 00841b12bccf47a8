"""The secrets that sign stores' deliveries, and the stores whose secret is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from raised.config.load import Environment
from raised.config.stores import WEBHOOK_SECRET

NO_SECRET: Final = "no_secret"  # noqa: S105 - why a delivery was refused, as it is counted


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """The secrets of each store by its label: two while one replaces the other.

    `missing`: where the secret of a store should be that is not there, by the store's label.
    """

    by_label: Mapping[str, tuple[bytes, ...]]
    missing: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """The secrets that were there when the program started."""
        secrets = environment.webhook_secrets
        missing = {
            label: f"{file.variable} names {file.path}, which is not there"
            for (label, kind), file in environment.secret_files.items()
            if kind == WEBHOOK_SECRET and label not in secrets
        }
        return cls(secrets, missing)
