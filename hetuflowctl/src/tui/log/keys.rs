//! What keys do in the pane.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use hetuflow_core::Stream;

use super::glyph::{glyphs, text_of};
use super::level::Level;
use super::pane::{LogAsk, LogOutcome, LogPane, Place};
use super::prompt::{Prompt, Typed, Wanted};
use super::scan::Question;
use super::target::Which;

/// Bytes of one line that are copied at most, and of all lines together.
const COPY_LINE_MAX: usize = 64 << 10;
const COPY_BYTES_MAX: usize = 1 << 20;
/// Cells of one step sideways.
const SIDE_STEP: usize = 8;
/// A rest of the keys after which a search begins.
const TYPING_REST: Duration = Duration::from_millis(20);
/// Lines around a match at most.
const CONTEXT_MAX: u64 = 50;

impl LogPane {
  /// Takes a key. Nothing here waits or changes anything on the server.
  pub fn handle(&mut self, key: KeyEvent) -> LogOutcome {
    if key.kind == KeyEventKind::Release {
      return LogOutcome::Ignored;
    }
    self.message = None;
    if let Some(prompt) = self.prompt.take() {
      return self.type_into(prompt, key);
    }
    if self.moved(key) || self.looked(key) {
      return LogOutcome::Handled;
    }
    self.asked(key)
  }

  /// Keys that move.
  fn moved(&mut self, key: KeyEvent) -> bool {
    let page = u64::from(self.seen.height.max(2)) - 1;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
      KeyCode::Char('d') if control => self.step(page / 2, true),
      KeyCode::Char('u') if control => self.step(page / 2, false),
      _ if control => return false,
      KeyCode::Down | KeyCode::Char('j') => self.one_row(true),
      KeyCode::Up | KeyCode::Char('k') => self.one_row(false),
      KeyCode::PageDown => self.step(page, true),
      KeyCode::PageUp => self.step(page, false),
      KeyCode::Home | KeyCode::Char('g') => {
        self.step(u64::MAX, false);
        self.top = Place { line: self.cursor, row: 0 };
      }
      KeyCode::End | KeyCode::Char('G') => {
        self.step(u64::MAX, true);
        self.options.follow = true;
      }
      KeyCode::Char('F') if self.options.follow => self.stop_following(),
      KeyCode::Char('F') => self.options.follow = true,
      KeyCode::Char('n') => self.next_match(true),
      KeyCode::Char('N') => self.next_match(false),
      KeyCode::Char('\'') => match self.mark {
        Some(line) => self.jump_to(line),
        None => self.say("no line is marked (m)"),
      },
      _ => return false,
    }
    true
  }

  /// Moves the cursor over so many shown lines.
  fn step(&mut self, lines: u64, down: bool) {
    if down && self.options.follow {
      return;
    }
    self.stop_following();
    let at = self.shown_before(self.cursor);
    let last = self.shown_count().saturating_sub(1);
    let to = if down { at.saturating_add(lines).min(last) } else { at.saturating_sub(lines) };
    self.cursor = self.nth_shown(to).unwrap_or(self.cursor);
  }

  /// One line, or one row of a line that is taller than the picture.
  fn one_row(&mut self, down: bool) {
    if down && self.seen.cut_below && self.top.line == self.cursor {
      self.top.row += 1;
    } else if !down && self.top.line == self.cursor && self.top.row > 0 {
      self.stop_following();
      self.top.row -= 1;
    } else {
      self.step(1, down);
    }
  }

  fn next_match(&mut self, forward: bool) {
    let Some((_, find)) = &self.search else {
      return self.say("nothing is searched for (/)");
    };
    match find.next(self.cursor, forward) {
      Some(line) if find.is_done() || (forward && line > self.cursor) => self.jump_to(line),
      None if find.is_done() => self.say("no match"),
      _ => self.jump = Some(forward),
    }
  }

  /// Keys that change how the log is looked at.
  fn looked(&mut self, key: KeyEvent) -> bool {
    let shift = key.modifiers.contains(KeyModifiers::SHIFT);
    match key.code {
      _ if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
      KeyCode::Char('t') => {
        self.options.time = self.options.time.next();
        self.say(self.options.time.name());
      }
      KeyCode::Char('w') => {
        self.options.wrap = !self.options.wrap;
        (self.options.sideways, self.top.row) = (0, 0);
        self.say(if self.options.wrap { "long lines are wrapped" } else { "long lines: ← →" });
      }
      KeyCode::Char('J') => {
        self.options.json = !self.options.json;
        self.say(if self.options.json { "JSON is set out" } else { "JSON as it came" });
      }
      KeyCode::Char('S') => {
        self.options.stream = match self.options.stream {
          None => Some(Stream::Stdout),
          Some(Stream::Stdout) => Some(Stream::Stderr),
          Some(_) => None,
        };
        self.refilter();
      }
      KeyCode::Char('L') => {
        self.options.level = Level::next(self.options.level);
        self.refilter();
      }
      KeyCode::Char('+' | '-') if self.options.filter.is_some() => {
        let more = key.code == KeyCode::Char('+');
        let context = self.options.context;
        self.options.context =
          if more { (context + 1).min(CONTEXT_MAX) } else { context.saturating_sub(1) };
        self.refilter();
      }
      KeyCode::Char('v') => {
        self.selected_from = if self.selected_from.is_some() { None } else { Some(self.cursor) };
        self.stop_following();
      }
      KeyCode::Char('m') => {
        self.mark = if self.mark == Some(self.cursor) { None } else { Some(self.cursor) };
      }
      KeyCode::Char('a') => {
        self.choose(if self.which == Which::All { Which::Latest } else { Which::All });
      }
      KeyCode::Right | KeyCode::Left => {
        let right = key.code == KeyCode::Right;
        match self.options.wrap || shift {
          true => self.other_attempt(right),
          false if right => self.options.sideways += SIDE_STEP,
          false => self.options.sideways = self.options.sideways.saturating_sub(SIDE_STEP),
        }
      }
      KeyCode::Char('>') => self.other_attempt(true),
      KeyCode::Char('<') => self.other_attempt(false),
      KeyCode::Esc => return self.undo(),
      _ => return false,
    }
    true
  }

  fn other_attempt(&mut self, later: bool) {
    match self.target.beside(self.which, later) {
      Some(which) => self.choose(which),
      None => {
        self.say(if later { "this is the newest attempt" } else { "this is the first attempt" })
      }
    }
  }

  fn refilter(&mut self) {
    self.top.row = 0;
    self.set_filter();
  }

  /// Esc: one thing after the other, then it is not ours.
  fn undo(&mut self) -> bool {
    if self.selected_from.take().is_some() || self.jump.take().is_some() {
      return true;
    }
    if self.search.take().is_some() {
      return true;
    }
    let filtered = self.filter.is_some();
    (self.options.filter, self.options.level, self.options.stream) = (None, None, None);
    self.filter = None;
    filtered
  }

  /// Keys that open a line to type, or hand work to the program.
  fn asked(&mut self, key: KeyEvent) -> LogOutcome {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
      return LogOutcome::Ignored;
    }
    let open = match key.code {
      KeyCode::Char('/') => Prompt::new(Wanted::Search, String::new()),
      KeyCode::Char('&') => {
        Prompt::new(Wanted::Filter, self.options.filter.clone().unwrap_or_default())
      }
      KeyCode::Char('e') => Prompt::new(Wanted::Export, format!("{}.log", self.file_name())),
      KeyCode::Char('|') => Prompt::new(Wanted::Pipe, String::new()),
      KeyCode::Char('o') => return LogOutcome::Ask(LogAsk::Pager(self.store.snapshot())),
      KeyCode::Char('y') => return self.copy(),
      _ => return LogOutcome::Ignored,
    };
    self.prompt = Some(open);
    LogOutcome::Handled
  }

  fn file_name(&self) -> String {
    let attempt = match self.which {
      Which::All => "all".to_owned(),
      which => self.target.chosen(which).first().map_or(0, |one| one.number).to_string(),
    };
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = self.target.name.chars().map(safe).collect();
    format!("{}-{attempt}", name.trim_start_matches('.'))
  }

  /// The selected lines, else the one under the cursor, as they are shown.
  fn copy(&mut self) -> LogOutcome {
    let from = self.selected_from.take().unwrap_or(self.cursor);
    let (from, to) = (from.min(self.cursor), from.max(self.cursor));
    let mut copied = String::new();
    let (mut nth, end) = (self.shown_before(from), self.shown_before(to + 1));
    while nth < end && copied.len() < COPY_BYTES_MAX {
      let Some(span) = self.nth_shown(nth).and_then(|line| self.store.span(line)) else { break };
      copied.push_str(&text_of(&glyphs(&self.store.head(&span, COPY_LINE_MAX))));
      copied.push('\n');
      nth += 1;
    }
    LogOutcome::Ask(LogAsk::Copy(copied))
  }

  fn type_into(&mut self, mut prompt: Prompt, key: KeyEvent) -> LogOutcome {
    match prompt.key(key, &self.remembered) {
      Typed::GivenUp => {
        if prompt.wanted == Wanted::Search {
          self.search = None;
        }
        return LogOutcome::Handled;
      }
      Typed::Accepted => return self.accept(prompt),
      // Each key ends the search for the shorter pattern; one for the longer begins at a rest.
      Typed::Changed if prompt.wanted == Wanted::Search => {
        self.search_after(&prompt.text.clone(), TYPING_REST);
      }
      Typed::Changed | Typed::Nothing => {}
    }
    self.prompt = Some(prompt);
    LogOutcome::Handled
  }

  fn accept(&mut self, prompt: Prompt) -> LogOutcome {
    let Prompt { wanted, text, .. } = prompt;
    if !text.is_empty() {
      self.remembered.keep(wanted, &text);
    }
    match wanted {
      Wanted::Search => {
        self.set_search(&text);
        self.jump = (self.search.is_some() && !self.matches_at_cursor()).then_some(true);
      }
      Wanted::Filter => {
        self.options.filter = Some(text).filter(|text| !text.is_empty());
        self.refilter();
        if self.message.is_some() {
          self.options.filter = None;
        }
      }
      Wanted::Export if !text.trim().is_empty() => {
        return LogOutcome::Ask(LogAsk::Export(self.store.snapshot(), text.trim().to_owned()));
      }
      Wanted::Pipe if !text.trim().is_empty() => {
        return LogOutcome::Ask(LogAsk::Pipe(self.store.snapshot(), text));
      }
      Wanted::Export | Wanted::Pipe => {}
    }
    LogOutcome::Handled
  }

  fn matches_at_cursor(&mut self) -> bool {
    let Some((_, find)) = &self.search else { return false };
    let Question { regex: Some(regex), .. } = find.question() else { return false };
    let regex = regex.clone();
    let Some(span) = self.store.span(self.cursor) else { return false };
    regex.is_match(&self.store.head(&span, COPY_LINE_MAX))
  }
}
