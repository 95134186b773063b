//! What commands do. Each returns data and prints nothing; only `main.rs` exits.

mod again;
mod agent;
mod api;
mod apply;
mod backfill;
mod bench;
mod bulk;
mod choice;
mod cluster;
mod complete;
mod config;
mod context;
mod dev;
mod doctor;
mod editor;
mod events;
mod expression;
mod fault;
mod filter_text;
mod glance;
mod import;
mod input_file;
mod job;
mod label_filter;
mod legacy;
mod live;
mod man;
mod missed;
mod names;
mod object;
mod openapi;
mod queue;
mod repair;
#[cfg(test)]
pub mod sample;
mod schedule;
mod service;
mod session;
mod simulate;
mod status;
mod task;
mod top;
mod version;
mod window;

pub use again::pasteable;
pub use config::{Outside, outside};
pub use dev::run_child;
pub use session::{Session, look};

use crate::cli::{
  AgentVerb, ArtifactVerb, AttemptVerb, Command, ContextVerb, JobVerb, NamespaceVerb, PluginVerb,
  ScheduleVerb, SecretVerb, SemaphoreVerb, ServerVerb, TaskVerb, TokenVerb, Watching,
};
use crate::client::CtlError;
use crate::output::{Outcome, View};

/// Runs a command.
///
/// # Errors
/// What went wrong, with its exit code.
pub async fn run(session: &Session, command: &Command) -> Result<Outcome, CtlError> {
  choice::check(&session.global, command)?;
  match command {
    Command::Status(args) => status::run(session, args).await,
    Command::Run(args) => task::run::run(session, args).await,
    Command::Logs(args) => task::logs::run(session, args).await,
    Command::Wait(args) => task::wait::run(session, args).await,
    Command::Cancel(args) => task::cancel::run(session, args).await,
    Command::Retry(args) => task::retry::run(session, args).await,
    Command::Get(args) => object::get::any(session, args).await,
    Command::Ls(args) => object::list::any(session, args),
    Command::Describe(args) => object::describe::run(session, args).await,
    Command::Apply(args) => apply::run(session, args).await,
    Command::Diff(args) => apply::diff(session, args).await,
    Command::Delete(args) => apply::delete(session, args).await,
    Command::Import(verb) => import::run(session, verb).await,
    Command::Events(args) => events::run(session, args).await,
    Command::Top(args) => top::run(session, args).await,
    Command::Queue(verb) => queue::run(session, verb).await,
    Command::Job(verb) => job_verb(session, verb).await,
    Command::Schedule(verb) => schedule(session, verb).await,
    Command::Backfill(verb) => backfill::run(session, verb).await,
    Command::Simulate(args) => simulate::run(session, args).await,
    Command::Cluster(verb) => cluster::run(session, verb).await,
    Command::Task(verb) => task(session, verb).await,
    Command::Attempt(verb) => attempt(session, verb).await,
    Command::Agent(verb) => agents(session, verb).await,
    Command::Namespace(verb) => namespace(session, verb).await,
    Command::Server(verb) => server(session, verb).await,
    Command::Artifact(verb) => artifact(session, verb).await,
    Command::Secret(verb) => secret(session, verb).await,
    Command::Calendar(verb) => object::calendar::run(session, verb).await,
    Command::Semaphore(verb) => semaphore(session, verb).await,
    Command::Token(verb) => token(session, verb).await,
    Command::Doctor(args) => doctor::run(session, args).await,
    Command::Repair(verb) => repair::run(session, verb).await,
    Command::Bench(verb) => bench::run(session, verb).await,
    Command::InstallService(args) => service::run(args),
    Command::Dev(args) => dev::run(session, args).await,
    Command::Login(args) => context::login::run(session, args).await,
    Command::Logout => context::logout::run(session),
    Command::Whoami => context::whoami::run(session).await,
    Command::Context(verb) => context_verb(session, verb),
    Command::Api(args) => api::run(session, args).await,
    Command::Openapi => openapi::run(session).await,
    Command::Schema(args) => openapi::schema(session, args).await,
    Command::Explain(args) => openapi::explain(session, args).await,
    Command::Legacy(verb) => legacy::run(session, verb).await,
    Command::Config(verb) => config::run(session, verb),
    Command::Alias(verb) => config::alias(session, verb),
    Command::Plugin(PluginVerb::List) => Ok(plugins()),
    Command::Man(args) => man::run(args),
    Command::Complete(args) => Ok(complete::run(session, args).await),
    Command::Version(args) => version::run(session, args).await,
    Command::Completions(_) | Command::Help(_) | Command::Child(_) | Command::Tui(_) => {
      Err(CtlError::failure("this command is done elsewhere"))
    }
  }
}

fn plugins() -> Outcome {
  let found = config::plugins();
  let text: String =
    found.iter().map(|(name, path)| format!("{name:<16} {}\n", path.display())).collect();
  let names = found.keys().cloned().collect();
  View::Text { text, value: serde_json::json!(found), names }.into()
}

async fn job_verb(session: &Session, verb: &JobVerb) -> Result<Outcome, CtlError> {
  match verb {
    JobVerb::List(args) => object::list::jobs(session, args),
    JobVerb::Get(args) => object::get::run(session, object::Kind::Job, &args.names).await,
    JobVerb::Create(args) => apply::create(session, args).await,
    JobVerb::Edit(args) => apply::edit(session, args).await,
    JobVerb::Update(args) => job::update::run(session, args).await,
    JobVerb::Validate(args) => apply::validate(session, args).await,
    JobVerb::Plan(args) => apply::plan_fires(session, args).await,
    JobVerb::Why(args) => job::why::run(session, args).await,
    JobVerb::Delete(args) => object::delete::run(session, object::Kind::Job, args).await,
    JobVerb::Run(args) => task::run::run(session, args).await,
    JobVerb::Enable(args) => object::act::switch(session, "enable", args).await,
    JobVerb::Disable(args) => object::act::switch(session, "disable", args).await,
    JobVerb::History(args) => job::history::run(session, args).await,
    JobVerb::Versions(args) => job::versions::list(session, args).await,
    JobVerb::Diff(args) => job::versions::diff(session, args).await,
    JobVerb::Rollback(args) => job::versions::rollback(session, args).await,
    JobVerb::Stats(args) => job::stats::run(session, args).await,
    JobVerb::Clone(args) => job::change::clone(session, args).await,
    JobVerb::Rename(args) => job::change::rename(session, args).await,
    JobVerb::Backfill(args) => backfill::of_job(session, args).await,
    JobVerb::Export(args) => job::export::run(session, args).await,
  }
}

async fn schedule(session: &Session, verb: &ScheduleVerb) -> Result<Outcome, CtlError> {
  let kind = object::Kind::Schedule;
  match verb {
    ScheduleVerb::List(args) => object::list::schedules(session, args).await,
    ScheduleVerb::Get(args) => object::get::run(session, kind, &args.names).await,
    ScheduleVerb::Create(args) => schedule::create::run(session, args).await,
    ScheduleVerb::Set(args) => schedule::set::run(session, args).await,
    ScheduleVerb::Delete(args) => object::delete::run(session, kind, args).await,
    ScheduleVerb::Enable(args) => object::act::run(session, kind, "enable", args).await,
    ScheduleVerb::Disable(args) => object::act::run(session, kind, "disable", args).await,
    ScheduleVerb::Pause(args) => schedule::hold::pause(session, args).await,
    ScheduleVerb::Resume(args) => schedule::hold::resume(session, args).await,
    ScheduleVerb::SkipNext(args) => schedule::hold::skip_next(session, args).await,
    ScheduleVerb::Trigger(args) => schedule::trigger::run(session, args).await,
    ScheduleVerb::Next(args) => schedule::next::run(session, args).await,
    ScheduleVerb::Explain(args) => schedule::explain::run(args),
    ScheduleVerb::Check(args) => schedule::check::run(session, args).await,
    ScheduleVerb::Why(args) => schedule::why::run(session, args).await,
    ScheduleVerb::Fires(args) => object::list::fires(session, args).await,
    ScheduleVerb::Backfill(args) => backfill::create(session, args).await,
  }
}

async fn task(session: &Session, verb: &TaskVerb) -> Result<Outcome, CtlError> {
  match verb {
    TaskVerb::List(args) => object::list::tasks(session, args),
    TaskVerb::Get(args) => task::used::get_tasks(session, &args.targets).await,
    TaskVerb::Attempts(args) => object::list::attempts_of(session, &args.target).await,
    TaskVerb::Logs(args) => task::logs::run(session, args).await,
    TaskVerb::Wait(args) => task::wait::run(session, args).await,
    TaskVerb::Cancel(args) => task::cancel::run(session, args).await,
    TaskVerb::Retry(args) => task::retry::run(session, args).await,
    TaskVerb::Kill(args) => task::control::kill(session, args).await,
    TaskVerb::Signal(args) => task::control::signal(session, args).await,
    TaskVerb::Mark(args) => task::mark::mark(session, args).await,
    TaskVerb::Skip(args) => task::mark::skip(session, args).await,
    TaskVerb::Force(args) => task::mark::force(session, args).await,
    TaskVerb::Reprioritise(args) => task::retry::reprioritise(session, args).await,
    TaskVerb::Why(args) => task::why::why(session, &args.target).await,
    TaskVerb::Tree(args) => task::story::tree(session, &args.target).await,
    TaskVerb::Result(args) => task::story::result(session, &args.target).await,
    TaskVerb::Timeline(args) => task::story::timeline(session, &args.target).await,
    TaskVerb::Count(args) => task::count::run(session, args).await,
  }
}

async fn attempt(session: &Session, verb: &AttemptVerb) -> Result<Outcome, CtlError> {
  match verb {
    AttemptVerb::List(args) => object::list::attempts(session, args).await,
    AttemptVerb::Get(args) => {
      object::get::run(session, object::Kind::Attempt, std::slice::from_ref(&args.target)).await
    }
    AttemptVerb::Logs(args) => task::logs::of_attempt(session, args).await,
    AttemptVerb::Result(args) => task::story::attempt_result(session, &args.target).await,
    AttemptVerb::Metrics(args) => task::used::run(session, &args.target).await,
    AttemptVerb::Control(args) => task::control::run(session, args).await,
  }
}

async fn agents(session: &Session, verb: &AgentVerb) -> Result<Outcome, CtlError> {
  let kind = object::Kind::Agent;
  match verb {
    AgentVerb::List(args) => object::list::agents(session, args),
    AgentVerb::Get(args) => agent::get(session, &args.names).await,
    AgentVerb::Cordon(args) => object::act::run(session, kind, "cordon", args).await,
    AgentVerb::Uncordon(args) => object::act::run(session, kind, "uncordon", args).await,
    AgentVerb::Drain(args) => agent::drain::run(session, args).await,
    AgentVerb::Label(args) => agent::label::run(session, args).await,
    AgentVerb::Command(args) => agent::order::run(session, args).await,
    AgentVerb::Restart(args) => agent::order::restart(session, args).await,
    AgentVerb::Ping(args) => agent::order::ping(session, &args.names).await,
    AgentVerb::Metrics(args) => agent::order::metrics(session, &args.name).await,
    AgentVerb::Note(args) => object::act::note(session, args).await,
    AgentVerb::Tasks(args) => object::list::agent_tasks(session, args),
    AgentVerb::Delete(args) => object::delete::run(session, kind, args).await,
  }
}

async fn namespace(session: &Session, verb: &NamespaceVerb) -> Result<Outcome, CtlError> {
  let kind = object::Kind::Namespace;
  match verb {
    NamespaceVerb::List(paging) => {
      object::list::of_kind(session, kind, (*paging, &Watching::default()))
    }
    NamespaceVerb::Get(args) => object::get::run(session, kind, &args.names).await,
    NamespaceVerb::Create(args) => object::create::namespace(session, args).await,
    NamespaceVerb::Update(args) => object::create::change_namespace(session, args).await,
    NamespaceVerb::Delete(args) => object::delete::run(session, kind, args).await,
    NamespaceVerb::Pause(args) => cluster::pause(session, Some(&args.name), &args.hold).await,
    NamespaceVerb::Resume(args) => cluster::resume(session, Some(&args.name), &args.go_on).await,
    NamespaceVerb::Use(args) => context::change::use_namespace(session, &args.name).await,
  }
}

async fn server(session: &Session, verb: &ServerVerb) -> Result<Outcome, CtlError> {
  match verb {
    ServerVerb::List(args) => {
      object::list::of_kind(session, object::Kind::Server, (args.paging, &args.watching))
    }
    ServerVerb::Get(args) => object::get::run(session, object::Kind::Server, &args.names).await,
    ServerVerb::Health => status::raw(session, "/system/health").await,
    ServerVerb::Info => status::raw(session, "/system/info").await,
    ServerVerb::Connections => status::raw(session, "/gateway/connections").await,
    ServerVerb::Stats => status::raw(session, "/gateway/stats").await,
  }
}

async fn token(session: &Session, verb: &TokenVerb) -> Result<Outcome, CtlError> {
  match verb {
    TokenVerb::List(paging) => {
      object::list::of_kind(session, object::Kind::Token, (*paging, &Watching::default()))
    }
    TokenVerb::Get(args) => object::get::run(session, object::Kind::Token, &args.names).await,
    TokenVerb::Create(args) => object::create::token(session, args).await,
    TokenVerb::Delete(args) => object::delete::run(session, object::Kind::Token, args).await,
  }
}

async fn artifact(session: &Session, verb: &ArtifactVerb) -> Result<Outcome, CtlError> {
  let kind = object::Kind::Artifact;
  match verb {
    ArtifactVerb::List(args) => object::artifact::list(session, args).await,
    ArtifactVerb::Get(args) => object::get::run(session, kind, &args.names).await,
    ArtifactVerb::Download(args) => object::artifact::download(session, args).await,
    ArtifactVerb::Put(args) => object::artifact_put::put(session, args).await,
    ArtifactVerb::Inputs(args) => object::artifact_put::inputs(session, args).await,
    ArtifactVerb::Delete(args) => object::delete::run(session, kind, args).await,
  }
}

async fn semaphore(session: &Session, verb: &SemaphoreVerb) -> Result<Outcome, CtlError> {
  let kind = object::Kind::Semaphore;
  match verb {
    SemaphoreVerb::List(paging) => {
      object::list::of_kind(session, kind, (*paging, &Watching::default()))
    }
    SemaphoreVerb::Get(args) => object::get::run(session, kind, &args.names).await,
    SemaphoreVerb::Usage(args) => object::semaphore::usage(session, args).await,
    SemaphoreVerb::Set(args) => object::semaphore::set(session, args).await,
    SemaphoreVerb::Delete(args) => object::delete::run(session, kind, args).await,
  }
}

async fn secret(session: &Session, verb: &SecretVerb) -> Result<Outcome, CtlError> {
  let kind = object::Kind::Secret;
  match verb {
    SecretVerb::List(paging) => {
      object::list::of_kind(session, kind, (*paging, &Watching::default()))
    }
    SecretVerb::Get(args) => object::get::run(session, kind, &args.names).await,
    SecretVerb::Set(args) => object::secret::set(session, args).await,
    SecretVerb::Delete(args) => object::delete::run(session, kind, args).await,
  }
}

fn context_verb(session: &Session, verb: &ContextVerb) -> Result<Outcome, CtlError> {
  match verb {
    ContextVerb::List => context::list::run(session),
    ContextVerb::Get(args) => context::list::get(session, &args.names),
    ContextVerb::Current => context::list::current(session),
    ContextVerb::Use { name } => context::change::use_context(session, name),
    ContextVerb::Set(args) => context::change::set(session, args),
    ContextVerb::Rename { from, to } => context::change::rename(session, from, to),
    ContextVerb::Delete { name } => context::change::delete(session, name),
  }
}
