"""Faults of the server's API, on demand."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from raised_simnet.btcpay.error_responses import missing_permission, unauthenticated
from raised_simnet.explorer.faults import Faults
from raised_simnet.http.http_server import Response

_INLINE: Final = "includePaymentMethods=true"
_GATEWAY: Final = b"<html><head><title>502 Bad Gateway</title></head><body></body></html>"


@dataclass
class ApiFaults(Faults):
    """As an explorer's, with the answers that this server or the proxy before it would give.

    `spoilt_by`: ids of invoices or payouts; only answers that show one of them are befallen, or all
    when there are none. `only_inline`: of lists only those with payment methods
    (btcpayserver/btcpayserver#5115).
    """

    permission: str = "btcpay.store.canviewinvoices"
    spoilt_by: Collection[str] = ()
    only_inline: bool = False

    def spoils(self, target: str, body: bytes) -> bool:
        """Whether this answer to a request at `target` is befallen."""
        if self.only_inline and "/invoices?" in target and _INLINE not in target:
            return False
        shown = target.encode() + body
        return not self.spoilt_by or any(spoiler.encode() in shown for spoiler in self.spoilt_by)

    def _failure(self, status: int) -> Response:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        match status:
            case 401:
                return unauthenticated("ApiKey authentication failed: Unknown API Key")
            case 403:
                return missing_permission(self.permission)
            case 429:
                return Response(status, b"Too Many Requests", headers=headers)
            case 502 | 503 | 504:
                return Response(status, _GATEWAY, "text/html", headers)
            case _:
                return Response(status, b"", "", headers)
