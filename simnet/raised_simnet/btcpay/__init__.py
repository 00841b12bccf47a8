"""A BTCPay Server on loopback: stores and invoices over the chain, Greenfield, webhooks.

Written after the server's own behaviour (docs/btcpay.md), not after what the product makes of it.
"""
