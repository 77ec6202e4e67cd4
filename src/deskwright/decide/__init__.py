"""Deciding: pure functions from facts to verdicts with reasons. No I/O; all that acts or explains reads these."""
