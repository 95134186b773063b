//! The way to the server, and the server itself.

use std::time::{Duration, Instant};

use hetuflow_core::{PROTOCOL_VERSION, ServerEntity, ServerStatus, Ts};
use serde_json::Value;

use super::check::Checks;
use crate::client::{Call, Client, CtlError, Exit, Place};
use crate::command::cluster::{freezes_in, told};
use crate::command::object::list::everything;
use crate::command::session::Session;

/// Clocks may differ by so much.
const SKEW_MS_MAX: i64 = 500;
/// A server that says nothing for so long is silent.
const SILENT: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_millis(500);

/// Looks at the way and the server; the client where it is worth asking more. `brief` keeps what
/// went well to itself.
pub async fn look(session: &Session, checks: &mut Checks, brief: bool) -> Option<Client> {
  let before = checks.all.len();
  let client = way(session, checks).await;
  if let Some(client) = &client
    && !brief
  {
    itself(client, checks).await;
    servers(client, session.look.now, checks).await;
  }
  if brief {
    let fine = |one: &super::check::Check| one.status == super::check::Status::Ok;
    let mut index = 0;
    checks.all.retain(|one| {
      index += 1;
      index <= before || !fine(one)
    });
  }
  client
}

async fn way(session: &Session, checks: &mut Checks) -> Option<Client> {
  let place = session.place().ok()?;
  if !connects(&place, checks).await {
    return None;
  }
  let quiet = Client::with_token(place.clone(), None, session.global.request_timeout, 0).ok()?;
  let begin = Instant::now();
  match quiet.fetch::<Value>(Call::get("/system/version")).await {
    Ok(version) => version_of(&version, begin.elapsed(), checks),
    Err(error) => {
      checks.fail(
        "server.version",
        error.message.clone(),
        "is that a hetuflow server, or a proxy before it?",
      );
      return None;
    }
  }
  let client = match session.client() {
    Ok(client) => client.clone(),
    Err(error) => {
      checks.fail("token", error.message.clone(), "hetuflowctl login");
      return None;
    }
  };
  match client.fetch::<Value>(Call::get("/auth/me")).await {
    Ok(me) => {
      let word = |name: &str| me.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
      checks.ok("token", format!("accepted: {} ({})", word("name"), word("role")));
      Some(client)
    }
    Err(error) => {
      let name = place.context.unwrap_or_else(|| place.server.to_string());
      checks.fail("token", error.message.clone(), format!("hetuflowctl login {name}"));
      None
    }
  }
}

/// Name and port, before anything is spoken.
async fn connects(place: &Place, checks: &mut Checks) -> bool {
  let shown = place.server.as_str().trim_end_matches('/');
  let fix =
    format!("the address comes from {}; nothing running yet? hetuflowctl dev", place.server_origin);
  let host = place.server.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
  let port = place.server.port_or_known_default().unwrap_or(80);
  let begin = Instant::now();
  let connect = tokio::net::TcpStream::connect((host.as_str(), port));
  match tokio::time::timeout(CONNECT_MAX, connect).await {
    Ok(Ok(_)) => {
      checks
        .ok("server.address", format!("{shown} connects in {} ms", begin.elapsed().as_millis()));
      true
    }
    Ok(Err(error)) => {
      checks.fail("server.address", format!("{shown}: {error}"), fix);
      false
    }
    Err(_) => {
      checks.fail("server.address", format!("{shown}: no answer in 5 s"), fix);
      false
    }
  }
}

fn version_of(version: &Value, took: Duration, checks: &mut Checks) {
  let own = env!("CARGO_PKG_VERSION");
  let theirs = version.get("version").and_then(Value::as_str).unwrap_or("unknown");
  let protocol = version.get("protocol_version").and_then(Value::as_u64);
  let minor =
    |text: &str| text.rsplit_once('.').map_or(text.to_owned(), |(head, _)| head.to_owned());
  let detail = format!("server {theirs}, this program {own}, answered in {} ms", took.as_millis());
  if protocol != Some(u64::from(PROTOCOL_VERSION)) {
    let detail = format!("{detail}; protocol {protocol:?} there, {PROTOCOL_VERSION} here");
    checks.warn("server.version", detail, "install the same version on both sides");
  } else if minor(theirs) != minor(own) {
    checks.warn("server.version", detail, "install the same version on both sides");
  } else if took > SLOW {
    checks.warn(
      "server.version",
      detail,
      "look at the network, the proxy and the load of the server",
    );
  } else {
    checks.ok("server.version", detail);
  }
}

async fn itself(client: &Client, checks: &mut Checks) {
  match client.send(Call::get("/system/ready")).await {
    Ok(()) => checks.ok("server.ready", "ready"),
    Err(error) => {
      checks.fail("server.ready", error.message.clone(), "look at the log of the server")
    }
  }
  if let Ok(health) = client.fetch::<Value>(Call::get("/system/health")).await {
    for freeze in freezes_in(&health) {
      checks.warn(
        "server.paused",
        told(&freeze),
        "hetuflowctl cluster resume, or namespace resume",
      );
    }
  }
  let sent = Ts::now();
  let info = client.fetch::<Value>(Call::get("/system/info")).await;
  let back = Ts::now();
  match info {
    Ok(info) => {
      let engine = info.pointer("/database/engine").and_then(Value::as_str).unwrap_or("?");
      checks.ok("server.database", format!("{engine} answers"));
      clock(&info, (sent, back), checks);
    }
    Err(error) => {
      checks.fail("server.database", error.message.clone(), "look at the log of the server")
    }
  }
}

/// The server's clock against ours, half-way between question and answer.
fn clock(info: &Value, (sent, back): (Ts, Ts), checks: &mut Checks) {
  let Some(theirs) =
    info.get("timestamp").and_then(Value::as_str).and_then(|at| at.parse::<Ts>().ok())
  else {
    return;
  };
  let trip = back.millis() - sent.millis();
  let skew = theirs.millis() - (sent.millis() + trip / 2);
  let detail = format!("{skew:+} ms against this machine (±{} ms)", trip / 2);
  if skew.abs() - trip / 2 > SKEW_MS_MAX {
    checks.warn("server.clock", detail, "run an NTP client on both machines: chronyc tracking");
  } else {
    checks.ok("server.clock", detail);
  }
}

async fn servers(client: &Client, now: Ts, checks: &mut Checks) {
  let all: Result<Vec<ServerEntity>, CtlError> = everything(client, Call::get("/servers")).await;
  let all = match all {
    Ok(all) => all,
    Err(error) if error.exit == Exit::Forbidden as u8 => return,
    Err(error) => {
      checks.fail("servers", error.message.clone(), "hetuflowctl server list");
      return;
    }
  };
  let live: Vec<&ServerEntity> =
    all.iter().filter(|one| one.status != ServerStatus::Inactive).collect();
  let silent: Vec<String> = live
    .iter()
    .filter(|one| now.since(one.last_heartbeat_at) > SILENT)
    .map(|one| one.id.to_string())
    .collect();
  let versions: std::collections::BTreeSet<&str> =
    live.iter().map(|one| one.version.as_str()).collect();
  let detail = format!("{} of {} active", live.len() - silent.len(), all.len());
  if !silent.is_empty() {
    checks.warn(
      "servers",
      format!("{detail}; silent: {}", silent.join(", ")),
      "look at their logs; a server that is gone is taken over by the others",
    );
  } else if versions.len() > 1 {
    let list: Vec<&str> = versions.into_iter().collect();
    checks.warn("servers", format!("{detail}; versions {}", list.join(", ")), "finish the upgrade");
  } else {
    checks.ok("servers", detail);
  }
}
