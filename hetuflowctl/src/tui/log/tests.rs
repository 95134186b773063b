//! The pane as a whole: what it shows at several sizes, and what keys do.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hetuflow_core::{Stream, TaskInstanceId};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;
use uuid::Uuid;

use super::feeder::Feed;
use super::pane::LogPane;
use super::{LogAsk, LogAttempt, LogOutcome, LogTarget};
use crate::tui::{Depth, Look, Theme};

/// 2024-11-21T13:55:50Z.
const T0: i64 = 1_732_197_350_000_000;

fn attempt(number: i32) -> LogAttempt {
  let instance_id = TaskInstanceId(Uuid::from_u128(number as u128));
  LogAttempt { instance_id, number, agent: Some(format!("worker-0{number}")), from: 0 }
}

fn empty() -> LogPane {
  let attempts = vec![attempt(1), attempt(2), attempt(3)];
  let mut pane =
    LogPane::new(LogTarget { name: "etl-daily-7qk2m9xa".into(), attempts }).expect("a pane");
  pane.zone = TimeZone::UTC;
  pane
}

fn out(pane: &mut LogPane, ms: i64, text: &str) {
  pane.take(Feed::Bytes(Stream::Stdout, T0 + ms * 1000, text.as_bytes().to_vec()));
}

fn err(pane: &mut LogPane, ms: i64, text: &str) {
  pane.take(Feed::Bytes(Stream::Stderr, T0 + ms * 1000, text.as_bytes().to_vec()));
}

/// What the mock-up of the task's detail shows.
fn usual() -> LogPane {
  let mut pane = empty();
  for n in 30..41 {
    out(&mut pane, n * 620, &format!("INFO  batch {n}/60 rows={}0,000\n", 100 + n * 2));
  }
  out(&mut pane, 27_004, "\x1b[33mWARN\x1b[0m  rss 3.9 GiB of 4.0 GiB limit\n");
  err(&mut pane, 27_771, "Traceback (most recent call last):\n");
  err(&mut pane, 27_771, "    File \"/srv/etl/load.py\", line 88, in load, which is a long line\n");
  out(&mut pane, 28_020, "{\"lvl\":\"info\",\"msg\":\"checkpoint\",\"rows\":1220000}\n");
  pane.take(Feed::Gap(Duration::from_millis(3200), T0 + 28_500_000));
  out(&mut pane, 28_301, "INFO  retrying batch 42\nINFO  again\n");
  out(&mut pane, 29_901, "INFO  进度 70% — 已写入 1,220,000 行\n");
  out(&mut pane, 29_950, "evil \x1b]52;c;aGk=\x07\x1b[2J\0 \u{202e}txt\r\n");
  pane
}

fn press(pane: &mut LogPane, code: KeyCode) -> LogOutcome {
  pane.handle(KeyEvent::from(code))
}

fn keys(pane: &mut LogPane, text: &str) {
  for c in text.chars() {
    let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
    press(pane, code);
  }
}

/// Polls until searches and filters have come to an end.
fn settle(pane: &mut LogPane) {
  let limit = Instant::now() + Duration::from_secs(30);
  loop {
    pane.poll();
    let done = pane.search.as_ref().is_none_or(|(_, find)| find.is_done())
      && pane.filter.as_ref().is_none_or(|filter| filter.find().is_done());
    if done || Instant::now() > limit {
      assert!(done, "a search does not end");
      pane.poll();
      return;
    }
    std::thread::yield_now();
  }
}

fn picture_with(pane: &mut LogPane, (width, height): (u16, u16), look: &Look) -> String {
  let area = Rect::new(0, 0, width, height);
  let mut buf = Buffer::empty(area);
  pane.draw(area, &mut buf, look);
  let mut text = String::new();
  for y in 0..height {
    let mut row = String::new();
    let mut skip = 0;
    for x in 0..width {
      let symbol = buf[(x, y)].symbol();
      if skip == 0 {
        row.push_str(symbol);
        skip = symbol.width().max(1);
      }
      skip -= 1;
    }
    text.push_str(row.trim_end());
    text.push('\n');
  }
  text
}

fn picture(pane: &mut LogPane, width: u16, height: u16) -> String {
  let shown = picture_with(pane, (width, height), &Look::default());
  format!("{shown}{}\n{}\n", pane.status(), pane.footer())
}

#[test]
fn following_at_80x24() {
  insta::assert_snapshot!(picture(&mut usual(), 80, 24));
}

#[test]
fn following_at_160x20() {
  insta::assert_snapshot!(picture(&mut usual(), 160, 20));
}

#[test]
fn small_panes() {
  let mut all = String::new();
  for (width, height) in [(50, 8), (30, 6), (20, 4), (19, 3), (5, 2), (1, 1)] {
    all.push_str(&format!("{width}x{height}\n"));
    all.push_str(&picture_with(&mut usual(), (width, height), &Look::default()));
  }
  insta::assert_snapshot!(all);
}

#[test]
fn in_ascii() {
  let look = Look::new(true, Depth::None, Theme::Auto);
  let shown = picture_with(&mut usual(), (80, 12), &look);
  insta::assert_snapshot!(shown);
}

#[test]
fn paused_with_new_lines_below() {
  let mut pane = usual();
  picture(&mut pane, 80, 10);
  press(&mut pane, KeyCode::Up);
  let before = picture(&mut pane, 80, 10);
  let place = pane.top;
  for n in 0..1204 {
    out(&mut pane, 30_000 + n, &format!("INFO new {n}\n"));
  }
  insta::assert_snapshot!(picture(&mut pane, 80, 10));
  assert_eq!((pane.top, pane.new_below()), (place, 1204), "{before}");
  keys(&mut pane, "F");
  assert!(picture(&mut pane, 80, 10).contains("INFO new 1203"));
  assert_eq!(pane.new_below(), 0);
}

#[test]
fn time_modes_json_and_sideways() {
  let mut pane = usual();
  let mut all = String::new();
  for key in ["", "t", "t", "t", "t", "tJ"] {
    keys(&mut pane, key);
    all.push_str(&picture_with(&mut pane, (80, 9), &Look::default()));
  }
  keys(&mut pane, "Jw");
  press(&mut pane, KeyCode::Right);
  all.push_str(&picture_with(&mut pane, (60, 9), &Look::default()));
  insta::assert_snapshot!(all);
}

#[test]
fn a_search_jumps_counts_and_goes_on() {
  let mut pane = usual();
  picture(&mut pane, 80, 10);
  keys(&mut pane, "g/batch \\d+\n");
  settle(&mut pane);
  picture(&mut pane, 80, 10);
  assert_eq!(pane.cursor, 0);
  assert!(
    pane.status().contains("12 matching lines · 1 of 12 · searched 19 of 19"),
    "{}",
    pane.status()
  );
  keys(&mut pane, "nn");
  assert_eq!(pane.cursor, 2);
  keys(&mut pane, "NNN");
  assert_eq!(pane.cursor, 15);
  out(&mut pane, 40_000, "batch 99\n");
  pane.poll();
  assert!(pane.status().contains("13 matching lines"), "{}", pane.status());
  keys(&mut pane, "n");
  assert_eq!(pane.cursor, 19);
  keys(&mut pane, "/[");
  assert!(pane.status().starts_with("/ [▏"), "{}", pane.status());
  keys(&mut pane, "\n");
  assert!(pane.status().contains("not a pattern"), "{}", pane.status());
}

#[test]
fn filter_level_and_stream() {
  let mut pane = usual();
  keys(&mut pane, "&retrying\n");
  settle(&mut pane);
  let mut all = picture(&mut pane, 80, 9);
  keys(&mut pane, "--");
  settle(&mut pane);
  all.push_str(&picture(&mut pane, 80, 6));
  press(&mut pane, KeyCode::Esc);
  keys(&mut pane, "LLL");
  settle(&mut pane);
  all.push_str(&picture(&mut pane, 80, 8));
  press(&mut pane, KeyCode::Esc);
  keys(&mut pane, "SS");
  settle(&mut pane);
  all.push_str(&picture(&mut pane, 80, 6));
  keys(&mut pane, "&nothing like it\n");
  settle(&mut pane);
  all.push_str(&picture(&mut pane, 80, 5));
  insta::assert_snapshot!(all);
}

#[test]
fn asks_of_the_program() {
  let mut pane = usual();
  picture(&mut pane, 80, 10);
  keys(&mut pane, "gv");
  press(&mut pane, KeyCode::Down);
  let LogOutcome::Ask(LogAsk::Copy(text)) = press(&mut pane, KeyCode::Char('y')) else {
    panic!("no copy")
  };
  assert_eq!(text, "INFO  batch 30/60 rows=1600,000\nINFO  batch 31/60 rows=1620,000\n");
  keys(&mut pane, "e");
  assert!(pane.status().contains("etl-daily-7qk2m9xa-3.log"), "{}", pane.status());
  let LogOutcome::Ask(LogAsk::Export(log, path)) = press(&mut pane, KeyCode::Enter) else {
    panic!("no export")
  };
  assert_eq!((log.index().lines().end, path.as_str()), (19, "etl-daily-7qk2m9xa-3.log"));
  keys(&mut pane, "|wc -l");
  let outcome = press(&mut pane, KeyCode::Enter);
  assert!(matches!(&outcome, LogOutcome::Ask(LogAsk::Pipe(_, command)) if command == "wc -l"));
  let outcome = press(&mut pane, KeyCode::Char('o'));
  assert!(matches!(outcome, LogOutcome::Ask(LogAsk::Pager(_))));
  assert!(matches!(press(&mut pane, KeyCode::Esc), LogOutcome::Ignored));
  assert!(matches!(press(&mut pane, KeyCode::Char('R')), LogOutcome::Ignored));
  let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
  assert!(matches!(pane.handle(quit), LogOutcome::Ignored));
}

#[test]
fn attempts() {
  let mut pane = usual();
  assert!(pane.take_feeder().is_some() && pane.take_feeder().is_none());
  press(&mut pane, KeyCode::Left);
  assert!(picture(&mut pane, 80, 6).contains("log · attempt 2 · both"));
  assert!(pane.take_feeder().is_some());
  press(&mut pane, KeyCode::Right);
  press(&mut pane, KeyCode::Right);
  assert!(pane.status().contains("newest"), "{}", pane.status());
  // A newer attempt is shown when the newest was wanted.
  pane.take_feeder();
  pane.set_attempts((1..=4).map(attempt).collect());
  assert!(picture(&mut pane, 80, 6).contains("attempt 4"));
  assert!(pane.take_feeder().is_some());
  keys(&mut pane, "a");
  pane.take(Feed::Attempt(attempt(1)));
  out(&mut pane, 0, "one\n");
  pane.take(Feed::Attempt(attempt(2)));
  out(&mut pane, 0, "two\n");
  pane.take(Feed::Lost(1_200_000));
  pane.take(Feed::Ended);
  insta::assert_snapshot!(picture(&mut pane, 80, 9));
}

#[test]
fn a_line_taller_than_the_pane() {
  let mut pane = empty();
  out(&mut pane, 0, &format!("begin {}\nend\n", "0123456789".repeat(120_000)));
  picture(&mut pane, 80, 12);
  keys(&mut pane, "g");
  let first = picture(&mut pane, 80, 12);
  assert!(first.contains("begin 0123"), "{first}");
  let mut rows = 0;
  while pane.cursor == 0 {
    press(&mut pane, KeyCode::Down);
    picture(&mut pane, 80, 12);
    rows += 1;
    assert!(rows < 400, "the end is not reached");
  }
  let last = picture(&mut pane, 80, 12);
  assert!(rows > 100 && last.contains("8 KB of 1.2 MB shown"), "{rows}\n{last}");
}

#[test]
fn a_million_lines() {
  let mut pane = empty();
  let begun = Instant::now();
  for block in 0..1000_u32 {
    let text: String = (0..1000)
      .map(|n| format!("2024-11-21 INFO  worker-{n:03} did its part of batch {block:04} in {n} ms, and this fills the line up\n"))
      .collect();
    out(&mut pane, i64::from(block), &text);
    pane.poll();
  }
  let fed = begun.elapsed();
  picture(&mut pane, 120, 40);
  keys(&mut pane, "gg/worker-77\\d .* batch 0(500|999)\n");
  let begun = Instant::now();
  settle(&mut pane);
  println!("fed in {fed:?}, searched in {:?}", begun.elapsed());
  assert!(pane.status().contains("20 matching lines · 1 of 20"), "{}", pane.status());
  assert_eq!(pane.cursor, 500_770);
  let shown = picture(&mut pane, 120, 40);
  assert!(shown.contains("500,771") && shown.contains("1,000,000 lines"), "{shown}");
}

proptest! {
  #![proptest_config(ProptestConfig::with_cases(48))]
  /// Whatever a task writes and whoever types: no panic, and nothing but pictures in the cells.
  #[test]
  fn anything_goes(
    steps in prop::collection::vec(prop_oneof![
      (prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(0x1b)], 1..300), any::<bool>())
        .prop_map(|(bytes, error)| (Some((bytes, error)), 0)),
      any::<u8>().prop_map(|key| (None, key)),
    ], 1..60),
    width in 1_u16..130,
    height in 1_u16..40,
  ) {
    const KEYS: &[u8] = b"jkgGFnN'twJSL+-vma<>/&eo|yx\n[ab\\";
    let mut pane = empty();
    for (bytes, key) in steps {
      match bytes {
        Some((bytes, error)) => {
          let stream = if error { Stream::Stderr } else { Stream::Stdout };
          pane.take(Feed::Bytes(stream, T0, bytes));
        }
        None => {
          let special = [KeyCode::Esc, KeyCode::Up, KeyCode::Down, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Right, KeyCode::Left, KeyCode::Backspace];
          let code = match KEYS.get(usize::from(key) % (KEYS.len() + special.len())) {
            Some(b'\n') => KeyCode::Enter,
            Some(byte) => KeyCode::Char(char::from(*byte)),
            None => special[usize::from(key) % special.len()],
          };
          press(&mut pane, code);
        }
      }
      pane.poll();
      let area = Rect::new(0, 0, width, height);
      let mut buf = Buffer::empty(area);
      pane.draw(area, &mut buf, &Look::default());
      for cell in buf.content() {
        prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
      }
      prop_assert!(!pane.status().chars().any(char::is_control));
    }
  }
}
