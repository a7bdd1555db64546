"""Ports: those that must be free are tried before anything is started, so that the message can name the setting."""

import errno
import socket


class PortTaken(RuntimeError):
    """One of ours cannot listen where it should."""

    def __init__(self, host: str, port: int, setting: str, error: OSError) -> None:
        super().__init__(
            f"{host}:{port} is taken by another program: stop it, or set {setting} to a free port."
            if error.errno == errno.EADDRINUSE
            else f"{host}:{port} cannot be opened here: {error.strerror}; set {setting} to one that can."
        )


def check_free(host: str, port: int, setting: str) -> None:
    """Raises PortTaken, naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host.strip("[]"), port))
        except OSError as error:
            raise PortTaken(host, port, setting, error) from error


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
