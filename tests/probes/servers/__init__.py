"""Servers to check: hostile ones, odd but honest ones, and ordinary ones; each in a process of its own."""
