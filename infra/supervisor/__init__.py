"""`pulse up`: the whole topology on one machine, under one supervisor."""
