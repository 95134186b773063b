//! `schedule explain`: an expression in words, field by field. Needs no server.

use hetuflow_core::{CronExpression, DstGap, DstOverlap};
use serde_json::{Map, Value, json};

use super::lines::answer_all;
use super::next::cron_error;
use crate::cli::ExplainArgs;
use crate::client::CtlError;
use crate::output::{Outcome, View};

/// Explains.
///
/// # Errors
/// Invalid, with a caret at the field.
pub fn run(args: &ExplainArgs) -> Result<Outcome, CtlError> {
  let Some(text) = &args.expression else {
    return Ok(answer_all(|question| explain(&question.expr).map(|(_, value)| value)));
  };
  let (text, value) = explain(text)?;
  Ok(View::text(text, value).into())
}

fn explain(text: &str) -> Result<(String, Value), CtlError> {
  let expression = CronExpression::parse(text, 0).map_err(|error| cron_error(text, error))?;
  let mut text = format!("{}\n", expression.describe());
  let mut fields = Map::new();
  for (name, value) in expression.fields() {
    text.push_str(&format!("  {name:<8} {value}\n"));
    fields.insert(name.to_owned(), Value::String(value));
  }
  let (gap, overlap) = expression.dst();
  text.push_str(&format!("  clocks   {}; {}\n", gap_words(gap), overlap_words(overlap)));
  let value = json!({
    "expression": expression.as_str(), "description": expression.describe(), "fields": fields,
    "dst_gap": gap, "dst_overlap": overlap,
  });
  Ok((text, value))
}

/// What happens when the clocks go forward.
fn gap_words(gap: DstGap) -> &'static str {
  match gap {
    DstGap::Auto | DstGap::Skip => "a time that they leave out does not fire",
    DstGap::Next => "a time that they leave out fires right after the gap",
    DstGap::Shift => "a time that they leave out fires as much later as they were moved",
  }
}

/// What happens when they go back.
fn overlap_words(overlap: DstOverlap) -> &'static str {
  match overlap {
    DstOverlap::First => "one that they show twice fires the first time",
    DstOverlap::Auto | DstOverlap::Both => "one that they show twice fires both times",
    DstOverlap::Last => "one that they show twice fires the second time",
  }
}
