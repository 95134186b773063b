//! Which files below a folder are meant: `*` and `?` within a name, `**` for any number of folders.

/// Patterns, each cut into the names of its path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<Vec<String>>);

/// How far each pattern has come on the way to one folder: for each, which of its parts may be next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way(Vec<Vec<bool>>);

impl Patterns {
  /// Reads patterns; they were checked where they were given.
  pub fn new(texts: &[String]) -> Self {
    Self(texts.iter().map(|text| text.split('/').map(str::to_owned).collect()).collect())
  }

  /// At the folder itself.
  pub fn start(&self) -> Way {
    Way(self.0.iter().map(|parts| closed(parts, vec![true])).collect())
  }

  /// One name further down.
  pub fn step(&self, way: &Way, name: &str) -> Way {
    let steps = self.0.iter().zip(&way.0).map(|(parts, open)| {
      let mut next = vec![false; parts.len() + 1];
      for (at, part) in parts.iter().enumerate().filter(|(at, _)| open[*at]) {
        match part.as_str() {
          "**" => next[at] |= !name.starts_with('.'),
          part => next[at + 1] |= fits(part, name),
        }
      }
      closed(parts, next)
    });
    Way(steps.collect())
  }

  /// Whether what has this way is meant itself, by any pattern.
  pub fn hit(&self, way: &Way) -> bool {
    self.0.iter().zip(&way.0).any(|(parts, open)| open[parts.len()])
  }

  /// Whether anything below it could be.
  pub fn leads_on(&self, way: &Way) -> bool {
    self.0.iter().zip(&way.0).any(|(parts, open)| open[..parts.len()].contains(&true))
  }

  /// The patterns that hit this way.
  pub fn hits<'a>(&'a self, way: &'a Way) -> impl Iterator<Item = usize> + 'a {
    let all = self.0.iter().zip(&way.0).enumerate();
    all.filter(|(_, (parts, open))| open[parts.len()]).map(|(index, _)| index)
  }

  /// A pattern as it was given.
  pub fn text(&self, index: usize) -> String {
    self.0[index].join("/")
  }

  /// How many.
  pub fn len(&self) -> usize {
    self.0.len()
  }
}

/// `**` may also be nothing: where it may be next, so may what follows it.
fn closed(parts: &[String], mut open: Vec<bool>) -> Vec<bool> {
  open.resize(parts.len() + 1, false);
  for at in 0..parts.len() {
    if open[at] && parts[at] == "**" {
      open[at + 1] = true;
    }
  }
  open
}

/// Whether a name fits a part: what begins with a dot only where the part says so.
fn fits(part: &str, name: &str) -> bool {
  if name.starts_with('.') && !part.starts_with('.') {
    return false;
  }
  let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
  let (mut p, mut n) = (0, 0);
  // Where the last star stands, and how much of the name it has taken.
  let mut star: Option<(usize, usize)> = None;
  while n < name.len() {
    if part.get(p) == Some(&'*') {
      star = Some((p, n));
      p += 1;
    } else if part.get(p).is_some_and(|c| *c == '?' || *c == name[n]) {
      (p, n) = (p + 1, n + 1);
    } else if let Some((at, taken)) = star {
      star = Some((at, taken + 1));
      (p, n) = (at + 1, taken + 1);
    } else {
      return false;
    }
  }
  part[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
  use super::*;

  fn hits(pattern: &str, path: &str) -> bool {
    let patterns = Patterns::new(&[pattern.to_owned()]);
    let way = path.split('/').fold(patterns.start(), |way, name| patterns.step(&way, name));
    patterns.hit(&way)
  }

  #[test]
  fn patterns_mean_what_shells_mean() {
    for (pattern, path) in [
      ("a.txt", "a.txt"),
      ("*.txt", "a.txt"),
      ("r?port.*", "report.pdf"),
      ("out/*.csv", "out/x.csv"),
      ("**/*.csv", "x.csv"),
      ("**/*.csv", "a/b/x.csv"),
      ("a/**", "a/b/c"),
      ("a/**/z", "a/z"),
      ("**", "a/b"),
      (".cfg", ".cfg"),
      ("*a*b*", "xxaxbx"),
      ("**/a/**/a", "a/a/a/a"),
    ] {
      assert!(hits(pattern, path), "{pattern} {path}");
    }
    for (pattern, path) in [
      ("*.txt", "a/b.txt"),
      ("*", ".hidden"),
      ("**", ".git/config"),
      ("a/*", "a/b/c"),
      ("?", "ab"),
      ("a/**/z", "b/z"),
      ("a.txt", "a.txt/b"),
    ] {
      assert!(!hits(pattern, path), "{pattern} {path}");
    }
  }

  #[test]
  fn only_folders_that_can_hold_something_are_entered() {
    let patterns = Patterns::new(&["out/*.csv".to_owned()]);
    let start = patterns.start();
    assert!(patterns.leads_on(&patterns.step(&start, "out")));
    assert!(!patterns.leads_on(&patterns.step(&start, "other")));
    let way = patterns.step(&patterns.step(&start, "out"), "x.csv");
    assert_eq!(patterns.hits(&way).collect::<Vec<_>>(), [0]);
    assert!(!patterns.leads_on(&way));
  }

  #[test]
  fn many_stars_take_no_time() {
    let pattern = format!("{}z", "**/a/".repeat(200));
    assert!(!hits(&pattern, &"a/".repeat(300)));
    assert!(!hits(&"*a".repeat(300), &"a".repeat(250)));
  }
}
