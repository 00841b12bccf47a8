"""Reading on where a page ended."""

from raised.btcpay.client.invoice_query import InvoicePage


def test_the_next_page_overlaps_the_last_one_by_a_second() -> None:
    """Rows that come and go meanwhile shift nothing."""
    page = InvoicePage(end=1_000, skip=50, take=50)
    assert page.after(900) == InvoicePage(end=901, skip=0, take=50)
    assert InvoicePage().after(900) == InvoicePage(end=901)


def test_a_second_that_fills_a_page_is_counted_through() -> None:
    page = InvoicePage(end=901, take=50)
    assert page.after(900) == InvoicePage(end=901, skip=50, take=50)
    assert page.after(900).after(900) == InvoicePage(end=901, skip=100, take=50)
    assert page.after(None) == InvoicePage(end=901, skip=50, take=50)
