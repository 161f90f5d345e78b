"""Plausible wrong submissions to each problem set, and the tests that each must fail."""
