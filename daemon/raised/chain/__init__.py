"""The chain source: block explorers, believed as far as their answers prove themselves."""
