//! The filter language as SQL. Values are always bound. What SQL cannot decide alike on both engines
//! (regular expressions, cases beyond ASCII) lets rows through and is said to be [`Reach::Wider`]:
//! whoever asked then looks at each row.

use std::collections::HashMap;

use hetuflow_core::filter::{FilterValue, Meaning, Op, Term, Test};
use hetuflow_core::{Filter, FilterField, SortKey, Ts, parse_short_id};
use sea_query::Value;

use super::sql_text::SqlText;
use super::{text, ts, uuid};

/// Whether the rows that come are those that the filter lets through, or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
  /// Just those.
  Exact,
  /// Those and more.
  Wider,
}

/// What a filter and an order need to become SQL.
#[derive(Debug, Clone)]
pub struct Narrow<'a> {
  /// The filter.
  pub filter: &'a Filter,
  /// The order; the list's own after it.
  pub sort: &'a [SortKey],
  /// Now.
  pub now: Ts,
  /// Jobs whose names fit regular expressions.
  pub jobs_like: &'a HashMap<String, Vec<uuid::Uuid>>,
}

/// How a field is stored.
pub(super) enum Column {
  /// As text.
  Text(&'static str),
  /// As a number.
  Number(&'static str),
  /// As an instant whose distance to now is meant.
  AgeOf(&'static str),
  /// As an instant.
  Instant(&'static str),
  /// As the time between two instants, the second one now where it is missing.
  Between(&'static str, &'static str),
  /// As an id.
  Id(&'static str),
  /// As a member of a JSON object.
  Member(&'static str),
  /// As a job's name, beside the job's id.
  JobName(&'static str, &'static str),
  /// Not at all.
  None,
}

/// How a list's fields are stored, and which texts a word is looked for in.
pub(super) struct Columns {
  pub(super) of: fn(&FilterField) -> Column,
  pub(super) texts: &'static [&'static str],
  pub(super) id: &'static str,
}

struct Writer<'a, 'b> {
  sql: &'b mut SqlText,
  columns: &'a Columns,
  narrow: &'a Narrow<'a>,
  sqlite: bool,
  reach: Reach,
}

/// Adds ` and (…)`, where there is anything to say.
pub(super) fn restrict(
  sql: &mut SqlText,
  columns: &Columns,
  narrow: &Narrow<'_>,
  sqlite: bool,
) -> Reach {
  if narrow.filter.is_empty() {
    return Reach::Exact;
  }
  let mut writer = Writer { sql, columns, narrow, sqlite, reach: Reach::Exact };
  writer.sql.push(" and (");
  for (index, group) in narrow.filter.groups.iter().enumerate() {
    writer.sql.push(if index > 0 { " or (" } else { "(" });
    for (index, term) in group.iter().enumerate() {
      writer.sql.push(if index > 0 { " and " } else { "" });
      writer.term(term);
    }
    writer.sql.push(")");
  }
  writer.sql.push(")");
  writer.reach
}

/// Adds the keys of an order, each with a comma behind it; what is missing comes last.
pub(super) fn order(sql: &mut SqlText, columns: &Columns, narrow: &Narrow<'_>, sqlite: bool) {
  for key in narrow.sort {
    let (expression, down) = match (columns.of)(&key.field) {
      Column::Text(it) | Column::Number(it) | Column::Instant(it) | Column::Id(it) => {
        (it.to_owned(), key.down)
      }
      Column::JobName(it, _) => (it.to_owned(), key.down),
      // The youngest has the latest instant.
      Column::AgeOf(it) => (it.to_owned(), !key.down),
      Column::Between(from, to) => {
        sql.push("((").push(from).push(") is null), ");
        between(sql, (from, to), (narrow.now, sqlite));
        sql.push(if key.down { " desc, " } else { " asc, " });
        continue;
      }
      Column::Member(it) => {
        let FilterField::Label(name) = &key.field else { continue };
        member(sql, (it, name), sqlite);
        sql.push(if key.down { " desc, " } else { " asc, " });
        continue;
      }
      Column::None => continue,
    };
    sql.push("((").push(&expression).push(") is null), ").push(&expression);
    sql.push(if down { " desc, " } else { " asc, " });
  }
}

/// Microseconds between two instants.
fn between(sql: &mut SqlText, (from, to): (&str, &str), (now, sqlite): (Ts, bool)) {
  if sqlite {
    sql.push("(coalesce(").push(to).push(", ").bind(ts(now)).push(") - ").push(from).push(")");
  } else {
    sql.push("cast(extract(epoch from (coalesce(").push(to).push(", ").bind(ts(now));
    sql.push(") - ").push(from).push(")) * 1000000 as bigint)");
  }
}

fn member(sql: &mut SqlText, (column, name): (&str, &str), sqlite: bool) {
  if sqlite {
    let path = format!("$.\"{}\"", name.replace('"', ""));
    sql.push("json_extract(").push(column).push(", ").bind(text(path)).push(")");
  } else {
    sql.push("(").push(column).push(" ->> ").bind(text(name)).push(")");
  }
}

impl Writer<'_, '_> {
  fn term(&mut self, term: &Term) {
    if self.too_wide(term) {
      // Also where it is negated: nothing may be lost.
      self.reach = Reach::Wider;
      self.sql.push("1 = 1");
      return;
    }
    self.sql.push(if term.negated { "not coalesce((" } else { "(" });
    match &term.test {
      Test::Text(word) => self.word(word),
      Test::Field { field, op, values } => {
        for (index, value) in values.iter().enumerate() {
          self.sql.push(if index > 0 { " or " } else { "" });
          self.value(field, *op, value);
        }
      }
    }
    self.sql.push(if term.negated { "), 1 = 0)" } else { ")" });
  }

  /// Whether SQL cannot decide it alike on both engines.
  fn too_wide(&self, term: &Term) -> bool {
    match &term.test {
      Test::Text(word) => !word.is_ascii(),
      Test::Field { field, op, values } => {
        let column = (self.columns.of)(field);
        let known = |value: &FilterValue| {
          matches!(column, Column::JobName(..)) && self.narrow.jobs_like.contains_key(&value.text)
        };
        // Neither engine knows the order of versions.
        let version = |value: &FilterValue| matches!(value.meaning, Meaning::Version(_));
        values.iter().any(version) || *op == Op::Matches && !values.iter().all(known)
      }
    }
  }

  /// A word anywhere, in any case.
  fn word(&mut self, word: &str) {
    let pattern = format!("%{}%", escape_like(&word.to_ascii_lowercase()));
    for column in self.columns.texts {
      self.sql.push("lower(").push(column).push(") like ").bind(text(&pattern));
      self.sql.push(" escape '\\' or ");
    }
    self.id(self.columns.id, word);
  }

  fn value(&mut self, field: &FilterField, op: Op, value: &FilterValue) {
    let column = (self.columns.of)(field);
    match (column, &value.meaning) {
      (Column::Text(it), Meaning::Words(words)) => {
        self.sql.push(it).push(" in ").bind_list(words.iter().map(text));
      }
      (Column::Text(it), Meaning::Glob) => {
        self.sql.push(it);
        self.fits(&value.text);
      }
      (Column::JobName(it, _), Meaning::Glob) => {
        self.sql.push(it);
        self.fits(&value.text);
      }
      (Column::JobName(_, id), Meaning::Regex) => {
        let ids = self.narrow.jobs_like.get(&value.text).map_or(&[][..], Vec::as_slice);
        self.sql.push(id).push(" in ").bind_list(ids.iter().map(|id| uuid(*id)));
      }
      (Column::Member(it), Meaning::Glob) => {
        let FilterField::Label(name) = field else { return self.never() };
        member(self.sql, (it, name), self.sqlite);
        self.fits(&value.text);
      }
      (Column::Id(it), Meaning::Glob) => self.id(it, &value.text),
      (Column::Number(it), Meaning::Whole(number)) => {
        self.sql.push(it).push(" ").push(op.as_str()).push(" ");
        self.sql.bind(Value::BigInt(Some(*number)));
      }
      (Column::AgeOf(it), Meaning::Duration(age)) => {
        // Younger is later.
        self.sql.push(it).push(" ").push(turned(op)).push(" ");
        self.sql.bind(ts(self.narrow.now.minus(*age)));
      }
      (Column::Between(from, to), Meaning::Duration(length)) => {
        between(self.sql, (from, to), (self.narrow.now, self.sqlite));
        let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        self.sql.push(" ").push(op.as_str()).push(" ").bind(Value::BigInt(Some(micros)));
      }
      (Column::Instant(it), Meaning::Instant(instant)) => {
        let until = *field == FilterField::Until;
        self.sql.push(it).push(if until { " <= " } else { " >= " });
        self.sql.bind(ts(instant.seen_from(self.narrow.now)));
      }
      _ => self.never(),
    }
  }

  fn never(&mut self) {
    self.sql.push("1 = 0");
  }

  /// Equal to a text, where `*` stands for any characters.
  fn fits(&mut self, pattern: &str) {
    if !pattern.contains('*') {
      self.sql.push(" = ").bind(text(pattern));
    } else if self.sqlite {
      // LIKE would not see the difference between a and A here.
      let glob = pattern.replace('[', "[[]").replace('?', "[?]");
      self.sql.push(" glob ").bind(text(glob));
    } else {
      let like = escape_like(pattern).replace('*', "%");
      self.sql.push(" like ").bind(text(like)).push(" escape '\\'");
    }
  }

  /// An id: the whole, its beginning from four digits on, or the eight characters that people see.
  fn id(&mut self, column: &str, wanted: &str) {
    if let Ok(id) = wanted.parse::<uuid::Uuid>() {
      self.sql.push(column).push(" = ").bind(uuid(id));
      return;
    }
    let digits = wanted.replace('-', "").to_ascii_lowercase();
    let hex =
      digits.len() >= 4 && digits.len() <= 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    let head = hex.then(|| format!("{digits}%"));
    let tail = parse_short_id(wanted).map(|bits| format!("%{bits:010x}"));
    let mut any = false;
    for pattern in [head, tail].into_iter().flatten() {
      self.sql.push(if any { " or " } else { "" });
      any = true;
      let hex = if self.sqlite { "lower(hex(" } else { "replace(cast(" };
      self.sql.push(hex).push(column);
      self.sql.push(if self.sqlite { "))" } else { " as text), '-', '')" });
      self.sql.push(" like ").bind(text(pattern));
    }
    if !any {
      self.never();
    }
  }
}

fn turned(op: Op) -> &'static str {
  match op {
    Op::Less => ">",
    Op::AtMost => ">=",
    Op::Greater => "<",
    Op::AtLeast => "<=",
    Op::Equal | Op::Matches => "=",
  }
}

fn escape_like(text: &str) -> String {
  text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
