"""Management: `/v1` over monitors, pages and keys, and the `pulse` subcommands that talk to it."""
