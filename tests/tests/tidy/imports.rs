//! Which rooms of its own crate a file names.

/// The first path segments after `crate::` (with `{…}` opened) in a text without comments, and
/// those reached by so many `super::` that they leave the file's room.
pub fn rooms_named(code: &str, depth: usize) -> Vec<String> {
  let mut found = Vec::new();
  let to_root = "super::".repeat(depth);
  for (prefix, always) in [("crate::", true), (to_root.as_str(), depth > 0)] {
    if !always {
      continue;
    }
    for (at, _) in code.match_indices(prefix) {
      let before = code[..at].chars().next_back();
      if !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
        heads(&code[at + prefix.len()..], &mut found);
      }
    }
  }
  found.sort();
  found.dedup();
  found
}

/// The first identifiers of a path or of a braced list of paths.
fn heads(rest: &str, found: &mut Vec<String>) {
  let Some(list) = rest.trim_start().strip_prefix('{') else {
    found.extend(word(rest));
    return;
  };
  let (mut level, mut start) = (0_usize, 0);
  for (i, c) in list.char_indices() {
    match c {
      '{' => level += 1,
      '}' if level == 0 => {
        found.extend(word(&list[start..i]));
        return;
      }
      '}' => level -= 1,
      ',' if level == 0 => {
        found.extend(word(&list[start..i]));
        start = i + 1;
      }
      _ => {}
    }
  }
}

/// The identifier at the start of a text.
fn word(text: &str) -> Option<String> {
  let text = text.trim_start();
  let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
  (end > 0).then(|| text[..end].to_owned())
}

#[test]
fn finds_single_nested_and_inline_paths() {
  let code = "use crate::infra::db::Pool;\nuse crate::{\n  service::{A, b::C},\n  broker,\n};\n\
    fn f() { crate::config::load(); $crate::no(); mycrate::no(); }";
  assert_eq!(rooms_named(code, 2), ["broker", "config", "infra", "service"]);
}

#[test]
fn super_counts_when_it_leaves_the_room() {
  assert_eq!(rooms_named("use super::super::infra::X;", 2), ["infra"]);
  assert_eq!(rooms_named("use super::infra::X;", 2), Vec::<String>::new());
  assert_eq!(rooms_named("use super::infra::X;", 1), ["infra"]);
}
