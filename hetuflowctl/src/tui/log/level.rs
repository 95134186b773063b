//! How bad a line says it is, read from the word that loggers write near its beginning.

/// Levels of a logger, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
  /// TRACE.
  Trace,
  /// DEBUG.
  Debug,
  /// INFO, NOTICE.
  Info,
  /// WARN.
  Warn,
  /// ERROR and worse.
  Error,
}

/// Bytes at the beginning of a line that are looked at.
const LOOKED_AT: usize = 160;

impl Level {
  /// The next "at least" of the key `L`: everything, then from debug to error.
  pub fn next(at_least: Option<Self>) -> Option<Self> {
    match at_least {
      None => Some(Self::Debug),
      Some(Self::Trace) => Some(Self::Debug),
      Some(Self::Debug) => Some(Self::Info),
      Some(Self::Info) => Some(Self::Warn),
      Some(Self::Warn) => Some(Self::Error),
      Some(Self::Error) => None,
    }
  }

  /// Its name.
  pub fn name(self) -> &'static str {
    match self {
      Self::Trace => "trace",
      Self::Debug => "debug",
      Self::Info => "info",
      Self::Warn => "warn",
      Self::Error => "error",
    }
  }

  /// The level that a line names; lines that go on with the one before name none.
  pub fn of(line: &[u8]) -> Option<Self> {
    let head = &line[..line.len().min(LOOKED_AT)];
    if head.starts_with(b"Traceback (most recent") || head.starts_with(b"panic:") {
      return Some(Self::Error);
    }
    let mut at = 0;
    while at < head.len() {
      if !head[at].is_ascii_alphabetic() {
        at += 1;
        continue;
      }
      let len = head[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
      let word = &head[at..at + len];
      if let Some(level) = named(word)
        && (word.iter().all(u8::is_ascii_uppercase) || announced(&head[..at]))
      {
        return Some(level);
      }
      at += len;
    }
    None
  }
}

fn named(word: &[u8]) -> Option<Level> {
  let words: [(&[u8], Level); 15] = [
    (b"info", Level::Info),
    (b"warn", Level::Warn),
    (b"error", Level::Error),
    (b"debug", Level::Debug),
    (b"trace", Level::Trace),
    (b"warning", Level::Warn),
    (b"err", Level::Error),
    (b"fatal", Level::Error),
    (b"critical", Level::Error),
    (b"panic", Level::Error),
    (b"notice", Level::Info),
    (b"severe", Level::Error),
    (b"emerg", Level::Error),
    (b"alert", Level::Error),
    (b"crit", Level::Error),
  ];
  words.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
}

/// Whether what stands before a word says that a level follows: `level=`, `"lvl":"`, `[`.
fn announced(before: &[u8]) -> bool {
  let trimmed = before.trim_ascii_end();
  if trimmed.last().is_none_or(|byte| matches!(byte, b'[' | b'<')) {
    return true;
  }
  let end = trimmed.iter().rposition(|byte| !matches!(byte, b'"' | b'\'' | b':' | b'=' | b' '));
  let Some(end) = end.filter(|end| end + 1 < trimmed.len()) else { return false };
  let key = &trimmed[..=end];
  [&b"level"[..], b"lvl", b"severity"]
    .iter()
    .any(|name| key.len() >= name.len() && key[key.len() - name.len()..].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn levels_of_common_loggers() {
    for (line, expected) in [
      ("2026-01-02T03:04:05Z  WARN hetuflow: slow", Some(Level::Warn)),
      ("INFO  batch 41/60", Some(Level::Info)),
      ("{\"lvl\":\"error\",\"msg\":\"x\"}", Some(Level::Error)),
      ("{\"ts\":1,\"level\": \"debug\"}", Some(Level::Debug)),
      ("time=12:00 level=warning msg=\"no error here\"", Some(Level::Warn)),
      ("[error] cannot open", Some(Level::Error)),
      ("error: no such file", Some(Level::Error)),
      ("CRITICAL:root:down", Some(Level::Error)),
      ("Traceback (most recent call last):", Some(Level::Error)),
      ("  File \"a.py\", line 3", None),
      ("there was no error", None),
      ("information and warnings", None),
      ("", None),
    ] {
      assert_eq!(Level::of(line.as_bytes()), expected, "{line}");
    }
  }
}
