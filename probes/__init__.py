"""Checks endpoints: schedule, resolve, guard, fetch, judge, emit."""
