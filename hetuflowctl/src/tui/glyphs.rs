//! Every character that is not text, as Unicode and as ASCII.

/// Every character that is not text.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
  /// Waiting.
  pub pending: &'static str,
  /// Claimed.
  pub locked: &'static str,
  /// With an agent.
  pub dispatched: &'static str,
  /// Running.
  pub running: &'static str,
  /// Waits for its next attempt.
  pub retry: &'static str,
  /// Ended well.
  pub succeeded: &'static str,
  /// Ended badly.
  pub failed: &'static str,
  /// Cancelled.
  pub cancelled: &'static str,
  /// Held.
  pub paused: &'static str,
  /// Needs a person.
  pub attention: &'static str,
  /// Before the row under the cursor.
  pub cursor: &'static str,
  /// Before a marked row.
  pub marked: &'static str,
  /// The link is live.
  pub live: &'static str,
  /// The link lags.
  pub lag: &'static str,
  /// A list is being read again.
  pub sync: &'static str,
  /// There is no link.
  pub offline: &'static str,
  /// The server that answers.
  pub star: &'static str,
  /// Between two facts.
  pub dot: &'static str,
  /// Something was cut off.
  pub ellipsis: &'static str,
  /// No value.
  pub none: &'static str,
  /// More above, more below.
  pub more: [&'static str; 2],
  /// To the left, to the right.
  pub sides: [&'static str; 2],
  /// Return.
  pub enter: &'static str,
  /// The input's cursor in a snapshot.
  pub caret: &'static str,
  /// Lines: horizontal, vertical, the four corners (top left, top right, bottom left, right).
  pub frame: [&'static str; 6],
  /// The same for a dialog that wants an answer.
  pub double: [&'static str; 6],
  /// Bars, from an eighth of a cell to a whole one.
  pub eighths: [&'static str; 8],
  /// Columns of a small chart, from low to high.
  pub sparks: [&'static str; 8],
  /// Phases of a task: queued, dispatched, run.
  pub phases: [&'static str; 3],
}

/// For terminals that show Unicode.
pub static UNICODE: Glyphs = Glyphs {
  pending: "·",
  locked: "◌",
  dispatched: "→",
  running: "▶",
  retry: "↻",
  succeeded: "✓",
  failed: "✗",
  cancelled: "⊘",
  paused: "‖",
  attention: "!",
  cursor: "▌",
  marked: "*",
  live: "●",
  lag: "◐",
  sync: "◌",
  offline: "○",
  star: "★",
  dot: "·",
  ellipsis: "…",
  none: "—",
  more: ["▲", "▼"],
  sides: ["←", "→"],
  enter: "↵",
  caret: "▏",
  frame: ["─", "│", "┌", "┐", "└", "┘"],
  double: ["═", "║", "╔", "╗", "╚", "╝"],
  eighths: ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
  sparks: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
  phases: ["░", "▒", "█"],
};

/// For terminals that do not, or that draw half of it two cells wide.
pub static ASCII: Glyphs = Glyphs {
  pending: ".",
  locked: "o",
  dispatched: ">",
  running: "*",
  retry: "~",
  succeeded: "+",
  failed: "x",
  cancelled: "-",
  paused: "=",
  attention: "!",
  cursor: ">",
  marked: "*",
  live: "*",
  lag: "%",
  sync: "o",
  offline: "-",
  star: "*",
  dot: "-",
  ellipsis: "~",
  none: "-",
  more: ["^", "v"],
  sides: ["<", ">"],
  enter: "Ret",
  caret: "_",
  frame: ["-", "|", "+", "+", "+", "+"],
  double: ["=", "|", "+", "+", "+", "+"],
  eighths: [" ", " ", "-", "-", "=", "=", "#", "#"],
  sparks: ["_", "_", ".", ".", "-", "-", "^", "#"],
  phases: [".", ":", "#"],
};
