"""What one check found: parts that hold or not, each with what was measured."""

import traceback
from dataclasses import dataclass, field


@dataclass
class Facts:
  """The parts of one point."""

  parts: list = field(default_factory=list)
  output: list = field(default_factory=list)

  def add(self, name, holds, measured=""):
    """One part."""
    self.parts.append((name, bool(holds), str(measured)))
    return bool(holds)

  def miss(self, name, reason):
    """A part that could not be checked counts as missing."""
    self.parts.append((name, False, reason))

  def keep(self, title, text):
    """Output that goes into the file of this check."""
    if isinstance(text, bytes):
      text = text.decode("utf-8", "replace")
    self.output.append(f"--- {title}\n{text}")

  def points(self):
    """2: every part holds; 1: at least half of them; 0: fewer."""
    held = sum(1 for _, holds, _ in self.parts if holds)
    if self.parts and held == len(self.parts):
      return 2
    return 1 if self.parts and held * 2 >= len(self.parts) else 0

  def measured(self):
    """All parts in one line."""
    words = []
    for name, holds, measured in self.parts:
      words.append(f"{'' if holds else 'NOT '}{name}{': ' + measured if measured else ''}")
    return "; ".join(words)

  def text(self):
    """The file of this check."""
    lines = [f"{'ok  ' if holds else 'MISS'} {name}: {measured}" for name, holds, measured in self.parts]
    return "\n".join(lines + [""] + self.output) + "\n"


def run(check, rig):
  """The facts of a check, also where it breaks off."""
  facts = Facts()
  try:
    check(facts, rig)
  except Exception as error:  # noqa: BLE001: a check that breaks off is a miss, with its reason
    first = str(error).strip().split("\n")[0][:160]
    facts.miss("checked to its end", f"{type(error).__name__}: {first}")
    facts.keep("broke off", traceback.format_exc() + "\n" + str(error))
  return facts
