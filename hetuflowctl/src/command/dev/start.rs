//! Starts everything, waits until it is ready, keeps it running, stops it.

use std::time::{Duration, Instant};

use futures_util::future::select_all;
use hetuflow_core::{AgentEntity, JobEntity};
use serde_json::{Value, json};
use url::Url;

use super::child::Recipe;
use super::face::Face;
use super::folder::{Folder, free_port, sibling};
use super::keep::{Signals, Slot, keep_running, stop};
use super::lines::Lines;
use crate::cli::DevArgs;
use crate::client::{
  Call, Client, Config, ContextEntry, CtlError, Exit, Origin, Place, TokenSource, data_folder,
};
use crate::command::apply::apply_texts;
use crate::command::glance::is_online;
use crate::command::object::list::everything;
use crate::command::session::Session;
use crate::command::status::ready_once;
use crate::output::{Outcome, View, show_duration};

include!(concat!(env!("OUT_DIR"), "/examples_list.rs"));

/// The context that `dev` writes.
const CONTEXT: &str = "local";
const READY_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(25);

/// Runs until it is told to stop.
///
/// # Errors
/// When something cannot be started.
pub async fn run(session: &Session, args: &DevArgs) -> Result<Outcome, CtlError> {
  let begin = Instant::now();
  let mut signals = Signals::new()?;
  let (server, agent) = (sibling("hetuflow-server")?, sibling("hetuflow-agent")?);
  let folder = match &args.data {
    Some(path) => Folder::take(path, args.reset)?,
    None => Folder::take(&data_folder()?, args.reset)?,
  };
  let port = free_port(args.port)?;
  if port != args.port && args.port != 0 {
    session.look.say(format!("port {} is taken, using {port}", args.port));
  }
  let url = Url::parse(&format!("http://127.0.0.1:{port}"))
    .map_err(|error| CtlError::failure(error.to_string()))?;
  let origin = session.origin()?;
  let current = keep_context(&origin, &url, &folder)?;

  let mut recipes = vec![folder.server_recipe(server, port, args.db.as_deref())?];
  for number in 1..=args.agents {
    recipes.push(folder.agent_recipe(agent.clone(), number, url.as_str().trim_end_matches('/'))?);
  }
  let width = recipes.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
  let lines = Lines::new(&session.look, width);
  let mut slots: Vec<Slot> = Vec::new();
  let place = place(&origin, &url, &folder);
  let data = folder.path.clone();
  let plan = Plan { session, args, place, folder, lines: lines.clone(), begin, current };
  let outcome = tokio::select! {
    exit = signals.next() => Ok(exit),
    outcome = plan.start(recipes, &mut slots) => outcome.map(|()| 0),
  };
  let outcome = match outcome {
    Ok(0) => {
      let wants_face = !args.headless && !session.look.json() && Face::is_possible();
      let end = async {
        match wants_face {
          true => Face { context: CONTEXT, folder: data }.open(&lines, &mut signals).await,
          false => Ok(signals.next().await),
        }
      };
      keep_running(&lines, &mut slots, end).await
    }
    other => other,
  };
  stop(&session.look, slots, &mut signals).await;
  // A stop that was asked for, by Ctrl-C or by TERM, is how dev ends well.
  let asked = |exit| matches!(exit, 130 | 143);
  outcome.map(|exit| Outcome::from(View::Nothing).exit(if asked(exit) { 0 } else { exit }))
}

/// What a start is made of.
struct Plan<'a> {
  session: &'a Session,
  args: &'a DevArgs,
  place: Place,
  folder: Folder,
  lines: Lines,
  begin: Instant,
  /// Whether our context is the current one.
  current: bool,
}

impl Plan<'_> {
  /// The server first, then the agents, then the examples; each as soon as what it needs is there.
  async fn start(&self, recipes: Vec<Recipe>, slots: &mut Vec<Slot>) -> Result<(), CtlError> {
    let Self { session, args, place, folder, lines, .. } = self;
    let mut recipes = recipes.into_iter();
    slots.extend(recipes.next().map(|recipe| Slot::start(recipe, lines)).transpose()?);
    until(slots, lines, async || {
      let told = std::fs::read(folder.server_json()).ok();
      let told = told.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
      if told.is_none() {
        return Err(CtlError::new(Exit::Unreachable, "the server does not listen yet"));
      }
      ready_once(place.clone(), 0).await
    })
    .await?;
    for recipe in recipes {
      slots.push(Slot::start(recipe, lines)?);
    }
    let client =
      Client::new(place.clone(), session.global.request_timeout, session.global.verbose)?;
    until(slots, lines, async || agents_online(&client, args.agents as usize).await).await?;
    let jobs = if args.demo { Some(demo(&client).await?) } else { None };
    self.ready(jobs);
    Ok(())
  }

  /// Says that all is ready, and where everything is.
  fn ready(&self, jobs: Option<usize>) {
    let Self { session, args, place, folder, begin, current, .. } = self;
    let took = begin.elapsed();
    let url = place.server.as_str().trim_end_matches('/');
    let context = if *current { String::new() } else { format!(" -c {CONTEXT}") };
    let mut text = format!("ready in {}  {url}\n", show_duration(took));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<9} {value}\n"));
    line("context", format!("{CONTEXT} in {}", place.config.display()));
    line("data", folder.path.display().to_string());
    line("token", folder.token().display().to_string());
    match &args.db {
      Some(url) => line("database", hetuflow_core::config_text::mask_url(url)),
      None => line("database", folder.server().join("hetuflow.db").display().to_string()),
    }
    line("agents", args.agents.to_string());
    if let Some(jobs) = jobs {
      line("jobs", format!("{jobs}, from the examples"));
    }
    line("try", format!("hetuflowctl{context} run --cmd 'echo hello' --logs"));
    if !args.headless {
      line("stop", "Ctrl-C".to_owned());
    }
    if session.look.json() {
      let value = json!({
        "ready_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "url": url, "context": CONTEXT,
        "data": folder.path, "token_file": folder.token(), "agents": args.agents, "jobs": jobs,
      });
      text = format!("{value}\n");
    }
    // The one answer of dev; the children's lines go to stderr.
    session.look.put(&text);
  }
}

/// Looks until something is as it should be; a child that ends meanwhile ends the start.
async fn until(
  slots: &mut [Slot],
  lines: &Lines,
  look: impl AsyncFn() -> Result<(), CtlError>,
) -> Result<(), CtlError> {
  let begin = Instant::now();
  loop {
    let waits = slots.iter_mut().filter_map(|slot| slot.running.as_mut()).map(|running| {
      Box::pin(async move {
        let status = running.wait().await;
        (running.recipe.name.clone(), status)
      })
    });
    let (name, status) = tokio::select! {
      outcome = look() => match outcome {
        Ok(()) => return Ok(()),
        Err(error) if begin.elapsed() > READY_MAX => return Err(error),
        Err(_) => {
          tokio::time::sleep(LOOK).await;
          continue;
        }
      },
      ((name, status), ..) = select_all(waits) => (name, status?),
    };
    // Its last lines may still be in the pipe.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut error = CtlError::failure(format!("{name} did not start: {status}"));
    error.facts = lines.last_of(&name);
    return Err(error);
  }
}

async fn agents_online(client: &Client, wanted: usize) -> Result<(), CtlError> {
  if wanted == 0 {
    return Ok(());
  }
  let agents: Vec<AgentEntity> = everything(client, Call::get("/agents")).await?;
  // An earlier run's agents are there too: only ours, which have just been heard of, count.
  let online =
    agents.iter().filter(|agent| agent.id.as_str().starts_with("dev-") && is_online(agent)).count();
  if online >= wanted {
    Ok(())
  } else {
    Err(CtlError::failure(format!("{online} of {wanted} agents are connected")))
  }
}

async fn demo(client: &Client) -> Result<usize, CtlError> {
  if EXAMPLES.is_empty() {
    return Err(CtlError::failure("this build of hetuflowctl holds no examples"));
  }
  apply_texts(client, EXAMPLES).await?;
  everything::<JobEntity>(client, Call::get("/jobs")).await.map(|jobs| jobs.len())
}

fn place(origin: &Origin, url: &Url, folder: &Folder) -> Place {
  Place {
    context: Some(CONTEXT.to_owned()),
    server: url.clone(),
    server_origin: "dev".to_owned(),
    namespace: "default".to_owned(),
    token: TokenSource::File(folder.token()),
    read_only: false,
    protected: false,
    config: origin.config.clone(),
  }
}

/// Writes the context before anything runs, so that `status --wait-ready` finds it. True when it
/// is the current one: another context that is in use stays in use.
fn keep_context(origin: &Origin, url: &Url, folder: &Folder) -> Result<bool, CtlError> {
  let mut config = Config::load(&origin.config)?;
  let entry = ContextEntry {
    server: Some(url.as_str().trim_end_matches('/').to_owned()),
    namespace: config.contexts.get(CONTEXT).and_then(|entry| entry.namespace.clone()),
    token_file: Some(folder.token()),
    ..ContextEntry::default()
  };
  config.contexts.insert(CONTEXT.to_owned(), entry);
  let current = config.current.get_or_insert_with(|| CONTEXT.to_owned()) == CONTEXT;
  config.save(&origin.config)?;
  Ok(current)
}

#[cfg(test)]
mod tests {
  #[test]
  fn the_examples_are_good_manifests() {
    let sources: Vec<(String, String)> =
      super::EXAMPLES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    for (name, text) in sources {
      crate::command::apply::check_text(&name, &text)
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
  }
}
