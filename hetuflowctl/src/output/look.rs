//! How answers look: settled once from flags, environment and what stdout and stderr are.

use std::io::{IsTerminal as _, Write as _};

use hetuflow_core::Ts;

/// Form of the answer on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
  /// Chosen columns.
  Table,
  /// All columns, never cut.
  Wide,
  /// Raw values, tab-separated.
  Tsv,
  /// One document.
  Json,
  /// One object per line.
  Jsonl,
  /// As `apply` takes it.
  Yaml,
  /// `KIND/NAME`, for `xargs`.
  Name,
  /// Values that a JSONPath finds.
  JsonPath,
  /// A template per object.
  Template,
  /// Nothing.
  None,
}

/// How instants are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeStyle {
  /// `5m ago`.
  Relative,
  /// In the zone of this machine.
  Local,
  /// In UTC.
  Utc,
  /// RFC 3339.
  Rfc3339,
  /// Seconds since 1970.
  Unix,
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
  /// The form of the answer.
  pub format: Option<Format>,
  /// The JSONPath or the template of the form.
  pub pattern: Option<String>,
  /// How lists are ordered.
  pub sort: Option<String>,
  /// How instants are shown.
  pub time: Option<TimeStyle>,
  /// Colour, or the terminal's own choice.
  pub color: Option<bool>,
  /// Columns of tables.
  pub columns: Option<Vec<String>>,
  /// Leave the header out.
  pub no_header: bool,
  /// Nothing but data and errors.
  pub quiet: bool,
  /// Never ask.
  pub no_input: bool,
  /// Answer yes.
  pub yes: bool,
}

/// How answers look.
#[derive(Debug, Clone)]
pub struct Look {
  /// The form of the answer.
  pub format: Format,
  /// The JSONPath or the template of the form.
  pub pattern: Option<String>,
  /// How lists are ordered.
  pub sort: Option<String>,
  /// Stdout is a terminal.
  pub out_tty: bool,
  /// Stderr is a terminal.
  pub err_tty: bool,
  /// Stdin is a terminal.
  pub in_tty: bool,
  /// Colour on stdout.
  pub color: bool,
  /// Colour on stderr.
  pub err_color: bool,
  /// Cells of a line, on a terminal.
  pub width: usize,
  /// Lines of the terminal.
  pub height: usize,
  /// How instants are shown.
  pub time: TimeStyle,
  /// Leave the header out.
  pub no_header: bool,
  /// Columns that were asked for.
  pub columns: Option<Vec<String>>,
  /// Nothing but data and errors.
  pub quiet: bool,
  /// Never ask.
  pub no_input: bool,
  /// Answer yes.
  pub yes: bool,
  /// The instant that ages are counted from.
  pub now: Ts,
}

impl Look {
  /// Looks at the wishes, the environment and the three standard files.
  pub fn new(wishes: Wishes) -> Self {
    let (out_tty, err_tty) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    let style = if out_tty { TimeStyle::Relative } else { TimeStyle::Rfc3339 };
    Self {
      format: wishes.format.unwrap_or(Format::Table),
      pattern: wishes.pattern,
      sort: wishes.sort,
      out_tty,
      err_tty,
      in_tty: std::io::stdin().is_terminal(),
      color: color(wishes.color, out_tty, &|name| std::env::var(name).ok()),
      err_color: color(wishes.color, err_tty, &|name| std::env::var(name).ok()),
      width: width(),
      height: height(),
      time: wishes.time.unwrap_or(style),
      no_header: wishes.no_header,
      columns: wishes.columns,
      quiet: wishes.quiet,
      no_input: wishes.no_input,
      yes: wishes.yes,
      now: Ts::now(),
    }
  }

  /// Whether questions may be asked.
  pub fn interactive(&self) -> bool {
    self.in_tty && self.err_tty && !self.no_input
  }

  /// Whether errors are JSON.
  pub fn json(&self) -> bool {
    matches!(self.format, Format::Json | Format::Jsonl)
  }

  /// A line of talk on stderr, unless quiet.
  pub fn say(&self, text: impl AsRef<str>) {
    if !self.quiet {
      // Nobody may be there to hear it: that is no reason to end.
      let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
    }
  }

  /// Whether only the names of the columns are wanted.
  pub fn asks_for_columns(&self) -> bool {
    self.columns.as_ref().is_some_and(|names| names.iter().any(|name| name == "help"))
  }

  /// Data on stdout at once, from a command that goes on; a reader that is gone is no error.
  pub fn put(&self, text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
  }

  /// A warning on stderr, unless quiet.
  pub fn warn(&self, text: impl AsRef<str>) {
    self.say(format!("warning: {}", text.as_ref()));
  }
}

/// `--color` > `NO_COLOR` > `CLICOLOR_FORCE` > `TERM=dumb` > terminal (R4).
fn color(when: Option<bool>, tty: bool, variable: &dyn Fn(&str) -> Option<String>) -> bool {
  let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
  match when {
    Some(wish) => wish,
    None if set("NO_COLOR") => false,
    None if variable("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0") => true,
    None => tty && variable("TERM").is_none_or(|term| term != "dumb"),
  }
}

fn width() -> usize {
  let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
  let real = || {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
  };
  asked.or_else(real).unwrap_or(80)
}

fn height() -> usize {
  let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
  size.filter(|size| size.ws_row > 0).map_or(24, |size| usize::from(size.ws_row))
}

#[cfg(test)]
impl Look {
  /// A fixed look for tests.
  pub fn sample(format: Format, tty: bool) -> Self {
    let time = if tty { TimeStyle::Relative } else { TimeStyle::Rfc3339 };
    Self {
      pattern: None,
      sort: None,
      height: 24,
      format,
      out_tty: tty,
      err_tty: false,
      in_tty: false,
      color: false,
      err_color: false,
      width: 80,
      time,
      no_header: false,
      columns: None,
      quiet: false,
      no_input: true,
      yes: false,
      now: Ts::from_millis(1_763_733_600_000),
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_order_of_colour() {
    let with = |pairs: &'static [(&'static str, &'static str)]| {
      move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned())
    };
    for (when, tty, pairs, expected) in [
      (Some(true), false, &[("NO_COLOR", "1")][..], true),
      (Some(false), true, &[("CLICOLOR_FORCE", "1")][..], false),
      (None, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")][..], false),
      (None, true, &[("NO_COLOR", "")][..], true),
      (None, false, &[("CLICOLOR_FORCE", "1")][..], true),
      (None, true, &[("TERM", "dumb")][..], false),
      (None, false, &[][..], false),
    ] {
      assert_eq!(color(when, tty, &with(pairs)), expected, "{when:?} {tty} {pairs:?}");
    }
  }
}
