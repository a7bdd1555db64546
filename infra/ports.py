"""Ports: those that must be free are tried before anything is started, so that the message can name the setting."""

import socket


class PortTaken(RuntimeError):
    """Another program listens where one of ours should."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(f"{host}:{port} is taken by another program: stop it, or set {setting} to a free port.")


def check_free(host: str, port: int, setting: str) -> None:
    """Raises PortTaken, naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host.strip("[]"), port))
        except OSError as error:
            raise PortTaken(host, port, setting) from error


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
