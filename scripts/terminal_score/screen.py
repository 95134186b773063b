"""Terminals: tmux for pictures, a bare pty for bytes."""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time

from .rig import until


class Tmux:
  """A program in a tmux of its own; killed at the end of the `with`."""

  count = 0

  def __init__(self, rig, *args, size=(80, 24), env=None, program=None):
    Tmux.count += 1
    self.name = f"hfscore{os.getpid()}-{Tmux.count}"
    words = [program or rig.ctl, *map(str, args)]
    setup = rig.env(**{"TERM": "tmux-256color", **(env or {})})
    pairs = [f"{key}={value}" for key, value in setup.items()]
    command = shlex.join(["env", "-i", *pairs, *words])
    self.begun = time.monotonic()
    self.tmux("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "-c", str(rig.home), command)

  def tmux(self, *args):
    """A word to tmux; its answer."""
    done = subprocess.run(["tmux", "-L", self.name, "-f", "/dev/null", *args], capture_output=True, text=True)
    return done.stdout

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.tmux("kill-server")

  def picture(self, colours=False):
    """What stands on the screen."""
    return self.tmux("capture-pane", "-p", *(["-e"] if colours else []))

  def alive(self):
    """Whether the program is there."""
    return bool(self.tmux("list-panes").strip())

  def keys(self, *keys, rest=0.15):
    """Presses keys by their tmux names."""
    for key in keys:
      self.tmux("send-keys", key)
      time.sleep(0.03)
    time.sleep(rest)

  def type(self, text, rest=0.15):
    """Types letters."""
    self.tmux("send-keys", "-l", text)
    time.sleep(rest)

  def wait(self, wish, seconds=10):
    """Waits for a text, an expression or a wish; the picture."""
    if isinstance(wish, str):
      look = lambda picture: wish in picture
    elif isinstance(wish, re.Pattern):
      look = wish.search
    else:
      look = wish
    last = ""

    def seen():
      nonlocal last
      last = self.picture()
      return look(last)

    try:
      until(f"{wish} on the screen", seconds, seen, 0.01)
    except TimeoutError as error:
      raise TimeoutError(f"{error}\n{last}") from None
    return last

  def has(self, wish, seconds=3):
    """Whether a text comes."""
    try:
      self.wait(wish, seconds)
      return True
    except TimeoutError:
      return False

  def resize(self, width, height):
    """Another size."""
    self.tmux("resize-window", "-x", str(width), "-y", str(height))


class Pty:
  """A program on a bare pty: every byte that it writes."""

  def __init__(self, rig, *args, size=(80, 24), env=None):
    self.parent, self.child = pty.openpty()
    fcntl.ioctl(self.child, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    self.before = termios.tcgetattr(self.child)
    self.rig, self.words, self.env = rig, [rig.ctl, *map(str, args)], rig.env(**(env or {}))
    self.again()

  def again(self):
    """Starts the program, also once more."""
    self.bytes = b""
    self.process = subprocess.Popen(
      self.words, stdin=self.child, stdout=self.child, stderr=self.child,
      env=self.env, cwd=self.rig.home, start_new_session=True,
      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if self.process.poll() is None:
      self.process.kill()
      self.process.wait()
    os.close(self.parent)
    os.close(self.child)

  def read(self, seconds):
    """Reads for so long, and answers what a terminal answers; the new bytes."""
    end, start = time.monotonic() + seconds, len(self.bytes)
    while (left := end - time.monotonic()) > 0:
      if not select.select([self.parent], [], [], left)[0]:
        break
      new = os.read(self.parent, 65536)
      self.bytes += new
      if b"\x1b[6n" in new:
        os.write(self.parent, b"\x1b[1;1R")
      if b"\x1b[c" in new:
        os.write(self.parent, b"\x1b[?62;22c")
    return self.bytes[start:]

  def wait(self, text, seconds=10):
    """Reads until these bytes have come."""
    end = time.monotonic() + seconds
    while text not in self.bytes:
      if time.monotonic() > end:
        raise TimeoutError(f"{text!r} did not come")
      self.read(0.02)

  def keys(self, keys, rest=0.1):
    """Presses keys; the bytes that they bring."""
    os.write(self.parent, keys if isinstance(keys, bytes) else keys.encode())
    return self.read(rest)

  def signal(self, number):
    """A signal."""
    self.process.send_signal(number)

  def end(self, seconds=5):
    """Reads until the program has ended; its exit code, or None."""
    end = time.monotonic() + seconds
    while self.process.poll() is None and time.monotonic() < end:
      self.read(0.05)
    self.read(0.05)
    return self.process.poll()

  def is_restored(self):
    """Whether the terminal is as it was."""
    return termios.tcgetattr(self.child) == self.before


SIGNALS = {"TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "INT": signal.SIGINT}
