"""An answer that is none says where it goes wrong."""

import pytest

from probes.wire.answer import Answer, BadAnswer


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", "headers"),
        (b"HTTP/1.1 200 OK\r\nServer: nginx\r\nX : 1\r\n\r\n", "headers"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello", "body"),
    ],
)
def test_a_fault_is_told_with_its_place(data: bytes, where: str) -> None:
    with pytest.raises(BadAnswer, match=f"^not HTTP/1.1 in the {where}: "):
        Answer(1_000).feed(data)


def test_identity_as_a_transfer_encoding_ends_with_the_connection_whatever_the_length_says() -> None:
    answer = Answer(1_000)

    answer.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello")
    answer.end()

    assert (answer.done, answer.body) == (True, b"hello")
