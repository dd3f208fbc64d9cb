"""The machine and the source tree that a record was made with."""

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def describe_machine():
    """Describe the machine: processor, cores, memory and system.

    Returns
    -------
    dict
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor_model(),
        "cores": cores,
        "memory_bytes": memory,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor_model():
    """Name the processor, with family and model, since clouds hide the number."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or "unknown"
    parts = (line.partition(":") for line in lines)
    facts = {key.strip(): value.strip() for key, _, value in parts}
    name = facts.get("model name", platform.processor() or "unknown")
    if "cpu family" in facts and "model" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def describe_commit():
    """Return the commit of the source tree, or None outside of a repository.

    Returns
    -------
    str or None
        Ends in "+changes" where files of the package differ from the commit.
    """
    head = _git("rev-parse", "HEAD")
    if not head:
        return None
    changed = _git("status", "--porcelain", "--", "sksparse_rec")
    return f"{head}+changes" if changed else head


def _git(*arguments):
    command = ["git", "-C", str(HERE.parents[1]), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
