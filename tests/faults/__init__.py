"""Kills and stops everything that can be killed while results flow, and compares what is left with the log."""
