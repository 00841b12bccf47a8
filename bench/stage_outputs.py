"""Recognising investments, against the least work their stage outputs can cost.

The reference makes the same output keys with the bare binding: the founder's leaf hashed once for
each date, the other leaves once for each investment, one branch and one tweak for each output, and
nothing else: no parsing, no rules, no amounts. Tweaked keys are cached on both sides.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable
from decimal import Decimal

from btclib_secp256k1 import xonly

from raised.domain.angor.amounts import fee, split
from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment import Investment, recognise
from raised.domain.angor.stage_output import UNSPENDABLE_KEY, leaf_key
from raised.domain.angor.terms import parse_terms
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.curve import pubkey_from_secret
from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.script import number, p2tr, push
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut

INVESTMENTS = 300
PERCENTS = (10, 15, 20, 25, 30)
RELEASES = tuple(1_770_000_000 + 86_400 * stage for stage in range(len(PERCENTS)))
EXPIRY = 1_790_000_000
PENALTY_DAYS = 90
ROUNDS = 9

FOUNDER, RECOVERY = (pubkey_from_secret(sha256(name)) for name in (b"founder", b"recovery"))
INVESTORS = [pubkey_from_secret(sha256(b"investor %d" % index)) for index in range(INVESTMENTS)]
PROJECT_ID = encode("angor", 0, sha256(b"project")[:20])
TERMS = parse_terms(
    json.dumps(
        {
            "version": 2,
            "projectType": 0,
            "founderKey": FOUNDER.hex(),
            "founderRecoveryKey": RECOVERY.hex(),
            "projectIdentifier": PROJECT_ID,
            "nostrPubKey": FOUNDER[1:].hex(),
            "networkName": "Regtest",
            "startDate": 1_760_000_000,
            "endDate": 1_769_000_000,
            "penaltyDays": PENALTY_DAYS,
            "expiryDate": EXPIRY,
            "targetAmount": 100_000_000,
            "stages": [
                {"amountToRelease": percent, "releaseDate": release_at}
                for percent, release_at in zip(PERCENTS, RELEASES, strict=True)
            ],
            "projectSeeders": {"threshold": 0, "secretHashes": []},
            "dynamicStagePatterns": [],
        }
    ),
    1_760_000_000,
)
LEAF_KEYS = {key: leaf_key(key) for key in (FOUNDER, RECOVERY, *INVESTORS)}


def midstate(tag: bytes) -> "hashlib._Hash":
    """The state of a tagged hash before its data."""
    return hashlib.sha256(sha256(tag) * 2)


LEAF, BRANCH, TWEAK = (midstate(tag) for tag in (b"TapLeaf", b"TapBranch", b"TapTweak"))


def tagged(state: "hashlib._Hash", data: bytes) -> bytes:
    """One tagged hash."""
    copy = state.copy()
    copy.update(data)
    return copy.digest()


def leaf(script: bytes) -> bytes:
    """The hash of a script shorter than 253 bytes."""
    return tagged(LEAF, bytes([0xC0, len(script)]) + script)


def bare() -> list[bytes]:
    """Every output key, by nothing but the hashes and tweaks it takes."""
    founder, recovery = push(LEAF_KEYS[FOUNDER]), push(LEAF_KEYS[RECOVERY])
    founders = [leaf(founder + b"\xad" + number(release) + b"\xb1") for release in RELEASES]
    expiry = b"\xad" + number(EXPIRY) + b"\xb1"
    keys: list[bytes] = []
    for key in INVESTORS:
        investor = push(LEAF_KEYS[key])
        end, recover = leaf(investor + expiry), leaf(recovery + b"\xad" + investor + b"\xac")
        rest = tagged(BRANCH, end + recover if end < recover else recover + end)
        for one in founders:
            root = tagged(BRANCH, one + rest if one < rest else rest + one)
            tweak = tagged(TWEAK, UNSPENDABLE_KEY + root)
            keys.append(xonly.tweak_add(UNSPENDABLE_KEY, tweak)[0])
    return keys


def investments() -> list[Tx]:
    """One transaction for each investor, with the outputs of the reference."""
    keys, txs = iter(bare()), []
    shares = tuple(Decimal(percent) for percent in PERCENTS)
    for at, investor in enumerate(INVESTORS):
        gross = 10_000_000 + 12_345 * at
        amounts = split(gross - fee(gross), shares)
        stages = [TxOut(amount, p2tr(next(keys))) for amount in amounts]
        outputs = (
            TxOut(fee(gross), project_script(PROJECT_ID)),
            TxOut(0, b"\x6a" + push(investor)),
            *stages,
            TxOut(5_000, b"\x00\x14" + bytes(20)),
        )
        txs.append(Tx(1, (TxIn(OutPoint("11" * 32, 0), b"", 0xFFFFFFFF),), outputs, 0))
    return txs


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, in processor time: the machine may be busy."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure in turns and print one line."""
    txs = investments()
    assert all(tx.txid for tx in txs)

    def ours() -> list[object]:
        return [recognise(TERMS, tx) for tx in txs]

    found = ours()
    assert all(isinstance(one, Investment) and not one.flags for one in found)
    rounds = [(seconds(ours), seconds(bare)) for _ in range(ROUNDS)]
    outputs = INVESTMENTS * len(PERCENTS)
    ratio = statistics.median(reference / own for own, reference in rounds)
    value = outputs / statistics.median(own for own, _ in rounds)
    reference = outputs / statistics.median(reference for _, reference in rounds)
    print(
        json.dumps(
            {
                "name": "stage outputs recomputed",
                "value": round(value),
                "unit": "outputs/s",
                "ratio": round(ratio, 3),
                "reference": round(reference),
            }
        )
    )


if __name__ == "__main__":
    main()
