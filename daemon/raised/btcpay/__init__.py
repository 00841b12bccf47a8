"""The BTCPay source: webhook deliveries name invoices, the API is asked what they are.

The facts about BTCPay Server that this package rests on: docs/btcpay.md.
"""
