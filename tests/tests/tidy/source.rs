//! Reading the workspace's Rust files.

use std::path::{Path, PathBuf};

/// One Rust file.
pub struct Source {
  /// Relative to the root of the workspace, `hetuflow-server/src/main.rs`.
  pub path: String,
  /// Its text, up to the unit tests at its end.
  pub text: String,
}

/// The root of the workspace.
pub fn root() -> PathBuf {
  Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below a folder, in order; none when the folder does not exist.
pub fn sources(below: &str) -> Vec<Source> {
  let mut found = Vec::new();
  collect(&root().join(below), below, &mut found);
  found.sort_by(|a, b| a.path.cmp(&b.path));
  found
}

/// Adds the files below `dir`, which is `path` from the root.
fn collect(dir: &Path, path: &str, found: &mut Vec<Source>) {
  if dir.is_file() {
    let text = std::fs::read_to_string(dir).unwrap_or_default();
    found.push(Source { path: path.to_owned(), text });
    return;
  }
  for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
    let name = entry.file_name().to_string_lossy().into_owned();
    if entry.path().is_dir() && name != "target" || name.ends_with(".rs") {
      collect(&entry.path(), &format!("{path}/{name}"), found);
    }
  }
}

impl Source {
  /// The numbered lines of code, without comments and without the unit tests at the end.
  pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = self.text.lines().collect();
    let unit_tests = lines.windows(2).position(|pair| {
      pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    let end = match unit_tests {
      _ if self.path.ends_with("/tests.rs")
        || self.path.contains("/src/") && self.path.contains("/tests/") =>
      {
        0
      }
      Some(start) => start,
      None => lines.len(),
    };
    let code = lines.into_iter().take(end).enumerate();
    code.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
  }

  /// `path:line` of each line of code with `text` in it, not as the tail of a longer word.
  pub fn lines_with<'a>(&'a self, text: &'a str) -> impl Iterator<Item = String> + 'a {
    let hit = move |line: &str| {
      line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
      })
    };
    self.code().filter(move |(_, line)| hit(line)).map(|(i, _)| format!("{}:{i}", self.path))
  }
}

#[test]
fn comments_and_unit_tests_do_not_count() {
  let text = "a::x();\n// a::y\nba::z();\n#[cfg(test)]\nmod tests {\n  a::q();\n}\n".to_owned();
  let source = Source { path: "p.rs".to_owned(), text };
  assert_eq!(source.lines_with("a::").collect::<Vec<_>>(), ["p.rs:1"]);
}
