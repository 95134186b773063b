//! Query strings, read strictly: an unknown or broken parameter is an error, not a silence.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use hetuflow_core::{
  ErrorCode, FieldError, NamespaceId, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PageQuery,
};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::error::ApiError;
use crate::service::{Cursor, ListWish, PageArgs};

/// What pages of a list are cut by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
  /// Ids, newest first.
  Id,
  /// Names.
  Name,
}

/// The parameters of a request. Whoever has taken what it knows calls [`Args::finish`].
#[derive(Debug, Default)]
pub(super) struct Args {
  pairs: Vec<(String, String)>,
  /// Path and filter, by which a cursor of this list is told from others.
  list: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Args {
  type Rejection = ApiError;

  async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
    let pairs = pairs_of(parts.uri.query().unwrap_or_default());
    for (index, (name, _)) in pairs.iter().enumerate() {
      if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
        return Err(wrong(name, format!("{} is given twice", shorten(name))));
      }
    }
    let list = list_of(parts.uri.path(), &pairs);
    Ok(Self { pairs, list })
  }
}

impl Args {
  /// The text of a parameter.
  pub(super) fn text(&mut self, name: &str) -> Option<String> {
    let at = self.pairs.iter().position(|(known, _)| known == name)?;
    Some(self.pairs.swap_remove(at).1)
  }

  /// A parameter of some type.
  ///
  /// # Errors
  /// 400 `filter.value` with what would be accepted.
  pub(super) fn value<T: FromStr<Err: Display>>(
    &mut self,
    name: &str,
  ) -> Result<Option<T>, ApiError> {
    let Some(text) = self.text(name) else { return Ok(None) };
    text
      .parse()
      .map(Some)
      .map_err(|error| wrong(name, format!("{name}: \"{}\" is not one: {error}", shorten(&text))))
  }

  /// The namespace that is meant.
  ///
  /// # Errors
  /// 400 `filter.value`.
  pub(super) fn namespace(&mut self) -> Result<Option<NamespaceId>, ApiError> {
    self.value("namespace_id")
  }

  /// Which page.
  ///
  /// # Errors
  /// 400 `page.limit` or `page.cursor`.
  pub(super) fn page(&mut self, order: Order) -> Result<PageArgs, ApiError> {
    let limit = match self.text("limit") {
      None => None,
      Some(text) => Some(text.parse().map_err(|_| bad_limit(&text))?),
    };
    page_args(&PageQuery { limit, cursor: self.text("cursor") }, order, &self.list)
  }

  /// A filter and an order, where one is given; then nothing else but the page and the namespace.
  ///
  /// # Errors
  /// 400 for a page that is none.
  pub(super) fn wish(&mut self) -> Result<Option<ListWish>, ApiError> {
    let (filter, sort) = (self.text("filter"), self.text("sort"));
    if filter.is_none() && sort.is_none() {
      return Ok(None);
    }
    let cursor = self.text("cursor");
    let from = cursor.map_or(Ok(0), |text| text.parse().map_err(|_| bad_cursor()))?;
    let limit = self.page(Order::Id)?.limit;
    let namespace_id = self.namespace()?;
    let (filter, sort) = (filter.unwrap_or_default(), sort.unwrap_or_default());
    Ok(Some(ListWish { namespace_id, filter, sort, from, limit }))
  }

  /// All parameters were known.
  ///
  /// # Errors
  /// 400 naming the first that was not.
  pub(super) fn finish(self) -> Result<(), ApiError> {
    match self.pairs.first() {
      None => Ok(()),
      Some((name, _)) => {
        let message = format!("no parameter \"{}\" here", shorten(name));
        Err(ApiError::new(ErrorCode::BadRequest, "query.unknown", &field(name), message))
      }
    }
  }

  /// Whether a change is only tried: `dry_run=true`.
  ///
  /// # Errors
  /// 400 `filter.value`.
  pub(super) fn dry_run(&mut self) -> Result<bool, ApiError> {
    Ok(self.value("dry_run")?.unwrap_or(false))
  }

  /// Only the namespace is known here.
  ///
  /// # Errors
  /// 400 for anything else.
  pub(super) fn only_namespace(mut self) -> Result<Option<NamespaceId>, ApiError> {
    let namespace = self.namespace()?;
    self.finish()?;
    Ok(namespace)
  }
}

/// The page that a query means; `list` is what tells this list from others.
///
/// # Errors
/// 400 `page.limit` or `page.cursor`.
fn page_args(query: &PageQuery, order: Order, list: &str) -> Result<PageArgs, ApiError> {
  let limit = query.limit.unwrap_or(PAGE_LIMIT_DEFAULT);
  if !(1..=PAGE_LIMIT_MAX).contains(&limit) {
    return Err(bad_limit(&limit.to_string()));
  }
  let mark = format!("{:08x}-", fnv(list));
  let after = match &query.cursor {
    None => None,
    Some(text) => Some(read_cursor(text, order, &mark).ok_or_else(bad_cursor)?),
  };
  Ok(PageArgs { limit, after, mark })
}

/// The key in a cursor; `None` for one that this list with this filter has not made.
fn read_cursor(text: &str, order: Order, mark: &str) -> Option<Cursor> {
  let key = text.strip_prefix(mark)?;
  match order {
    Order::Id => key.parse().ok().map(Cursor::Id),
    Order::Name => {
      let plain = !key.is_empty() && key.len() <= 512 && !key.chars().any(char::is_control);
      plain.then(|| Cursor::Name(key.to_owned()))
    }
  }
}

/// The path and whatever filters, in one order.
fn list_of(path: &str, pairs: &[(String, String)]) -> String {
  let paging = |name: &str| matches!(name, "limit" | "cursor");
  let mut filter: Vec<_> = pairs.iter().filter(|(name, _)| !paging(name)).collect();
  filter.sort();
  format!("{path}?{filter:?}")
}

/// FNV-1a: the same on every server, and no secret.
fn fnv(text: &str) -> u32 {
  text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A list that is asked for by a body.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de> + Default"))]
pub(super) struct ListQuery<F> {
  /// Which things.
  #[serde(default)]
  pub(super) filter: F,
  /// At most so many, 1 to 1,000.
  #[serde(default)]
  pub(super) limit: Option<i64>,
  /// Go on after the page that gave this text.
  #[serde(default)]
  pub(super) cursor: Option<String>,
}

impl<F: ToSchema> PartialSchema for ListQuery<F> {
  fn schema() -> RefOr<Schema> {
    let limit = ObjectBuilder::new().schema_type(Type::Integer);
    let cursor = ObjectBuilder::new().schema_type(Type::String);
    ObjectBuilder::new()
      .description(Some("Which things, and which page of them."))
      .property("filter", F::schema())
      .property("limit", limit.description(Some("At most so many, 1 to 1,000.")))
      .property("cursor", cursor.description(Some("Go on after the page that gave this text.")))
      .into()
  }
}

impl<F: ToSchema> ToSchema for ListQuery<F> {
  fn name() -> Cow<'static, str> {
    format!("ListQueryOf{}", F::name()).into()
  }

  fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    F::schemas(all);
  }
}

impl<F: Serialize + ToSchema> ListQuery<F> {
  /// Which things, and which page of them.
  ///
  /// # Errors
  /// 400 `page.limit` or `page.cursor`.
  pub(super) fn split(self, order: Order) -> Result<(F, PageArgs), ApiError> {
    let filter = serde_json::to_string(&self.filter).expect("filters are plain data");
    let list = format!("{} {filter}", F::name());
    let page = page_args(&PageQuery { limit: self.limit, cursor: self.cursor }, order, &list)?;
    Ok((self.filter, page))
  }
}

/// The one part of a path that names a thing. What cannot be read names nothing: 404.
#[derive(Debug)]
pub(super) struct Ref(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Ref {
  type Rejection = ApiError;

  async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
    match Path::<String>::from_request_parts(parts, state).await {
      Ok(Path(text)) => Ok(Self(text)),
      Err(_) => Err(ApiError::new(ErrorCode::NotFound, "", "", "no such thing")),
    }
  }
}

/// The pairs of a query string, unescaped; bytes that are no UTF-8 are replaced.
pub(super) fn pairs_of(query: &str) -> Vec<(String, String)> {
  let parts = query.split('&').filter(|part| !part.is_empty());
  parts
    .map(|part| {
      let (name, value) = part.split_once('=').unwrap_or((part, ""));
      (unescape(name), unescape(value))
    })
    .collect()
}

fn unescape(text: &str) -> String {
  let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
  let bytes = text.as_bytes();
  let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
  while at < bytes.len() {
    match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
      (b'%', Some(high), Some(low)) => {
        out.push((high * 16 + low) as u8);
        at += 2;
      }
      (b'+', ..) => out.push(b' '),
      (byte, ..) => out.push(byte),
    }
    at += 1;
  }
  String::from_utf8_lossy(&out).into_owned()
}

fn field(name: &str) -> String {
  format!("?{}", shorten(name))
}

fn wrong(name: &str, message: String) -> ApiError {
  ApiError::new(ErrorCode::BadRequest, "filter.value", &field(name), message)
}

fn bad_limit(text: &str) -> ApiError {
  let message = format!("limit is 1 to {PAGE_LIMIT_MAX}, not {}", shorten(text));
  ApiError::new(ErrorCode::BadRequest, "page.limit", "?limit", message)
}

fn bad_cursor() -> ApiError {
  let rule =
    FieldError::new("page.cursor", "?cursor", "the cursor is not one of this list and filter")
      .with_hint("pass next_cursor of the page before, unchanged, with the same filter");
  ApiError::broken(ErrorCode::BadRequest, vec![rule])
}

fn shorten(text: &str) -> String {
  text.chars().take(40).flat_map(char::escape_default).collect()
}
