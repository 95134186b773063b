//! A filter held against one row: for lists that SQL does not keep, and for what SQL cannot decide.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use hetuflow_core::filter::{FilterValue, Instant, Meaning, Op, Term, Test, glob_matches};
use hetuflow_core::{
  AgentRow, ErrorResponse, EventRow, Filter, FilterError, FilterField, FilterScope, SortKey, Ts,
  Version, parse_short_id, parse_sort,
};
use regex::{Regex, RegexBuilder};

use super::{SvcError, SvcResult};

/// Largest compiled expression, in bytes.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// What a row says of a field.
pub(super) enum Cell<'a> {
  /// Nothing.
  None,
  /// A text.
  Text(Cow<'a, str>),
  /// Any of some texts.
  Texts(&'a [String]),
  /// A number.
  Number(f64),
  /// An instant.
  At(Ts),
  /// A time in microseconds.
  Micros(i64),
  /// An id.
  Id(uuid::Uuid),
}

/// A row that can be filtered.
pub(super) trait Fields {
  /// What it says of a field.
  fn cell(&self, field: &FilterField, now: Ts) -> Cell<'_>;
  /// The texts that a word is looked for in.
  fn texts(&self) -> Vec<Cow<'_, str>>;
}

/// A filter that was read, with its expressions and its order.
#[derive(Debug, Default)]
pub(super) struct Wanted {
  /// The filter.
  pub(super) filter: Filter,
  /// The order.
  pub(super) sort: Vec<SortKey>,
  expressions: HashMap<String, Regex>,
}

impl Wanted {
  /// Reads a filter and an order.
  ///
  /// # Errors
  /// 422 with the place of what is wrong.
  pub(super) fn read(filter: &str, sort: &str, scope: FilterScope) -> SvcResult<Self> {
    let filter = Filter::parse(filter, scope).map_err(|error| refused(error, "filter"))?;
    let sort = parse_sort(sort, scope).map_err(|error| refused(error, "sort"))?;
    let mut expressions = HashMap::new();
    for term in filter.terms() {
      let Test::Field { op: Op::Matches, values, .. } = &term.test else { continue };
      for value in values {
        let built = RegexBuilder::new(&value.text).size_limit(REGEX_SIZE_MAX).build();
        let expression = built.map_err(|error| {
          let words = error.to_string();
          let words = words.lines().last().unwrap_or_default().trim();
          let column = usize::try_from(term.column).unwrap_or(0);
          let error = FilterError::new("filter.regex", column, words.trim_start_matches("error: "));
          refused(error.hint("a regular expression as in Rust's regex crate"), "filter")
        })?;
        expressions.insert(value.text.clone(), expression);
      }
    }
    Ok(Self { filter, sort, expressions })
  }

  /// The expressions over a field.
  pub(super) fn expressions_of(&self, field: &FilterField) -> Vec<(&str, &Regex)> {
    let tests = self.filter.terms().filter_map(|term| match &term.test {
      Test::Field { field: known, op: Op::Matches, values } if known == field => Some(values),
      _ => None,
    });
    tests
      .flatten()
      .filter_map(|value| {
        let expression = self.expressions.get(&value.text)?;
        Some((value.text.as_str(), expression))
      })
      .collect()
  }

  /// Whether the filter lets a row through.
  pub(super) fn fits(&self, row: &impl Fields, now: Ts) -> bool {
    let group = |terms: &Vec<Term>| terms.iter().all(|term| self.holds(row, term, now));
    self.filter.is_empty() || self.filter.groups.iter().any(group)
  }

  fn holds(&self, row: &impl Fields, term: &Term, now: Ts) -> bool {
    let holds = match &term.test {
      Test::Text(word) => {
        let word = word.to_lowercase();
        row.texts().iter().any(|text| text.to_lowercase().contains(&word))
          || matches!(row.cell(&FilterField::Id, now), Cell::Id(id) if id_fits(&word, id))
      }
      Test::Field { field, op, values } => {
        let cell = row.cell(field, now);
        values.iter().any(|value| self.compares(&cell, (field, *op), value, now))
      }
    };
    holds != term.negated
  }

  fn compares(
    &self,
    cell: &Cell<'_>,
    (field, op): (&FilterField, Op),
    value: &FilterValue,
    now: Ts,
  ) -> bool {
    let text = |text: &str| match &value.meaning {
      Meaning::Words(words) => words.contains(&text),
      Meaning::Glob => glob_matches(&value.text, text),
      Meaning::Regex => self.expressions.get(&value.text).is_some_and(|one| one.is_match(text)),
      _ => false,
    };
    match (cell, &value.meaning) {
      (Cell::Text(it), Meaning::Version(version)) => {
        Version::parse(it).is_some_and(|it| op.holds(&it, version))
      }
      (Cell::Text(it), _) => text(it),
      (Cell::Texts(all), _) => all.iter().any(|it| text(it)),
      (Cell::Id(id), Meaning::Regex) => text(&id.to_string()),
      (Cell::Id(id), _) => id_fits(&value.text, *id),
      (Cell::Number(it), Meaning::Whole(number)) => op.holds(it, &(*number as f64)),
      (Cell::Number(it), Meaning::Number(number)) => op.holds(it, number),
      (Cell::Micros(it), Meaning::Duration(length)) => {
        op.holds(it, &i64::try_from(length.as_micros()).unwrap_or(i64::MAX))
      }
      (Cell::At(at), Meaning::Duration(age)) => {
        let is = now.micros().saturating_sub(at.micros());
        op.holds(&is, &i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
      }
      (Cell::At(at), Meaning::Instant(instant)) => in_time(*at, field, *instant, now),
      _ => false,
    }
  }

  /// Puts rows in order; equal ones stay as they are.
  pub(super) fn order<R: Fields>(&self, rows: &mut [R], now: Ts) {
    rows.sort_by(|a, b| {
      let by_key = |key: &SortKey| {
        let (a, b) = (a.cell(&key.field, now), b.cell(&key.field, now));
        // The youngest has the latest instant.
        compare(&a, &b, key.down != (key.field == FilterField::Age))
      };
      self.sort.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
  }
}

/// Orders two cells; what is missing comes last either way.
fn compare(a: &Cell<'_>, b: &Cell<'_>, down: bool) -> Ordering {
  let order = match (a, b) {
    (Cell::None, Cell::None) => return Ordering::Equal,
    (Cell::None, _) => return Ordering::Greater,
    (_, Cell::None) => return Ordering::Less,
    (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
    (Cell::Texts(a), Cell::Texts(b)) => a.cmp(b),
    (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
    (Cell::Micros(a), Cell::Micros(b)) => a.cmp(b),
    (Cell::At(a), Cell::At(b)) => a.cmp(b),
    (Cell::Id(a), Cell::Id(b)) => a.cmp(b),
    _ => Ordering::Equal,
  };
  if down { order.reverse() } else { order }
}

fn in_time(at: Ts, field: &FilterField, instant: Instant, now: Ts) -> bool {
  let limit = instant.seen_from(now);
  if *field == FilterField::Until { at <= limit } else { at >= limit }
}

fn id_fits(wanted: &str, id: uuid::Uuid) -> bool {
  let digits = wanted.replace('-', "").to_ascii_lowercase();
  let hex = digits.len() >= 4 && digits.chars().all(|c| c.is_ascii_hexdigit());
  (hex && id.simple().to_string().starts_with(&digits))
    || parse_short_id(wanted).is_some_and(|bits| id.as_u128() & 0xff_ffff_ffff == u128::from(bits))
}

/// The answer to a filter that cannot be read.
pub(super) fn refused(error: FilterError, field: &str) -> SvcError {
  let column = error.column;
  let mut response = ErrorResponse::validation(vec![error.into_field_error(field)]);
  response.details = Some(serde_json::json!({ "column": column }));
  SvcError::refused(response)
}

fn text(text: &str) -> Cell<'_> {
  Cell::Text(Cow::Borrowed(text))
}

fn some(value: Option<&str>) -> Cell<'_> {
  value.map_or(Cell::None, text)
}

impl Fields for AgentRow {
  fn cell(&self, field: &FilterField, _now: Ts) -> Cell<'_> {
    match field {
      FilterField::State => {
        use hetuflow_core::AgentStatus as S;
        if self.cordoned && !matches!(self.status, S::Offline | S::Draining) {
          return text("cordoned");
        }
        text(self.status.as_str())
      }
      FilterField::Name => text(self.id.as_str()),
      FilterField::Host => text(&self.hostname),
      FilterField::Os => text(&self.os_info),
      FilterField::Version => text(&self.version),
      FilterField::Server => some(self.server_id.as_ref().map(|id| id.as_str())),
      FilterField::Type => Cell::Texts(&self.task_types),
      FilterField::Running => Cell::Number(f64::from(self.running)),
      FilterField::Slots => Cell::Number(f64::from(self.slots)),
      FilterField::Cpu => self.cpu_percent.map_or(Cell::None, Cell::Number),
      FilterField::Memory => self.memory_percent.map_or(Cell::None, Cell::Number),
      FilterField::Age | FilterField::Since | FilterField::Until => {
        self.last_heartbeat_at.map_or(Cell::None, Cell::At)
      }
      FilterField::Label(key) => some(self.labels.get(key).map(String::as_str)),
      _ => Cell::None,
    }
  }

  fn texts(&self) -> Vec<Cow<'_, str>> {
    let texts = [self.id.as_str(), &self.hostname, &self.why, self.status.as_str()];
    texts.into_iter().map(Cow::Borrowed).collect()
  }
}

impl Fields for EventRow {
  fn cell(&self, field: &FilterField, _now: Ts) -> Cell<'_> {
    let data = &self.change.data;
    let number = |name: &str| data[name].as_f64().map_or(Cell::None, Cell::Number);
    match field {
      FilterField::Type => text(&self.change.event_type),
      FilterField::Kind => text(self.change.subject.kind.as_str()),
      FilterField::Name => text(&self.name),
      FilterField::Id => match self.change.subject.id.parse() {
        Ok(id) => Cell::Id(id),
        Err(_) => text(&self.change.subject.id),
      },
      FilterField::Agent => some(data["agent_id"].as_str()),
      FilterField::Namespace => text(self.namespace_id.as_str()),
      FilterField::State => some(data["status"].as_str()),
      FilterField::Exit => number("exit_code"),
      FilterField::Signal => number("signal"),
      FilterField::Reason => some(data["reason"].as_str()),
      FilterField::By => some(data["by"].as_str()),
      FilterField::Age | FilterField::Since | FilterField::Until => Cell::At(self.change.at),
      _ => Cell::None,
    }
  }

  fn texts(&self) -> Vec<Cow<'_, str>> {
    let texts = [&self.name, &self.detail, &self.change.event_type, &self.change.subject.id];
    texts.into_iter().map(|text| Cow::Borrowed(text.as_str())).collect()
  }
}
