"""Source: relays. What is on them, from all of them, each checked by us."""
