//! Rows that read themselves on both engines.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, FromRow, Postgres, Row, Sqlite, Type};

/// A row struct that serves both engines.
pub trait AnyRow:
  for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'static
{
}

impl<T> AnyRow for T where
  T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'static
{
}

/// The first column of a row.
pub struct Row1<T>(pub T);

impl<'r, R, T> FromRow<'r, R> for Row1<T>
where
  R: Row,
  usize: ColumnIndex<R>,
  T: Decode<'r, R::Database> + Type<R::Database>,
{
  fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
    row.try_get(0).map(Self)
  }
}

const _: fn() = || {
  fn check<T: AnyRow>() {}
  check::<Row1<i64>>();
  fn both<T>()
  where
    T: for<'r> Decode<'r, Postgres> + for<'r> Decode<'r, Sqlite>,
  {
  }
  both::<String>();
};
