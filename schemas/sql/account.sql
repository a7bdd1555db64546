-- The account that `POST /v1/analytics/sql` runs as on a ClickHouse server; `pulse migrate --sql-account` prints it.
-- It reads the views pulse_* and what they stand on, changes nothing, and sees only rows of the workspace that the
-- service names with each query. The server must allow custom settings that begin with SQL_ (its own config.xml does)
-- and users without row policies to read all rows (users_without_row_policies_can_read_rows, true by default).

CREATE ROLE IF NOT EXISTS pulse_sql;

CREATE SETTINGS PROFILE IF NOT EXISTS pulse_sql SETTINGS
    SQL_pulse_isolated = 1 CONST,
    max_execution_time = 10 MAX 10,
    max_memory_usage = 268435456 MAX 268435456,
    max_rows_to_read = 200000000 MAX 200000000,
    max_result_rows = 10000 MAX 10000,
    max_concurrent_queries_for_user = 8 CONST
TO pulse_sql;

CREATE USER IF NOT EXISTS pulse_sql_reader IDENTIFIED WITH sha256_password BY '{password}'
DEFAULT ROLE pulse_sql SETTINGS PROFILE pulse_sql;

GRANT pulse_sql TO pulse_sql_reader;

GRANT SELECT ON {database}.{readable} TO pulse_sql;

CREATE ROW POLICY IF NOT EXISTS pulse_sql ON {database}.{table}
USING startsWith(monitor, concat(getSetting('SQL_pulse_workspace'), '/')) TO pulse_sql;
