//! JSON pointers of broken rules, brought back to places in files.

use hetuflow_core::{FieldError, cron::cron_fields};

use super::files::Source;
use super::manifest::{Loaded, Place, owner};
use super::problem::{Pos, Problem};
use super::tree::{Data, Node};

/// Fields with another accepted spelling.
const ALIASES: [(&str, &[&str]); 6] = [
  ("schedule_kind", &["kind"]),
  ("cron_expression", &["cron"]),
  ("interval_secs", &["interval_seconds"]),
  ("timezone", &["tz"]),
  ("overlap_policy", &["overlap"]),
  ("misfire_policy", &["misfire", "catch_up"]),
];

/// What a server said about an apply, in the files.
pub fn problems_of(errors: &[FieldError], loaded: &Loaded) -> Vec<Problem> {
  errors
    .iter()
    .map(|error| {
      let inside = error.field.strip_prefix("/jobs/").and_then(|rest| {
        let (index, rest) = rest.split_once('/').unwrap_or((rest, ""));
        Some((loaded.jobs.get(index.parse::<usize>().ok()?)?, rest))
      });
      match inside {
        Some(((_, place), rest)) => {
          problem_at(error, &format!("/{rest}"), place, &loaded.sources[place.file])
        }
        None => {
          Problem::in_file("the server", &error.code, format!("{}: {}", error.field, error.message))
        }
      }
    })
    .collect()
}

/// A broken rule of one job, at its place.
pub fn problem_at(error: &FieldError, pointer: &str, place: &Place, source: &Source) -> Problem {
  let node = locate(&place.node, pointer);
  let (begin, width) = span_of(node, error.span, source);
  let mut problem = Problem::at(&source.name, begin, width, &error.code, error.message.clone());
  problem.hint = error.hint.clone();
  problem.owner = owner(&place.node);
  if error.code.starts_with("cron.")
    && let Some(text) = node.text()
  {
    let fields: Vec<String> =
      cron_fields(text).iter().map(|(name, value)| format!("{name}={value}")).collect();
    problem.facts.extend((!fields.is_empty()).then(|| fields.join("  ")));
  }
  problem
}

/// The deepest node that a pointer reaches.
pub fn locate<'n>(document: &'n Node, pointer: &str) -> &'n Node {
  let mut segments: Vec<String> = pointer
    .split('/')
    .skip(1)
    .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
    .collect();
  match segments.first().map(String::as_str) {
    Some("name" | "labels") => segments.insert(0, "metadata".into()),
    Some("namespace_id") => segments = vec!["metadata".into(), "namespace".into()],
    _ => segments.insert(0, "spec".into()),
  }
  let mut here = document;
  for segment in segments {
    let next = match &here.data {
      Data::List(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
      Data::Map(_) => here.get(&segment).or_else(|| {
        let (_, others) = ALIASES.iter().find(|(name, _)| *name == segment)?;
        others.iter().find_map(|other| here.get(other))
      }),
      _ => None,
    };
    match next {
      Some(next) => here = next,
      None => break,
    }
  }
  here
}

/// Where the wrong bytes of a text are, when it stands in the file as it is.
fn span_of(node: &Node, span: Option<(usize, usize)>, source: &Source) -> (Pos, usize) {
  let whole = (node.begin, if node.text().is_some() { node.width } else { 1 });
  let (Some((start, end)), Some(text)) = (span, node.text()) else { return whole };
  let written = source.text.get(node.begin.at..).unwrap_or_default();
  let skip = usize::from(written.starts_with(['"', '\'']));
  if !written.get(skip..).is_some_and(|written| written.starts_with(text)) {
    return whole;
  }
  let (Some(before), Some(part)) = (text.get(..start), text.get(start..end)) else { return whole };
  let column = node.begin.column + skip + before.chars().count();
  (Pos { column, at: node.begin.at + skip + start, ..node.begin }, part.chars().count())
}
