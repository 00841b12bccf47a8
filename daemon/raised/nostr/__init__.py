"""The relay source: follows Angor projects on Nostr relays, with nostr-sdk."""
