"""raised: the truth about Bitcoin crowdfunding."""

__version__ = "0.1.0"
