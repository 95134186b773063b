//! How things look: glyphs (Unicode or ASCII), colours (or none), themes. Shape and word carry the
//! meaning, colour only helps.

use hetuflow_core::{AgentStatus, TaskInstanceStatus, TaskStatus};
use ratatui::style::{Color, Modifier, Style};

pub use super::glyphs::{ASCII, Glyphs, UNICODE};
pub use super::theme::Theme;
use super::theme::{catppuccin, dark, high_contrast, light};

/// How many colours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
  /// None: `NO_COLOR`, a dumb terminal.
  None,
  /// The 16 of the terminal's own palette.
  Ansi,
  /// 256.
  Indexed,
  /// All.
  True,
}

impl Depth {
  /// What the environment says; `wish` is the person's own word.
  pub fn of_environment(wish: Option<bool>, var: impl Fn(&str) -> Option<String>) -> Self {
    let term = var("TERM").unwrap_or_default();
    let no = var("NO_COLOR").is_some_and(|text| !text.is_empty()) || term == "dumb";
    if wish == Some(false) || (wish.is_none() && no) {
      return Self::None;
    }
    match var("COLORTERM").as_deref() {
      Some("truecolor" | "24bit") => Self::True,
      _ if term.contains("256color") => Self::Indexed,
      _ => Self::Ansi,
    }
  }
}

/// What a piece of the picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
  /// Plain text.
  Text,
  /// Less important.
  Dim,
  /// Names of columns and panes.
  Title,
  /// Frames.
  Border,
  /// The frame of the pane with the keys.
  Focus,
  /// Going well.
  Good,
  /// Look at it.
  Warn,
  /// Going badly.
  Bad,
  /// Neutral emphasis, as numbers and links.
  Info,
  /// The row under the cursor.
  Selected,
  /// A key of the keyboard.
  Key,
  /// What a search found.
  Match,
}

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
  /// The characters.
  pub glyphs: &'static Glyphs,
  /// How many colours.
  pub depth: Depth,
  /// Which.
  pub theme: Theme,
}

impl Default for Look {
  fn default() -> Self {
    Self { glyphs: &UNICODE, depth: Depth::None, theme: Theme::Auto }
  }
}

impl Look {
  /// A look with or without Unicode.
  pub fn new(ascii: bool, depth: Depth, theme: Theme) -> Self {
    Self { glyphs: if ascii { &ASCII } else { &UNICODE }, depth, theme }
  }

  /// Whether only ASCII is drawn.
  pub fn is_ascii(&self) -> bool {
    std::ptr::eq(self.glyphs, &raw const ASCII)
  }

  /// The style of a role.
  pub fn style(&self, role: Role) -> Style {
    let base = match role {
      Role::Dim => Style::new().add_modifier(Modifier::DIM),
      Role::Title | Role::Focus | Role::Key => Style::new().add_modifier(Modifier::BOLD),
      Role::Selected => Style::new().add_modifier(Modifier::REVERSED),
      Role::Match => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
      _ => Style::new(),
    };
    match self.color(role) {
      Some(color) if role == Role::Dim => Style::new().fg(color),
      Some(color) => base.fg(color),
      None => base,
    }
  }

  fn color(&self, role: Role) -> Option<Color> {
    if self.depth == Depth::None || self.theme == Theme::Mono {
      return None;
    }
    match self.theme {
      Theme::Catppuccin => catppuccin(role).map(|rgb| self.fit(rgb)),
      Theme::Light => light(role),
      Theme::HighContrast => high_contrast(role),
      _ => dark(role),
    }
  }

  fn fit(&self, (r, g, b): (u8, u8, u8)) -> Color {
    match self.depth {
      Depth::True => Color::Rgb(r, g, b),
      Depth::Indexed => {
        let six = |part: u8| (u16::from(part) * 5 + 127) / 255;
        Color::Indexed((16 + 36 * six(r) + 6 * six(g) + six(b)) as u8)
      }
      _ => match (r > 150, g > 150, b > 150) {
        (true, true, false) => Color::Yellow,
        (true, false, _) => Color::Red,
        (false, true, _) => Color::Green,
        (false, false, true) => Color::Blue,
        _ => Color::Gray,
      },
    }
  }

  /// Glyph and role of a task's state.
  pub fn task(&self, status: TaskStatus) -> (&'static str, Role) {
    let glyphs = self.glyphs;
    match status {
      TaskStatus::Pending | TaskStatus::Blocked => (glyphs.pending, Role::Dim),
      TaskStatus::Locked => (glyphs.locked, Role::Info),
      TaskStatus::Dispatched => (glyphs.dispatched, Role::Info),
      TaskStatus::WaitingRetry => (glyphs.retry, Role::Warn),
      TaskStatus::Running => (glyphs.running, Role::Info),
      TaskStatus::Paused => (glyphs.paused, Role::Warn),
      TaskStatus::Cancelling | TaskStatus::Cancelled | TaskStatus::Skipped => {
        (glyphs.cancelled, Role::Dim)
      }
      TaskStatus::Failed | TaskStatus::Lost | TaskStatus::Expired => (glyphs.failed, Role::Bad),
      TaskStatus::Succeeded => (glyphs.succeeded, Role::Good),
    }
  }

  /// Glyph and role of an attempt's state.
  pub fn attempt(&self, status: TaskInstanceStatus) -> (&'static str, Role) {
    use TaskInstanceStatus as S;
    let glyphs = self.glyphs;
    match status {
      S::Dispatched => (glyphs.dispatched, Role::Info),
      S::Running => (glyphs.running, Role::Info),
      S::Unreachable => (glyphs.attention, Role::Warn),
      S::Paused => (glyphs.paused, Role::Warn),
      S::Cancelling | S::Cancelled | S::Skipped => (glyphs.cancelled, Role::Dim),
      S::Timeout | S::Lost | S::NotStarted | S::Failed => (glyphs.failed, Role::Bad),
      S::Succeeded => (glyphs.succeeded, Role::Good),
    }
  }

  /// Glyph, word and role of an agent's state.
  pub fn agent(&self, status: AgentStatus, cordoned: bool) -> (&'static str, &'static str, Role) {
    let glyphs = self.glyphs;
    match status {
      AgentStatus::Offline => (glyphs.attention, "lost", Role::Bad),
      AgentStatus::Error => (glyphs.attention, "error", Role::Bad),
      AgentStatus::Draining | AgentStatus::Disconnecting => (glyphs.paused, "draining", Role::Warn),
      _ if cordoned => (glyphs.paused, "cordoned", Role::Warn),
      AgentStatus::Cordoned => (glyphs.paused, "cordoned", Role::Warn),
      AgentStatus::Connecting => (glyphs.locked, "joining", Role::Info),
      AgentStatus::Busy => (glyphs.succeeded, "busy", Role::Good),
      AgentStatus::Idle | AgentStatus::Online => (glyphs.succeeded, "online", Role::Good),
    }
  }
}

/// The word of a task's state, at most nine cells.
pub fn task_word(status: TaskStatus) -> &'static str {
  match status {
    TaskStatus::WaitingRetry => "retry",
    TaskStatus::Dispatched => "dispatch",
    TaskStatus::Cancelling => "stopping",
    other => other.as_str(),
  }
}

#[cfg(test)]
mod tests {
  use unicode_width::UnicodeWidthStr as _;

  use super::*;

  #[test]
  fn the_ascii_set_is_ascii_and_every_cell_is_one_wide() {
    for text in [ASCII.pending, ASCII.retry, ASCII.ellipsis, ASCII.enter, ASCII.star] {
      assert!(text.is_ascii(), "{text}");
    }
    let sets = [UNICODE.frame.as_slice(), &UNICODE.double, &UNICODE.eighths, &UNICODE.sparks];
    for text in sets.into_iter().flatten() {
      assert_eq!(text.width(), 1, "{text}");
    }
  }

  #[test]
  fn every_state_has_its_own_glyph_or_word() {
    let look = Look::default();
    let mut seen = std::collections::HashSet::new();
    for status in TaskStatus::ALL {
      let fresh = seen.insert((look.task(*status).0, task_word(*status)));
      assert!(fresh, "{status} looks like another");
      assert!(task_word(*status).len() <= 9);
    }
  }

  #[test]
  fn colours_follow_the_environment_and_the_person() {
    let none = |_: &str| None;
    let dumb = |name: &str| (name == "TERM").then(|| "dumb".to_owned());
    let no_color = |name: &str| (name == "NO_COLOR").then(|| "1".to_owned());
    let rich = |name: &str| (name == "COLORTERM").then(|| "truecolor".to_owned());
    assert_eq!(Depth::of_environment(None, none), Depth::Ansi);
    assert_eq!(Depth::of_environment(None, dumb), Depth::None);
    assert_eq!(Depth::of_environment(None, no_color), Depth::None);
    assert_eq!(Depth::of_environment(Some(true), no_color), Depth::Ansi);
    assert_eq!(Depth::of_environment(Some(false), rich), Depth::None);
    assert_eq!(Depth::of_environment(None, rich), Depth::True);
  }

  #[test]
  fn without_colour_no_style_has_one() {
    let look = Look::default();
    for role in [Role::Bad, Role::Good, Role::Selected, Role::Key, Role::Dim] {
      assert_eq!(look.style(role).fg, None);
    }
  }
}
