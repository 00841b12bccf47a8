"""Words that are gone: private ones, for which the field has its own. See docs/glossary.md."""

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("daemon", "api", "simnet", "tests", "bench")
# No part of a name, and no word of a comment or docstring, is one of these.
WORDS = {
    "bell", "cashier", "clerk", "doorbell", "grudge", "intake", "liar", "notebook", "ordeal",
    "postman", "pour", "purse", "rota", "shelf", "sift", "stance", "strand", "tally", "teller",
    "till", "troupe",
}  # fmt: skip
# Nothing has one of these names.
NAMES = {
    "Ring", "Turns", "Telling", "Walk", "Pauses", "Patience", "Panel", "Witnesses", "Anchors",
    "Branch", "Face", "Case", "Touched", "Grouped", "Gate", "Asked", "Meter", "Hours", "Script",
    "Box", "Venture", "Office", "Clerk", "Post", "Between", "Wire", "Standing", "Interest", "Line",
    "Account", "Recent", "Sifted", "Lane", "Told", "Held", "Follower", "Live", "Reading", "Asking",
}  # fmt: skip
Places = dict[str, set[str]]


def parts(name: str) -> set[str]:
    """The lower-case words of a CamelCase or snake_case name."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def tokens() -> Iterator[tuple[str, tokenize.TokenInfo]]:
    """Each token of the sources with its place."""
    for path in (path for source in SOURCES for path in (ROOT / source).rglob("*.py")):
        if path != Path(__file__):
            name = str(path.relative_to(ROOT))
            for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
                yield f"{name}:{token.start[0]}", token


def vocabulary() -> tuple[Places, Places]:
    """Where each name stands, and each word of names, comments and docstrings."""
    names: Places = defaultdict(set)
    words: Places = defaultdict(set)
    for place, token in tokens():
        if token.type == tokenize.NAME:
            names[token.string].add(place)
        elif token.type == tokenize.COMMENT or token.string.startswith('"""'):
            for word in re.findall(r"[a-z]+", token.string.lower()):
                words[word].add(place)
    for name, places in names.items():
        for part in parts(name):
            words[part] |= places
    return names, words


def test_nothing_is_named_by_a_word_that_is_gone() -> None:
    names, words = vocabulary()
    found = {name: sorted(names[name]) for name in NAMES & names.keys()}
    found |= {word: sorted(words[word]) for word in WORDS & words.keys()}
    assert found == {}
