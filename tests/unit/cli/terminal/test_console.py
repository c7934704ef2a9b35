"""What an operator types where nothing must be shown is not shown, however soon it is typed."""

import os
import pty
import subprocess
import sys

ASKING = """
import os, signal, sys, termios, time

terminal = os.open(sys.argv[1], os.O_RDWR)  # the first one that a session opens is its own
for number in (0, 1, 2):
    os.dup2(terminal, number)
switch = termios.tcsetattr

def slowly(*how):
    time.sleep(0.2)
    switch(*how)

termios.tcsetattr = slowly
signal.alarm(10)
from replicator.cli.terminal.console import ask
sys.exit(0 if ask("its password", hidden=True) == "secret" else 1)
"""


def test_a_password_that_is_typed_at_once_is_neither_shown_nor_lost():
    """On a busy machine the echo was switched off only after the question could be read."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", ASKING, os.ttyname(theirs)]
    asking = subprocess.Popen(command, start_new_session=True)
    try:
        seen = b""
        while b"its password: " not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, b"secret\r")
        assert asking.wait(60) == 0
        os.set_blocking(ours, False)
        seen += os.read(ours, 1024)
    finally:
        asking.kill()
        asking.wait()
        os.close(ours)
        os.close(theirs)
    assert b"secret" not in seen
