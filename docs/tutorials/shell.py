"""What the tutorials share: they run the commands that one would type in the checkout."""

import os
import shlex
import subprocess
import sys
from pathlib import Path


def go_to_checkout():
    """Make the checkout the current folder: scripts and notebooks start where they lie."""
    here = Path.cwd()
    os.chdir(next(p for p in (here, *here.parents) if (p / 'tools' / 'train.py').is_file()))


def sh(command, show=12):
    """Run a command, print the last lines of its output, and stop if it fails; return the output."""
    print('$', command)
    words = [sys.executable if word == 'python' else word for word in shlex.split(command)]
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = result.stdout.splitlines()
    print('\n'.join(lines[-show:] if result.returncode == 0 else lines))
    result.check_returncode()
    return result.stdout
