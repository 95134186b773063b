//! Errors on stderr: `error:`, facts, `help:`; with `-o json` one JSON object.

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::fault::Fault;
use super::look::Look;
use super::sanitize::Sanitizer;

/// The text of an error.
pub fn show_error(error: &Fault, look: &Look) -> String {
  if look.json() {
    let value = json!({
      "error": {
        "code": error.code,
        "exit": error.exit,
        "message": error.message,
        "details": error.facts.iter().map(|fact| fact.trim_start_matches('\n')).collect::<Vec<_>>(),
        "errors": error.fields,
        "help": error.help,
        "request_id": error.request_id,
      }
    });
    return format!("{value}\n");
  }
  let red = if look.err_color {
    Style::new().bold().fg_color(Some(AnsiColor::Red.into()))
  } else {
    Style::new()
  };
  let bold = if look.err_color { Style::new().bold() } else { Style::new() };
  let mut out = format!("{red}error:{red:#} {}\n", harmless(&error.message));
  for fact in &error.facts {
    // A block of its own, as a piece of a file, is not indented.
    if let Some(block) = fact.strip_prefix('\n') {
      out.push_str(&format!("\n{}\n", harmless(block)));
      continue;
    }
    for line in fact.lines() {
      out.push_str(&format!("  {}\n", harmless(line)));
    }
  }
  if let Some(id) = &error.request_id
    && error.exit == 1
  {
    out.push_str(&format!("  request {} in the server's log\n", harmless(id)));
  }
  for (index, help) in error.help.iter().enumerate() {
    let head = if index == 0 { format!("{bold}help:{bold:#}") } else { "     ".to_owned() };
    out.push_str(&format!("{head} {}\n", harmless(help)));
  }
  out
}

fn harmless(text: &str) -> String {
  let mut out = String::new();
  let mut sanitizer = Sanitizer::new(false);
  sanitizer.push(text.as_bytes(), &mut out);
  sanitizer.finish(&mut out);
  out
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::output::Format;

  #[test]
  fn people_and_programs() {
    let error = Fault {
      exit: 3,
      code: "not_found".into(),
      message: "no job \"etl-dialy\" in namespace etl".into(),
      facts: vec!["a fact".into()],
      help: vec!["did you mean  etl-daily ?".into(), "hetuflowctl job list".into()],
      ..Fault::default()
    };
    let text = show_error(&error, &Look::sample(Format::Table, false));
    let json = show_error(&error, &Look::sample(Format::Json, false));
    insta::assert_snapshot!(format!("{text}---\n{json}"));
  }
}
