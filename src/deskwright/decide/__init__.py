"""Deciding: pure functions from facts to verdicts with reasons. No I/O; everything that acts or explains reads these."""
