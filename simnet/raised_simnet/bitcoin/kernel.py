"""Bitcoin Core's validation engine: the only file that imports `pbk`.

`process_block` says nothing when a block is bad; the reason is read from the engine's log, which is
shared by all chains of the process.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import pbk
from pbk.script import PrecomputedTransactionData

from raised.domain.bitcoin.tx import Tx, TxOut, hex_from_raw


class Kernel:
    """One regtest chainstate in memory (its block files lie in `directory`)."""

    def __init__(self, directory: Path) -> None:
        self._lines: list[str] = []
        pbk.set_log_level_category(pbk.LogCategory.ALL, pbk.LogLevel.DEBUG)
        pbk.enable_log_category(pbk.LogCategory.VALIDATION)
        self._log = pbk.LoggingConnection(cb=self._remember)
        # Without a listener the engine does not log what it found.
        listener = pbk.ValidationInterfaceCallbacks(block_checked=lambda *_: None)
        context = pbk.make_context(pbk.ChainType.REGTEST, validation_callbacks=listener)
        options = pbk.ChainstateManagerOptions(context, str(directory), str(directory / "blocks"))
        options.update_block_tree_db_in_memory(block_tree_db_in_memory=True)
        options.update_chainstate_db_in_memory(chainstate_db_in_memory=True)
        self._manager = pbk.ChainstateManager(options)

    def _remember(self, line: str) -> None:
        if "state=" in line:
            self._lines.append(line)

    def genesis(self) -> bytes:
        """The raw first block of regtest."""
        chain = self._manager.get_active_chain()
        return bytes(self._manager.blocks[chain.block_tree_entries[0]])

    def tip(self) -> str:
        """The hash of the best block, display order."""
        chain = self._manager.get_active_chain()
        return hex_from_raw(bytes(chain.block_tree_entries[chain.height].block_hash))

    def submit(self, raw: bytes, branch: Collection[str]) -> str | None:
        """Validate a block. None when nothing is wrong, else the engine's reason.

        `branch`: the hashes of this block and of its forerunners that are not on the best chain.
        They are only checked in full when their branch becomes the best one, so this block may
        find one of them out.
        """
        self._lines.clear()
        try:
            self._manager.process_block(pbk.Block(raw))
        except pbk.ProcessBlockException:
            return self._reason(branch) or "rejected before validation"
        return self._reason(branch)

    def _reason(self, branch: Collection[str]) -> str | None:
        for line in self._lines:
            if any(block_hash in line for block_hash in branch):
                state = line.partition("state=")[2].strip()
                if state != "Valid":
                    return state
        return None

    def close(self) -> None:
        """Let the engine go; the directory can then be deleted."""
        del self._manager
        del self._log


def verify_inputs(tx: Tx, spent: Sequence[TxOut]) -> list[bool]:
    """Whether each input's script is satisfied; `spent` are all outputs it spends, in order.

    Time, double spends and amounts are not looked at: only a block decides those.
    """
    transaction = pbk.Transaction(tx.serialize())
    outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(o.script_pubkey), o.value) for o in spent]
    known = PrecomputedTransactionData(transaction, outputs)
    flags = pbk.ScriptVerificationFlags.ALL
    return [
        bool(output.script_pubkey.verify(output.amount, transaction, known, vin, flags))
        for vin, output in enumerate(outputs)
    ]
