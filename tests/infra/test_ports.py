"""Ports that must be free: what is said when one is not, or is not ours to open."""

import socket

import pytest

from infra.ports import PortTaken, check_free


def test_a_port_that_another_program_has_is_said_to_be_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(PortTaken, match=r"is taken by another program.*PULSE_HTTP"),
    ):
        check_free("127.0.0.1", other.getsockname()[1], "PULSE_HTTP")


def test_an_address_that_is_not_of_this_machine_is_not_said_to_be_taken() -> None:
    with pytest.raises(PortTaken, match=r"^192\.0\.2\.1:8080 cannot be opened here: .*PULSE_HTTP"):
        check_free("192.0.2.1", 8080, "PULSE_HTTP")
