//! `${{ NAME }}` in manifests: replaced by `--var NAME=VALUE` before anything is read.

use std::collections::BTreeMap;
use std::ops::Range;

use hetuflow_core::config_text::nearest;

use super::files::Source;
use super::problem::{Pos, Problem};

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// Fills the placeholders of all files. One without a value is a problem; a value without a
/// placeholder is none.
pub fn fill(sources: &mut [Source], vars: &[(String, String)]) -> Vec<Problem> {
  let values: BTreeMap<&str, &str> =
    vars.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
  let mut problems = Vec::new();
  for source in sources {
    let found = placeholders(&source.text);
    for (range, name) in found.into_iter().rev() {
      match values.get(name.as_str()) {
        Some(value) => source.text.replace_range(range, value),
        None => problems.push(missing(source, range, &name, &values)),
      }
    }
  }
  problems
}

/// Where placeholders are. Only a plain name inside makes one: `${{ a.b }}` of another program's
/// language stays as it is.
fn placeholders(text: &str) -> Vec<(Range<usize>, String)> {
  let mut found = Vec::new();
  let mut from = 0;
  while let Some(at) = text[from..].find(OPEN).map(|at| from + at) {
    let inside = at + OPEN.len();
    from = inside;
    let Some(end) = text[inside..].find(CLOSE).map(|end| inside + end) else { break };
    let name = text[inside..end].trim();
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
      && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain {
      found.push((at..end + CLOSE.len(), name.to_owned()));
      from = end + CLOSE.len();
    }
  }
  found
}

fn missing(
  source: &Source,
  range: Range<usize>,
  name: &str,
  values: &BTreeMap<&str, &str>,
) -> Problem {
  let before = &source.text[..range.start];
  let line = before.matches('\n').count() + 1;
  let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
  let pos = Pos { line, column, at: range.start };
  let message = format!("no value for {name}");
  let problem = Problem::at(&source.name, pos, range.len(), "manifest.variable", message);
  match nearest(name, values.keys().copied()) {
    Some(near) => problem.hint(format!("did you mean  {near} ?")),
    None => problem.hint(format!("give --var {name}=VALUE")),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn filled(text: &str, vars: &[(&str, &str)]) -> (String, Vec<Problem>) {
    let vars: Vec<_> =
      vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut sources = [Source::new("a.yaml", text)];
    let problems = fill(&mut sources, &vars);
    let [source] = sources;
    (source.text, problems)
  }

  #[test]
  fn names_are_replaced_and_other_languages_left_alone() {
    let (text, problems) =
      filled("a: ${{ x }}-${{y}}\nb: ${{ x.y }} ${x} {{ ds }}", &[("x", "1"), ("y", "é")]);
    assert_eq!(text, "a: 1-é\nb: ${{ x.y }} ${x} {{ ds }}");
    assert!(problems.is_empty());
  }

  #[test]
  fn a_name_without_a_value_is_pointed_at() {
    let (_, problems) = filled("a: 1\nb: \"${{ regoin }}\"\n", &[("region", "eu")]);
    let pos = problems[0].pos.expect("a place");
    assert_eq!((pos.line, pos.column), (2, 5));
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean  region ?"));
  }
}
