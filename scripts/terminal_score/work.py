"""L4 to L8, L13 to L15: codes of tasks, waiting, logs, events, apply, doctor, dev, speed."""

import datetime
import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
from http.server import HTTPServer
from pathlib import Path

from .command_line import Overloaded
from .rig import Rig, free_port, until


def task_codes(facts, rig):
  """L4"""
  plain = rig.folder("exec") / "plain.txt"
  plain.write_text("no program\n")
  cases = [
    ("exit 0", ["--cmd", "exit 0"], 0), ("exit 1", ["--cmd", "exit 1"], 1), ("exit 42", ["--cmd", "exit 42"], 42),
    ("exit 255", ["--cmd", "exit 255"], 255), ("SIGKILL", ["--cmd", "kill -9 $$"], 137),
    ("SIGTERM", ["--cmd", "kill -TERM $$"], 143),
    ("time limit", ["--cmd", "sleep 9", "--timeout-task", "300ms"], 123),
    ("client's limit", ["--cmd", "sleep 4", "--timeout", "300ms"], 124),
  ]
  for name, job, wanted in (("not found", {"command": "/no/such/program"}, 127), ("not executable", {"command": str(plain)}, 126)):
    rig.api("POST", "/jobs", {"name": f"code-{wanted}", "config": job})
    cases.append((name, [f"code-{wanted}"], wanted))
  for name, args, wanted in cases:
    done = rig.run("run", *args, "--wait")
    facts.keep(name, done.text())
    facts.add(name, done.code == wanted, f"{done.code}" if done.code == wanted else f"{done.code}, not {wanted}")
  process = rig.popen("run", "--cmd", "sleep 20", "--wait")
  time.sleep(0.6)
  rig.run("cancel", "adhoc@latest", "--yes")
  process.communicate(timeout=20)
  facts.add("cancel", process.returncode == 121, process.returncode)
  done = rig.run("run", "--cmd", "exit 123", "--wait", "-o", "json")
  facts.add("a task's own 123 is told apart", json.loads(done.out).get("source") == "task")
  done = rig.run("run", "--cmd", "true", "--wait", "-s", "http://127.0.0.1:9", "--timeout", "8s")
  facts.add("hetuflowctl's own failure", done.code == 125, done.code)


def ended_at(task):
  """The instant of the end, as seconds."""
  text = task.get("completed_at") or task.get("finished_at") or task.get("ended_at")
  return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")).timestamp()


def waiting(facts, rig):
  """L5"""
  late = []
  for script, wanted in (("sleep 0.8", 0), ("sleep 0.8; exit 3", 3)) * 2:
    task = rig.task(script)
    done = rig.run("wait", task)
    now = time.time()
    facts.add(script, done.code == wanted, f"exit {done.code}")
    attempt = rig.json("task", "attempts", task)["items"][-1]
    late.append((now - ended_at(attempt)) * 1e3)
  facts.add("told <= 250 ms after the end", max(late) <= 250, f"worst {max(late):.0f} ms")
  task = rig.task("sleep 30")
  process = rig.popen("wait", task)
  time.sleep(0.4)
  rig.run("cancel", task, "--yes")
  process.communicate(timeout=15)
  facts.add("cancelled", process.returncode == 121, f"exit {process.returncode}")
  done = rig.run("wait", task)
  facts.add("already ended", done.code == 12 and done.seconds < 0.25, f"{done.seconds * 1e3:.0f} ms")
  ids = [rig.task("sleep 0.1") for _ in range(10)]
  names = [line for line in rig.run("run", "--cmd", "sleep 0.2", "--count", "90", "-o", "name").out.splitlines()]
  ids += [name.split("/")[-1] for name in names]
  done = rig.run("-v", "wait", *ids, seconds=60)
  requests = len(re.findall(r"^> [A-Z]+ ", done.err, re.M))
  facts.add("100 tasks", done.code == 0 and len(ids) == 100, f"{len(ids)} tasks, exit {done.code}")
  facts.keep("-v wait", done.err[:3000])
  process = rig.popen("-v", "wait", rig.task("sleep 2.5"))
  _, err = process.communicate(timeout=15)
  asked = len(re.findall(r"^> [A-Z]+ ", err, re.M))
  facts.add("no polling", asked <= 6, f"{asked} requests in 2.5 s ({requests} for 100 tasks)")
  facts.keep("-v wait of one", err)


class Cutter:
  """A way to the server that can be cut."""

  def __init__(self, port):
    self.port, self.pairs, self.cuts, self.bytes = port, [], 0, 0
    self.listener = socket.create_server(("127.0.0.1", 0))
    self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
    threading.Thread(target=self.accept, daemon=True).start()

  def accept(self):
    while True:
      try:
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.port))
      except OSError:
        return
      self.pairs.append((near, far))
      for a, b in ((near, far), (far, near)):
        threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

  def copy(self, source, sink):
    try:
      while chunk := source.recv(65536):
        sink.sendall(chunk)
        self.bytes += len(chunk)
    except OSError:
      pass
    for end in (source, sink):
      try:
        end.shutdown(socket.SHUT_RDWR)
      except OSError:
        pass

  def cut(self):
    """Cuts every connection."""
    self.cuts += 1
    pairs, self.pairs = self.pairs, []
    for pair in pairs:
      for end in pair:
        try:
          end.shutdown(socket.SHUT_RDWR)
        except OSError:
          pass


def logs(facts, rig):
  """L6"""
  task = rig.task("for i in $(seq 1 500); do echo line $i; done; echo WARN low >&2; sleep 1.2; echo late")
  done = rig.run("logs", "-f", task)
  lines = done.out.splitlines()
  facts.add("-f ends with the task", done.code == 0 and len(lines) == 502, f"{len(lines)} lines")
  facts.add("--tail", rig.run("logs", task, "--tail", "2", "--stream", "out").out.splitlines() == ["line 500", "late"])
  facts.add("--head", rig.run("logs", task, "--head", "2").out.splitlines() == ["line 1", "line 2"])
  facts.add("--grep", len(rig.run("logs", task, "--grep", "^line 1..$").out.splitlines()) == 100)
  facts.add("--level", rig.run("logs", task, "--level", "warn").out.strip().startswith("WARN low"))
  facts.add("--since", rig.run("logs", task, "--since", "1h").out.count("\n") == 502)
  cut = rig.run("logs", task, "--since", "2099-01-01").out
  facts.add("--since the future is empty", cut == "")
  config = {"cmd": "bash", "script": "echo try; exit 1", "max_retries": 1, "retry_interval": 1}
  rig.api("POST", "/jobs", {"name": "twice", "config": config})
  retried = rig.run("run", "twice", "--wait", "-o", "json", seconds=60)
  again = json.loads(retried.out)["id"] if retried.out.startswith("{") else None
  tries = rig.run("logs", again, "--attempt", "all").out if again else ""
  facts.add("--attempt all", tries.count("try") == 2, f"{tries.count('try')} of 2 attempts")
  rows = rig.run("logs", task, "-o", "jsonl", "--tail", "3").out.splitlines()
  facts.add("jsonl", [json.loads(row)["line"] for row in rows][-1].strip() == "late")
  cutter = Cutter(rig.port)
  task = rig.task("for i in $(seq 1 40); do seq $((i*1000)) $((i*1000+999)); sleep 0.05; done")
  process = rig.popen("logs", "-f", task, "-s", cutter.url, env={"HETUFLOW_TOKEN": rig.token})
  for _ in range(4):
    time.sleep(0.5)
    cutter.cut()
  out, err = process.communicate(timeout=40)
  wanted = "".join(f"{number}\n" for number in range(1000, 41000))
  facts.add("cut 4 times: no loss, no double", out == wanted, f"{out.count(chr(10))} of 40000 lines, exit {process.returncode}")
  facts.keep("the cut link", err)


def watch(facts, rig):
  """L7"""
  done = rig.run("events", "--from-seq", "0", "-o", "jsonl")
  rows = [json.loads(line) for line in done.out.splitlines()]
  seqs = [row["seq"] for row in rows]
  facts.add("events as jsonl with seq", rows and seqs == sorted(seqs), f"{len(rows)} events")
  key = lambda row: (row["seq"], row.get("index"), row["type"])
  middle = seqs[len(seqs) // 2]
  rest = [json.loads(line) for line in rig.run("events", "--from-seq", middle, "-o", "jsonl").out.splitlines()]
  wanted = [key(row) for row in rows if row["seq"] > middle]
  got = [key(row) for row in rest][: len(wanted)]
  facts.add("resume after a seq is exact", wanted == got, f"{len(wanted)} events")
  process = rig.popen("job", "list", "-w", "-o", "jsonl", "--timeout", "4s")
  time.sleep(0.8)
  rig.run("job", "clone", "disk-usage", "watched-job")
  rig.run("job", "delete", "watched-job", "--yes")
  time.sleep(0.5)
  process.terminate()
  out, _ = process.communicate(timeout=8)
  deltas = [json.loads(line) for line in out.splitlines()]
  ops = [row["op"] for row in deltas]
  facts.keep("-w", out[:4000])
  facts.add("-w: rows, sync, then changes", "sync" in ops and ops.index("sync") >= 7 and "remove" in ops, " ".join(dict.fromkeys(ops)))
  until_done = rig.run("events", "-f", "--from-seq", "0", "--until", "type=task.succeeded", "-o", "jsonl")
  facts.add("--until", until_done.code == 0 and "task.succeeded" in until_done.out.splitlines()[-1])
  forget(rig, middle)
  gone = rig.run("events", "--from-seq", middle - 3, "--count", "1", "-o", "jsonl")
  facts.keep("after events were deleted", gone.text())
  facts.add("gap line", json.loads(gone.out.splitlines()[0]).get("type") == "gap", gone.out.strip()[:60])


def forget(rig, seq):
  """Deletes events from the store, as retention does."""
  store = sqlite3.connect(rig.dir / "data/server/hetuflow.db", timeout=5)
  with store:
    store.execute("delete from sched_event_batch where seq <= ?", (seq,))
  store.close()


JOB = "apiVersion: hetuflow/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n  config: {{cmd: bash, script: '{script}'}}\n"


def apply(facts, rig):
  """L8"""
  place = rig.folder("apply")
  for name in ("ap-a", "ap-b"):
    (place / f"{name}.yaml").write_text(JOB.format(name=name, script="true"))
  done = rig.run("apply", "-f", place, "--dry-run", "--exit-code", "--scope", "team=score")
  facts.keep("dry run", done.text())
  facts.add("plan, exit 10", done.code == 10 and "ap-a" in done.out + done.err, f"exit {done.code}")
  facts.add("nothing done by it", rig.run("job", "get", "ap-a").code == 3)
  done = rig.run("apply", "-f", place, "--scope", "team=score")
  facts.add("off a terminal it needs --yes", done.code == 2, f"exit {done.code}")
  done = rig.run("apply", "-f", place, "--scope", "team=score", "--yes")
  facts.add("applied", done.code == 0 and rig.run("job", "get", "ap-b").code == 0)
  alone = rig.folder("apply-alone") / "ap-e.yaml"
  alone.write_text(JOB.format(name="ap-e", script="true"))
  rig.run("apply", "-f", alone, "--yes")
  done = rig.run("diff", "-f", alone)
  facts.add("no difference: 0", done.code == 0, f"exit {done.code}")
  (place / "ap-a.yaml").write_text(JOB.format(name="ap-a", script="false"))
  done = rig.run("diff", "-f", place)
  facts.add("difference: 10", done.code == 10 and "false" in done.out, f"exit {done.code}")
  (place / "bad1.yaml").write_text(JOB.format(name="ap-c", script="true").replace("script", "scirpt"))
  (place / "bad2.yaml").write_text(JOB.format(name="ap-d", script="true") + "  schedules: [{cron_expression: '0 25 * * *'}]\n")
  done = rig.run("apply", "-f", place, "--yes")
  facts.keep("two bad files", done.text())
  facts.add("all errors at once", done.code == 8 and "bad1.yaml" in done.err and "bad2.yaml" in done.err, f"exit {done.code}")
  facts.add("and nothing applied", "false" not in rig.run("job", "get", "ap-a", "-o", "yaml").out)
  for bad in ("bad1.yaml", "bad2.yaml", "ap-b.yaml"):
    (place / bad).unlink()
  done = rig.run("apply", "-f", place, "--scope", "team=score", "--prune", "--yes")
  if done.code == 2:
    done = rig.run("apply", "-f", place, "--scope", "team=score", "--prune", "--yes", "--confirm", "team=score")
  facts.keep("prune", done.text())
  facts.add("--prune", done.code == 0 and rig.run("job", "get", "ap-b").code == 3, f"exit {done.code}")
  loud = rig.run("-v", "apply", "-f", place, "--yes")
  facts.add("one request writes", len(re.findall(r"(POST|PUT) \S*apply", loud.err)) <= 2)
  rig.run("job", "delete", "ap-a", "--yes")


def doctor(facts, rig):
  """L13"""
  done = rig.run("doctor", "-o", "json")
  checks = json.loads(done.out)
  checks = checks.get("items", checks) if isinstance(checks, dict) else checks
  facts.add("healthy: 0, JSON", done.code == 0 and checks, f"{len(checks)} checks")
  home = rig.folder("home3")
  config = home / ".config/hetuflow"
  config.mkdir(parents=True, exist_ok=True)
  token = home / "token"
  token.write_text(rig.token)
  token.chmod(0o600)
  base = f'current = "x"\n[contexts.x]\nserver = "{rig.url}"\ntoken_file = "{token}"\n'

  def broken(name, text=None, words=(), env=None, mode=0o600, secret=None):
    (config / "ctl.toml").write_text(text or base)
    token.write_text(secret or rig.token)
    token.chmod(mode)
    done = rig.run("doctor", home=home, env=env, seconds=40)
    facts.keep(name, done.text())
    said = (done.out + done.err).lower()
    bad = "fail" in said or "warn" in said or "error" in said
    return bad and any(word in said for word in words) and ("help" in said or "fix" in said or "hetuflowctl" in said)

  other = HTTPServer(("127.0.0.1", 0), Overloaded)
  threading.Thread(target=other.serve_forever, daemon=True).start()
  named = {
    "port": broken("port", base.replace(str(rig.port), "9"), ["refused"]),
    "name": broken("name", base.replace("127.0.0.1", "no-such-host.invalid"), ["resolve", "lookup", "dns", "no-such-host"]),
    "token wrong": broken("token wrong", None, ["token"], secret="hf_wrong"),
    "token file gone": broken("token file gone", base.replace(str(token), "/nowhere/token"), ["/nowhere/token"]),
    "token for all to read": broken("token for all to read", None, ["mode", "read by", "readable", "permission", "may read"], mode=0o644),
    "config is no TOML": broken("config is no TOML", "current = [", ["toml", "line", "config"]),
    "unknown key": broken("unknown key", base.replace("token_file", "tokenfile"), ["tokenfile"]),
    "no such context": broken("no such context", base.replace('current = "x"', 'current = "y"'), ["context"]),
    "another program at the address": broken("another program", base.replace(str(rig.port), str(other.server_port)), ["no hetuflow", "proxy"]),
  }
  other.shutdown()
  rig.run("agent", "cordon", "dev-1")
  named["agent cordoned"] = broken("agent cordoned", None, ["cordon", "drain", "takes nothing", "no new"])
  rig.run("agent", "uncordon", "dev-1")
  missing = [name for name, good in named.items() if not good]
  facts.add("broken things named, with a fix", not missing, f"{len(named) - len(missing)} of {len(named)}" + (", not: " + ", ".join(missing) if missing else ""))
  (config / "ctl.toml").write_text(base.replace(str(rig.port), "9"))
  facts.add("exit 1 where something fails", rig.run("doctor", home=home).code == 1)
  check = rig.run("repair", "check")
  plan = rig.folder("repair") / "plan.json"
  made = rig.run("repair", "plan", "--out", plan)
  done = rig.run("repair", "apply", plan, "--yes")
  facts.keep("repair", check.text() + made.text() + done.text())
  facts.add("repair check, plan, apply", check.code in (0, 1) and made.code == 0 and done.code == 0, f"exits {check.code}, {made.code}, {done.code}")
  # Of the 11 codes of the plan, 6 stand for what the API does not show, the database refuses, or this version
  # does not have (flows, bound namespaces): those must say so, the other 5 must be explained.
  told = {code: rig.run("repair", "explain", f"R{code:03}") for code in range(1, 12)}
  explained = [code for code, done in told.items() if done.code == 0 and "change" in done.out]
  left_out = [code for code, done in told.items() if done.code == 3 and "not looked for" in done.err]
  facts.add("codes explained", explained == [2, 3, 4, 6, 11], f"{len(explained)} of the 5 that can be found")
  facts.add("other codes say why they are not looked for", len(left_out) == 6, f"{len(left_out)} of 6")
  bundle = rig.folder("bundle") / "b.tar"
  done = rig.run("doctor", "--bundle", bundle)
  packed = bundle.read_bytes() if bundle.exists() else b""
  facts.add("bundle, without the token", b"events.jsonl" in packed and rig.token.encode() not in packed, f"{len(packed)} bytes")


def dev(facts, rig):
  """L14"""
  other = Rig(rig.root, rig.bins, rig.folder("dev-out"))
  try:
    ready = other.start()
    facts.add("ready <= 3 s", ready <= 3, f"{ready:.2f} s (first: {rig.ready:.2f} s)")
    children = other.children()
    facts.add("a job runs", other.run("run", "heartbeat", "--wait").code == 0)
    left = other.stop()
    facts.add("Ctrl-C: nothing left", not left and len(children) >= 2, f"{len(children)} processes, {len(left)} left")
    with socket.socket() as probe:
      facts.add("its port is free", probe.connect_ex(("127.0.0.1", other.port)) != 0)
    facts.add("exit code", other.dev.returncode in (0, 130), other.dev.returncode)
  finally:
    other.clean()


def speed(facts, rig):
  """L15"""
  for name, limit in (("--version, p50", 10), ("list of 50 over the server's own time, p50", 50),
                      ("list of 50, RSS", 15), ("binary, stripped", 15)):
    line = next((line for line in rig.bench.get("lines", []) if line["name"].startswith(name)), None)
    if line is None:
      facts.miss(name, rig.bench.get("why", "not in the benchmark's report"))
    else:
      facts.add(name, line["value"] <= limit, f"{line['value']:.1f} {line['unit']} (<= {limit})")


POINTS = [
  ("L4", "Hand back the task's code", "exact, own band 121-127", task_codes, "13 ends, exit code of run --wait (a lost agent's 122 is left out)"),
  ("L5", "Wait", "<= 250 ms, right code, no polling", waiting, "stored end against the end of wait; requests counted by -v"),
  ("L6", "Logs", "no loss, no double, ends", logs, "flags on a task of 502 lines; a proxy cuts the link 4 times"),
  ("L7", "Watch and events", "exact resume", watch, "two reads compared; job list -w while jobs come and go"),
  ("L8", "apply / diff / prune", "one transaction", apply, "good, changed, bad and deleted manifests"),
  ("L13", "doctor, repair", "10 named, fix given", doctor, "ten things broken one after the other"),
  ("L14", "dev", "<= 3 s, nothing left", dev, "a second dev, from start to Ctrl-C"),
  ("L15", "Speed and size", "<= 10 ms, <= 50 ms, 15 MB, 15 MB", speed, "scripts/bench terminal"),
]
