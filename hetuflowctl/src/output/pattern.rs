//! `-o jsonpath=…` and `-o template=…`: a text per object.

use hetuflow_core::Ts;
use minijinja::value::Value as Any;
use minijinja::{Environment, Error, ErrorKind};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::cell::{ago, relative};
use super::fault::{Failure, Fault};
use super::look::{Format, Look};
use super::sanitize::{Sanitizer, visible};
use super::table::state_style;

/// Longest template file.
const TEMPLATE_BYTES_MAX: u64 = 1 << 20;
/// What the one template is called.
const NAME: &str = "template";

/// What makes a text of an object.
#[derive(Debug)]
pub enum Pattern {
  /// Values that a path finds, one per line.
  Path {
    /// The path.
    path: Box<JsonPath>,
    /// It is about the whole document, not about each object.
    whole: bool,
  },
  /// A template.
  Template(Box<Environment<'static>>),
}

impl Pattern {
  /// The pattern of the form, where it has one.
  ///
  /// # Errors
  /// Usage, where it cannot be read.
  pub fn of(look: &Look) -> Result<Option<Self>, Failure> {
    let text = look.pattern.as_deref().unwrap_or_default();
    match look.format {
      Format::JsonPath => path(text).map(Some),
      Format::Template => template(text, look).map(Some),
      _ => Ok(None),
    }
  }

  /// Whether it is about the whole document `{"items":[…]}`.
  pub fn is_whole(&self) -> bool {
    matches!(self, Self::Path { whole: true, .. })
  }

  /// The text of an object, with its line ends.
  ///
  /// # Errors
  /// When the template fails.
  pub fn render(&self, value: &Value, look: &Look) -> Result<String, Failure> {
    let mut out = String::new();
    match self {
      Self::Path { path, .. } => {
        for found in path.query(value).all() {
          match found {
            Value::String(text) if look.out_tty => out.push_str(&visible(text)),
            Value::String(text) => out.push_str(text),
            other => out.push_str(&other.to_string()),
          }
          out.push('\n');
        }
      }
      Self::Template(environment) => {
        let text = environment
          .get_template(NAME)
          .and_then(|template| template.render(any_of(value)))
          .map_err(|error| wrong_template(&error))?;
        out = if look.out_tty { harmless(&text) } else { text };
        if !out.is_empty() && !out.ends_with('\n') {
          out.push('\n');
        }
      }
    }
    Ok(out)
  }
}

fn path(text: &str) -> Result<Pattern, Failure> {
  // `{.a.b}` and `.a.b` are how another tool writes it.
  let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
  let rooted = if inner.starts_with('$') { inner.to_owned() } else { format!("${inner}") };
  let path = JsonPath::parse(&rooted).map_err(|error| {
    let mut fault = Fault::usage(format!("-o jsonpath: {}", error.message()));
    fault.facts.push(format!("{rooted}\n{}^", " ".repeat(error.position())));
    fault.with_help("write it as  -o 'jsonpath=$.id'  ; see hetuflowctl help formats")
  })?;
  let whole = rooted.starts_with("$.items") || rooted.starts_with("$['items']");
  Ok(Pattern::Path { path: Box::new(path), whole })
}

fn template(text: &str, look: &Look) -> Result<Pattern, Failure> {
  let text = match text.strip_prefix('@') {
    Some(file) => {
      let size = std::fs::metadata(file).map(|facts| facts.len());
      if size.as_ref().is_ok_and(|size| *size > TEMPLATE_BYTES_MAX) {
        return Err(Fault::usage(format!("the template {file} is longer than 1 MiB")));
      }
      std::fs::read_to_string(file)
        .map_err(|error| Fault::usage(format!("cannot read the template {file}: {error}")))?
    }
    None => text.to_owned(),
  };
  let mut environment = Environment::new();
  environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
  let now = look.now;
  environment.add_filter("ago", move |at: String| instant(&at).map(|at| relative(at, now)));
  environment.add_filter("dur", |value: Any| seconds(&value).map(ago));
  environment.add_filter("bytes", |bytes: f64| human_bytes(bytes));
  let color = look.color;
  environment.add_filter("state", move |state: String| {
    if !color {
      return state;
    }
    let style = state_style(&state);
    format!("{style}{state}{style:#}")
  });
  environment.add_filter("pad", |text: String, width: usize| {
    let used = unicode_width::UnicodeWidthStr::width(text.as_str());
    format!("{text}{}", " ".repeat(width.min(1000).saturating_sub(used)))
  });
  environment.add_filter("color", move |text: String, name: String| paint(&text, &name, color));
  environment.add_template_owned(NAME, text).map_err(|error| wrong_template(&error))?;
  Ok(Pattern::Template(Box::new(environment)))
}

/// The object as templates know it.
fn any_of(value: &Value) -> Any {
  match value {
    Value::Null => Any::from(()),
    Value::Bool(yes) => Any::from(*yes),
    Value::Number(number) => match (number.as_i64(), number.as_u64()) {
      (Some(whole), _) => Any::from(whole),
      (None, Some(whole)) => Any::from(whole),
      (None, None) => Any::from(number.as_f64().unwrap_or(f64::NAN)),
    },
    Value::String(text) => Any::from(text.as_str()),
    Value::Array(items) => items.iter().map(any_of).collect(),
    Value::Object(fields) => {
      Any::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), any_of(value))))
    }
  }
}

fn wrong_template(error: &Error) -> Failure {
  let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
  let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
  Fault::usage(format!("the template is refused{line}: {}{detail}", error.kind())).with_help(
    "filters: ago, dur, bytes, state, pad(N), color('red'); see hetuflowctl help formats",
  )
}

fn harmless(text: &str) -> String {
  let mut out = String::new();
  let mut sanitizer = Sanitizer::new(true);
  sanitizer.push(text.as_bytes(), &mut out);
  sanitizer.finish(&mut out);
  out
}

fn instant(text: &str) -> Result<Ts, Error> {
  text
    .parse()
    .map_err(|_| Error::new(ErrorKind::InvalidOperation, "ago wants an instant, as started_at"))
}

/// Seconds as a number, or milliseconds in a field that says so by its own name.
fn seconds(value: &Any) -> Result<std::time::Duration, Error> {
  let secs = f64::try_from(value.clone())
    .ok()
    .and_then(|secs| std::time::Duration::try_from_secs_f64(secs).ok());
  secs.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "dur wants seconds"))
}

/// `1.2 MiB`.
pub fn human_bytes(bytes: f64) -> String {
  const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
  let mut value = bytes;
  let mut at = 0;
  while value.abs() >= 1024.0 && at + 1 < UNITS.len() {
    value /= 1024.0;
    at += 1;
  }
  if at == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[at]) }
}

fn paint(text: &str, name: &str, color: bool) -> Result<String, Error> {
  use anstyle::AnsiColor;
  let found = match name {
    "red" => AnsiColor::Red,
    "green" => AnsiColor::Green,
    "yellow" => AnsiColor::Yellow,
    "blue" => AnsiColor::Blue,
    "magenta" => AnsiColor::Magenta,
    "cyan" => AnsiColor::Cyan,
    "white" => AnsiColor::White,
    _ => {
      let words = "color wants red, green, yellow, blue, magenta, cyan or white";
      return Err(Error::new(ErrorKind::InvalidOperation, words));
    }
  };
  if !color {
    return Ok(text.to_owned());
  }
  let style = anstyle::Style::new().fg_color(Some(found.into()));
  Ok(format!("{style}{text}{style:#}"))
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;
  use crate::output::Wishes;

  fn look(format: Format, pattern: &str) -> Look {
    let wishes =
      Wishes { format: Some(format), pattern: Some(pattern.to_owned()), ..Wishes::default() };
    Look { out_tty: false, color: false, ..Look::new(wishes) }
  }

  fn text(format: Format, pattern: &str, value: &Value) -> Result<String, Failure> {
    let look = look(format, pattern);
    Pattern::of(&look)?.expect("a pattern").render(value, &look)
  }

  #[test]
  fn paths_give_one_value_per_line() {
    let value = json!({ "id": "a", "n": [1, { "x": true }] });
    for (path, wanted) in
      [("$.id", "a\n"), ("$.n[*]", "1\n{\"x\":true}\n"), ("{.id}", "a\n"), ("$.none", "")]
    {
      assert_eq!(text(Format::JsonPath, path, &value).expect(path), wanted, "{path}");
    }
    let error = text(Format::JsonPath, "$.[", &value).expect_err("refused");
    assert_eq!(error.exit, 2);
  }

  #[test]
  fn templates_have_our_filters() {
    let value = json!({ "name": "a", "bytes": 2048, "secs": 65, "status": "failed" });
    let template = "{{ name|pad(3) }}|{{ bytes|bytes }}|{{ secs|dur }}|{{ status|state }}|{{ name|color('red') }}";
    let told = text(Format::Template, template, &value).expect("rendered");
    assert_eq!(told, "a  |2.0 KiB|1m5s|failed|a\n");
    for bad in
      ["{{ name", "{{ name|nope }}", "{{ name|dur }}", "{{ name|color('x') }}", "@/nowhere"]
    {
      assert_eq!(text(Format::Template, bad, &value).expect_err(bad).exit, 2, "{bad}");
    }
  }
}
