//! The table has every row, and what it says is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::table::{Proof, State, rows};
use crate::{api, command_line, manifests, raw_http, settings, socket_cases};

/// The files of this binary that hold tests.
const STORIES: [&str; 8] = [
  include_str!("api.rs"),
  include_str!("command_line.rs"),
  include_str!("database.rs"),
  include_str!("http_stories.rs"),
  include_str!("manifests.rs"),
  include_str!("raw_http.rs"),
  include_str!("settings.rs"),
  include_str!("socket_stories.rs"),
];

/// How many inputs every row has, over all doors.
fn inputs() -> BTreeMap<&'static str, usize> {
  let mut inputs = BTreeMap::new();
  let bodies = api::cases().into_iter().map(|case| case.row);
  let others = [raw_http::rows(), socket_cases::rows(), command_line::rows(), manifests::rows()];
  let all = bodies.chain(others.into_iter().flatten()).chain(settings::rows());
  all.for_each(|row| *inputs.entry(row).or_default() += 1);
  inputs
}

/// Whether a file holds a test of this name.
fn holds(text: &str, name: &str) -> bool {
  let at = text.find(&format!("fn {name}("));
  // The attribute stands within the few lines above.
  at.is_some_and(|at| {
    let above: Vec<&str> = text[..at].lines().rev().take(6).collect();
    above.iter().any(|line| line.contains("test"))
  })
}

#[test]
fn every_row_is_there_once() {
  let ids: Vec<&str> = rows().map(|row| row.id).collect();
  let wanted: Vec<String> = (1..=110).map(|n| format!("B{n:03}")).collect();
  assert_eq!(ids, wanted);
  assert!(rows().all(|row| !row.input.is_empty()));
}

#[test]
fn what_is_done_is_shown() {
  let inputs = inputs();
  let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
  let mut missing = Vec::new();
  for row in rows() {
    let proofs: &[Proof] = match row.state {
      State::Done(proofs) => proofs,
      State::NotYet(why) => {
        assert!(!why.is_empty(), "{}: no reason", row.id);
        continue;
      }
    };
    assert!(!proofs.is_empty(), "{}: nothing shows it", row.id);
    for proof in proofs {
      let there = match proof {
        Proof::Cases => inputs.contains_key(row.id),
        Proof::Story(name) => STORIES.iter().any(|text| holds(text, name)),
        Proof::Unit(file, name) => {
          std::fs::read_to_string(root.join(file)).is_ok_and(|text| holds(&text, name))
        }
      };
      if !there {
        missing.push(format!("{} {proof:?}", row.id));
      }
    }
  }
  assert!(missing.is_empty(), "not there:\n  {}", missing.join("\n  "));
}

#[test]
fn every_input_belongs_to_a_row() {
  let known: BTreeSet<&str> = rows().map(|row| row.id).collect();
  let inputs = inputs();
  let unknown: Vec<_> = inputs.keys().filter(|row| !known.contains(**row)).collect();
  assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_table_is_told() {
  let (mut done, mut open) = (0, Vec::new());
  for row in rows() {
    match row.state {
      State::Done(_) => done += 1,
      State::NotYet(why) => open.push(format!("{} {}: {why}", row.id, row.input)),
    }
  }
  let inputs: usize = inputs().values().sum();
  println!("{done} done with {inputs} inputs, {} not yet", open.len());
  println!("not yet:\n  {}", open.join("\n  "));
}
