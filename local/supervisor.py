"""Runs a command for as long as somebody holds the other end of standard input; then ends it.

    python -m local.supervisor COMMAND [ARGUMENT ...]

However the holder ends, even by `kill -9`, its end of the pipe closes, and no child outlives it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

PATIENCE = 4.0  # seconds between asking and killing


def main() -> int:
    # Inherited descriptors go on to the child: one of them is the lock of the data folder.
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: child.terminate())

    def hold() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 64):
                pass
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=hold, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
