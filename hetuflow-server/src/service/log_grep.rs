//! Searching output: one request looks at a bounded part, answers with lines, and says where to go
//! on.

use std::collections::VecDeque;

use base64::Engine as _;
use hetuflow_core::{FieldError, LogLine, LogMatch, LogMatches, Stream, TaskInstanceId};
use regex::bytes::{Regex, RegexBuilder};

use super::log_lines::{Line, Lines, Place};
use super::{Actor, LogRange, LogSvc, SvcError, SvcResult};

/// Longest expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1000;
/// Memory of a compiled expression.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most lines around a match.
pub const GREP_CONTEXT_MAX: u64 = 20;
/// Most matches of one answer.
pub const GREP_LIMIT_MAX: u64 = 1000;
/// Output that one request looks at.
const SCAN_BYTES_MAX: u64 = 32 << 20;
/// Text of one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes of a line that are shown.
const SHOWN_BYTES_MAX: usize = 4 << 10;

/// What is searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrepWish {
  /// A regular expression.
  pub pattern: String,
  /// Capitals do not matter.
  pub ignore_case: bool,
  /// Lines that do not fit.
  pub invert: bool,
  /// Lines around each match, at most 20.
  pub context: u64,
  /// Matches, at most 1,000.
  pub limit: u64,
  /// Of this stream alone.
  pub stream: Option<Stream>,
  /// From this byte on, where no cursor is given.
  pub from_offset: u64,
  /// Where the answer before ended.
  pub cursor: Option<String>,
}

impl LogSvc {
  /// Searches the output of an attempt, as far as there is any yet.
  ///
  /// # Errors
  /// 404; 422 `grep.pattern`, `grep.cursor`, `grep.context` or `grep.limit`.
  pub async fn grep(
    &self,
    actor: &Actor,
    instance: TaskInstanceId,
    wish: &GrepWish,
  ) -> SvcResult<LogMatches> {
    let mut search = Search::new(wish)?;
    let place = match &wish.cursor {
      Some(text) => Place::read(text).ok_or_else(|| {
        wrong("grep.cursor", "?cursor", "the cursor is not one of a search".to_owned())
      })?,
      None => Place::at(wish.from_offset),
    };
    let range =
      LogRange { from_offset: place.offset(), stream: wish.stream, ..LogRange::default() };
    let mut reader = self.open(actor, instance, range).await?;
    let mut lines = Lines::from(place);
    let mut scanned = 0;
    let mut at_end = false;
    while scanned < SCAN_BYTES_MAX {
      let Some(frame) = reader.next().await? else {
        at_end = true;
        break;
      };
      let raw = frame.unpack().unwrap_or_default();
      scanned += raw.len() as u64;
      if !lines.take((&frame, &raw), &mut |line, after| search.look(line, after)) {
        break;
      }
      tokio::task::yield_now().await;
    }
    let over = at_end && reader.is_over();
    if over {
      lines.finish(&mut |line, after| search.look(line, after));
    }
    let ended = over && search.stopped_at.is_none();
    let cursor = (!ended).then(|| search.stopped_at.unwrap_or_else(|| lines.place()).to_string());
    let at_end = at_end && search.stopped_at.is_none();
    let matches = search.matches;
    Ok(LogMatches { instance_id: instance, matches, cursor, at_end, scanned_bytes: scanned })
  }
}

/// A search on its way.
struct Search {
  regex: Regex,
  invert: bool,
  context: usize,
  limit: usize,
  before: VecDeque<LogLine>,
  matches: Vec<LogMatch>,
  /// Right after the last match of a full answer.
  stopped_at: Option<Place>,
  bytes: usize,
}

impl Search {
  fn new(wish: &GrepWish) -> SvcResult<Self> {
    if wish.context > GREP_CONTEXT_MAX {
      let message = format!("context is at most {GREP_CONTEXT_MAX} lines");
      return Err(wrong("grep.context", "?context", message));
    }
    if !(1..=GREP_LIMIT_MAX).contains(&wish.limit) {
      let message = format!("limit is 1 to {GREP_LIMIT_MAX}");
      return Err(wrong("grep.limit", "?limit", message));
    }
    if wish.pattern.len() > PATTERN_BYTES_MAX {
      let message = format!("the expression is longer than {PATTERN_BYTES_MAX} bytes");
      return Err(wrong("grep.pattern", "?grep", message));
    }
    let regex = RegexBuilder::new(&wish.pattern)
      .case_insensitive(wish.ignore_case)
      .size_limit(COMPILED_BYTES_MAX)
      .dfa_size_limit(COMPILED_BYTES_MAX)
      .nest_limit(50)
      .build()
      .map_err(|error| {
        let words = error.to_string();
        let words = words.lines().last().unwrap_or_default();
        wrong("grep.pattern", "?grep", words.trim_start_matches("error: ").to_owned())
      })?;
    Ok(Self {
      regex,
      invert: wish.invert,
      context: usize::try_from(wish.context).unwrap_or(0),
      limit: usize::try_from(wish.limit).unwrap_or(1),
      before: VecDeque::new(),
      matches: Vec::new(),
      stopped_at: None,
      bytes: 0,
    })
  }

  /// Looks at a line; `false` when no more are wanted.
  fn look(&mut self, line: Line, after: Place) -> bool {
    let fits = self.stopped_at.is_none() && self.regex.is_match(&line.bytes) != self.invert;
    let mut shown = None;
    let context = self.context;
    // Every match whose lines after are not complete wants this one.
    for open in self.matches.iter_mut().rev().take(context) {
      if open.after.len() < context {
        let line = shown.get_or_insert_with(|| shown_line(&line)).clone();
        self.bytes += line.text.len();
        open.after.push(line);
      }
    }
    if fits {
      let line = shown.take().unwrap_or_else(|| shown_line(&line));
      let before: Vec<LogLine> = self.before.iter().cloned().collect();
      self.bytes += line.text.len() + before.iter().map(|one| one.text.len()).sum::<usize>();
      self.matches.push(LogMatch { line: line.clone(), before, after: Vec::new() });
      shown = Some(line);
      if self.matches.len() >= self.limit || self.bytes >= ANSWER_BYTES_MAX {
        self.stopped_at = Some(after);
      }
    }
    if context > 0 {
      if self.before.len() == context {
        self.before.pop_front();
      }
      self.before.push_back(shown.unwrap_or_else(|| shown_line(&line)));
    }
    let complete = self.matches.last().is_none_or(|last| last.after.len() >= context);
    self.stopped_at.is_none() || !(complete || self.bytes >= ANSWER_BYTES_MAX * 2)
  }
}

fn shown_line(line: &Line) -> LogLine {
  let mut bytes = line.bytes.as_slice();
  let cut = line.cut || bytes.len() > SHOWN_BYTES_MAX;
  if bytes.len() > SHOWN_BYTES_MAX {
    bytes = &bytes[..SHOWN_BYTES_MAX];
  }
  let (text, encoding) = match std::str::from_utf8(bytes) {
    Ok(text) => (text.to_owned(), None),
    // Cut in the middle of a character: that is no other kind of text.
    Err(error) if cut && error.error_len().is_none() => {
      (String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(), None)
    }
    Err(_) => (base64::engine::general_purpose::STANDARD.encode(bytes), Some("base64".to_owned())),
  };
  let stream = match line.stream {
    Stream::Stdout => "stdout",
    Stream::Stderr => "stderr",
    Stream::System => "system",
  };
  let (line_no, offset, stream) = (line.number, line.offset, stream.to_owned());
  LogLine { line_no, offset, stream, text, encoding, cut }
}

fn wrong(code: &str, field: &str, message: String) -> SvcError {
  SvcError::invalid(vec![FieldError::new(code, field, message)])
}

#[cfg(test)]
mod tests {
  use super::*;

  fn search(wish: &GrepWish, text: &[&str]) -> Search {
    let mut search = Search::new(wish).expect("a search");
    for (index, text) in (1..).zip(text) {
      let bytes = text.as_bytes().to_vec();
      let line = Line { number: index, offset: 0, stream: Stream::Stdout, bytes, cut: false };
      if !search.look(line, Place::at(index)) {
        break;
      }
    }
    search
  }

  fn wish(pattern: &str) -> GrepWish {
    GrepWish { pattern: pattern.to_owned(), limit: 10, ..GrepWish::default() }
  }

  fn numbers(lines: &[LogLine]) -> Vec<u64> {
    lines.iter().map(|line| line.line_no).collect()
  }

  const TEXT: [&str; 7] = ["a", "ERROR 1", "b", "c", "error 2", "d", "e"];

  #[test]
  fn matches_come_with_their_neighbours() {
    let found = search(&GrepWish { context: 2, ignore_case: true, ..wish("error") }, &TEXT);
    let all: Vec<_> = found
      .matches
      .iter()
      .map(|one| (numbers(&one.before), one.line.line_no, numbers(&one.after)))
      .collect();
    assert_eq!(all, [(vec![1], 2, vec![3, 4]), (vec![3, 4], 5, vec![6, 7])]);
    let others = search(&GrepWish { invert: true, ..wish("(?i)error") }, &TEXT);
    assert_eq!(others.matches.len(), 5);
  }

  #[test]
  fn a_full_answer_goes_on_right_after_its_last_match() {
    let found = search(&GrepWish { context: 1, limit: 1, ..wish("(?i)error") }, &TEXT);
    assert_eq!((found.matches.len(), found.stopped_at), (1, Some(Place::at(2))));
    assert_eq!(numbers(&found.matches[0].after), [3]);
  }

  #[test]
  fn expressions_have_bounds() {
    for (pattern, words) in [
      ("(", "unclosed group"),
      (r"(?:\w{1000}){1000}", "size limit"),
      (&"x".repeat(1001), "longer than 1000"),
    ] {
      let error = Search::new(&wish(pattern)).err().expect("refused").response();
      assert_eq!(error.errors[0].code, "grep.pattern");
      assert!(error.errors[0].message.contains(words), "{}", error.errors[0].message);
    }
  }

  #[test]
  fn what_is_not_text_is_base64() {
    let line = |bytes: &[u8]| {
      let bytes = bytes.to_vec();
      shown_line(&Line { number: 1, offset: 0, stream: Stream::Stderr, bytes, cut: false })
    };
    assert_eq!(line(b"a\xff").encoding.as_deref(), Some("base64"));
    let long = line("é".repeat(3000).as_bytes());
    assert!(long.cut && long.encoding.is_none() && long.text.len() <= SHOWN_BYTES_MAX);
  }
}
