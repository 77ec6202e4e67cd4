"""PostgreSQL: the tables, the connection, the migrations."""
