"""Stage scripts: every leaf, hash, root, control block and output of the vectors."""

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.stage_output import (
    MAX_SEEDER_LEAVES,
    NUMS_KEY,
    UNSPENDABLE_KEY,
    Leaves,
    end_leaf,
    founder_leaf,
    leaf_key,
    recover_leaf,
    seeder_leaves,
    stage_control_block,
    stage_merges,
    stage_script,
    stage_tree,
    trunk,
)
from raised.domain.bitcoin.curve import pubkey_from_secret, tweak_secret
from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.taproot import leaf_hash, output_key, revealed_leaf
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
STAGES: dict[str, Any] = json.loads((VECTORS / "stage_scripts.json").read_text())
GOLDEN: dict[str, Any] = json.loads((VECTORS / "reference_golden.json").read_text())
REAL: dict[str, Any] = json.loads((VECTORS / "real_transactions.json").read_text())["angornet"]


def every_stage() -> Iterator[Any]:
    for project in STAGES["projects"]:
        for at, investment in enumerate(project["investments"]):
            for stage in investment["stages"]:
                name = f"{project['name']}-{at}-{stage['index']}"
                yield pytest.param(project, investment, stage, id=name)


def leaves_of(project: dict[str, Any], investment: dict[str, Any], release_at: int) -> Leaves:
    info = project["projectInfo"]
    investor = leaf_key(bytes.fromhex(investment["investorKey"]))
    secret_hash = investment.get("secretHashBytes")
    seeders: tuple[bytes, ...] | None = ()
    if secret_hash is None:
        listed = info["projectSeeders"]
        hashes = [bytes.fromhex(secret_hash)[::-1] for secret_hash in listed["secretHashes"]]
        seeders = seeder_leaves(investor, hashes, listed["threshold"])
    assert seeders is not None
    return Leaves(
        founder_leaf(leaf_key(bytes.fromhex(info["founderKey"])), release_at),
        recover_leaf(
            leaf_key(bytes.fromhex(info["founderRecoveryKey"])),
            investor,
            None if secret_hash is None else bytes.fromhex(secret_hash),
        ),
        end_leaf(investor, investment["effectiveExpiry"]),
        seeders,
    )


def test_the_constants_are_those_of_the_vectors() -> None:
    constants = STAGES["constants"]
    assert constants["internalKey"] == UNSPENDABLE_KEY.hex()
    assert constants["leafVersion"] == "c0"


@pytest.mark.parametrize(("project", "investment", "stage"), list(every_stage()))
def test_a_stage_is_rebuilt_byte_for_byte(
    project: dict[str, Any], investment: dict[str, Any], stage: dict[str, Any]
) -> None:
    leaves = leaves_of(project, investment, stage["releaseDate"])
    expected = stage["leaves"]
    assert leaves.founder.hex() == expected["founder"]
    assert leaves.recover.hex() == expected["recover"]
    assert leaves.end.hex() == expected["endOfProject"]
    assert [seeder.hex() for seeder in leaves.seeders] == expected["seeders"]
    hashes = stage["leafHashes"]
    in_order = [hashes["founder"], hashes["recover"], hashes["endOfProject"], *hashes["seeders"]]
    assert [leaf_hash(leaf).hex() for leaf in leaves.in_order()] == in_order
    tree = stage_tree(leaves)
    assert tree.root.hex() == stage["merkleRoot"]
    assert tagged("TapTweak", UNSPENDABLE_KEY + tree.root).hex() == stage["tapTweak"]
    key, parity = output_key(UNSPENDABLE_KEY, tree.root)
    assert (key.hex(), parity) == (stage["outputKey"], stage["outputKeyParity"])
    assert stage_script(leaves).hex() == stage["scriptPubKey"]


@pytest.mark.parametrize(("project", "investment", "stage"), list(every_stage()))
def test_every_control_block_is_the_reference_one_and_commits(
    project: dict[str, Any], investment: dict[str, Any], stage: dict[str, Any]
) -> None:
    leaves = leaves_of(project, investment, stage["releaseDate"])
    blocks = stage["controlBlocks"]
    expected = [blocks["founder"], blocks["recover"], blocks["endOfProject"], *blocks["seeders"]]
    for script, block in zip(leaves.in_order(), expected, strict=True):
        control = stage_control_block(leaves, script, UNSPENDABLE_KEY)
        assert control.hex() == block
        revealed = revealed_leaf((b"", script, control), bytes.fromhex(stage["outputKey"]))
        assert revealed is not None
        assert revealed.script == script


@pytest.mark.parametrize("project", STAGES["projects"], ids=lambda project: project["name"])
def test_the_outputs_of_an_investment_are_rebuilt(project: dict[str, Any]) -> None:
    info = project["projectInfo"]
    founder = leaf_key(bytes.fromhex(info["founderKey"]))
    assert founder.hex() == project["founderLeafKey"]
    recovery = leaf_key(bytes.fromhex(info["founderRecoveryKey"]))
    assert recovery.hex() == project["founderRecoveryLeafKey"]
    for investment in project["investments"]:
        investor = leaf_key(bytes.fromhex(investment["investorKey"]))
        assert investor.hex() == investment["investorLeafKey"]
        releases = [stage["releaseDate"] for stage in investment["stages"]]
        first = leaves_of(project, investment, releases[0])
        shared = trunk(first.recover, first.end, first.seeders)
        rebuilt = [
            shared.output_key(founder, release, UNSPENDABLE_KEY).hex() for release in releases
        ]
        on_chain = [output["scriptPubKey"][4:] for output in investment["outputs"][2:]]
        assert rebuilt == on_chain
        every = [shared.leaves(founder, release) for release in releases]
        assert every == [leaves_of(project, investment, release) for release in releases]


def test_the_dormant_internal_key_gives_the_other_outputs() -> None:
    for project in STAGES["projects"]:
        for investment in project["investments"]:
            if "dormantVersion3" not in investment:
                continue
            dormant = investment["dormantVersion3"]
            assert dormant["internalKey"] == NUMS_KEY.hex()
            for stage, script in zip(investment["stages"], dormant["scriptPubKeys"], strict=True):
                leaves = leaves_of(project, investment, stage["releaseDate"])
                assert stage_script(leaves, NUMS_KEY).hex() == script


def test_leaf_keys_belong_to_the_tweaked_secrets() -> None:
    for project in STAGES["projects"]:
        secret = bytes.fromhex(project["founderPrivateKey"])
        plain = bytes.fromhex(project["projectInfo"]["founderKey"])
        tweaked = tweak_secret(secret, tagged("TapTweak", plain[1:]))
        assert pubkey_from_secret(tweaked)[1:].hex() == project["founderLeafKey"]


@pytest.mark.parametrize("stage", REAL["stageOutputs"], ids=lambda vector: str(vector["vout"]))
def test_a_real_output_is_rebuilt_from_its_leaf_keys(stage: dict[str, Any]) -> None:
    """The founder's keys were never published: only what the spends revealed is known."""
    known = REAL["knownParameters"]
    investor = leaf_key(bytes.fromhex(stage["investorKey"]))
    assert investor.hex() == stage["investorLeafKey"]
    release_at = known["stageDates"][stage["stageIndex"]]
    leaves = Leaves(
        founder_leaf(bytes.fromhex(known["founderLeafKey"]), release_at),
        recover_leaf(bytes.fromhex(known["founderRecoveryLeafKey"]), investor, None),
        end_leaf(investor, known["expiryDate"]),
    )
    assert leaves.founder.hex() == stage["founderLeaf"]
    assert leaves.recover.hex() == stage["recoverLeaf"]
    assert leaves.end.hex() == stage["endLeaf"]
    assert [leaf_hash(leaf).hex() for leaf in leaves.in_order()] == stage["leafHashes"]
    assert stage_tree(leaves).root.hex() == stage["merkleRoot"]
    assert stage_script(leaves).hex() == stage["scriptPubKey"]


def test_the_reference_recovery_test_is_rebuilt() -> None:
    golden = GOLDEN["recoverySighash"]
    founder = leaf_key(bytes.fromhex(golden["founderKey"]))
    recovery = leaf_key(bytes.fromhex(golden["founderRecoveryKey"]))
    investor = leaf_key(bytes.fromhex(golden["investorKey"]))
    for stage in golden["stageDates"]["stages"]:
        leaves = Leaves(
            founder_leaf(founder, stage["releaseDate"]),
            recover_leaf(recovery, investor, None),
            end_leaf(investor, golden["stageDates"]["expiryDate"]),
        )
        assert leaves.founder.hex() == stage["founderLeaf"]
        assert leaves.recover.hex() == stage["recoverLeaf"]
        assert leaves.end.hex() == stage["endLeaf"]
        assert stage_tree(leaves).root.hex() == stage["merkleRoot"]
        assert stage_script(leaves).hex() == stage["scriptPubKey"]


@pytest.mark.parametrize(
    "fixed", GOLDEN["founderSpendFixedData"]["transactions"], ids=lambda vector: vector["txid"][:8]
)
def test_the_reference_fixed_transactions_are_rebuilt(fixed: dict[str, Any]) -> None:
    """Two of them have three seeder leaves of one weight, which pins the order of ties."""
    golden = GOLDEN["founderSpendFixedData"]
    founder = leaf_key(bytes.fromhex(golden["founderKey"]))
    recovery = leaf_key(bytes.fromhex(golden["founderRecoveryKey"]))
    investor = leaf_key(bytes.fromhex(fixed["investorKey"]))
    secret_hash = fixed["opReturnSecretHashBytes"]
    hashes = [bytes.fromhex(secret_hash)[::-1] for secret_hash in golden["seeders"]["secretHashes"]]
    seeders = seeder_leaves(investor, hashes, golden["seeders"]["threshold"])
    assert seeders is not None
    for stage in fixed["stages"]:
        leaves = Leaves(
            founder_leaf(founder, stage["releaseDate"]),
            recover_leaf(recovery, investor, secret_hash and bytes.fromhex(secret_hash)),
            end_leaf(investor, golden["expiryDate"]),
            () if fixed["isSeeder"] else seeders,
        )
        assert [leaf.hex() for leaf in leaves.in_order()] == stage["leaves"]
        tree = stage_tree(leaves)
        depths = [len(tree.path(at)) for at in range(len(leaves.in_order()))]
        assert depths == stage["leafDepths"]
        assert tree.root.hex() == stage["merkleRoot"]
        script = stage_script(leaves)
        assert script.hex() == stage["scriptPubKey"]
        assert script.hex() in fixed["hexAsWritten"]


def test_seeder_leaves_need_a_threshold_within_the_list() -> None:
    hashes = [bytes([index]) * 32 for index in range(4)]
    for threshold in (-1, 0, 5):
        assert seeder_leaves(bytes(32), hashes, threshold) == ()
    assert seeder_leaves(bytes(32), [], 1) == ()
    two = seeder_leaves(bytes(32), hashes, 2)
    assert two is not None
    assert len(two) == len(list(combinations(hashes, 2)))
    assert [len(one) for one in two] == [34 + 35 * 2] * 6


def test_hostile_seeder_lists_are_refused_before_the_work() -> None:
    hashes = [bytes(32)] * 20_000
    assert seeder_leaves(bytes(32), hashes, 10_000) is None
    assert seeder_leaves(bytes(32), hashes, 1) is None
    assert seeder_leaves(bytes(32), hashes[:9_000], 8_999) is None
    most = seeder_leaves(bytes(32), hashes[:MAX_SEEDER_LEAVES], 1)
    assert most is not None
    assert len(most) == MAX_SEEDER_LEAVES
    assert len(stage_merges(len(most))) == MAX_SEEDER_LEAVES + 2


def test_a_key_that_is_no_point_has_no_leaf_key() -> None:
    with pytest.raises(InvalidInput):
        leaf_key(b"\x02" + b"\xff" * 32)
