"""A tenant as a YAML document: read, checked as a whole, compared with the tenant, applied, and written out again.

problems.py   what is wrong with a document, all of it, with lines
source.py     where a document comes from
reader.py     from YAML to one plain item at a time
model.py      what an item may say
kinds.py      every kind of object and list, with how it stands in the tables: the table to read first
stage.py      from items to rows of temporary tables
checks.py     rules between objects
write.py      the differences of objects; write_lists.py those of lists; write_tenant.py those of the tenant itself
prune.py      what a document does not name
summary.py    what would become of people's Cloud PCs
apply.py      all of it, in one transaction: `plan` and `apply`
export.py     from a tenant to a document
"""
