"""Generators of those pages of docs/ that follow from the code."""
