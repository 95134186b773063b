//! The filter language of lists: `state=failed,retry job~^etl age<10m label.tier=gold !word`.
//!
//! ```text
//! filter := group { "|" group }          any of the groups
//! group  := term { term }                all of the terms
//! term   := [ "!" | "-" ] ( test | text )
//! test   := field op value { "," value } any of the values
//! op     := "=" "!=" "~" "!~" "<" "<=" ">" ">="
//! ```
//!
//! A value or a text stands in double quotes where it holds spaces, commas or bars; `\"` and `\\` are
//! a quote and a backslash in them. A regular expression (`~`) goes on to the next space. `*` in a
//! text value stands for any characters. Nothing here knows rows or SQL.

mod complete;
mod error;
mod field;
mod instant;
mod parse;
mod print;
mod sort;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use complete::Candidates;
pub use error::FilterError;
pub use field::{FilterField, FilterScope};
pub use sort::{SortKey, parse_sort};
pub use suggest::{did_you_mean, nearest};
pub use value::{FilterValue, Instant, Meaning, glob_matches};

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4096;
/// Most terms of one filter.
pub const FILTER_TERMS_MAX: usize = 64;
/// Most values of one test.
pub const FILTER_VALUES_MAX: usize = 200;

/// A filter: any of its groups; one without groups lets everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
  /// The groups.
  pub groups: Vec<Vec<Term>>,
}

/// One condition of a group.
#[derive(Debug, Clone)]
pub struct Term {
  /// It must not hold.
  pub negated: bool,
  /// Its first character in the text, counted from zero.
  pub column: u32,
  /// What is tested.
  pub test: Test,
}

impl PartialEq for Term {
  /// Where a term stands is not what it means.
  fn eq(&self, other: &Self) -> bool {
    self.negated == other.negated && self.test == other.test
  }
}

/// What a term tests.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
  /// The row holds this text somewhere, in any case.
  Text(String),
  /// A field compares with any of the values.
  Field {
    /// The field.
    field: FilterField,
    /// How.
    op: Op,
    /// With what.
    values: Vec<FilterValue>,
  },
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
  /// `=`
  Equal,
  /// `~`
  Matches,
  /// `<`
  Less,
  /// `<=`
  AtMost,
  /// `>`
  Greater,
  /// `>=`
  AtLeast,
}

impl Op {
  /// As it is written.
  pub const fn as_str(self) -> &'static str {
    match self {
      Self::Equal => "=",
      Self::Matches => "~",
      Self::Less => "<",
      Self::AtMost => "<=",
      Self::Greater => ">",
      Self::AtLeast => ">=",
    }
  }

  /// Whether `left op right` holds, for ordered things.
  pub fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
    match self {
      Self::Equal | Self::Matches => left == right,
      Self::Less => left < right,
      Self::AtMost => left <= right,
      Self::Greater => left > right,
      Self::AtLeast => left >= right,
    }
  }
}

impl Filter {
  /// Reads a filter over the fields of a scope.
  ///
  /// # Errors
  /// [`FilterError`] with the column of the first thing that is wrong.
  pub fn parse(text: &str, scope: FilterScope) -> Result<Self, FilterError> {
    parse::parse(text, scope)
  }

  /// What can be written at a place of a filter, counted in characters.
  pub fn candidates(text: &str, at: usize, scope: FilterScope) -> Candidates {
    complete::candidates(text, at, scope)
  }

  /// Whether it lets everything through.
  pub fn is_empty(&self) -> bool {
    self.groups.is_empty()
  }

  /// All its terms.
  pub fn terms(&self) -> impl Iterator<Item = &Term> {
    self.groups.iter().flatten()
  }

  /// Whether its answer changes with time alone.
  pub fn ages(&self) -> bool {
    self.terms().any(|term| match &term.test {
      Test::Text(_) => false,
      Test::Field { field, .. } => field.is_timed(),
    })
  }
}
