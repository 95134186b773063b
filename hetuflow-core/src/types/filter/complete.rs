//! What can be written next in a filter that is not finished.

use super::field::{FilterField, FilterScope, Shape};

/// What fits at a place of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
  /// The first character of what they stand in for.
  pub from: usize,
  /// What is there already, from that character to the place.
  pub typed: String,
  /// The field whose value is wanted, where it is any text.
  pub field: Option<FilterField>,
  /// What fits, whole.
  pub words: Vec<String>,
}

/// Looks at the words before a place, counted in characters.
pub(super) fn candidates(text: &str, at: usize, scope: FilterScope) -> Candidates {
  let before: Vec<char> = text.chars().take(at).collect();
  let start = term_start(&before);
  let term: String = before[start..].iter().collect();
  let name = term.trim_start_matches(['!', '-']);
  let skipped = start + term.chars().count() - name.chars().count();
  let Some((field, rest)) = name.find(['=', '~', '<', '>', '!']).map(|end| name.split_at(end))
  else {
    return fields(scope, skipped, name);
  };
  let value = rest.trim_start_matches(['=', '~', '<', '>', '!']);
  let operator_chars = rest.chars().count() - value.chars().count();
  let last = value.rfind(',').map_or(0, |comma| comma + 1);
  let typed = &value[last..];
  let from = skipped + field.chars().count() + operator_chars + value[..last].chars().count();
  let nothing = Candidates { from, typed: typed.to_owned(), field: None, words: Vec::new() };
  let Ok((field, shape)) = scope.field(field, (0, "filter.field")) else { return nothing };
  if rest == "!" {
    return nothing;
  }
  match shape {
    Shape::Words(words) => {
      let fits = words.iter().map(|(word, _)| *word);
      let fits = fits.filter(|word| word.starts_with(typed) && *word != typed);
      Candidates { words: fits.map(str::to_owned).collect(), ..nothing }
    }
    Shape::Text | Shape::Label => Candidates { field: Some(field), ..nothing },
    _ => nothing,
  }
}

/// Where the term begins that is being written.
fn term_start(before: &[char]) -> usize {
  let (mut start, mut quoted, mut escaped) = (0, false, false);
  for (at, c) in before.iter().enumerate() {
    match c {
      '"' if !escaped => quoted = !quoted,
      ' ' | '|' | '\t' if !quoted => start = at + 1,
      _ => {}
    }
    escaped = *c == '\\' && !escaped;
  }
  start
}

/// Fields that begin so; of a whole name the operators that it takes.
fn fields(scope: FilterScope, from: usize, typed: &str) -> Candidates {
  let lower = typed.to_ascii_lowercase();
  let names = scope.names();
  let mut words: Vec<String> = Vec::new();
  if names.contains(&lower.as_str())
    && let Ok((_, shape)) = scope.field(&lower, (0, "filter.field"))
  {
    words.extend(operators(shape).iter().map(|operator| format!("{lower}{operator}")));
  }
  let longer = names.iter().filter(|name| name.starts_with(&lower) && **name != lower);
  words.extend(longer.map(|name| match scope.field(name, (0, "filter.field")) {
    Ok((_, Shape::Words(_) | Shape::Text | Shape::Label | Shape::Instant)) => format!("{name}="),
    _ => (*name).to_owned(),
  }));
  Candidates { from, typed: typed.to_owned(), field: None, words }
}

const fn operators(shape: Shape) -> &'static [&'static str] {
  match shape {
    Shape::Words(_) | Shape::Instant => &["=", "!="],
    Shape::Text => &["=", "!=", "~", "!~"],
    Shape::Label => &["=", "!=", "~", "!~", "<", "<=", ">", ">="],
    Shape::Whole | Shape::Number => &["=", "!=", "<", "<=", ">", ">="],
    Shape::Duration => &["<", ">", "<=", ">="],
    Shape::Order => &[],
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn offered(text: &str) -> (usize, String) {
    let found = candidates(text, text.chars().count(), FilterScope::Tasks);
    (found.from, found.words.join(" "))
  }

  #[test]
  fn fields_operators_and_words_are_offered() {
    assert_eq!(offered("sta"), (0, "state=".to_owned()));
    assert_eq!(offered("job=a !a"), (7, "agent= age attempt".to_owned()));
    assert_eq!(offered("age"), (0, "age< age> age<= age>= agent=".to_owned()));
    assert_eq!(offered("run"), (0, "run< run> run<= run>=".to_owned()));
    assert_eq!(offered("state=f"), (6, "failed final".to_owned()));
    assert_eq!(offered("state!=failed,lo"), (14, "locked lost".to_owned()));
    assert_eq!(offered("state=lost|trigger=man"), (19, "manual".to_owned()));
    assert_eq!(offered("exit=1"), (5, String::new()));
    assert_eq!(offered("nofield=x").1, "");
    assert_eq!(offered("\"state "), (0, String::new()));
  }

  #[test]
  fn values_that_are_names_are_known_elsewhere() {
    let found = candidates("清洗 job~^et state=f", 9, FilterScope::Tasks);
    assert_eq!((found.from, found.typed.as_str(), found.field), (7, "^e", Some(FilterField::Job)));
    let found = candidates("agent=work", 10, FilterScope::Tasks);
    assert_eq!((found.typed.as_str(), found.field), ("work", Some(FilterField::Agent)));
  }

  #[test]
  fn any_beginning_is_survived() {
    let text = "!!state=\"a b\",x|job~^é,清 -label.tier=\\ <>=!";
    for at in 0..=text.chars().count() + 1 {
      for scope in [FilterScope::Tasks, FilterScope::Agents, FilterScope::Events] {
        assert!(candidates(text, at, scope).from <= text.chars().count());
      }
    }
  }
}
