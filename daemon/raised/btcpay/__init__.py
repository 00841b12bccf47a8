"""BTCPay Server: webhook deliveries ring, pulls tell the truth. Source: btcpay.md."""
