-- What the checks of a connection have come to, the last times.

CREATE TABLE connection_results (
  connection_id uuid NOT NULL,
  at timestamptz NOT NULL,
  tenant_id uuid NOT NULL,
  status varchar(16) NOT NULL,
  findings jsonb DEFAULT '[]' NOT NULL,
  CONSTRAINT pk_connection_results PRIMARY KEY (connection_id, at),
  CONSTRAINT fk_connection_results_connection_id FOREIGN KEY (connection_id) REFERENCES connections (id)
    ON DELETE CASCADE
);
