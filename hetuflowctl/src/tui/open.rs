//! Opens the face: reads what belongs to it, then shows one frame or runs until a person leaves.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hetuflow_core::Ts;

use super::keys::Keys;
use super::look::{Depth, Look, Theme};
use super::memory;
use super::model::{Model, Screen, Site};
use super::record::{Recorder, read};
use super::runtime::{Plan, Runtime, Source, Switch};
use super::snapshot::text_of;
use super::terminal::restore_on_panic;
use crate::client::{Client, Config, CtlError, Place, config_file, state_folder};

/// How long a snapshot waits for the first whole picture.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(10);

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
  /// The first screen.
  pub screen: Option<String>,
  /// Its filter.
  pub filter: Option<String>,
  /// One namespace; none shows all.
  pub namespace: Option<String>,
  /// ASCII only.
  pub ascii: bool,
  /// The mouse stays the terminal's.
  pub no_mouse: bool,
  /// The theme's name.
  pub theme: Option<String>,
  /// The person's own word about colour.
  pub color: Option<bool>,
  /// Frames a second.
  pub fps: u32,
  /// One frame of this size, with colours or not, and no more.
  pub snapshot: Option<((u16, u16), bool)>,
  /// A recording to write.
  pub record: Option<PathBuf>,
  /// A recording to play in place of a server.
  pub replay: Option<PathBuf>,
}

/// Makes a client for another context.
pub type Connect = Box<dyn Fn(&str) -> Result<Client, CtlError>>;

/// How to open the face.
pub struct Options {
  /// What was asked for.
  pub wanted: Wanted,
  /// The server.
  pub client: Client,
  /// Makes a client for another context.
  pub switch: Connect,
}

/// Shows the face; the exit code, and the text of a snapshot.
///
/// # Errors
/// When a file is of no use, there is no terminal, or a snapshot's server does not answer.
pub async fn open(options: Options) -> Result<(u8, String), CtlError> {
  let Options { wanted, client, switch } = options;
  let model = model(&wanted, &client.place)?;
  let source = match &wanted.replay {
    Some(path) => Source::Recording(read(path)?),
    None => Source::Server(Box::new(asked_on_screen(client))),
  };
  let namespace = wanted.namespace.clone();
  let switch: Switch = Box::new(move |name| {
    let client = switch(name)?;
    let all = namespace.is_none();
    let site = site(&client.place, (!all).then(|| client.place.namespace.clone()));
    Ok((asked_on_screen(client), site))
  });
  let recorder = wanted.record.as_deref().map(Recorder::create).transpose()?;
  let memory = state_folder().ok().map(|folder| folder.join("tui.toml"));
  let plan = Plan { fps: wanted.fps, mouse: !wanted.no_mouse, recorder, switch, memory };
  if let Some((size, ansi)) = wanted.snapshot {
    let frame = Runtime::new(model, source, plan).snapshot(size, SNAPSHOT_WAIT).await?;
    return Ok((0, text_of(&frame, ansi)));
  }
  if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
    return Err(
      CtlError::usage("the full-screen face needs a terminal")
        .help("one frame without a terminal:  hetuflowctl tui --snapshot"),
    );
  }
  restore_on_panic(state_folder().ok().map(|folder| folder.join("tui-panic.txt")));
  let exit = Runtime::new(model, source, plan).run().await?;
  Ok((exit, String::new()))
}

/// The table of keys as text.
///
/// # Errors
/// When `keys.toml` is wrong.
pub fn print_keys(config: &Path) -> Result<String, CtlError> {
  keys(config).map(|keys| keys.print())
}

/// The keys with the changes of the `keys.toml` beside the config.
fn keys(config: &Path) -> Result<Keys, CtlError> {
  let path = config.parent().unwrap_or(Path::new(".")).join("keys.toml");
  let text = match std::fs::read_to_string(&path) {
    Ok(text) => text,
    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Keys::default()),
    Err(error) => {
      return Err(CtlError::failure(format!("cannot read {}: {error}", path.display())));
    }
  };
  Keys::with_changes(&text).map_err(|problems| {
    let mut error = CtlError::usage(format!("{} is refused", path.display()));
    error.facts = problems.iter().map(ToString::to_string).collect();
    error.help("hetuflowctl tui --print-keys")
  })
}

/// The dialogs want a word in a protected context; the client need not ask for `--confirm` as well.
fn asked_on_screen(mut client: Client) -> Client {
  client.place.protected = false;
  client
}

fn site(place: &Place, namespace: Option<String>) -> Site {
  let config = config_file().ok().and_then(|path| Config::load(&path).ok()).unwrap_or_default();
  Site {
    title: place.context.clone().unwrap_or_else(|| address(place)),
    namespace,
    read_only: place.read_only,
    protected: place.protected,
    contexts: config.contexts.keys().cloned().collect(),
    namespaces: Vec::new(),
  }
}

fn address(place: &Place) -> String {
  let host = place.server.host_str().unwrap_or("server");
  match place.server.port() {
    Some(port) => format!("{host}:{port}"),
    None => host.to_owned(),
  }
}

fn model(wanted: &Wanted, place: &Place) -> Result<Model, CtlError> {
  let theme = match wanted.theme.as_deref() {
    None => Theme::Auto,
    Some(name) => Theme::of_name(name).ok_or_else(|| {
      CtlError::usage(format!("no theme is called {name:?}"))
        .help(format!("themes: {}", Theme::ALL.map(Theme::name).join(", ")))
    })?,
  };
  let depth = Depth::of_environment(wanted.color, |name| std::env::var(name).ok());
  let look = Look::new(wanted.ascii || !speaks_utf8(), depth, theme);
  let site = site(place, wanted.namespace.clone());
  let mut model = Model::new(look, keys(&place.config)?, site, Ts::now());
  if let Ok(folder) = state_folder() {
    memory::load(&folder.join("tui.toml"), &mut model);
  }
  if let Some(name) = wanted.screen.as_deref() {
    model.screen = Screen::of_name(name).ok_or_else(|| {
      CtlError::usage(format!("no screen is called {name:?}"))
        .help("screens: dashboard, tasks, jobs, agents, events, servers")
    })?;
  }
  if let Some(filter) = &wanted.filter {
    if model.screen.list().is_none() {
      model.screen = Screen::Tasks;
    }
    if let Some(list) = model.list_mut() {
      list.set_filter(filter);
    }
  }
  Ok(model)
}

/// Whether the locale says that text is UTF-8; where it says nothing, it is.
fn speaks_utf8() -> bool {
  let value = ["LC_ALL", "LC_CTYPE", "LANG"]
    .iter()
    .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
  match value {
    Some(text) => {
      let text = text.to_ascii_lowercase();
      text.contains("utf-8") || text.contains("utf8")
    }
    None => true,
  }
}
