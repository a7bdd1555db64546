"""What the query service counts, in one list; `/metrics` tells it."""

from typing import Final

from prometheus_client import Counter

_answers = Counter("pulse_query_public_answers", "Prepared answers given.", ["code"])
PUBLIC_ANSWERS: Final = {False: _answers.labels("200"), True: _answers.labels("304")}
"""By whether the client had it already."""
LEFT_OUT: Final = Counter(
    "pulse_query_left_out", "Records, events and rows that could not be read and are not shown.", ["source"]
)
