//! A statement put together from constants, with its values beside it: for what the builder cannot
//! say on both engines.

use sea_query::Value;

use crate::infra::db::{AnyRow, Conn, DbError};

/// A statement that grows. Text comes from this room alone; what came from outside is bound.
#[derive(Debug, Clone, Default)]
pub(super) struct SqlText {
  sql: String,
  values: Vec<Value>,
}

impl SqlText {
  /// Begins with a text.
  pub(super) fn new(sql: &str) -> Self {
    Self { sql: sql.to_owned(), values: Vec::new() }
  }

  /// Adds a text.
  pub(super) fn push(&mut self, sql: &str) -> &mut Self {
    self.sql.push_str(sql);
    self
  }

  /// Adds a value.
  pub(super) fn bind(&mut self, value: Value) -> &mut Self {
    self.values.push(value);
    self.sql.push_str(&format!("${}", self.values.len()));
    self
  }

  /// Adds values as a list in brackets; an empty one matches nothing.
  pub(super) fn bind_list(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
    self.push("(");
    let mut any = false;
    for value in values {
      if any {
        self.push(", ");
      }
      any = true;
      self.bind(value);
    }
    if !any {
      self.push("null");
    }
    self.push(")")
  }

  /// Adds the bounds of a window.
  pub(super) fn window(&mut self, from: u64, len: u64) -> &mut Self {
    let number = |value: u64| Value::BigInt(Some(i64::try_from(value).unwrap_or(i64::MAX)));
    self.push(" limit ").bind(number(len)).push(" offset ").bind(number(from))
  }

  /// Runs it and reads its rows.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn fetch<T: AnyRow>(self, conn: &mut Conn) -> Result<Vec<T>, DbError> {
    conn.fetch_text(self.sql, self.values).await
  }

  /// Runs it and counts the rows that it changed.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(super) async fn run(self, conn: &mut Conn) -> Result<u64, DbError> {
    conn.execute_text(self.sql, self.values).await
  }
}
