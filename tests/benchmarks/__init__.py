"""Speed, measured beside a reference in the same run; each benchmark prints one JSON line."""
