//! `hetuflow-test-postgres [--durable] -- CMD…`: runs CMD with a throw-away PostgreSQL.
//!
//! CMD finds the cluster's admin URL in `HETUFLOW_TEST_PG`; its exit code is ours. A cluster that
//! is already there (the variable is set) is used as it is.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use hetuflow_tests::postgres::{ADMIN_VARIABLE, Durability, Postgres};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the command and hands back its exit code; our own failures are 125.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
  match run(std::env::args().skip(1).collect()).await {
    Ok(code) => ExitCode::from(code),
    Err(error) => {
      eprintln!("hetuflow-test-postgres: {error:#}");
      ExitCode::from(125)
    }
  }
}

/// Starts the cluster, runs the command in it, stops the cluster.
async fn run(mut args: Vec<String>) -> Result<u8> {
  let mut durability = Durability::Off;
  if args.first().is_some_and(|arg| arg == "--durable") {
    durability = Durability::Default;
    args.remove(0);
  }
  if args.first().is_some_and(|arg| arg == "--") {
    args.remove(0);
  }
  let Some((program, rest)) = args.split_first() else {
    bail!("usage: hetuflow-test-postgres [--durable] -- CMD…");
  };
  let mut command = Command::new(program);
  command.args(rest);
  let cluster = match std::env::var(ADMIN_VARIABLE) {
    Ok(url) if !url.is_empty() => None,
    _ => Some(Postgres::start(durability)?),
  };
  if let Some(postgres) = &cluster {
    command.env(ADMIN_VARIABLE, postgres.admin().url());
  }
  let code = supervise(command).await;
  drop(cluster);
  code
}

/// Runs the command to its end. Ctrl-C reaches it through the terminal; SIGTERM is passed on.
async fn supervise(mut command: Command) -> Result<u8> {
  let mut interrupt = signal(SignalKind::interrupt())?;
  let mut terminate = signal(SignalKind::terminate())?;
  let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
  loop {
    tokio::select! {
      status = child.wait() => {
        let status = status?;
        let signalled = || 128 + status.signal().unwrap_or_default();
        return Ok(u8::try_from(status.code().unwrap_or_else(signalled)).unwrap_or(1));
      }
      _ = interrupt.recv() => {}
      _ = terminate.recv() => {
        let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
          rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
      }
    }
  }
}
