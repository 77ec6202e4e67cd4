"""WHAT should exist: looks at what a change touched, decides, and sets the engine going. Takes no input, so that the
event path and the recovery path are the same."""
