"""What crosses a border: events, topics, the monitor model, SQL. Imports nothing of ours."""
