//! Style as a test: the rooms of STYLE §1, the migrations' numbers, and what nobody may write.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeMap;

use source::{root, sources};

/// Fails with one line for each finding.
fn expect_none(what: &str, found: &[String]) {
  assert!(found.is_empty(), "{what}:\n  {}\n", found.join("\n  "));
}

#[test]
fn rooms_import_only_what_the_table_allows() {
  let found: Vec<String> = rules::CRATES
    .iter()
    .flat_map(|house| {
      sources(&format!("{}/src", house.name)).into_iter().flat_map(|s| house.check(&s))
    })
    .collect();
  expect_none("imports against the table of rooms", &found);
}

#[test]
fn rooms_do_not_know_what_they_must_not() {
  let mut found = Vec::new();
  for rule in rules::FORBIDDEN {
    for source in sources(rule.below) {
      let hits = source.lines_with(rule.text).filter(|_| !rule.excepts(&source.path));
      found.extend(hits.map(|line| format!("{line}: {:?} {}", rule.text, rule.why)));
    }
  }
  expect_none("what a room must never know", &found);
}

#[test]
fn nothing_is_ignored() {
  // Put together here, so that this file does not find itself.
  let attribute = format!("#[{}", "ignore");
  let mut found = Vec::new();
  for source in rules::PACKAGES.iter().flat_map(|package| sources(package)) {
    let lines = source.text.lines().enumerate();
    let hits = lines.filter(|(_, line)| line.trim_start().starts_with(&attribute));
    found.extend(hits.map(|(i, _)| format!("{}:{}", source.path, i + 1)));
  }
  expect_none("ignored tests", &found);
}

#[test]
fn migrations_are_pairs_with_the_same_numbers_on_both_engines() {
  let mut problems = Vec::new();
  let postgres = migrations("migrations/postgres", &mut problems);
  let sqlite = migrations("migrations/sqlite", &mut problems);
  for (number, name) in &postgres {
    if sqlite.get(number) != Some(name) {
      problems.push(format!("{number}_{name} is in migrations/postgres only"));
    }
  }
  for (number, name) in &sqlite {
    if postgres.get(number) != Some(name) {
      problems.push(format!("{number}_{name} is in migrations/sqlite only"));
    }
  }
  expect_none("migrations", &problems);
}

/// The migrations of one engine by number; anything but `NNNN_name.{up,down}.sql` pairs is a problem.
fn migrations(folder: &str, problems: &mut Vec<String>) -> BTreeMap<String, String> {
  let mut halves: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
  let entries = std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
  for entry in entries.filter(|entry| entry.file_name() != ".gitkeep") {
    let file = entry.file_name().to_string_lossy().into_owned();
    let direction = ["up", "down"].into_iter().find(|d| file.ends_with(&format!(".{d}.sql")));
    let parts = file.split('.').next().and_then(|stem| stem.split_once('_'));
    match (direction, parts) {
      (Some(direction), Some((number, name)))
        if number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()) =>
      {
        halves.entry((number.to_owned(), name.to_owned())).or_default().push(direction);
      }
      _ => problems.push(format!("{folder}/{file} is not NNNN_name.up.sql or NNNN_name.down.sql")),
    }
  }
  let mut names = BTreeMap::new();
  for ((number, name), directions) in halves {
    if directions.len() != 2 {
      problems.push(format!("{folder}/{number}_{name} has only .{}.sql", directions[0]));
    }
    if let Some(other) = names.insert(number.clone(), name.clone()) {
      problems.push(format!("{folder}: {number} is both {other} and {name}"));
    }
  }
  names
}

/// Long files are named, not refused: at 300 lines ask whether two ideas live in one (STYLE §2).
#[test]
fn long_files_are_reported() {
  let mut long: Vec<(usize, String)> = rules::PACKAGES
    .iter()
    .flat_map(|package| sources(package))
    .map(|source| (source.text.lines().count(), source.path))
    .filter(|(lines, _)| *lines > rules::LONG_FILE_LINES)
    .collect();
  long.sort_by(|a, b| b.cmp(a));
  for (lines, path) in long {
    eprintln!("{path} has {lines} lines");
  }
}

#[test]
fn the_exceptions_are_still_needed() {
  let gone: Vec<String> = rules::FORBIDDEN
    .iter()
    .flat_map(|rule| rule.exceptions)
    .filter(|path| !root().join(path).exists())
    .map(|path| (*path).to_owned())
    .collect();
  expect_none("exceptions for files that are gone", &gone);
}
