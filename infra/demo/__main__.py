"""The sample app as a process: python -m infra.demo"""

import uvicorn

from infra.demo.app import create_app
from infra.settings import get_settings


def main() -> None:
    """Serve the sample app on PULSE_DEMO_PORT until SIGTERM."""
    settings = get_settings()
    uvicorn.run(
        create_app(settings.data / "demo"),
        host="127.0.0.1",
        port=settings.demo_port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
