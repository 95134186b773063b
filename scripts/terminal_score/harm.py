"""T17, T18, T19, T25: no harm by keys, a lost link, honesty, and the terminal given back."""

import os
import re
import signal
import subprocess
import time

from .screen import SIGNALS, Pty, Tmux


def truth(rig):
  """What only a person's deed changes."""
  jobs = sorted((job["name"], job["status"], job.get("version")) for job in rig.json("job", "list", "--limit", "0")["items"])
  agents = [(agent["id"], agent["cordoned"]) for agent in rig.json("agent", "list")["items"]]
  manual = [task["id"] for task in rig.json("task", "list", "-F", "trigger=manual", "--limit", "0")["items"]]
  cancelled = [task["id"] for task in rig.json("task", "list", "-F", "state=cancelled", "--limit", "0")["items"]]
  return jobs, agents, sorted(manual), sorted(cancelled)


def safety(facts, rig):
  """T17"""
  waiting = rig.task("true", "--in", "1h")
  before = truth(rig)
  pressed, starts = 0, 1
  with Pty(rig, "tui") as screen:
    screen.wait(b"LIVE")
    for tab in b"123567":
      for key in [*range(0x20, 0x7F), *range(1, 0x1A), b"\x1b[3~"]:
        if key in (ord("q"), 3, 26, ord(":"), 0x1B):
          continue
        screen.keys(bytes([tab]), 0.004)
        screen.read(0.004)
        pressed += 1
        # Something opened, or another screen came: Esc closes the one and leaves the other.
        if screen.keys(key if isinstance(key, bytes) else bytes([key]), 0.014):
          screen.keys(b"\x1b", 0.01)
        if screen.process.poll() is not None:
          screen.again()
          starts += 1
    screen.read(0.3)
  after = truth(rig)
  names = ("jobs", "agents", "manual tasks", "cancelled tasks")
  changed = [name for name, a, b in zip(names, before, after) if a != b]
  facts.add("0 unasked changes", not changed, f"{pressed} keys on 6 screens, {starts - 1} times left by Esc{', changed: ' + ', '.join(changed) if changed else ''}")
  with Tmux(rig, "tui", "jobs", "--read-only") as screen:
    screen.wait("heartbeat")
    screen.keys("T", rest=0.4)
    screen.type("y", 0.4)
    picture = screen.picture()
    facts.keep("read-only", picture)
    facts.add("read-only", "read-only" in picture and truth(rig)[2] == after[2])
  rig.run("context", "set", "local", "--protected")
  with Tmux(rig, "tui", "jobs") as screen:
    screen.wait("heartbeat")
    screen.keys("T", rest=0.5)
    dialog = screen.picture()
    facts.keep("protected", dialog)
    screen.type("y", 0.3)
    facts.add("a protected context wants a word", "type  run" in dialog and truth(rig)[2] == after[2])
  done = rig.run("context", "set", "local", "--protected=false")
  if done.code:
    rig.run("config", "unset", "contexts.local.protected")
  rig.run("cancel", waiting, "--yes")


def lost(facts, rig):
  """T18"""
  server = rig.pid_of("hetuflow-server")
  rig.run("context", "set", "other", "--url", rig.url, "--token", rig.dir / "data/server/admin.token")
  with Tmux(rig, "tui", "jobs") as screen:
    screen.wait("heartbeat")
    os.kill(server, signal.SIGSTOP)
    begun = time.monotonic()
    try:
      lagged = screen.has(re.compile("LAG|OFFLINE"), 10)
      facts.add("said", lagged, f"after {time.monotonic() - begun:.1f} s")
      offline = screen.has("OFFLINE", 40)
      picture = screen.picture()
      facts.keep("offline", picture)
      facts.add("OFFLINE with age, rows stay", offline and "heartbeat" in picture and re.search(r"OFFLINE.*\d+ ?s|\d+s ago", picture), f"after {time.monotonic() - begun:.0f} s")
      screen.type(":context use other", 0.1)
      screen.keys("Enter", rest=0.6)
      facts.keep("another context meanwhile", screen.picture())
      facts.add("context changed meanwhile", screen.alive() and "other" in screen.picture().splitlines()[0])
    finally:
      os.kill(server, signal.SIGCONT)
    begun = time.monotonic()
    back = screen.has(lambda text: "LIVE" in text and "heartbeat" in text, 30)
    facts.keep("back", screen.picture())
    facts.add("back by itself", back, f"after {time.monotonic() - begun:.1f} s")
  rig.run("context", "delete", "other", "--yes")


def honest(facts, rig):
  """T19"""
  places = [rig.bins / "deps", rig.root / "target/debug/deps", rig.root / "target/release/deps"]
  found = [path for place in places if place.is_dir() for path in place.glob("terminal-*") if "." not in path.name and os.access(path, os.X_OK)]
  if not found:
    return facts.miss("gaps, stalls, epochs", "no test binary `terminal`: cargo test --no-run -p hetuflow-tests")
  program = max(found, key=lambda path: path.stat().st_mtime)
  environment = {**os.environ, "HETUFLOW_BIN_DIR": str(rig.bins), "CARGO_TARGET_DIR": str(program.parent.parent.parent)}
  for test in ("a_gap_and_a_new_epoch_end_in_the_truth", "silence_is_shown_as_lag_then_as_offline",
               "a_lost_link_is_told_and_the_rows_stay", "a_token_that_ended_is_told_and_not_tried_for_ever"):
    begun = time.monotonic()
    done = subprocess.run([program, f"link::{test}", "--exact"], env=environment, cwd=rig.root / "tests", capture_output=True, text=True, timeout=90)
    facts.keep(test, done.stdout + done.stderr)
    facts.add(test.replace("_", " "), "1 passed" in done.stdout, f"{time.monotonic() - begun:.1f} s")
  server = rig.pid_of("hetuflow-server")
  with Tmux(rig, "tui", "tasks") as screen:
    screen.wait("LIVE")
    time.sleep(1)
    os.kill(server, signal.SIGSTOP)
    begun = time.monotonic()
    try:
      shown = screen.has(re.compile("LAG|OFFLINE"), 8)
      passed = time.monotonic() - begun
    finally:
      os.kill(server, signal.SIGCONT)
    facts.add("a stall is shown <= 3 s", shown and passed <= 3, f"{passed:.1f} s")


def manners(facts, rig):
  """T25"""
  for name, keys, number in [("q", "q", None), ("^C", "\x03", None), *[(key, "", value) for key, value in SIGNALS.items()]]:
    with Pty(rig, "tui") as screen:
      screen.wait(b"LIVE")
      screen.read(0.2)
      if keys:
        screen.keys(keys)
      else:
        screen.signal(number)
      code = screen.end()
      tail = screen.bytes[-300:]
      good = code is not None and screen.is_restored() and b"\x1b[?25h" in tail and b"\x1b[?1049l" in screen.bytes
      facts.add(f"given back after {name}", good, f"exit {code}")
  with Tmux(rig, program="/bin/sh") as screen:
    screen.keys("Enter", rest=0.2)
    screen.type(f"'{rig.ctl}' tui", 0.05)
    screen.keys("Enter", rest=0.1)
    screen.wait("LIVE")
    screen.keys("C-z", rest=0.6)
    stopped = "LIVE" not in screen.picture()
    screen.type("fg", 0.1)
    screen.keys("Enter", rest=0.3)
    back = screen.has("LIVE", 5)
    facts.add("^Z and fg", stopped and back)
  done = rig.run("tui", "tasks", "--snapshot")
  facts.add("--snapshot on stdout", done.code == 0 and "[2 Tasks]" in done.out and "\x1b" not in done.out, f"{done.seconds * 1e3:.0f} ms")
  panic(facts, rig)


def panic(facts, rig):
  """Only builds for tests can be made to break; a release build is covered by their test."""
  with Pty(rig, "tui", env={"HETUFLOW_TUI_PANIC_AFTER_MS": "1000"}) as screen:
    screen.wait(b"LIVE")
    code = screen.end(4)
    if code is None:
      test = "a_panic_gives_the_terminal_back_and_leaves_a_report"
      facts.miss("after a panic", f"a release build does not break on purpose; the test {test} shows it")
      return
    told = b"hetuflowctl tui broke" in screen.bytes
    good = screen.is_restored() and b"\x1b[?25h" in screen.bytes and b"\x1b[?1049l" in screen.bytes
    facts.add("given back after a panic", good and told and code != 0, f"exit {code}")


POINTS = [
  ("T17", "Destructive safety", "0 unasked changes", safety, "every key on a pty, state of the server before and after"),
  ("T18", "Link lost", "stays, aged, returns by itself", lost, "the server stopped for half a minute in place of 10 min"),
  ("T19", "Honest about lag and loss", "shown <= 3 s; then equals truth", honest, "tests with the fake server; the real one stopped"),
  ("T25", "Terminal manners, headless", "clean; frame on stdout", manners, "settings of the pty before and after; ^Z in a shell; --snapshot"),
]
