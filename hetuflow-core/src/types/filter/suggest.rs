//! What was probably meant by a name that does not exist.

/// Distances are computed for names up to this length only: the input is a stranger's.
const CHARS_MAX: usize = 64;
/// Names further away are not meant.
const DISTANCE_MAX: usize = 2;

/// `did you mean "x"?` for the nearest name within two slips.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
  nearest(wanted, known).map(|name| format!("did you mean \"{name}\"?"))
}

/// The nearest name within two slips: a letter too many, too few, another one, or two swapped.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
  let lower = wanted.to_lowercase();
  let wanted: Vec<char> = lower.chars().collect();
  if wanted.is_empty() || wanted.len() > CHARS_MAX {
    return None;
  }
  // Of three letters at most one may be wrong, of one none.
  let most = DISTANCE_MAX.min(wanted.len() / 2);
  let near = known.into_iter().filter_map(|name| {
    let letters: Vec<char> = name.to_lowercase().chars().take(CHARS_MAX + 1).collect();
    if letters.len().abs_diff(wanted.len()) > most {
      return None;
    }
    let slips = distance(&wanted, &letters);
    (slips <= most).then_some((slips, name))
  });
  near.min().map(|(_, name)| name)
}

/// Damerau's distance with adjacent swaps (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
  let width = b.len() + 1;
  let mut table = vec![0; (a.len() + 1) * width];
  for (j, slot) in table.iter_mut().take(width).enumerate() {
    *slot = j;
  }
  for i in 1..=a.len() {
    table[i * width] = i;
    for j in 1..=b.len() {
      let change = usize::from(a[i - 1] != b[j - 1]);
      let mut best = (table[(i - 1) * width + j - 1] + change)
        .min(table[(i - 1) * width + j] + 1)
        .min(table[i * width + j - 1] + 1);
      if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
        best = best.min(table[(i - 2) * width + j - 2] + 1);
      }
      table[i * width + j] = best;
    }
  }
  table[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn slips_are_counted() {
    let names = ["etl-daily", "etl-hourly", "backup"];
    assert_eq!(nearest("etl-dialy", names), Some("etl-daily"));
    assert_eq!(nearest("ETL-Daily", names), Some("etl-daily"));
    assert_eq!(nearest("bakup", names), Some("backup"));
    assert_eq!(nearest("backups!", names), Some("backup"));
    assert_eq!(nearest("cleanup", names), None);
    assert_eq!(nearest("", names), None);
    assert_eq!(nearest("x", ["y"]), None);
    assert_eq!(nearest(&"a".repeat(100_000), names), None);
  }
}
