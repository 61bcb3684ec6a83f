"""Mutations of the product: does a test notice? `python -m tests.support.mutation --help`; docs/testing.md describes it."""
