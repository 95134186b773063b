//! `/events`: the feed, as server-sent events or as a WebSocket.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hetuflow_core::{ErrorCode, Scope, Subscribe, Topic, Watch, WatchFrame};
use serde::Serialize;

use super::auth::{Caller, StreamRight, is_upgrade};
use super::error::{Answer, ApiError};
use super::events_socket::serve_socket;
use super::operation::{Door, Operation};
use super::query::Args;
use super::state::ApiState;
use crate::service::{FeedItem, FeedReader};

type Api = State<Arc<ApiState>>;
/// Where a reader of server-sent events says what it saw last.
const LAST_EVENT_ID: &str = "last-event-id";

/// The routes of the feed.
pub(super) fn operations() -> Vec<Operation> {
  let one = |operation: Operation| {
    operation
      .summary("Follow what happens: server-sent events, or a WebSocket when upgraded")
      .door(Door::Stream)
      .query("topics", "string", "topics, separated by commas; all where none is named")
      .query("namespace_id", "string", "only this namespace")
      .query("since_seq", "integer", "go on after this number")
      .query("snapshot", "boolean", "send what exists first")
      .query("token", "string", "the token, for browsers; only on an upgrade or event stream")
      .answers_bytes("text/event-stream")
  };
  vec![
    one(Operation::get("/api/v1/events", feed)),
    one(Operation::get("/api/v1/events/stream", feed)),
    Operation::get("/api/v1/events/snapshot", snapshot)
      .summary("What a watch would show now: one full frame")
      .query("scope", "string", "overview, tasks, jobs, agents, events, servers, fires, task, job")
      .query("namespace_id", "string", "only this namespace")
      .query("filter", "string", "only rows that it lets through")
      .query("sort", "string", "fields, separated by commas; - before one turns it around")
      .query("from", "integer", "first row, counted from 0")
      .query("len", "integer", "rows, 1 to 500; 100 where not said")
      .query("target", "string", "the task or job, for the scopes task and job")
      .answers::<WatchFrame>(),
  ]
}

async fn snapshot(State(api): Api, caller: Caller, mut args: Args) -> Answer<WatchFrame> {
  let scope: Option<Scope> = args.value("scope")?;
  let Some(scope) = scope else {
    let message = format!("say what to show: one of {}", Scope::expected());
    return Err(ApiError::new(ErrorCode::BadRequest, "filter.value", "?scope", message));
  };
  let watch = Watch {
    id: scope.to_string(),
    scope,
    namespace_id: args.namespace()?,
    filter: args.text("filter").unwrap_or_default(),
    sort: args.text("sort").unwrap_or_default(),
    from: args.value("from")?.unwrap_or(0),
    len: args.value("len")?.unwrap_or(0),
    max_hz: 0,
    target: args.text("target"),
  };
  args.finish()?;
  Ok(Json(api.watches.snapshot(&caller.0, &watch).await?))
}

async fn feed(
  State(api): Api,
  caller: Caller,
  (right, mut args): (StreamRight, Args),
  request: Request,
) -> Result<Response, ApiError> {
  // Checked before; and not a wish.
  let _token = args.text("token");
  let headers = request.headers();
  check_origin(headers)?;
  let (wish, named) = wish(args, headers)?;
  if is_upgrade(headers) {
    let (mut parts, _) = request.into_parts();
    let upgrade = axum::extract::WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
    let upgrade = upgrade.map_err(|error| {
      ApiError::new(ErrorCode::BadRequest, "websocket.upgrade", "", error.body_text())
    })?;
    // Before the answer, as below: who has read it misses nothing that happens from then on.
    let reader = if named { Some(api.feed.subscribe(&caller.0, &wish).await?) } else { None };
    return Ok(serve_socket(upgrade, (api, caller.0, right), reader));
  }
  let reader = api.feed.subscribe(&caller.0, &wish).await?;
  Ok(events(reader, right))
}

/// A page of another origin must not read the feed with somebody's rights.
fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
  let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
  let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
  let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
  let same = origin.is_some_and(|(_, place)| {
    text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(place))
  });
  if same {
    return Ok(());
  }
  let message = "the request comes from a page of another origin";
  Err(ApiError::new(ErrorCode::Forbidden, "auth.origin", "Origin", message))
}

/// What the address asks for, and whether it asks for anything.
fn wish(mut args: Args, headers: &HeaderMap) -> Result<(Subscribe, bool), ApiError> {
  let topics = args.text("topics");
  let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
  let last = last.and_then(|text| text.parse::<i64>().ok());
  let since: Option<i64> = args.value("since_seq")?;
  let snapshot: Option<bool> = args.value("snapshot")?;
  let namespace_id = args.namespace()?;
  args.finish()?;
  let named = topics.is_some() || since.is_some() || snapshot.is_some() || namespace_id.is_some();
  let mut wish = Subscribe {
    topics: Vec::new(),
    namespace_id,
    // A reader that comes back knows better than its address.
    since_seq: last.or(since),
    snapshot: snapshot.unwrap_or(false),
  };
  for name in topics.iter().flat_map(|text| text.split(',')).filter(|name| !name.is_empty()) {
    wish.topics.push(name.parse::<Topic>().map_err(|error| {
      let message = error.to_string().chars().flat_map(char::escape_default).collect::<String>();
      ApiError::new(ErrorCode::BadRequest, "filter.value", "?topics", message)
    })?);
  }
  Ok((wish, named))
}

fn events(reader: FeedReader, right: StreamRight) -> Response {
  let events = stream::unfold(Some((reader, right)), |open| async move {
    let (mut reader, mut right) = open?;
    let item = {
      let mut next = pin!(reader.next());
      tokio::select! {
        item = &mut next => item,
        why = right.ended() => FeedItem::Closed(why.to_owned()),
      }
    };
    let (event, ends) = event_of(&item);
    Some((Ok::<_, Infallible>(event), (!ends).then_some((reader, right))))
  });
  let headers = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
  (headers, Sse::new(events)).into_response()
}

/// The event that an item is, and whether it is the last.
fn event_of(item: &FeedItem) -> (Event, bool) {
  match item {
    FeedItem::Frame(frame) => (event("frame", Some(frame.seq), frame), false),
    FeedItem::Tick(tick) => (event("tick", Some(tick.seq), tick), false),
    FeedItem::Resync(resync) => (event("resync", Some(resync.from_seq), resync), false),
    FeedItem::Closed(why) => (event("closed", None, &serde_json::json!({ "reason": why })), true),
  }
}

fn event(name: &str, seq: Option<i64>, data: &impl Serialize) -> Event {
  let text = serde_json::to_string(data).unwrap_or_default();
  let event = Event::default().event(name).data(text);
  match seq {
    Some(seq) => event.id(seq.to_string()),
    None => event,
  }
}
