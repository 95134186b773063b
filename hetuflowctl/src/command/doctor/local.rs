//! This machine: config, token, programs, terminal.

use std::path::PathBuf;

use super::check::Checks;
use crate::client::{Place, TokenSource};
use crate::command::session::Session;

/// Looks without asking any server.
pub fn look(session: &Session, checks: &mut Checks) {
  let place = match session.origin().and_then(|origin| Place::settle(&origin)) {
    Ok(place) => place,
    Err(error) => {
      let fix = error.help.first().cloned().unwrap_or_else(|| "hetuflowctl config path".into());
      let facts = error.facts.iter().map(|fact| fact.trim()).filter(|fact| !fact.is_empty());
      let detail = std::iter::once(error.message.as_str()).chain(facts);
      checks.fail("config", detail.collect::<Vec<_>>().join(" · "), fix);
      return;
    }
  };
  let context = place.context.as_deref().unwrap_or("no context");
  checks.ok("config", format!("{context}, {} by {}", place.server, place.server_origin));
  token(session, &place, checks);
  programs(checks);
  terminal(session, checks);
}

fn token(session: &Session, place: &Place, checks: &mut Checks) {
  match place.token() {
    Err(error) => {
      let fix = error.help.first().cloned().unwrap_or_else(|| "hetuflowctl login".into());
      checks.fail("token.file", error.message.clone(), fix);
    }
    Ok(None) => checks.warn("token.file", "there is no token", "hetuflowctl login URL"),
    Ok(Some(_)) => match (place.loose_token_file(), &place.token) {
      (Some(path), _) => {
        let shown = path.display();
        checks.warn("token.file", format!("others may read {shown}"), format!("chmod 600 {shown}"));
      }
      (None, TokenSource::Variable) if session.look.err_tty => checks.warn(
        "token.file",
        "the token is in HETUFLOW_TOKEN, where other programs of this shell see it",
        "hetuflowctl login --token-stdin",
      ),
      _ => checks.ok("token.file", place.token_origin()),
    },
  }
}

/// The programs of a whole hetuflow, for `dev` and services.
fn programs(checks: &mut Checks) {
  let missing: Vec<&str> =
    ["hetuflow-server", "hetuflow-agent"].into_iter().filter(|name| find(name).is_none()).collect();
  if missing.is_empty() {
    checks.ok("programs", "hetuflow-server and hetuflow-agent are here");
  } else {
    let detail = format!("no {} beside this program or on PATH", missing.join(", "));
    checks.warn(
      "programs",
      detail,
      "only dev and install-service need them: cargo build --release",
    );
  }
}

fn find(name: &str) -> Option<PathBuf> {
  let beside = std::env::current_exe().ok().map(|own| own.with_file_name(name));
  let path = std::env::var_os("PATH").unwrap_or_default();
  let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
  beside.into_iter().chain(on_path).find(|path| path.is_file())
}

fn terminal(session: &Session, checks: &mut Checks) {
  let look = &session.look;
  if !look.out_tty {
    checks.ok("terminal", "stdout is no terminal");
    return;
  }
  let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
  let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default();
  let upper = locale.to_ascii_uppercase();
  let term = variable("TERM").unwrap_or_else(|| "unknown".to_owned());
  let detail =
    format!("{term}, {} columns, colour {}", look.width, if look.color { "yes" } else { "no" });
  if !upper.contains("UTF-8") && !upper.contains("UTF8") {
    checks.warn(
      "terminal",
      format!("{detail}, locale \"{locale}\" is not UTF-8"),
      "export LC_ALL=C.UTF-8",
    );
  } else if look.width < 80 {
    checks.warn("terminal", detail, "make the window at least 80 columns wide");
  } else {
    checks.ok("terminal", detail);
  }
}
