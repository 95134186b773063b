//! Frames of every screen at every stage, and of every size.

use super::{data, picture, screens};
use crate::tui::look::{Depth, Look, Theme};
use crate::tui::model::Screen;
use crate::tui::text::width;
use data::Stage;

const SIZES: [(u16, u16); 14] = [
  (1, 1),
  (20, 4),
  (40, 12),
  (60, 20),
  (80, 24),
  (100, 30),
  (120, 40),
  (160, 48),
  (200, 60),
  (300, 80),
  (80, 5),
  (24, 80),
  (81, 25),
  (39, 8),
];

#[test]
fn every_screen_at_every_stage() {
  for screen in screens() {
    let mut all = String::new();
    for stage in Stage::ALL {
      for (width, height) in [(80, 24), (160, 48)] {
        // Output of a task is on disk and read from a server: here the place of it is shown.
        let mut model = data::model(screen.clone(), stage);
        model.log = None;
        all.push_str(&format!(
          "===== {stage:?} {width}x{height}\n{}",
          picture(&mut model, width, height)
        ));
      }
    }
    insta::assert_snapshot!(format!("screen_{}", screen.title()), all);
  }
}

#[test]
fn small_terminals_show_what_matters() {
  let mut all = String::new();
  for (screen, width, height) in [
    (Screen::Tasks, 60, 20),
    (Screen::Tasks, 40, 12),
    (Screen::Dash, 40, 12),
    (Screen::Tasks, 20, 4),
    (Screen::Jobs, 60, 20),
  ] {
    let mut model = data::model(screen, Stage::Full);
    all.push_str(&format!("===== {width}x{height}\n{}", picture(&mut model, width, height)));
  }
  let mut model = data::model(Screen::Tasks, Stage::Offline);
  all.push_str(&format!("===== offline 20x4\n{}", picture(&mut model, 20, 4)));
  insta::assert_snapshot!("small", all);
}

#[test]
fn every_size_is_drawn_and_no_line_is_too_long() {
  for screen in screens() {
    for stage in Stage::ALL {
      for (w, h) in SIZES {
        let mut model = data::model(screen.clone(), stage);
        let text = picture(&mut model, w, h);
        assert_eq!(text.lines().count(), usize::from(h), "{screen:?} {stage:?} {w}x{h}");
        for line in text.lines() {
          assert!(width(line) <= usize::from(w), "{screen:?} {stage:?} {w}x{h}: {line}");
        }
      }
    }
  }
}

#[test]
fn ascii_is_ascii_but_for_names_of_people() {
  for screen in screens() {
    let mut model = data::model(screen.clone(), Stage::Full);
    model.look = Look::new(true, Depth::None, Theme::Auto);
    model.log = None;
    let text = picture(&mut model, 160, 48);
    let foreign: String =
      text.chars().filter(|c| !c.is_ascii() && !"清洗订单北京".contains(*c)).collect();
    assert_eq!(foreign, "", "{screen:?}");
  }
}

/// Right borders stand in one column, whatever is in the rows.
#[test]
fn wide_characters_keep_the_columns() {
  let mut model = data::model(Screen::Tasks, Stage::Full);
  let text = picture(&mut model, 160, 48);
  let lines: Vec<&str> = text.lines().collect();
  let cn = lines
    .iter()
    .position(|line| line.contains("etl-清洗-订单"))
    .expect("a row with wide characters");
  let column = |line: &str, word: &str| line.find(word).map(|at| width(&line[..at]));
  let expected = column(lines[2], "TRY").expect("the heading");
  let row = lines[cn];
  let tries = column(row, "1/3").or(column(row, "2/3")).or(column(row, "3/3"));
  assert_eq!(tries, Some(expected), "{row}");
}

#[test]
fn colours_say_nothing_that_words_do_not() {
  for screen in screens() {
    let mut plain = data::model(screen.clone(), Stage::Full);
    let mut rich = data::model(screen.clone(), Stage::Full);
    (plain.log, rich.log) = (None, None);
    rich.look = Look::new(false, Depth::True, Theme::Catppuccin);
    assert_eq!(picture(&mut plain, 120, 40), picture(&mut rich, 120, 40), "{screen:?}");
  }
}
