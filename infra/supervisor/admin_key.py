"""The installation's first key, with every scope: made at the first start, kept in a file of mode 0600."""

import os
import secrets
import string
from pathlib import Path
from typing import Final

ID_LENGTH: Final = 12
_ID_LETTERS: Final = string.ascii_lowercase + string.digits


def admin_key(folder: Path) -> str:
    """`pulse_<id>_<secret>`, the same at every start; the secret is 32 random bytes."""
    path = folder / "admin-key"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(ID_LENGTH))
    key = f"pulse_{key_id}_{secrets.token_urlsafe(32)}"
    with os.fdopen(file, "w") as stream:
        stream.write(key + "\n")
    return key
