"""Exact money: rounding, splitting and invoices with tax."""

from pennywise.invoice import Invoice, Line
from pennywise.money import CurrencyMismatch, Money
from pennywise.split import allocate, split_evenly

__all__ = ["CurrencyMismatch", "Invoice", "Line", "Money", "allocate", "split_evenly"]
