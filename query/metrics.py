"""What the query service counts, in one list; `/metrics` tells it."""

from typing import Final

from prometheus_client import Counter

_answers = Counter("pulse_query_public_answers", "Prepared answers given.", ["code"])
PUBLIC_ANSWERS: Final = {200: _answers.labels("200"), 304: _answers.labels("304")}
LEFT_OUT: Final = Counter(
    "pulse_query_left_out", "Records, events and rows that could not be read and are not shown.", ["source"]
)
