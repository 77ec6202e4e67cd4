"""The benchmark that ships: speed and memory of this machine's Deskwright, on an embedded PostgreSQL of its own.

Every part is a file with one function, listed in `parts`. Goals are ratios measured in one run wherever that can be,
because machines differ and are noisy; `machine` says how fast and how busy this one was.
"""
