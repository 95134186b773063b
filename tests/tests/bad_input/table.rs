//! What a row of the table says of itself.

use crate::{table_api, table_rest};

/// What shows that a row is done.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
  /// Inputs with the row's id in one of the doors' lists.
  Cases,
  /// A test of this binary, by name.
  Story(&'static str),
  /// A test elsewhere: file below the repository, name.
  Unit(&'static str, &'static str),
}

/// How far a row is.
#[derive(Debug, Clone, Copy)]
pub enum State {
  /// Shown by all of these.
  Done(&'static [Proof]),
  /// Not applicable yet, with the reason. Its inputs may run all the same.
  NotYet(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
  /// Its id.
  pub id: &'static str,
  /// Its inputs in short, with what DESIGN.md §11 says otherwise.
  pub input: &'static str,
  /// How far it is.
  pub state: State,
}

/// The whole table.
pub fn rows() -> impl Iterator<Item = &'static Row> {
  table_api::CRON.iter().chain(table_api::HTTP).chain(table_rest::ROWS)
}
