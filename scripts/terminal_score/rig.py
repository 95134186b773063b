"""The system that is looked at: `hetuflowctl dev` with its own home, and its command line."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Done:
  """A command that has ended."""

  code: int
  out: str
  err: str
  seconds: float

  def text(self):
    """Everything that it said."""
    return f"exit {self.code} after {self.seconds * 1e3:.0f} ms\n{self.out}{self.err}"


def free_port():
  """A port that nobody listens on."""
  with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    return listener.getsockname()[1]


def until(what, seconds, look, step=0.02):
  """Waits for a true answer and gives it back."""
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    answer = look()
    if answer:
      return answer
    time.sleep(step)
  raise TimeoutError(f"{what}: not within {seconds} s")


class Rig:
  """A running system in a temporary folder."""

  def __init__(self, root, bins, out):
    self.root, self.bins, self.out = root, bins, out
    self.ctl = str(bins / "hetuflowctl")
    self.dir = Path(tempfile.mkdtemp(prefix="hetuflow-score-"))
    self.home = self.dir / "home"
    self.home.mkdir()
    self.port = free_port()
    self.url = f"http://127.0.0.1:{self.port}"
    self.bench = {}
    self.dev = None
    self.ready = None

  def env(self, **more):
    """A clean environment with a home of its own."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TZ", "TMPDIR") if key in os.environ}
    kept.setdefault("LANG", "C.UTF-8")
    return {**kept, "HOME": str(self.home), "TERM": "xterm-256color", **more}

  def start(self):
    """Starts it; how long that took."""
    begun = time.monotonic()
    args = [self.ctl, "dev", "--demo", "--headless", "--data", str(self.dir / "data"), "--port", str(self.port)]
    log = open(self.out / "dev.log", "wb")
    self.dev = subprocess.Popen(
      args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.env(), cwd=self.home
    )
    os.set_blocking(self.dev.stdout.fileno(), True)
    line = self.dev.stdout.readline().decode()
    self.ready = time.monotonic() - begun
    if not line.startswith("ready"):
      raise RuntimeError(f"dev did not get ready: {line!r}, see {self.out}/dev.log")
    self.token = (self.dir / "data/server/admin.token").read_text().strip()
    until("the agent", 20, lambda: '"dev-1"' in self.run("agent", "list", "-o", "json").out)
    return self.ready

  def children(self):
    """Processes below `dev`: id and command line."""
    found, wanted = {}, {self.dev.pid}
    table = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    for _ in range(4):
      for row in rows:
        if len(row) == 3 and int(row[1]) in wanted:
          wanted.add(int(row[0]))
          found[int(row[0])] = row[2]
    return found

  def pid_of(self, program):
    """The process of a program below `dev`."""
    for pid in self.children():
      try:
        if os.path.basename(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")) == program:
          return pid
      except OSError:
        pass
    raise RuntimeError(f"no {program} below dev")

  def stop(self):
    """Ctrl-C; what is left afterwards."""
    if self.dev is None or self.dev.poll() is not None:
      return {}
    before = self.children()
    self.dev.send_signal(signal.SIGINT)
    try:
      self.dev.wait(20)
    except subprocess.TimeoutExpired:
      self.dev.kill()
    time.sleep(0.3)
    return {pid: args for pid, args in before.items() if Path(f"/proc/{pid}").exists()}

  def clean(self):
    """Stops everything and deletes the folder."""
    self.stop()
    shutil.rmtree(self.dir, ignore_errors=True)

  def run(self, *args, env=None, stdin=None, seconds=30, home=None):
    """A command to its end."""
    begun = time.monotonic()
    surroundings = self.env(**(env or {}))
    if home:
      surroundings["HOME"] = str(home)
    done = subprocess.run(
      [self.ctl, *map(str, args)], env=surroundings, cwd=self.home, timeout=seconds,
      input=stdin if stdin is not None else "", capture_output=True, text=True, errors="replace",
    )
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

  def popen(self, *args, env=None):
    """A command that goes on."""
    return subprocess.Popen(
      [self.ctl, *map(str, args)], env=self.env(**(env or {})), cwd=self.home,
      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )

  def json(self, *args):
    """The answer of a command as data."""
    done = self.run(*args, "-o", "json")
    if done.code not in (0, 11, 12):
      raise RuntimeError(f"hetuflowctl {' '.join(map(str, args))}: {done.text()}")
    return json.loads(done.out)

  def api(self, method, path, body=None):
    """Asks the REST interface."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, method=method)
    request.add_header("Authorization", f"Bearer {self.token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=20) as answer:
      text = answer.read()
    return json.loads(text) if text else None

  def task(self, cmd, *flags):
    """Starts a command; its id."""
    return self.json("run", "--cmd", cmd, *flags, "--detach")["id"]

  def folder(self, name):
    """A new folder."""
    path = self.dir / name
    path.mkdir(exist_ok=True)
    return path
