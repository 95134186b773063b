//! `--sort` for lists that no server sorts.

use std::cmp::Ordering;

use serde_json::Value;

use super::cell::Cell;
use super::fault::{Failure, Fault};
use super::view::{Column, Record};

/// Sorts by columns or fields, as `-age,name`; `-` turns one around. Rows that are equal stay.
///
/// # Errors
/// Usage, for a name that no row has.
pub fn sort_rows(rows: &mut [Record], columns: &[Column], by: &str) -> Result<(), Failure> {
  for word in by.split(',').rev().map(str::trim).filter(|word| !word.is_empty()) {
    let (name, turned) = match word.strip_prefix('-') {
      Some(name) => (name, true),
      None => (word, false),
    };
    let column = columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let known = column.is_some() || rows.is_empty() || rows.iter().any(|row| has(&row.value, name));
    if !known {
      let names: Vec<String> =
        columns.iter().map(|column| column.name.to_ascii_lowercase()).collect();
      return Err(
        Fault::usage(format!("cannot sort by \"{}\"", name.escape_debug()))
          .with_help(format!("columns: {}", names.join(", "))),
      );
    }
    rows.sort_by(|a, b| {
      let order = match column {
        Some(at) => compare_cells(a.cells.get(at), b.cells.get(at)),
        None => compare(a.value.get(name), b.value.get(name)),
      };
      if turned { order.reverse() } else { order }
    });
  }
  Ok(())
}

fn has(value: &Value, name: &str) -> bool {
  value.get(name).is_some()
}

fn compare_cells(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
  match (a, b) {
    (Some(Cell::Number(a)), Some(Cell::Number(b))) => a.cmp(b),
    (Some(Cell::At(a)), Some(Cell::At(b))) => a.cmp(b),
    (Some(Cell::Took(a)), Some(Cell::Took(b))) => a.cmp(b),
    (Some(Cell::Text(a) | Cell::State(a)), Some(Cell::Text(b) | Cell::State(b))) => a.cmp(b),
    (Some(Cell::Empty) | None, Some(Cell::Empty) | None) => Ordering::Equal,
    // What is not there comes last.
    (Some(Cell::Empty) | None, _) => Ordering::Greater,
    (_, Some(Cell::Empty) | None) => Ordering::Less,
    _ => Ordering::Equal,
  }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
  match (a, b) {
    (Some(Value::Number(a)), Some(Value::Number(b))) => {
      a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
    }
    (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
    (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
    (None | Some(Value::Null), None | Some(Value::Null)) => Ordering::Equal,
    (None | Some(Value::Null), _) => Ordering::Greater,
    (_, None | Some(Value::Null)) => Ordering::Less,
    (Some(a), Some(b)) => a.to_string().cmp(&b.to_string()),
  }
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn columns_and_fields() {
    const COLUMNS: &[Column] = &[Column::new("NAME"), Column::new("N")];
    let row = |name: &str, n: Option<i64>, extra: i64| Record {
      name: format!("x/{name}"),
      value: json!({ "name": name, "extra": extra }),
      manifest: None,
      cells: vec![Cell::text(name), Cell::maybe(n, Cell::Number)],
    };
    let mut rows = vec![row("a", Some(2), 1), row("b", None, 2), row("c", Some(10), 1)];
    let names = |rows: &[Record]| {
      rows.iter().map(|row| row.name.trim_start_matches("x/").to_owned()).collect::<String>()
    };
    for (by, wanted) in [("n", "acb"), ("-n", "bca"), ("-name", "cba"), ("extra,-name", "cab")] {
      sort_rows(&mut rows, COLUMNS, by).expect(by);
      assert_eq!(names(&rows), wanted, "{by}");
    }
    assert_eq!(sort_rows(&mut rows, COLUMNS, "nope").expect_err("unknown").exit, 2);
  }
}
