"""Where the recorded and golden values stand: real transactions, answers of real servers."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1] / "vectors"
ANGOR: Final = ROOT / "angor"
BTCPAY: Final = ROOT / "btcpay"
CHAIN: Final = ROOT / "chain"
RECORD: Final = ROOT / "record"
