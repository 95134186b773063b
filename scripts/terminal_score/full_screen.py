"""T1 to T5, T11 to T16, T20 to T24: what the full screen shows, and how soon."""

import json
import os
import random
import re
import signal
import time
import unicodedata

from .rig import until
from .screen import Pty, Tmux


def figure(facts, rig, name, limit, short=""):
  """A part that the benchmark has measured."""
  line = next((line for line in rig.bench.get("lines", []) if line["name"].startswith(name)), None)
  if line is None:
    facts.miss(name, rig.bench.get("why", "not in the benchmark's report"))
  else:
    note = f"; {rig.bench['seconds']} s in place of 60 s" if short else ""
    facts.add(name, line["value"] <= limit, f"{line['value']:.2f} {line['unit']} (<= {limit}{note})")


def first_data(facts, rig):
  """T1"""
  figure(facts, rig, "start to first row, worst", 300)
  times = []
  for _ in range(5):
    with Tmux(rig, "tui", "jobs") as screen:
      screen.wait("heartbeat")
      times.append((time.monotonic() - screen.begun) * 1e3)
  facts.add("dev's jobs in tmux, worst of 5, start of tmux included", max(times) <= 300, f"{max(times):.0f} ms")


def idle(facts, rig):
  """T2"""
  figure(facts, rig, "idle, of one core", 0.5, "short")
  figure(facts, rig, "idle, bytes", 200, "short")


def flood(facts, rig):
  """T3"""
  figure(facts, rig, "flood, key to screen, p99", 50, "short")
  figure(facts, rig, "flood, bytes", 64, "short")
  figure(facts, rig, "flood, RSS drift", 5, "short")


def frames(facts, rig):
  """T4"""
  with Pty(rig, "tui", "tasks") as screen:
    screen.wait(b"LIVE")
    screen.read(0.5)
    start = len(screen.bytes)
    for key in "jjkk23562j123":
      screen.keys(key, 0.15)
    for _ in range(3):
      rig.task("true")
    screen.read(1.5)
    data = screen.bytes[start:]
  facts.keep("bytes", repr(data[:4000]))
  count = data.count(b"\x1b[?2026h")
  outside = re.sub(rb"\x1b\[\?2026h.*?\x1b\[\?2026l", b"", data, flags=re.S)
  facts.add("frames inside ?2026h/l", count > 5 and not outside.strip(), f"{count} frames, {len(outside)} bytes outside")
  facts.add("no clear", b"\x1b[2J" not in data and b"\x1b[3J" not in data)


def push(facts, rig):
  """T5"""
  figure(facts, rig, "change to screen, p99", 250)
  times = []
  with Tmux(rig, "tui", "jobs", size=(80, 60)) as screen:
    screen.wait("heartbeat")
    for number in range(20):
      time.sleep(0.05 + number % 7 * 0.03)
      begun = time.monotonic()
      rig.api("POST", "/jobs", {"name": f"a-stamp-{number:02}", "config": {"command": "true"}})
      screen.wait(f"a-stamp-{number:02}", 5)
      times.append((time.monotonic() - begun) * 1e3)
  for number in range(20):
    rig.run("job", "delete", f"a-stamp-{number:02}", "--yes")
  facts.add("20 jobs on dev, request included, worst", max(times) <= 250, f"{max(times):.0f} ms")


def views(facts, rig):
  """T11"""
  config = {"cmd": "bash", "script": "sleep 0.3; exit 1", "max_retries": 1, "retry_interval": 1}
  rig.api("POST", "/jobs", {"name": "two-attempts", "config": config})
  task = rig.json("run", "two-attempts", "--wait", "--exit-status", "simple")["id"]
  short = rig.run("task", "get", task, "-o", "template={{ id }}")
  with Tmux(rig, "tui", "tasks", size=(100, 30)) as screen:
    screen.wait("LIVE")
    screen.type(f":task get {task}")
    screen.keys("Enter", rest=0.8)
    picture = screen.picture()
    facts.keep("task", picture + short.text())
    facts.add("attempts", re.search(r"Attempt .*1 .*2 ", picture))
    facts.add("timeline of an attempt", "dispatch" in picture and " run " in picture)
    screen.keys("1", rest=0.5)
    facts.add("next fires", "Next fires" in screen.picture())
    stuck = rig.task("true", "--require", "zone=moon")
    time.sleep(0.5)
    screen.type(f":task get {stuck}")
    screen.keys("Enter", rest=0.8)
    picture = screen.picture()
    facts.keep("a task that waits", picture)
    facts.add("why late", re.search(r"why .*(agent|fit|moon)", picture))
  rig.run("cancel", stuck, "--yes")
  facts.miss("graph", "flows do not exist in this version")
  facts.miss("critical path", "flows do not exist in this version")


def filters(facts, rig):
  """T12"""
  for _ in range(6):
    rig.run("run", "--cmd", "exit 7", "--count", "4")
  time.sleep(1.5)
  count = lambda text: rig.json("task", "count", "-F", text)
  with Tmux(rig, "tui", "tasks", size=(100, 30)) as screen:
    screen.wait(re.compile(r"\d+ of \d+"))

    def shown(text):
      screen.keys("/", "C-u", rest=0.1)
      screen.type(text, 0.05)
      screen.keys("Enter", rest=0.6)
      picture = screen.picture()
      facts.keep(text, picture)
      found = re.search(r"([\d,]+)(?: of ([\d,]+))?(?: shown)?\s*$", picture.splitlines()[-2])
      return int(found.group(1).replace(",", "")) if found else None

    for name, text in (("typed fields", "exit=7"), ("regex", "job~^adh exit=7"), ("not", "exit=7 !job=heartbeat")):
      got = shown(text)
      items = len(rig.json("task", "list", "-F", text, "--limit", "0")["items"])
      facts.add(f"{name}: exact count", got == items and items >= 24, f"{got}, {items} by the CLI")
    screen.keys("/", "C-u", rest=0.1)
    screen.type("sta", 0.1)
    screen.keys("Tab", rest=0.2)
    picture = screen.picture()
    facts.keep("completion", picture)
    facts.add("completion", "state" in picture)
  times = []
  for _ in range(20):
    begun = time.monotonic()
    rig.api("GET", "/tasks?filter=exit%3D7&limit=50")
    times.append((time.monotonic() - begun) * 1e3)
  facts.add("answer <= 50 ms on this small store", sorted(times)[-2] <= 50, f"p95 {sorted(times)[-2]:.0f} ms")
  facts.miss("10 M rows", "a store of that size is not made here")


def palette(facts, rig):
  """T13"""
  with Tmux(rig, "tui") as screen:
    screen.wait("LIVE")
    for name, text, wish in (("a job", "cert", "cert-expiry"), ("an agent", "dev-1", "dev-1"),
                             ("an action", "cordon", "cordon"), ("a screen", "serv", "Servers")):
      screen.keys("C-p", rest=0.3)
      screen.type(text, 0.3)
      picture = screen.picture()
      facts.keep(name, picture)
      facts.add(name, wish in "\n".join(picture.splitlines()[4:]).replace(f"> {text}", ""))
      screen.keys("Escape", rest=0.5)
    screen.keys("C-p", rest=0.2)
    screen.type("cert-expiry", 0.2)
    screen.keys("Enter", rest=0.6)
    facts.add("it leads there", "cert-expiry" in screen.picture())
    screen.keys("3", "T", rest=0.4)
    picture = screen.picture()
    facts.keep("an action's dialog", picture)
    facts.add("the same as a shell command", "same as: hetuflowctl" in picture)
    screen.keys("Escape")


def sorting(facts, rig):
  """T14"""
  rows = lambda picture: [name for line in picture.splitlines() if (m := re.match(r"[▌ ] ?‖?([a-z-]{4,})\s+(?:cron|interval)", line)) for name in [m.group(1)]]
  with Tmux(rig, "tui", "jobs") as screen:
    screen.wait("heartbeat")
    before = screen.picture()
    screen.keys("s", rest=0.3)
    menu = screen.picture()
    facts.keep("s", menu)
    facts.add("order chosen on the screen", "Sort by" in menu and menu != before)
    screen.keys("Down", "Enter", rest=0.6)
    one = rows(screen.picture())
    screen.keys("s", rest=0.3)
    screen.keys("C-u", "Down", "Enter", rest=0.6)
    two = rows(screen.picture())
    facts.add("turned around", one and two == one[::-1], f"{one[:2]} then {two[:2]}")
    screen.keys("w", rest=0.3)
    facts.keep("w", screen.picture())
    screen.type("p95", 0.2)
    screen.keys("Enter", rest=0.3)
    screen.keys("Escape", rest=0.6)
    hidden = "P95" not in screen.picture().splitlines()[2]
    facts.add("columns chosen on the screen", hidden)
    screen.keys("C-c", rest=0.4)
  with Tmux(rig, "tui", "jobs") as screen:
    screen.wait("heartbeat")
    time.sleep(0.3)
    picture = screen.picture()
    facts.keep("after a restart", picture)
    facts.add("kept over a restart", "P95" not in picture.splitlines()[2] and rows(picture) == two)
  for path in rig.home.rglob("*"):
    if path.is_file() and "tui" in path.name:
      path.unlink()


def cursor(facts, rig):
  """T15"""
  for _ in range(8):
    rig.task("true")
  marked = lambda picture: next((line for line in picture.splitlines() if line.startswith("▌")), "")[1:10].strip()
  with Tmux(rig, "tui", "tasks", size=(100, 40)) as screen:
    screen.wait("adhoc")
    screen.keys("j", "j", "j", rest=0.4)
    name = marked(screen.picture())
    held = 0
    for number in range(15):
      rig.task("true")
      time.sleep(0.12)
      held += marked(screen.picture()) == name
    facts.add("the same row while 15 tasks come above", held == 15 and name, f"{held} of 15, {name}")
    screen.keys("X", rest=0.4)
    screen.keys("T", rest=0.3)
    picture = screen.picture()
    facts.keep("acting", picture)
    screen.keys("Escape", rest=0.3)
    screen.keys("i", rest=0.4)
    picture = screen.picture()
    facts.keep("inspect", picture)
    task = rig.run("task", "get", name, "-o", "jsonpath=$.id").out.strip()
    facts.add("what acts takes that row", task and task in picture)


def bulk(facts, rig):
  """T16"""
  rig.run("run", "--cmd", "true", "--in", "1h", "--count", "100", "--prio", "7")
  with Tmux(rig, "tui", "tasks", "-F", "state=pending prio=7", size=(100, 30)) as screen:
    screen.wait("100 of")
    screen.keys("C-a", rest=0.1)
    screen.has("100 marked")
    screen.keys("X", rest=0.4)
    dialog = screen.picture()
    facts.keep("dialog", dialog)
    said = re.search(r"Cancel (\d+) task", dialog)
    marked = int(said.group(1)) if said else 0
    facts.add("100 marked", marked == 100, f"{marked} (one ^A)")
    rig.run("run", "--cmd", "true", "--in", "1h", "--count", "5", "--prio", "7")
    late = rig.run("task", "list", "-F", "state=pending prio=7", "--limit", "1", "-o", "name").out.strip().split("/")[-1]
    time.sleep(0.4)
    screen.type("y", 2.0)
    picture = screen.picture()
    facts.keep("afterwards", picture)
    left = len(rig.json("task", "list", "-F", "state=pending prio=7", "--limit", "0")["items"])
    done = len(rig.json("task", "list", "-F", "state=cancelled prio=7", "--limit", "0")["items"])
    facts.add("exactly those", marked and done == marked and left == 105 - marked, f"{done} cancelled, {left} of 105 left")
    screen.type(":log", 0.1)
    screen.keys("Enter", rest=0.4)
    log = screen.picture()
    facts.keep("log", log)
    facts.add("a result for all, and the log of the session", marked and str(marked) in log)
  rig.run("cancel", "-F", "state=pending prio=7", "--yes")
  with Tmux(rig, "tui", "tasks", "-F", "state=pending prio=7") as screen:
    two = rig.run("run", "--cmd", "true", "--in", "1h", "--count", "2", "--prio", "7", "-o", "name").out.split()
    screen.wait("2 of")
    screen.keys("C-a", "X", rest=0.3)
    rig.run("cancel", two[0].split("/")[-1], "--yes")
    time.sleep(0.3)
    screen.type("y", 1.5)
    picture = screen.picture()
    screen.type(":log", 0.1)
    screen.keys("Enter", rest=0.4)
    log = screen.picture()
    facts.keep("one of two was gone", picture + log + str(late))
    facts.add("a result per item, also for one that was gone", "1" in log and ("not" in log or "already" in log or "of 2" in log + picture))


def sizes(facts, rig):
  """T20"""
  bad = []
  for size in "1x1 20x4 40x12 60x20 80x24 100x30 120x40 160x48 200x60 300x80 80x5 24x80 81x25".split():
    done = rig.run("tui", "tasks", "--snapshot", "--size", size)
    rows = done.out.splitlines()
    wide = max((cells(row) for row in rows), default=0)
    if done.code or wide > int(size.split("x")[0]) or len(rows) > int(size.split("x")[1]):
      bad.append(size)
  facts.add("13 sizes as snapshots, no row too long", not bad, ", ".join(bad))
  random.seed(5)
  with Tmux(rig, "tui") as screen:
    screen.wait("LIVE")
    for turn in range(200):
      screen.resize(random.randint(1, 250), random.randint(1, 70))
      if turn % 9 == 0:
        screen.keys("123567"[turn // 9 % 6], rest=0)
    screen.resize(80, 24)
    screen.keys("2", rest=0.3)
    facts.add("200 resizes", screen.alive() and screen.has("LIVE"))
    screen.resize(20, 4)
    time.sleep(0.4)
    picture = screen.picture()
    facts.keep("20x4", picture)
    facts.add("20x4 shows rows", len([line for line in picture.splitlines() if line.strip()]) >= 3)


def cells(text):
  """Cells that a text takes."""
  return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def colours(facts, rig):
  """T21"""
  made = rig.run("job", "clone", "disk-usage", "数据清洗")
  rig.run("job", "clone", "disk-usage", "aaaaaaaa")
  done = rig.run("tui", "jobs", "--snapshot", "--ascii")
  body = done.out.replace("数据清洗", "")
  facts.keep("--ascii", done.out)
  facts.add("--ascii is ASCII", body.isascii() and "heartbeat" in body)
  done = rig.run("tui", "jobs", "--snapshot", "--size", "100x30")
  rows = {key: next((row for row in done.out.splitlines() if key in row), "") for key in ("数据清洗", "aaaaaaaa")}
  at = {key: cells(row.split(" cron ")[0]) for key, row in rows.items()}
  facts.keep("CJK", made.text() + done.out)
  facts.add("CJK names aligned", all(rows.values()) and len(set(at.values())) == 1, str(at))
  with Tmux(rig, "tui", "jobs", env={"NO_COLOR": "1"}) as screen:
    screen.wait("heartbeat")
    picture = screen.picture(colours=True)
    facts.add("NO_COLOR", not re.search(r"\x1b\[[\d;]*(3[0-7]|4[0-7]|9[0-7]|[34]8)m", picture))
  kinds = {}
  for name, env in (("16", {"TERM": "linux"}), ("256", {"TERM": "xterm-256color"}), ("true", {"TERM": "xterm-256color", "COLORTERM": "truecolor"})):
    with Pty(rig, "tui", "--theme", "catppuccin", env=env) as screen:
      screen.wait(b"LIVE")
      screen.read(0.5)
      kinds[name] = "true" if b"8;2;" in screen.bytes else "256" if any(int(n) > 15 for n in re.findall(rb"[34]8;5;(\d+)", screen.bytes)) else "16"
  facts.add("16, 256, true colours", kinds["true"] == "true" and kinds["16"] == "16" and kinds["256"] != "true", str(kinds))
  looks = {theme: rig.run("tui", "--snapshot", "--ansi", "--theme", theme).out for theme in
           ("dark", "light", "high-contrast", "mono", "catppuccin")}
  differ = len({re.sub(r"\d\d:\d\d:\d\d|\d+", "", text) + str(sorted(set(re.findall(r"\x1b\[[\d;]*m", text)))) for text in looks.values()})
  facts.add("five themes differ", differ == 5, f"{differ} of 5")
  states = rig.run("tui", "tasks", "--snapshot", "--theme", "mono").out
  facts.add("states told apart without colour", "✓ succeeded" in states or "✗ failed" in states)
  for name in ("数据清洗", "aaaaaaaa"):
    rig.run("job", "delete", name, "--yes")


def mouse(facts, rig):
  """T22"""
  with Pty(rig, "tui", "jobs") as screen:
    screen.wait(b"heartbeat")
    screen.read(0.4)
    facts.add("the mouse is asked for", b"\x1b[?1000h" in screen.bytes or b"\x1b[?1002h" in screen.bytes or b"\x1b[?1003h" in screen.bytes)
    facts.add("a click moves the cursor", b"\xe2\x96\x8c" in screen.keys("\x1b[<0;10;7M\x1b[<0;10;7m", 0.4))
    facts.add("the wheel scrolls", len(screen.keys("\x1b[<65;10;7M\x1b[<64;10;7M\x1b[<65;10;7M", 0.6)) > 0)
    facts.add("a click on a heading sorts", len(screen.keys("\x1b[<0;4;3M\x1b[<0;4;3m", 0.6)) > 100)
    facts.add("a click on a tab", b"[2 Tasks]" in re.sub(rb"\x1b\[[\d;]*m", b"", screen.keys("\x1b[<0;13;2M\x1b[<0;13;2m", 0.6)) or b"STATE" in screen.bytes)
    facts.add("copy: OSC 52", b"\x1b]52;c;" in screen.keys("y", 0.5))
  with Pty(rig, "tui", "jobs", "--no-mouse") as screen:
    screen.wait(b"heartbeat")
    facts.add("off switch", b"\x1b[?1000h" not in screen.bytes)
  with Tmux(rig, "tui", "jobs") as screen:
    screen.tmux("set", "-g", "set-clipboard", "on")
    screen.wait("heartbeat")
    screen.keys("y", rest=0.5)
    held = screen.tmux("show-buffer")
    facts.add("copy arrives in tmux", len(held.strip()) > 3, held.strip()[:40])


def keys(facts, rig):
  """T23"""
  printed = rig.run("tui", "--print-keys").out
  rows = re.findall(r"^([a-z-]+) = \[", printed, re.M)
  facts.add("all keys in one table", len(rows) > 50, f"{len(rows)} actions")
  config = rig.home / ".config/hetuflow/keys.toml"
  config.write_text("".join(f'{name} = ["alt-{chr(0x4e00 + number)}"]\n' for number, name in enumerate(rows) if name != "quit"))
  with Tmux(rig, "tui", "jobs") as screen:
    remapped = screen.has("heartbeat")
    screen.keys("2", rest=0.4)
    facts.add("every key can be another", remapped and "[3 Jobs]" in screen.picture())
  config.write_text('cancel = "R"\n')
  with Pty(rig, "tui") as screen:
    screen.end(3)
    text = screen.bytes.decode(errors="replace")
  facts.keep("clash", text)
  facts.add("a clash is told", "retry" in text and "cancel" in text)
  config.unlink()
  with Tmux(rig, "tui") as screen:
    screen.wait("LIVE")
    screen.keys("?", rest=0.4)
    whole = screen.picture()
    screen.type("cordon", 0.4)
    found = screen.picture()
    facts.keep("help", whole + found)
    facts.add("help that can be searched", "Help" in whole and "no new tasks" in found and "copy the id" not in found)


def triage(facts, rig):
  """T24"""
  agents = [agent["name"] if "name" in agent else agent["id"] for agent in rig.json("agent", "list")["items"]]
  rig.api("POST", "/jobs", {"name": "z-oom", "config": {"cmd": "bash", "script": "kill -9 $$"}})
  rig.api("POST", "/jobs", {"name": "z-missing", "config": {"command": "/no/such/tool"}})
  rig.api("POST", "/jobs", {"name": "z-exit", "config": {"cmd": "bash", "script": "echo disk full; exit 28"}})
  for name in ("z-oom", "z-missing", "z-exit", "z-exit", "z-exit"):
    rig.run("run", name, "--wait")
  rig.task("true", "--require", "zone=moon")
  rig.run("schedule", "create", "disk-usage", "--cron", "0 0 30 2 *", "--name", "z-never")
  process = rig.pid_of("hetuflow-agent")
  try:
    os.kill(process, signal.SIGSTOP)
    time.sleep(33)
    wishes = {
      "a job that fails three times": r"z-exit.*3 runs failed.*28",
      "killed by a signal": r"z-oom.*(signal 9|SIGKILL|KILL|137)",
      "program not found": r"z-missing.*(not found|no such|spawn|127)",
      "no agent fits": r"(waits|stuck|no agent|moon)",
      "an agent not heard of": r"dev-1.*(not heard|offline|lost|silent)",
    }
    with Tmux(rig, "tui", size=(120, 30)) as screen:
      screen.wait("Needs attention")
      time.sleep(0.6)
      picture = screen.picture()
    part = picture.split("Needs attention")[1].split("Running, longest")[0]
    facts.keep("screen 1", picture + str(agents))
    seen = [name for name, wish in wishes.items() if re.search(wish, part, re.I)]
    facts.add("on screen 1, cause named", len(seen) == 5, f"{len(seen)} of 5" + (", not: " + ", ".join(sorted(set(wishes) - set(seen))) if len(seen) < 5 else ""))
    facts.add("above everything else", picture.find("Needs attention") < picture.find("Running, longest"))
  finally:
    os.kill(process, signal.SIGCONT)
  for name in ("z-oom", "z-missing", "z-exit"):
    rig.run("job", "delete", name, "--yes")
  rig.run("cancel", "-F", "state=pending job=adhoc", "--yes")


POINTS = [
  ("T1", "First data on screen", "<= 300 ms, no splash", first_data, "benchmark on a fake server; tmux on dev"),
  ("T2", "Idle cost", "<= 0.5 % core, <= 200 B/s", idle, "benchmark, shorter than 60 s"),
  ("T3", "Responsive in a flood", "p99 <= 50 ms, <= 64 KB/s, RSS +- 5 MB", flood, "benchmark, 10,000 changes a second, shorter than 60 s"),
  ("T4", "No tearing or flicker", "all frames", frames, "bytes on a pty while keys are pressed and tasks run"),
  ("T5", "Push latency", "<= 250 ms p99", push, "benchmark, 100 changes; 20 new jobs on dev in tmux"),
  ("T11", "Domain views", "all 6", views, "task with two attempts, task without an agent"),
  ("T12", "Filter", "<= 50 ms answer, exact count", filters, "three filters against the CLI's count; completion"),
  ("T13", "Palette / find anything", "objects + actions + shell command shown", palette, "^P and words"),
  ("T14", "Sort, columns", "any column, chooser, kept over restarts", sorting, "s, w, restart"),
  ("T15", "Cursor follows object", "same id always", cursor, "15 tasks start above the row"),
  ("T16", "Bulk on a frozen set", "exact set, per-item result", bulk, "100 tasks marked, 5 come before the answer; one of two gone"),
  ("T20", "Sizes", "no panic; usable at 20x4", sizes, "13 snapshots, 200 resizes in tmux"),
  ("T21", "Colour, ASCII, CJK", "all readable, aligned", colours, "snapshots, TERM and COLORTERM on a pty"),
  ("T22", "Mouse and copy", "both; off switch", mouse, "mouse sequences on a pty; OSC 52 through tmux (not over ssh)"),
  ("T23", "Keys and help", "yes", keys, "keys.toml with every action moved, with a clash; ? and a word"),
  ("T24", "Triage", "5 of 5 on screen 1", triage, "five faults, the agent stopped for 33 s"),
]
