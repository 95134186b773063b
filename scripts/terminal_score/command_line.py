"""L1, L2, L3, L9, L10, L11, L12: grammar, forms, codes, errors, contexts, pipes, schedules."""

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

NOUNS = ["job", "schedule", "task", "attempt", "agent", "namespace", "server", "token", "context"]


def grammar(facts, rig):
  """L1"""
  bad = [noun for noun in NOUNS if not {"list", "get"} <= set(rig.run("help", noun).out.split())]
  facts.add("every noun has list and get", not bad, "without: " + ", ".join(bad) if bad else f"{len(NOUNS)} nouns")
  verbs = ["run", "logs", "wait", "apply", "events", "task list", "job list", "schedule next", "doctor"]
  with_examples = [verb for verb in verbs if "xample" in rig.run("help", *verb.split()).out]
  facts.add("help has examples", len(with_examples) == len(verbs), f"{len(with_examples)} of {len(verbs)} commands")
  times = []
  for _ in range(5):
    done = rig.run("__complete", "--", "logs", "heart")
    times.append(done.seconds * 1e3)
  facts.add("names complete <= 100 ms", "heartbeat" in done.out and max(times) <= 100, f"worst {max(times):.0f} ms")
  shells = ["bash", "zsh", "fish", "powershell", "elvish", "nushell"]
  known = [shell for shell in shells if rig.run("completions", shell).code == 0]
  facts.add("six shells", known == shells, f"{len(known)} of 6")
  done = rig.run("man", "--dir", rig.folder("man"))
  pages = len(list(rig.folder("man").iterdir()))
  facts.add("manual pages", done.code == 0 and pages > 30, f"{pages} pages")
  done = rig.run("job", "get", "heartbaet")
  facts.keep("job get heartbaet", done.text())
  facts.add("did-you-mean for objects", done.code == 3 and "did you mean" in done.err and "heartbeat" in done.err)


def forms(facts, rig):
  """L2"""
  reads = {
    "table": lambda text: "heartbeat" in text,
    "wide": lambda text: "heartbeat" in text,
    "tsv": lambda text: all(line.count("\t") == text.split("\n")[0].count("\t") for line in text.splitlines()),
    "json": lambda text: json.loads(text)["items"],
    "jsonl": lambda text: [json.loads(line)["name"] for line in text.splitlines()],
    "yaml": lambda text: "kind: Job" in text,
    "name": lambda text: all(line.startswith("job/") for line in text.splitlines()),
    "jsonpath=$.name": lambda text: "heartbeat" in text.splitlines(),
    "template={{ name|pad(20) }}|": lambda text: "heartbeat           |" in text,
  }
  held = 0
  for form, wish in reads.items():
    done = rig.run("job", "list", "-o", form)
    good = done.code == 0 and bool(wish(done.out))
    held += good
    if not good:
      facts.keep(form, done.text())
  facts.add("forms that parse", held == len(reads), f"{held} of {len(reads)}")
  done = rig.run("job", "list", "-o", "none")
  facts.add("none prints nothing", done.code == 0 and not done.out)
  done = rig.run("job", "get", "nothing-of-that-name", "-o", "json")
  told = json.loads(done.err.strip().splitlines()[-1])["error"]
  facts.add("an error is JSON on stderr, stdout empty", not done.out and told["exit"] == done.code == 3)
  done = rig.run("schema", "job")
  facts.add("schema published", done.code == 0 and bool(json.loads(done.out)), f"{len(done.out)} bytes")
  done = rig.run("explain", "task.exit_code")
  facts.add("explain a field", done.code == 0 and bool(done.out.strip()))


class Overloaded(BaseHTTPRequestHandler):
  """Answers 503 to everything."""

  def do_GET(self):
    self.send_response(503)
    self.send_header("Retry-After", "0")
    self.send_header("Content-Length", "0")
    self.end_headers()

  def log_message(self, *_):
    pass


def codes(facts, rig):
  """L3"""
  fake = HTTPServer(("127.0.0.1", 0), Overloaded)
  threading.Thread(target=fake.serve_forever, daemon=True).start()
  fake_url = f"http://127.0.0.1:{fake.server_port}"
  failing = rig.json("run", "--cmd", "exit 3", "--wait", "--exit-status", "simple")["id"]
  viewer = rig.json("token", "create", "score-viewer", "--role", "viewer")
  secret = viewer.get("secret") or viewer.get("token") or ""
  manifest = rig.folder("codes") / "one.yaml"
  manifest.write_text("apiVersion: hetuflow/v1\nkind: Job\nmetadata: {name: code-one}\nspec: {config: {cmd: bash, script: 'true'}}\n")
  store = sqlite3.connect(rig.dir / "data/server/hetuflow.db", timeout=5)
  with store:
    store.execute("delete from sched_event_batch where seq <= 3")
  store.close()
  seen = {
    0: rig.run("status"),
    1: rig.run("doctor", "-s", "http://127.0.0.1:9"),
    2: rig.run("job", "list", "--no-such-flag"),
    3: rig.run("job", "get", "nothing"),
    4: rig.run("job", "list", env={"HETUFLOW_SERVER": rig.url, "HETUFLOW_TOKEN": "hf_wrong"}),
    5: rig.run("job", "delete", "heartbeat", "--yes", env={"HETUFLOW_SERVER": rig.url, "HETUFLOW_TOKEN": secret}),
    6: rig.run("job", "disable", "disk-usage", "--if-version", "99"),
    7: rig.run("job", "list", "-s", "http://127.0.0.1:9", "--timeout", "8s"),
    8: rig.run("task", "list", "-F", "state=nonsense"),
    9: rig.run("job", "list", env={"HETUFLOW_SERVER": fake_url, "HETUFLOW_TOKEN": "x"}),
    10: rig.run("apply", "-f", manifest, "--dry-run", "--exit-code"),
    11: rig.run("cancel", failing, "0123456789abcdef", "--yes"),
    12: rig.run("wait", failing, "--exit-status", "simple"),
    13: rig.run("events", "--from-seq", "1", "--strict", "--count", "1"),  # events were deleted above
    124: rig.run("run", "--cmd", "sleep 5", "--wait", "--timeout", "300ms"),
  }
  for code, number in ((130, signal.SIGINT), (143, signal.SIGTERM)):
    process = rig.popen("events", "-f")
    time.sleep(0.4)
    process.send_signal(number)
    process.communicate(timeout=5)
    seen[code] = process.returncode
  fake.shutdown()
  wrong = []
  for code, done in seen.items():
    got = done if isinstance(done, int) else done.code
    if got != code:
      wrong.append(f"{code} (got {got})")
    facts.keep(f"wanted {code}", done if isinstance(done, str) else getattr(done, "text", lambda d=done: f"exit {d}")())
  facts.add("provoked", not wrong, f"{len(seen) - len(wrong)} of {len(seen)} codes" + (", not " + ", ".join(wrong) if wrong else ""))
  words = rig.run("help", "exit-codes").out
  documented = [code for code in seen if re.search(rf"^\s*{code}\b", words, re.M)]
  facts.add("documented", len(documented) == len(seen), f"{len(documented)} of {len(seen)}")


def errors(facts, rig):
  """L9"""
  bad = rig.folder("errors")
  (bad / "cron.yaml").write_text(
    "apiVersion: hetuflow/v1\nkind: Job\nmetadata: {name: bad-cron}\nspec:\n  config: {cmd: bash, script: 'true'}\n"
    "  schedules:\n    - {cron_expression: '0 25 * * 1-5'}\n"
  )
  (bad / "field.yaml").write_text(
    "apiVersion: hetuflow/v1\nkind: Job\nmetadata: {name: bad-field}\nspec:\n  config: {cmd: bash, scirpt: 'true'}\n"
  )
  cases = {
    "unreachable": (["job", "list", "-s", "http://127.0.0.1:9"], {}),
    "unauthorised": (["job", "list"], {"HETUFLOW_SERVER": rig.url, "HETUFLOW_TOKEN": "hf_wrong"}),
    "job misspelt": (["logs", "heartbaet@latest"], {}),
    "cron": (["apply", "-f", bad / "cron.yaml", "--yes"], {}),
    "manifest field": (["apply", "-f", bad / "field.yaml", "--yes"], {}),
    "no such task": (["task", "get", "zzzzzzzz"], {}),
    "no such agent": (["agent", "get", "dev-9"], {}),
    "filter field": (["task", "list", "-F", "stat=failed"], {}),
    "filter value": (["task", "list", "-F", "state=faild"], {}),
    "column": (["task", "list", "--columns", "nme"], {}),
    "sort": (["task", "list", "--sort", "nme"], {}),
    "no file": (["apply", "-f", "nothing.yaml", "--yes"], {}),
    "context": (["-c", "nowhere", "job", "list"], {}),
    "would ask": (["job", "delete", "disk-usage"], {}),
    "duration": (["task", "list", "--timeout", "5 parsecs"], {}),
    "version moved": (["job", "disable", "disk-usage", "--if-version", "99"], {}),
    "template": (["job", "list", "-o", "template={{ nme"], {}),
    "zone": (["schedule", "next", "0 0 * * *", "--tz", "Europe/Berln"], {}),
  }
  named, helped, pasteable = 0, 0, 0
  without = []
  for name, (args, env) in cases.items():
    done = rig.run(*args, env=env)
    facts.keep(name, done.text())
    named += done.code != 0 and done.err.lstrip().startswith("error:")
    has_help = "help:" in done.err or "tip:" in done.err or "did you mean" in done.err
    helped += has_help
    pasteable += "hetuflowctl" in done.err or "--" in done.err.split("help:")[-1] and has_help
    if not has_help:
      without.append(name)
  total = len(cases)
  facts.add("begin with error: and a cause", named == total, f"{named} of {total}")
  facts.add("have a fix", helped == total, f"{helped} of {total}" + (", not: " + ", ".join(without) if without else ""))
  facts.add("have something to paste", pasteable == total, f"{pasteable} of {total}")
  caret = rig.run("apply", "-f", bad / "cron.yaml", "--yes")
  facts.add("caret under the field", "^" in caret.err and "cron.yaml:7" in caret.err)


def contexts(facts, rig):
  """L10"""
  home = rig.folder("home2")
  token_file = rig.dir / "data/server/admin.token"
  done = rig.run("login", rig.url, "--token-stdin", stdin=rig.token + "\n", home=home)
  facts.add("login from stdin", done.code == 0, f"exit {done.code}")
  facts.keep("login", done.text())
  kept = [path for path in home.rglob("*") if path.is_file() and rig.token in path.read_text(errors="replace")]
  private = all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in kept)
  facts.add("token kept for its owner only", kept and private, f"{len(kept)} file")
  view = rig.run("config", "view", "--show-origin", home=home)
  facts.keep("config view --show-origin", view.text())
  facts.add("origin of each value", view.code == 0 and ".toml" in view.out and rig.token not in view.out)
  process = rig.popen("events", "-f")
  time.sleep(0.3)
  args = subprocess.run(["ps", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True).stdout
  environ = open(f"/proc/{process.pid}/environ").read()
  process.kill()
  process.communicate()
  facts.add("no secret in ps", rig.token not in args + environ)
  loud = rig.run("-vvv", "job", "list")
  facts.add("no secret with -vvv", rig.token not in loud.err + loud.out and "GET" in loud.err)
  done = rig.run("--read-only", "job", "disable", "heartbeat")
  facts.add("--read-only stops a change", done.code == 5, f"exit {done.code}")
  name = rig.run("context", "current", home=home).out.strip() or "default"
  set_only = rig.run("context", "set", name, "--read-only", home=home)
  done = rig.run("job", "disable", "heartbeat", home=home)
  facts.keep("read-only context", set_only.text() + done.text())
  facts.add("a read-only context stops it too", done.code == 5, f"exit {done.code}")
  facts.add("logout forgets", rig.run("logout", home=home).code == 0 and not any(
    rig.token in path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()), token_file.name)


def pipes(facts, rig):
  """L11"""
  out = rig.run("task", "list").out + rig.run("status").out + rig.run("job", "list").out
  facts.add("no escape sequence in a pipe", "\x1b" not in out)
  out = rig.run("task", "list", env={"CLICOLOR_FORCE": "1"}).out
  facts.add("CLICOLOR_FORCE colours", "\x1b[" in out)
  out = rig.run("task", "list", "--color", "always", env={"NO_COLOR": "1"}).out
  facts.add("--color goes before NO_COLOR", "\x1b[" in out)
  done = rig.run("job", "delete", "disk-usage", "--no-input")
  facts.add("would ask: 2, names --yes", done.code == 2 and "--yes" in done.err, f"exit {done.code}")
  shell = f"'{rig.ctl}' events --from-seq 0 -o jsonl | head -n 1; echo ${{PIPESTATUS[0]}}"
  done = subprocess.run(["bash", "-c", shell], env=rig.env(), cwd=rig.home, capture_output=True, text=True, timeout=10)
  code = done.stdout.strip().splitlines()[-1]
  facts.add("a closed pipe ends it quietly", not done.stderr and code in ("0", "141"), f"exit {code}")
  process = rig.popen("run", "--cmd", "sleep 3", "--wait")
  time.sleep(0.7)
  begun = time.monotonic()
  process.send_signal(signal.SIGINT)
  _, err = process.communicate(timeout=5)
  facts.add("Ctrl-C: 130, says what goes on", process.returncode == 130 and "hetuflowctl" in err,
            f"exit {process.returncode} after {(time.monotonic() - begun) * 1e3:.0f} ms")
  facts.keep("Ctrl-C", err)
  process = rig.popen("run", "--cmd", "sleep 1.5", "--wait")
  _, err = process.communicate(timeout=15)
  facts.add("no spinner off a terminal", "\r" not in err and "\x1b" not in err)
  words = set(rig.run("task", "list").out.split())
  facts.add("no relative times off a terminal", "ago" not in words)


def schedules(facts, rig):
  """L12"""
  done = rig.run("schedule", "next", "heartbeat", "--count", "7")
  lines = [line for line in done.out.splitlines() if re.search(r"\d\d:\d\d:\d\d", line)]
  facts.add("next 7", len(lines) == 7, f"{len(lines)} lines")
  done = rig.run("schedule", "next", "0 9 * * MON-FRI", "--tz", "Asia/Shanghai", "--count", "1")
  facts.add("in a zone", "+08:00" in done.out)
  done = rig.run("schedule", "next", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-27", "--count", "3")
  facts.keep("the clocks change", done.text())
  facts.add("the night that has no 02:30", "does not exist" in done.out and "03:00:00 +02:00" in done.out)
  done = rig.run("schedule", "explain", "*/5 8-18 * * 1-5")
  facts.add("in words, field by field", done.code == 0 and "minute" in done.out)
  for number in range(12):
    rig.api("POST", "/jobs", {"name": f"herd-{number:02}", "config": {"command": "true"}})
    made = rig.run("schedule", "create", "--job", f"herd-{number:02}", "--cron", "0 4 * * *")
  done = rig.run("schedule", "check")
  facts.keep("schedule check", made.text() + done.text())
  said = done.out + done.err
  refused = rig.run("schedule", "next", "0 3 31 2 *")
  facts.keep("31 February", refused.text())
  facts.add("never fires", "never" in said or "never" in refused.out + refused.err)
  facts.add("herds", re.search(r"\b1[2-9]\b.*04:00|04:00.*\b1[2-9]\b", said) is not None)
  for number in range(12):
    rig.run("job", "delete", f"herd-{number:02}", "--yes")


POINTS = [
  ("L1", "Grammar, help, completion, man", "all; did-you-mean for objects", grammar, "help of nine nouns, __complete 5 times, man --dir"),
  ("L2", "Output for machines", "all", forms, "job list in nine forms, each parsed; an error with -o json"),
  ("L3", "Exit codes", "17 classes, all reachable", codes, "each provoked, also by a server that answers 503"),
  ("L9", "Errors", "cause + fix + pasteable command", errors, "18 mistakes; looked for cause, fix, command (not judged by a person)"),
  ("L10", "Contexts, login, secrets", "all", contexts, "login in an empty home, ps, -vvv, read-only"),
  ("L11", "Pipes and CI", "all of R2-R6, R12", pipes, "pipes, signals, environment"),
  ("L12", "Schedule preview", "all", schedules, "schedule next, explain, check; 12 schedules at one minute"),
]
