//! A list of choices in a box, with a line to narrow it down.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// One choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<T> {
  /// What is searched and shown.
  pub text: String,
  /// Shown at the right.
  pub note: String,
  /// What it means.
  pub value: T,
}

impl<T> Item<T> {
  /// A choice.
  pub fn new(text: impl Into<String>, note: impl Into<String>, value: T) -> Self {
    Self { text: text.into(), note: note.into(), value }
  }
}

/// The numbers of the items that match, the best first; all in their order for an empty query.
pub fn search<T>(items: &[Item<T>], query: &str) -> Vec<usize> {
  if query.trim().is_empty() {
    return (0..items.len()).collect();
  }
  let mut matcher = Matcher::new(Config::DEFAULT);
  let pattern = Pattern::parse(query, CaseMatching::Smart, Normalization::Smart);
  let mut chars = Vec::new();
  let mut found: Vec<(u32, usize)> = items
    .iter()
    .enumerate()
    .filter_map(|(at, item)| {
      let text = Utf32Str::new(&item.text, &mut chars);
      pattern.score(text, &mut matcher).map(|score| (score, at))
    })
    .collect();
  found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
  found.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_best_match_is_first() {
    let items: Vec<Item<()>> = ["agent worker-1", "job etl-daily", "task retry etl-daily"]
      .map(|text| Item::new(text, "", ()))
      .to_vec();
    assert_eq!(search(&items, ""), [0, 1, 2]);
    assert_eq!(search(&items, "etl da ret"), [2]);
    assert_eq!(search(&items, "etl").len(), 2);
    assert!(search(&items, "zzz").is_empty());
  }
}
