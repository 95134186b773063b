//! The order of a list: fields with commas between, `-` before one turns it around.

use super::error::FilterError;
use super::field::{FilterField, FilterScope};

/// Most fields of one order.
const KEYS_MAX: usize = 8;

/// One field of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
  /// The field.
  pub field: FilterField,
  /// The greatest first.
  pub down: bool,
}

/// Reads an order; an empty text is no order.
///
/// # Errors
/// [`FilterError`] with the column of a field that the scope does not know.
pub fn parse_sort(text: &str, scope: FilterScope) -> Result<Vec<SortKey>, FilterError> {
  let mut keys = Vec::new();
  let mut column = 0;
  for part in text.split(',') {
    let name = part.trim();
    let (down, name) = match name.strip_prefix('-') {
      Some(name) => (true, name),
      None => (false, name.strip_prefix('+').unwrap_or(name)),
    };
    if !name.is_empty() {
      let (field, _) = scope.field(name, (column, "sort.field"))?;
      keys.push(SortKey { field, down });
    } else if !text.trim().is_empty() {
      return Err(FilterError::new("sort.syntax", column, "a field is missing").hint("-age,name"));
    }
    if keys.len() > KEYS_MAX {
      let message = format!("more than {KEYS_MAX} fields to sort by");
      return Err(FilterError::new("sort.syntax", column, message));
    }
    column += part.chars().count() + 1;
  }
  Ok(keys)
}
