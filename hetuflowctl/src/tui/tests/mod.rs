//! Tests of the whole face.

mod fake_server;
mod finding;
mod fuzz;
mod handling;
mod marking;
mod screens;
mod truth;
mod waiting;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::{Model, Screen};
use super::snapshot::text_of;
use super::test_data as data;
use super::view::view;

/// Every screen.
fn screens() -> Vec<Screen> {
  vec![
    Screen::Dash,
    Screen::Tasks,
    Screen::Task(data::id(2)),
    Screen::Jobs,
    Screen::Agents,
    Screen::Events,
    Screen::Servers,
  ]
}

/// A frame as text.
fn picture(model: &mut Model, width: u16, height: u16) -> String {
  model.size = (width, height);
  let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
  view(model, &mut buf);
  text_of(&buf, false)
}

fn plain(code: KeyCode) -> KeyEvent {
  KeyEvent::new(code, KeyModifiers::NONE)
}
