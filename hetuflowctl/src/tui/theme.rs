//! Colours by name.

use ratatui::style::Color;

use super::look::Role;

/// A set of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
  /// The terminal's own colours, on a dark or light ground.
  Auto,
  /// For dark grounds.
  Dark,
  /// For light grounds.
  Light,
  /// Only the strongest contrasts.
  HighContrast,
  /// Bold, dim and reverse, no colour.
  Mono,
  /// Soft colours.
  Catppuccin,
}

impl Theme {
  /// Every theme.
  pub const ALL: [Self; 6] =
    [Self::Auto, Self::Dark, Self::Light, Self::HighContrast, Self::Mono, Self::Catppuccin];

  /// Its name.
  pub const fn name(self) -> &'static str {
    match self {
      Self::Auto => "auto",
      Self::Dark => "dark",
      Self::Light => "light",
      Self::HighContrast => "high-contrast",
      Self::Mono => "mono",
      Self::Catppuccin => "catppuccin",
    }
  }

  /// The theme of a name.
  pub fn of_name(name: &str) -> Option<Self> {
    Self::ALL.into_iter().find(|theme| theme.name() == name)
  }
}

pub(super) fn dark(role: Role) -> Option<Color> {
  Some(match role {
    Role::Text | Role::Selected => return None,
    Role::Dim | Role::Border => Color::DarkGray,
    Role::Title => Color::Gray,
    Role::Focus | Role::Info => Color::Cyan,
    Role::Good => Color::Green,
    Role::Warn | Role::Match => Color::Yellow,
    Role::Bad => Color::LightRed,
    Role::Key => Color::LightCyan,
  })
}

pub(super) fn light(role: Role) -> Option<Color> {
  Some(match role {
    Role::Text | Role::Selected | Role::Title => return None,
    Role::Dim | Role::Border => Color::DarkGray,
    Role::Focus | Role::Info | Role::Key => Color::Blue,
    Role::Good => Color::Green,
    Role::Warn | Role::Match => Color::Magenta,
    Role::Bad => Color::Red,
  })
}

pub(super) fn high_contrast(role: Role) -> Option<Color> {
  Some(match role {
    Role::Text | Role::Title | Role::Border | Role::Selected | Role::Dim => return None,
    Role::Focus | Role::Info | Role::Key => Color::LightCyan,
    Role::Good => Color::LightGreen,
    Role::Warn | Role::Match => Color::LightYellow,
    Role::Bad => Color::LightRed,
  })
}

pub(super) fn catppuccin(role: Role) -> Option<(u8, u8, u8)> {
  Some(match role {
    Role::Text | Role::Selected => return None,
    Role::Dim | Role::Border => (127, 132, 156),
    Role::Title => (186, 194, 222),
    Role::Focus | Role::Info => (137, 180, 250),
    Role::Good => (166, 227, 161),
    Role::Warn | Role::Match => (249, 226, 175),
    Role::Bad => (243, 139, 168),
    Role::Key => (148, 226, 213),
  })
}
