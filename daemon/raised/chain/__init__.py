"""The chain source: follows the best chain by block explorers, and checks what they answer."""
