//! Keys at random, and every key once: nothing breaks, and nothing is sent that nobody confirmed.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{data, picture, plain, screens};
use crate::tui::link::LinkNews;
use crate::tui::model::Model;
use crate::tui::overlay::Overlay;
use crate::tui::update::{Effect, Msg, update};
use data::Stage;

fn any_key(rng: &mut SmallRng) -> KeyEvent {
  let named = [
    KeyCode::Enter,
    KeyCode::Esc,
    KeyCode::Tab,
    KeyCode::BackTab,
    KeyCode::Delete,
    KeyCode::Backspace,
    KeyCode::Up,
    KeyCode::Down,
    KeyCode::Left,
    KeyCode::Right,
    KeyCode::Home,
    KeyCode::End,
    KeyCode::PageUp,
    KeyCode::PageDown,
    KeyCode::F(5),
    KeyCode::Char('清'),
    KeyCode::Char(' '),
    KeyCode::Insert,
  ];
  let code = match rng.random_range(0..4) {
    0 => named[rng.random_range(0..named.len())],
    _ => KeyCode::Char(char::from(rng.random_range(b' '..=b'~'))),
  };
  let modifiers = match rng.random_range(0..8) {
    // ^C leaves and ^Z stops: they are no part of the model.
    0 if !matches!(code, KeyCode::Char('c' | 'C' | 'z' | 'Z')) => KeyModifiers::CONTROL,
    1 => KeyModifiers::SHIFT,
    _ => KeyModifiers::NONE,
  };
  KeyEvent::new(code, modifiers)
}

fn any_message(rng: &mut SmallRng) -> Msg {
  match rng.random_range(0..40) {
    0 => Msg::Resize(rng.random_range(0..300), rng.random_range(0..90)),
    1 => Msg::Paste("state=failed \x1b[2J\n清洗".into()),
    2..5 => {
      let kinds = [
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollUp,
      ];
      let kind = kinds[rng.random_range(0..3)];
      let (column, row) = (rng.random_range(0..160), rng.random_range(0..50));
      Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    }
    5 => Msg::Tick,
    6 => Msg::Link(LinkNews::Down { error: "gone".into(), retry_ms: None }),
    7 => Msg::Link(LinkNews::Up),
    _ => Msg::Key(any_key(rng)),
  }
}

/// Whether this message is the yes to the dialog on top.
fn confirms(model: &Model, msg: &Msg) -> bool {
  let (Some(Overlay::Confirm { plan, input }), Msg::Key(key)) = (model.overlays.last(), msg) else {
    return false;
  };
  match &plan.word {
    Some(word) => key.code == KeyCode::Enter && input.text() == word,
    None => matches!(key.code, KeyCode::Char('y' | 'Y')),
  }
}

#[test]
fn random_keys_break_nothing_and_act_only_when_confirmed() {
  let mut acted = 0;
  for seed in 0..30 {
    let mut rng = SmallRng::seed_from_u64(seed);
    let screens = screens();
    let mut model = data::model(screens[seed as usize % screens.len()].clone(), Stage::Full);
    let mut at = Duration::from_millis(20);
    for step in 0..1500 {
      at += Duration::from_millis(rng.random_range(0..400));
      let msg = any_message(&mut rng);
      let yes = confirms(&model, &msg);
      let shown = format!("seed {seed} step {step} {msg:?}");
      let effects = update(&mut model, msg, at);
      for effect in &effects {
        if let Effect::Act(plan) = effect {
          assert!(yes, "{shown}: {plan:?} was not confirmed");
          assert!(!plan.targets.is_empty(), "{shown}");
          acted += 1;
        }
      }
      model.acting = false;
      data::serve(&mut model, effects, Stage::Full, at);
      if step % 25 == 0 {
        let (width, height) = model.size;
        picture(&mut model, width, height);
      }
    }
  }
  assert!(acted > 0, "the test never came to an act");
}

#[test]
fn every_key_on_every_screen_followed_by_escape_changes_nothing() {
  for screen in screens() {
    for stage in [Stage::Full, Stage::Empty, Stage::Offline, Stage::Loading] {
      for byte in b' '..=b'~' {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::CONTROL] {
          let mut model = data::model(screen.clone(), stage);
          let key = KeyEvent::new(KeyCode::Char(char::from(byte)), modifiers);
          let mut effects = update(&mut model, Msg::Key(key), Duration::from_secs(1));
          effects.extend(update(&mut model, Msg::Key(plain(KeyCode::Esc)), Duration::from_secs(2)));
          let acts = effects.iter().any(|effect| matches!(effect, Effect::Act(_)));
          assert!(!acts, "{screen:?} {stage:?} {key:?}");
        }
      }
      for code in [KeyCode::Delete, KeyCode::Enter, KeyCode::Backspace, KeyCode::Tab] {
        let mut model = data::model(screen.clone(), stage);
        for key in [code, KeyCode::Enter, KeyCode::Esc] {
          let effects = update(&mut model, Msg::Key(plain(key)), Duration::from_secs(1));
          assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Act(_))),
            "{screen:?} {code:?}"
          );
        }
      }
    }
  }
}
