"""What docstrings and comments cite is there: each file of docs/ and each section of it."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("daemon", "api", "simnet", "tests", "bench")
CITATION = re.compile(
    r"docs/(?P<file>[\w-]+\.md)"
    r"(?P<sections>\s+\d+(?:\.\d+)*(?:(?:,\s+|\s+and\s+|,\s+and\s+)\d+(?:\.\d+)*(?![\w-]))*)?"
)
# They live in docs/ now, or are not in the repository.
BARE = re.compile(r"(?<!docs/)\b(?:angor|btcpay|chain-api|nostr-sdk|design|style)\.md")
SECTION = re.compile(r"^#+ (\d+(?:\.\d+)*)\.?\s", re.MULTILINE)


def texts() -> dict[str, str]:
    """The sources by path, their line ends and comment signs made one space."""
    return {
        str(path.relative_to(ROOT)): re.sub(r"\s*\n\s*(?:#\s+)?", " ", path.read_text())
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
        if path != Path(__file__)
    }


@cache
def sections(name: str) -> set[str] | None:
    path = ROOT / "docs" / name
    return set(SECTION.findall(path.read_text())) if path.is_file() else None


def dead_ends(text: str) -> set[str]:
    """Citations that lead nowhere."""
    found = set()
    for citation in CITATION.finditer(text):
        known = sections(citation["file"])
        cited = re.findall(r"\d+(?:\.\d+)*", citation["sections"] or "")
        if known is None or not known.issuperset(cited):
            found.add(citation[0])
    return found


def test_every_citation_leads_to_a_section_of_docs() -> None:
    found = {path: ends for path, text in texts().items() if (ends := dead_ends(text))}
    assert found == {}


def test_documents_are_cited_by_their_path() -> None:
    assert {path for path, text in texts().items() if BARE.search(text)} == set()
