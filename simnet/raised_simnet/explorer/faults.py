"""What can go wrong with an explorer, switched on and off while it runs."""

from collections.abc import Container
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from raised.domain.bitcoin.block import HEADER_SIZE
from raised.domain.bitcoin.tx import Tx, compact_size
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.http.http_server import Response, json_response

_RATE_LIMIT_TEXT: Final = "Explorer API NOTICE: Your request rate exceeds the current limit."
_PAGE: Final = (
    b"<html>\r\n<head><title>Just a moment...</title></head>\r\n"
    b"<body>\r\n<center><h1>Checking your browser</h1></center>\r\n</body>\r\n</html>\r\n"
)


class BadBlock(StrEnum):
    """How a raw block is falsified."""

    OTHER = "other"  # a real block, not the one that was asked for
    HEADER = "header"  # does not hash to what was asked for
    TRANSACTION = "transaction"  # one transaction less than the merkle root covers
    WITNESS = "witness"  # every txid right, one witness altered


@dataclass
class Faults:
    """One explorer's faults. Those before `only` befall requests on `only` routes, `left` times.

    `only`: route names such as "tx/:txid/outspends"; None for all. `about`: of these only requests
    whose path holds this text, such as an address. `left`: None for ever. `body`: the text of a
    failure, None for what such servers write. `redirect`: the address that stands before the path
    in place of ours, answered with `status`, or 301. `longer_by`: bytes that answers are padded by.
    `lies`: transactions served in place of the one with that id, wherever one is shown.
    `count_error`: by how many the counts of addresses are wrong (mempool/electrs#112).
    """

    status: int | None = None
    retry_after: int | None = None
    body: str | None = None
    redirect: str | None = None
    html: bool = False
    cut: bool = False
    longer_by: int = 0
    delay_seconds: float = 0
    only: Container[str] | None = None
    about: str | None = None
    left: int | None = None
    bad_block: BadBlock | None = None
    lies: dict[str, Tx] = field(default_factory=dict)
    count_error: int = 0

    def strikes(self, route: str, path: str = "") -> bool:
        """Whether this request is befallen; counts `left` down."""
        if self.only is not None and route not in self.only:
            return False
        if self.about is not None and self.about not in path:
            return False
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0

    def instead(self, response: Response, path: str = "") -> Response:
        """What goes out in place of an honest answer to a request for this path."""
        if self.redirect is not None:
            return Response(self.status or 301, headers={"Location": self.redirect + path})
        if self.status is not None:
            return self._failure(self.status)
        if self.html:
            return Response(200, _PAGE, "text/html")
        if self.longer_by:
            return Response(
                response.status, response.body + b" " * self.longer_by, response.content_type
            )
        if self.cut:
            half = len(response.body) // 2
            return Response(response.status, response.body, response.content_type, cut_at=half)
        return response

    def _failure(self, status: int) -> Response:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.body is not None:
            return Response(status, self.body.encode(), headers=headers)
        if status == 429:
            answer = json_response(
                {"error": "Too Many Requests", "message": _RATE_LIMIT_TEXT}, status
            )
            return Response(status, answer.body, answer.content_type, headers)
        if status in (502, 503, 504):
            return Response(status, _PAGE, "text/html", headers)
        return Response(status, b"Internal server error", headers=headers)

    def block(self, stored: StoredBlock, parent: StoredBlock | None) -> bytes:
        """The raw block as this explorer serves it."""
        match self.bad_block:
            case None:
                return stored.raw
            case BadBlock.OTHER:
                return parent.raw if parent else stored.raw[:-1]
            case BadBlock.HEADER:
                nonce = int.from_bytes(stored.raw[76:80], "little") ^ 1
                return stored.raw[:76] + nonce.to_bytes(4, "little") + stored.raw[80:]
            case BadBlock.TRANSACTION:
                return _raw_block(stored, list(stored.txs[:-1]) or [_dearer(stored.txs[0])])
            case BadBlock.WITNESS:
                return _raw_block(stored, [*stored.txs[:-1], altered_witness(stored.txs[-1])])


def altered_witness(tx: Tx) -> Tx:
    """The same txid with the first item of its first witness changed by one bit."""
    inputs = list(tx.inputs)
    vin = next(n for n, txin in enumerate(inputs) if txin.witness)
    first, *rest = inputs[vin].witness
    changed = (bytes([first[0] ^ 1]) + first[1:] if first else b"\x01", *rest)
    inputs[vin] = inputs[vin]._replace(witness=changed)
    return Tx(tx.version, tuple(inputs), tx.outputs, tx.locktime)


def _dearer(tx: Tx) -> Tx:
    first, *rest = tx.outputs
    return Tx(tx.version, tx.inputs, (first._replace(value=first.value + 1), *rest), tx.locktime)


def _raw_block(stored: StoredBlock, txs: list[Tx]) -> bytes:
    body = b"".join(tx.serialize() for tx in txs)
    return stored.raw[:HEADER_SIZE] + compact_size(len(txs)) + body
