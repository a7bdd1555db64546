"""ClickHouse in a process of its own: the chDB engine behind ClickHouse's HTTP interface.

`python -m infra.embedded.clickhouse --data DIR --port N` serves it; the services speak to it through
clickhouse-connect, as to a server.
"""
