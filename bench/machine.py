"""What a benchmark ran on, and how it reports."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any


def describe() -> str:
    """Processor, cores, Python, and the load at the start."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}, load {load:.1f}"


def parser(about: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--json", action="store_true", help="print one JSON object")
    found.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return found


def report(args: argparse.Namespace, figures: dict[str, Any], details: list[str]) -> None:
    """Details and machine for people on stderr, the figures on stdout."""
    for line in [describe(), *details]:
        print(line, file=sys.stderr)
    if args.json:
        print(json.dumps({"machine": describe(), **figures}))
    else:
        for name, value in figures.items():
            print(f"{name:>28}  {value}")
