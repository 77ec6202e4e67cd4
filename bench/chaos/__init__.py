"""The crash matrix: nothing lost, nothing doubled, nothing leaked, whatever dies and whenever (V6).

Real worker processes on a PostgreSQL of their own, killed, frozen and misled at exact instants.

worker.py    a `deskwright worker` that stands still at a chosen instant, so that it can be killed exactly there
field.py     a company on a fresh database, and the processes that work for it
life.py      what the company's people go through: provisioning, reprovisioning, the end of grace, clean-up, an image
cases.py     the table of cases: what happens to the workers, the database, the providers, the clock
judging.py   what was lost, doubled or leaked, by the rows and by the providers' inventory
report.py    the table and the JSON
"""
