"""How much memory this process has, from the kernel's own books."""

from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")


def resident_bytes(pid: int | str = "self") -> int:
    """Return the resident set now."""
    return _field("VmRSS", pid)


def peak_bytes(pid: int | str = "self") -> int:
    """Return the largest resident set since `reset_peak`, 0 of a process that has ended."""
    return _field("VmHWM", pid)


def reset_peak() -> None:
    """Let the peak begin again from here."""
    _CLEAR.write_text("5")


def _field(name: str, pid: int | str = "self") -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
