//! What a task says of itself: lines of its standard output that begin with `::hetuflow `.
//!
//! `::hetuflow progress 0.4 words` and `::hetuflow metric rows=12`. Such a line stays in the log as
//! it is. Whatever else stands in it is data: it is never an error, and it costs one search.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use serde::{Deserialize, Serialize};

/// How such a line begins.
const MARK: &[u8] = b"::hetuflow ";
/// Longest line that is obeyed.
const LINE_BYTES_MAX: usize = 1 << 10;
/// Longest words beside a progress, in characters.
const NOTE_CHARS_MAX: usize = 200;
/// Most metrics of one attempt.
const METRICS_MAX: usize = 64;
/// Longest name of one.
const METRIC_NAME_MAX: usize = 64;

static NEXT_MARK: LazyLock<Finder<'static>> =
  LazyLock::new(|| Finder::new(b"\n::hetuflow ").into_owned());

/// How far a task says it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
  /// 0 to 1.
  pub share: f64,
  /// Its words for that.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub note: Option<String>,
}

/// Listens to the standard output of one task.
#[derive(Debug)]
pub struct Spoken {
  /// The begin of a line that may be one of ours; none inside a line that is not.
  line: Option<Vec<u8>>,
  /// The last one that was said.
  pub progress: Option<Progress>,
  /// It was said since somebody asked.
  news: bool,
  /// Figures by name; the last one of each counts.
  pub metrics: BTreeMap<String, f64>,
}

impl Default for Spoken {
  fn default() -> Self {
    Self { line: Some(Vec::new()), progress: None, news: false, metrics: BTreeMap::new() }
  }
}

impl Spoken {
  /// Takes the next bytes of standard output.
  pub fn hear(&mut self, mut raw: &[u8]) {
    loop {
      if let Some(mut line) = self.line.take() {
        let end = memchr(b'\n', raw);
        let part = &raw[..end.unwrap_or(raw.len())];
        let room = LINE_BYTES_MAX - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() <= room && may_be_ours(&line) {
          let Some(end) = end else {
            self.line = Some(line);
            return;
          };
          self.obey(&line);
          raw = &raw[end + 1..];
          line.clear();
          self.line = Some(line);
          continue;
        }
      }
      match NEXT_MARK.find(raw) {
        Some(at) => raw = &raw[at + 1..],
        None => {
          self.line = begun(raw).map(<[u8]>::to_vec);
          return;
        }
      }
      self.line = Some(Vec::new());
    }
  }

  /// The progress, where a new one was said.
  pub fn news(&mut self) -> Option<&Progress> {
    if std::mem::take(&mut self.news) { self.progress.as_ref() } else { None }
  }

  /// Whether a progress was said that nobody has asked for.
  pub fn has_news(&self) -> bool {
    self.news
  }

  fn obey(&mut self, line: &[u8]) {
    let Some(words) = line.strip_prefix(MARK) else { return };
    let words = String::from_utf8_lossy(words);
    let (verb, rest) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
    match verb {
      "progress" => {
        if let Some(progress) = read_progress(rest.trim()) {
          self.news |= self.progress.as_ref() != Some(&progress);
          self.progress = Some(progress);
        }
      }
      "metric" => {
        for (name, value) in rest.split_whitespace().filter_map(read_metric) {
          if self.metrics.len() < METRICS_MAX || self.metrics.contains_key(name) {
            self.metrics.insert(name.to_owned(), value);
          }
        }
      }
      _ => {}
    }
  }
}

/// The last line, where it has no end yet and may become one of ours.
fn begun(raw: &[u8]) -> Option<&[u8]> {
  let tail = &raw[raw.len().saturating_sub(MARK.len() + 1)..];
  let last = &tail[memrchr(b'\n', tail)? + 1..];
  MARK.starts_with(last).then_some(last)
}

fn may_be_ours(line: &[u8]) -> bool {
  line.starts_with(MARK) || MARK.starts_with(line)
}

/// `0.4`, `40%`, each with or without words.
fn read_progress(text: &str) -> Option<Progress> {
  let (number, words) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
  let share = match number.strip_suffix('%') {
    Some(percent) => percent.parse::<f64>().ok()? / 100.0,
    None => number.parse().ok()?,
  };
  if !(0.0..=1.0).contains(&share) {
    return None;
  }
  let words = words.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
  let note: String = words.take(NOTE_CHARS_MAX).collect();
  Some(Progress { share, note: (!note.is_empty()).then_some(note) })
}

fn read_metric(word: &str) -> Option<(&str, f64)> {
  let (name, value) = word.split_once('=')?;
  let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
  let named = !name.is_empty() && name.len() <= METRIC_NAME_MAX && name.chars().all(plain);
  let value: f64 = value.parse().ok()?;
  (named && value.is_finite()).then_some((name, value))
}

#[cfg(test)]
mod tests {
  use super::*;

  fn said(pieces: &[&[u8]]) -> Spoken {
    let mut spoken = Spoken::default();
    pieces.iter().for_each(|piece| spoken.hear(piece));
    spoken
  }

  fn share(spoken: &Spoken) -> Option<f64> {
    spoken.progress.as_ref().map(|progress| progress.share)
  }

  const TALK: &[u8] = b"::hetuflow progress 0.1\nabc ::hetuflow progress 0.2\n\n::hetuflow metric \
    rows=12 bad x=nan y=-1.5\r\n:::hetuflow progress 0.3\n::hetuflow progress 40% halfway  there\n";

  #[test]
  fn lines_are_heard_however_they_are_cut() {
    for cut in 0..=TALK.len() {
      for other in [cut, (cut + 7).min(TALK.len())] {
        let mut spoken = said(&[&TALK[..cut], &TALK[cut..other], &TALK[other..]]);
        let progress = spoken.news().expect("said").clone();
        assert_eq!(progress.share, 0.4, "cut at {cut} and {other}");
        assert_eq!(progress.note.as_deref(), Some("halfway  there"));
        let metrics: Vec<_> = spoken.metrics.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(metrics, [("rows", 12.0), ("y", -1.5)]);
        assert!(spoken.news().is_none());
      }
    }
  }

  #[test]
  fn bad_lines_are_data() {
    for line in [
      "::hetuflow progress",
      "::hetuflow progress x",
      "::hetuflow progress 1.1",
      "::hetuflow progress -0.1",
      "::hetuflow progress NaN",
      "::hetuflow",
      "::hetuflow  ",
      "::hetuflow dance 0.4",
      "::HETUFLOW progress 0.4",
      " ::hetuflow progress 0.4",
      "::hetuflow metric =1",
      "::hetuflow metric a b=",
    ] {
      let spoken = said(&[line.as_bytes(), b"\n"]);
      assert!(share(&spoken).is_none() && spoken.metrics.is_empty(), "{line}");
    }
    let no_end = said(&[b"::hetuflow progress 0.4"]);
    assert_eq!(share(&no_end), None, "a line without an end is not said yet");
    let long = [b"::hetuflow progress 0.4 ".as_slice(), &[b'x'; 2000], b"\n"].concat();
    assert_eq!(share(&said(&[&long])), None);
    let then = [&long[..], b"::hetuflow progress 0.5\n"].concat();
    assert_eq!(share(&said(&[&then])), Some(0.5));
    let bytes = said(&[b"::hetuflow progress 1 \xff\x1b[2J\n"]);
    let note = bytes.progress.expect("said").note.expect("words");
    assert!(!note.contains('\u{1b}') && note.ends_with("[2J"), "{note:?}");
  }

  #[test]
  fn there_is_an_end_to_metrics() {
    let mut spoken = Spoken::default();
    for n in 0..200 {
      spoken.hear(format!("::hetuflow metric m{n}={n} m0={n}\n").as_bytes());
    }
    assert_eq!((spoken.metrics.len(), spoken.metrics["m0"]), (METRICS_MAX, 199.0));
  }
}
