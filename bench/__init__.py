"""Measurements. Each prints a report; none asserts a time."""
