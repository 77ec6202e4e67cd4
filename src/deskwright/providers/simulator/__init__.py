"""The simulated outside world: a cloud, a directory and a device management that live in PostgreSQL.

It is a product feature (R5): automation is tried against it, with the durations, the scarcity and the failures of the
real ones. Its state stands in the schema ``simulator``, which nothing outside this package writes, because it must
outlive any worker and be the same world for all of them.

world.py     the tables, and looking into them
statements.py sending them
making.py    the one statement by which objects come into being, and the one by which they go
faults.py    what an administrator asked to go wrong
durations.py how long things take
guest.py     the inside of a machine
screen.py    its screen, an RFB server; pixels.py as the viewer wants them; desktop.py what is drawn
compute.py, directory.py, management.py, health.py: the contracts of `providers.contract`
"""
