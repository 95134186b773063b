//! Values of a built statement, bound for the engine that runs it.
//!
//! This is the only place that vouches for dynamic SQL text: it comes from the builder or from
//! constants, and values always travel as parameters.

use hetuflow_core::Ts;
use sea_query::Value;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::types::Json;
use sqlx::{Arguments, Database, Encode, Type};

use super::DbError;

/// Binds for PostgreSQL.
pub(super) fn pg_arguments(values: Vec<Value>) -> Result<PgArguments, DbError> {
  let mut arguments = PgArguments::default();
  for value in values {
    add(&mut arguments, value)?;
  }
  Ok(arguments)
}

/// Binds for SQLite.
pub(super) fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, DbError> {
  let mut arguments = SqliteArguments::default();
  for value in values {
    add(&mut arguments, value)?;
  }
  Ok(arguments)
}

fn add<DB, A>(arguments: &mut A, value: Value) -> Result<(), DbError>
where
  DB: Database,
  A: Arguments<Database = DB>,
  for<'q> Option<bool>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<i64>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<f64>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<String>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<Vec<u8>>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<uuid::Uuid>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<Ts>: Encode<'q, DB> + Type<DB>,
  for<'q> Option<Json<serde_json::Value>>: Encode<'q, DB> + Type<DB>,
{
  let added = match value {
    Value::Bool(value) => arguments.add(value),
    Value::Int(value) => arguments.add(value.map(i64::from)),
    Value::BigInt(value) => arguments.add(value),
    Value::Double(value) => arguments.add(value),
    Value::String(value) => arguments.add(value),
    Value::Bytes(value) => arguments.add(value),
    Value::Uuid(value) => arguments.add(value),
    Value::JiffTimestamp(value) => arguments.add(value.map(|instant| Ts::from(*instant))),
    Value::Json(value) => arguments.add(value.map(|json| Json(*json))),
    // The builder's own numbers, as LIMIT.
    Value::BigUnsigned(value) => {
      arguments.add(value.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
    other => return Err(DbError::Unusable(format!("no binding for {other:?}"))),
  };
  added.map_err(|error| DbError::Other(sqlx::Error::Encode(error)))
}
