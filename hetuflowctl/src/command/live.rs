//! Lists that go on: `-w` on a list, `top`. One watch on the event socket.

use futures_util::stream::{self, StreamExt as _};
use hetuflow_core::{
  AgentRow, EventRow, FireRow, JobRow, NamespaceId, Scope, ServerRow, TaskRow, WATCH_WINDOW_MAX,
  Watch, WatchError, WatchFrame,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::expression::Expression;
use super::filter_text::combine;
use super::session::Session;
use super::window::{Change, Window};
use crate::cli::Watching;
use crate::client::{Call, Client, CtlError, Exit, WatchItem, WatchSocket};
use crate::output::{Column, Live, LiveFrame, Outcome, Page, Record, Rows, TableRow, View};

/// Frames a second at most: a terminal is repainted no faster.
const HZ: u8 = 5;
/// A server that is away is looked for again after this.
const AWAY: std::time::Duration = std::time::Duration::from_secs(1);
/// A socket that ended is opened again after this.
const ENDED: std::time::Duration = std::time::Duration::from_millis(250);
/// The server says something every second; after this much silence it is taken for gone.
const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(20);
/// The end of a watch that waits for a list without rows.
const EMPTY: &str = "empty";

/// What is watched.
#[derive(Debug, Clone)]
pub struct Sight {
  /// The scope.
  pub scope: Scope,
  /// The terms of the command's own flags, in the filter language.
  pub terms: Vec<String>,
  /// Rows at most; 0 is as many as a window holds.
  pub limit: u32,
}

impl Sight {
  fn watch(&self, session: &Session) -> Result<Watch, CtlError> {
    let filter = combine(&self.terms, session.filter()?.as_deref());
    let namespace = match session.list_namespace()? {
      Some(name) => Some(
        NamespaceId::new(&name).map_err(|error| CtlError::new(Exit::Invalid, error.to_string()))?,
      ),
      None => None,
    };
    let len = if self.limit == 0 { WATCH_WINDOW_MAX } else { self.limit.min(WATCH_WINDOW_MAX) };
    Ok(Watch {
      id: "list".to_owned(),
      scope: self.scope,
      namespace_id: namespace,
      filter,
      sort: session.global.sort.clone().unwrap_or_default(),
      from: 0,
      len,
      max_hz: HZ,
      target: None,
    })
  }
}

/// Shows the list and what changes in it.
///
/// # Errors
/// When the expression of `--until` cannot be read, or there is no client.
pub fn run(session: &Session, sight: &Sight, flags: &Watching) -> Result<Outcome, CtlError> {
  let until = match flags.until.as_deref() {
    None => Until::Never,
    Some(EMPTY) => Until::Empty,
    Some(text) => Until::Row(Expression::parse(text)?),
  };
  let watcher = Watcher {
    client: session.client()?.clone(),
    watch: sight.watch(session)?,
    socket: None,
    window: Window::default(),
    until,
    skips_first: flags.watch_only,
    opened: false,
    over: false,
  };
  let frames = stream::try_unfold(watcher, |mut watcher| async move {
    let frame = watcher.next().await?;
    Ok::<_, CtlError>(frame.map(|frame| (frame, watcher)))
  });
  let live =
    Live { columns: columns(sight.scope), frames: frames.map(|f| f.map_err(Into::into)).boxed() };
  Ok(View::Live(live).into())
}

/// The list as a watch would show it now, once.
///
/// # Errors
/// What the server says.
pub async fn once(session: &Session, sight: &Sight) -> Result<Outcome, CtlError> {
  let watch = sight.watch(session)?;
  let frame = snapshot(session.client()?, &watch).await?;
  if let Some(error) = &frame.error {
    return Err(refused(&watch.filter, error));
  }
  let mut window = Window::default();
  // A frame of its own is whole: there is nothing that it could miss.
  let _ = window.take(frame);
  let rows = window.rows().map(|row| record(sight.scope, row)).collect();
  let pages = stream::iter([Ok::<_, CtlError>(Page { rows, next: None })]);
  Ok(View::List(Rows::paged(columns(sight.scope), pages)).into())
}

/// The first screen, once.
///
/// # Errors
/// What the server says.
pub async fn overview(session: &Session) -> Result<WatchFrame, CtlError> {
  let sight = Sight { scope: Scope::Overview, terms: Vec::new(), limit: 0 };
  let watch = sight.watch(session)?;
  snapshot(session.client()?, &watch).await
}

/// One frame of a watch by REST.
///
/// # Errors
/// What the server says.
pub async fn snapshot(client: &Client, watch: &Watch) -> Result<WatchFrame, CtlError> {
  let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
  let call = Call::get("/events/snapshot")
    .query("scope", watch.scope)
    .query_some("namespace_id", watch.namespace_id.as_ref())
    .query_some("filter", text(&watch.filter))
    .query_some("sort", text(&watch.sort))
    .query_some("len", (watch.len > 0).then_some(watch.len))
    .query_some("target", watch.target.as_ref());
  client.fetch(call).await
}

fn columns(scope: Scope) -> &'static [Column] {
  match scope {
    Scope::Jobs => JobRow::COLUMNS,
    Scope::Agents => AgentRow::COLUMNS,
    Scope::Servers => ServerRow::COLUMNS,
    Scope::Fires => FireRow::COLUMNS,
    Scope::Events => EventRow::COLUMNS,
    _ => TaskRow::COLUMNS,
  }
}

/// The row as it stands in a table; fields that this program does not know stay in the JSON.
fn record(scope: Scope, row: &Value) -> Record {
  fn of<T: TableRow + DeserializeOwned>(row: &Value) -> Option<Record> {
    let known: T = serde_json::from_value(row.clone()).ok()?;
    Some(Record { value: row.clone(), ..Record::of(&known) })
  }
  let made = match scope {
    Scope::Jobs => of::<JobRow>(row),
    Scope::Agents => of::<AgentRow>(row),
    Scope::Servers => of::<ServerRow>(row),
    Scope::Fires => of::<FireRow>(row),
    Scope::Events => of::<EventRow>(row),
    _ => of::<TaskRow>(row),
  };
  made.unwrap_or_else(|| Record {
    name: row.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
    value: row.clone(),
    manifest: None,
    cells: Vec::new(),
  })
}

/// A filter that cannot be read, with a caret.
pub fn refused(filter: &str, error: &WatchError) -> CtlError {
  let mut told = CtlError::new(Exit::Invalid, error.message.clone());
  told.code = error.code.clone();
  if let Some(column) = error.column {
    told.facts.push(format!("{filter}\n{}^", " ".repeat(column as usize)));
  }
  if !error.hint.is_empty() {
    told.help.push(error.hint.clone());
  }
  told.help("hetuflowctl help filters")
}

enum Until {
  Never,
  Empty,
  Row(Expression),
}

struct Watcher {
  client: Client,
  watch: Watch,
  socket: Option<WatchSocket>,
  window: Window,
  until: Until,
  skips_first: bool,
  opened: bool,
  over: bool,
}

impl Watcher {
  /// The next state of the list; `None` at the end. A break is taken up again.
  async fn next(&mut self) -> Result<Option<LiveFrame>, CtlError> {
    if self.over {
      return Ok(None);
    }
    loop {
      let Some(socket) = &mut self.socket else {
        self.connect().await?;
        continue;
      };
      let item = match tokio::time::timeout(SILENCE_MAX, socket.next()).await {
        Ok(Ok(item)) => item,
        Ok(Err(error)) if !error.is_unreachable() => return Err(error),
        // A connection that ended, or says nothing any more, is made anew.
        Ok(Err(_)) | Err(_) => {
          self.socket = None;
          tokio::time::sleep(ENDED).await;
          continue;
        }
      };
      let frame = match item {
        WatchItem::Frame(frame) if frame.id == self.watch.id => *frame,
        WatchItem::Refused(why) => return Err(CtlError::new(Exit::Invalid, why)),
        _ => continue,
      };
      if let Some(error) = &frame.error {
        return Err(refused(&self.watch.filter, error));
      }
      let Ok(changes) = self.window.take(frame) else {
        self.socket = None;
        continue;
      };
      self.over = self.is_reached();
      return Ok(Some(self.frame(changes)));
    }
  }

  async fn connect(&mut self) -> Result<(), CtlError> {
    let opened = match WatchSocket::open(&self.client).await {
      Ok(mut socket) => socket.watch(&self.watch).await.map(|()| socket),
      Err(error) => Err(error),
    };
    match opened {
      Ok(socket) => {
        (self.socket, self.opened) = (Some(socket), true);
        Ok(())
      }
      Err(error) if self.opened && error.is_unreachable() => {
        tokio::time::sleep(AWAY).await;
        Ok(())
      }
      Err(error) => Err(error),
    }
  }

  fn is_reached(&self) -> bool {
    match &self.until {
      Until::Never => false,
      Until::Empty => self.window.matched == 0,
      Until::Row(wanted) => self.window.rows().any(|row| wanted.matches(row)),
    }
  }

  fn frame(&mut self, changes: Vec<Change>) -> LiveFrame {
    let scope = self.watch.scope;
    let seq = self.window.seq;
    let skip = std::mem::take(&mut self.skips_first);
    let changes = if skip { Vec::new() } else { changes };
    let changes = changes.into_iter().map(|change| match change.op {
      "sync" => json!({ "op": "sync", "seq": seq }),
      op => {
        let name = record(scope, &change.object).name;
        json!({ "op": op, "seq": seq, "name": name, "object": change.object })
      }
    });
    LiveFrame {
      changes: changes.collect(),
      rows: self.window.rows().map(|row| record(scope, row)).collect(),
      foot: format!("{} {scope}", self.window.matched),
    }
  }
}
