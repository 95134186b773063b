"""T6 to T10: the output of tasks on the screen."""

import hashlib
import re
import time

from .full_screen import figure
from .rig import until
from .screen import Pty, Tmux


def open_log(screen, task, size_wait=0.8):
  """Opens one task; its output is below."""
  screen.type(f":task get {task}")
  screen.keys("Enter", rest=size_wait)


def every_byte(facts, rig):
  """T6"""
  problems = rig.bench.get("problems")
  facts.add("export of a million lines is equal (benchmark)", problems == [], "0 differences" if problems == [] else str(problems or rig.bench.get("why"))[:150])
  count = 200_000
  task = rig.task(f"seq 1 {count}")
  rig.run("wait", task, seconds=60)
  target = rig.dir / "whole.log"
  with Tmux(rig, "tui", size=(100, 30)) as screen:
    screen.wait("LIVE")
    open_log(screen, task, 1.5)
    screen.keys("Tab", rest=0.1) if "export" not in screen.picture() else None
    screen.wait(re.compile(r"200,000 lines"), 20)
    screen.keys("e", "C-u", rest=0.1)
    screen.type(str(target), 0.1)
    screen.keys("Enter", rest=1.0)
    facts.keep("export", screen.picture())
  wanted = hashlib.sha256("".join(f"{number}\n" for number in range(1, count + 1)).encode()).hexdigest()
  got = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else "no file"
  facts.add(f"{count} lines from a real agent, exported, sha256", got == wanted, got[:12])


def pause(facts, rig):
  """T7"""
  task = rig.task("for i in $(seq 1 120); do echo before $i; done; sleep 4; seq -f 'after %g' 1 10000; sleep 3; echo end")
  target = rig.dir / "paused.log"
  with Tmux(rig, "tui", size=(100, 30)) as screen:
    screen.wait("LIVE")
    open_log(screen, task, 0.3)
    screen.wait("before 120", 10)
    screen.keys("k", rest=0.3)
    held = screen.picture()
    screen.wait(re.compile(r"10,000 new"), 12)
    picture = screen.picture()
    facts.keep("stopped", picture)
    facts.add("N new below", "10,000 new" in picture)
    lines = lambda text: [line for line in re.findall(r"before \d+", text)]
    facts.add("the picture stays", lines(held) and lines(held)[:5] == lines(picture)[:5])
    screen.keys("G", rest=0.5)
    screen.wait("after 10000", 5)
    screen.wait(re.compile(r"\bend\b"), 12)
    facts.add("follows again to the end", True)
    screen.keys("e", "C-u", rest=0.1)
    screen.type(str(target), 0.1)
    screen.keys("Enter", rest=0.8)
  wanted = [f"before {n}" for n in range(1, 121)] + [f"after {n}" for n in range(1, 10001)] + ["end"]
  facts.add("none missing", target.exists() and target.read_text().splitlines() == wanted, f"{len(wanted)} lines")


def search(facts, rig):
  """T8"""
  figure(facts, rig, "regex over a million lines", 1)
  figure(facts, rig, "search, near match shown", 50)
  facts.add("count is right (benchmark)", rig.bench.get("problems") == [])
  task = rig.task("seq 1 3000")
  rig.run("wait", task)
  with Tmux(rig, "tui", size=(100, 30)) as screen:
    screen.wait("LIVE")
    open_log(screen, task, 1.0)
    screen.wait("3,000 lines")
    screen.keys("g", "/", rest=0.2)
    screen.type("^1.7$", 0.3)
    screen.keys("Enter", rest=0.4)
    picture = screen.picture()
    facts.keep("search", picture)
    facts.add("count on the screen", "10 matching" in picture)
    places = []
    for key in ("n", "n", "N"):
      screen.keys(key, rest=0.3)
      found = re.search(r"(\d+) of 10", screen.picture())
      places.append(found.group(0) if found else screen.picture().splitlines()[-2][:40])
    facts.keep("n n N", "\n".join(places))
    facts.add("n and N", len(set(places)) >= 2, ", ".join(places)[:90])


def tools(facts, rig):
  """T9"""
  script = "echo '{\"a\": {\"b\": [1, 2]}}'; echo 'INFO fine'; echo 'ERROR bad' >&2; echo '    indented '$(seq -s ' ' 1 80)"
  task = rig.task(script)
  rig.run("wait", task)
  with Tmux(rig, "tui", size=(90, 30)) as screen:
    screen.wait("LIVE")
    open_log(screen, task, 1.0)
    screen.wait("ERROR bad")
    modes = set()
    for _ in range(6):
      screen.keys("t", rest=0.25)
      modes.add(screen.picture().splitlines()[-2].strip())
    facts.add("time modes", len(modes) >= 5, f"{len(modes)}: {', '.join(sorted(modes))}")
    before = screen.picture()
    screen.keys("w", rest=0.3)
    after = screen.picture()
    wrapped = before if len(re.findall(r"\b80\b", before)) else after
    rows = wrapped.splitlines()
    at = next((n for n, row in enumerate(rows) if "indented" in row), None)
    facts.keep("wrap", before + after)
    follow = rows[at + 1] if at is not None else ""
    facts.add("wrap keeps the indent", at is not None and before != after and re.match(r"[│▌ ]{20,}\d", follow))
    screen.keys("J", rest=0.3)
    facts.add("JSON set out", re.search(r'^│ {10,}"a": \{ *│$', screen.picture(), re.M))
    facts.keep("JSON", screen.picture())
    screen.keys("J", "S", "S", rest=0.4)
    facts.add("streams", "ERROR bad" in screen.picture() and "INFO fine" not in screen.picture())
    screen.keys("S", rest=0.2)
    for _ in range(6):
      screen.keys("L", rest=0.2)
      if "INFO fine" not in screen.picture() and "ERROR bad" in screen.picture():
        break
    facts.add("level", "INFO fine" not in screen.picture() and "ERROR bad" in screen.picture())
    screen.keys("Escape", rest=0.3)
    target = rig.dir / "tools.log"
    screen.keys("e", "C-u", rest=0.1)
    screen.type(str(target), 0.1)
    screen.keys("Enter", rest=0.6)
    facts.add("export", target.exists() and "indented" in target.read_text())
    piped = rig.dir / "piped.txt"
    screen.keys("|", rest=0.2)
    screen.type(f"wc -l > {piped}", 0.2)
    screen.keys("Enter", rest=1.0)
    facts.add("pipe", piped.exists() and piped.read_text().strip() == "4", piped.read_text().strip() if piped.exists() else "no file")


def hostile(facts, rig):
  """T10"""
  script = (
    "printf '\\033]0;HACKED\\007\\033]52;c;aGFja2Vk\\007\\033P+q544e\\033\\\\\\033[97;97H\\033[?1049l\\033[8mX\\n'; "
    "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the-end"
  )
  task = rig.task(script)
  rig.run("wait", task)
  with Pty(rig, "tui") as screen:
    screen.wait(b"LIVE")
    screen.read(0.3)
    start = len(screen.bytes)
    screen.keys(f":task get {task}\r", 1.0)
    screen.wait(b"the-end")
    times = []
    # Only keys that change the picture: after others the next bytes are those of the clock.
    for key in "kkkkgGkwgGwkgJJttvvwGwk":
      before, settled = len(screen.bytes), time.monotonic()
      screen.keys(key, 0)
      while len(screen.bytes) == before and time.monotonic() - settled < 1:
        screen.read(0.002)
      times.append((time.monotonic() - settled) * 1e3)
      screen.read(0.1)
    data = screen.bytes[start:]
  bad = [part for part in (b"\x1b]0;", b"\x1b]52", b"\x1bP", b"\x1b[97;97H", b"\x1b[?1049l", b"\x1b[8m") if part in data]
  facts.add("nothing reaches the terminal", not bad, bad or "")
  facts.add("a line of 1 MB: key to bytes <= 100 ms", max(times) <= 100, f"worst {max(times):.0f} ms of {len(times)} keys")
  with Tmux(rig, "tui") as pane:
    pane.wait("LIVE")
    open_log(pane, task)
    title = pane.tmux("display", "-p", "#{pane_title}")
    facts.add("the title is not changed", "HACKED" not in title)


POINTS = [
  ("T6", "Log keeps every byte", "equal, 0 lost", every_byte, "benchmark: 1 M lines of a fake server; 200,000 lines of a real agent"),
  ("T7", "Pause and follow", "none missing, \"N new below\"", pause, "k, 10,000 lines, G, export"),
  ("T8", "Log search", "<= 1 s, whole log, counts", search, "benchmark over 1 M lines; n and N on 3,000"),
  ("T9", "Log tools", "all present", tools, "keys t w J S L e | on one task"),
  ("T10", "Hostile output", "fluid; nothing reaches the tty", hostile, "bytes on a pty"),
]
