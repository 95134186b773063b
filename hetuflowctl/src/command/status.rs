//! `status`: health on one screen, once or with `-w` again and again; `--wait-ready` waits for a
//! server.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hetuflow_core::AgentEntity;
use serde_json::{Value, json};

use super::glance::{Glance, is_online};
use super::object::list::everything;
use super::session::Session;
use crate::cli::StatusArgs;
use crate::client::{Call, Client, CtlError, Exit, Place};
use crate::output::{Failure, Outcome, Screen, View, describe};

const LOOK: Duration = Duration::from_millis(100);
/// Without `--timeout` a wait ends here.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// One look at a server that is not up yet takes no longer.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(2);

/// Shows the health.
///
/// # Errors
/// When no server answers, or it does not become ready.
pub async fn run(session: &Session, args: &StatusArgs) -> Result<Outcome, CtlError> {
  if args.wait_ready {
    let wait = wait_ready(session, args.agents);
    session.progress().during("waiting for a server", wait).await?;
  }
  let glance = Glance { client: session.client()?.clone(), namespace: session.list_namespace()? };
  if args.watch {
    return Ok(View::Screen(frames(glance)).into());
  }
  let seen = glance.look().await?;
  let outcome = Outcome::from(View::text(seen.text, seen.value));
  Ok(if args.exit_code && !seen.well { outcome.exit(Exit::Failure as u8) } else { outcome })
}

/// One look after the other. A server that is away is told and waited for: that is what a watch is
/// for; only the first look must succeed.
fn frames(glance: Glance) -> BoxStream<'static, Result<Screen, Failure>> {
  stream::unfold((glance, 0_u64), |(glance, turn)| async move {
    if turn > 0 {
      tokio::time::sleep(WATCH).await;
    }
    let frame = match glance.look().await {
      Ok(seen) => Ok(Screen { text: seen.text, value: seen.value }),
      Err(error) if turn > 0 && error.is_unreachable() => {
        let value = json!({ "status": "unreachable", "error": error.message });
        Ok(Screen { text: format!("unreachable  {}\n", error.message), value })
      }
      Err(error) => Err(error.into()),
    };
    Some((frame, (glance, turn + 1)))
  })
  .boxed()
}

/// Waits until a server is ready, accepts the token, and has so many agents. The context is read
/// anew each time: `dev` may be about to write it.
async fn wait_ready(session: &Session, agents: usize) -> Result<(), CtlError> {
  let limit = session.global.timeout.unwrap_or(WAIT_MAX);
  let end = tokio::time::Instant::now() + limit;
  loop {
    let look = tokio::time::timeout(LOOK_MAX, look(session, agents)).await;
    let last = match look {
      Ok(Ok(())) => return Ok(()),
      Ok(Err(error)) => error,
      Err(_) => CtlError::new(Exit::Unreachable, "the server does not answer in time"),
    };
    if tokio::time::Instant::now() + LOOK >= end {
      let mut error =
        CtlError::new(Exit::Timeout, format!("no server was ready within {} s", limit.as_secs()));
      error.facts.push(last.message.clone());
      error.facts.extend(last.facts.clone());
      return Err(error.help("nothing running yet? hetuflowctl dev"));
    }
    tokio::time::sleep(LOOK).await;
  }
}

async fn look(session: &Session, agents: usize) -> Result<(), CtlError> {
  let place = Place::settle(&session.origin()?)?;
  ready_once(place, agents).await
}

/// One look: ready, the token accepted, so many agents connected.
///
/// # Errors
/// What is missing.
pub async fn ready_once(place: Place, agents: usize) -> Result<(), CtlError> {
  // A closed port is told by one quick connect: the client's own retries would make the wait long.
  let address = place.server.socket_addrs(|| None)?;
  let refused = |error: std::io::Error| {
    CtlError::new(Exit::Unreachable, format!("no hetuflow server answers at {}", place.server))
      .fact(error.to_string())
  };
  tokio::net::TcpStream::connect(address.as_slice()).await.map_err(refused)?;
  let client = Client::new(place, LOOK_MAX, 0)?;
  client.send(Call::get("/system/ready")).await?;
  client.send(Call::get("/auth/me")).await?;
  if agents > 0 {
    let all: Vec<AgentEntity> = everything(&client, Call::get("/agents")).await?;
    let online = all.iter().filter(|agent| is_online(agent)).count();
    if online < agents {
      return Err(CtlError::failure(format!("{online} of {agents} agents are connected")));
    }
  }
  Ok(())
}

/// What the server says at a path, as it is.
///
/// # Errors
/// What the server says.
pub async fn raw(session: &Session, path: &str) -> Result<Outcome, CtlError> {
  let value: Value = session.client()?.fetch(Call::get(path)).await?;
  Ok(View::text(describe(&value), value).into())
}
