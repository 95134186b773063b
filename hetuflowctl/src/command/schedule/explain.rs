//! `schedule explain`: an expression in words, field by field. Needs no server.

use hetuflow_core::CronExpression;
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
  let value = json!({ "expression": expression.as_str(), "description": expression.describe(), "fields": fields });
  Ok((text, value))
}
