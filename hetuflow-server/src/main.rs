//! The command line of the coordinator.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hetuflow_core::{Role, TokenForCreate, TokenKind};
use hetuflow_server::application::{Application, StartError, Verb, VerbError, init_logging};
use hetuflow_server::config::{self, ConfigError, LoadedConfig};

/// Settings that cannot be used.
const EXIT_CONFIG: u8 = 78;
/// The database or the address cannot be had.
const EXIT_UNAVAILABLE: u8 = 69;

#[derive(Debug, Parser)]
#[command(name = "hetuflow-server", version = hetuflow_core::version_with_tz_database(env!("CARGO_PKG_VERSION")), about = "The hetuflow coordinator")]
struct Cli {
  #[command(subcommand)]
  command: Option<Command>,
  /// The configuration file
  #[arg(long, global = true, value_name = "FILE")]
  config: Option<PathBuf>,
  /// Address and port to listen on
  #[arg(long, global = true, value_name = "ADDRESS")]
  bind: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
  /// Serve (the default)
  Start,
  /// Bring the database up to date
  Migrate {
    /// Only say what is applied and what is not
    #[arg(long)]
    status: bool,
  },
  /// Look at the settings
  Config {
    #[command(subcommand)]
    command: ConfigCommand,
  },
  /// Make credentials
  Token {
    #[command(subcommand)]
    command: TokenCommand,
  },
  #[command(flatten)]
  Older(Verb),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
  /// Say everything that is wrong
  Check,
  /// Print every setting with where it comes from
  Show,
  /// Print a file with every setting and its default
  Default,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
  /// Make a token and print its secret, this once
  Create {
    /// What it is called
    #[arg(long)]
    name: String,
    /// Whose it is: user, agent or ci
    #[arg(long, default_value = "user")]
    kind: TokenKind,
    /// What it may do: viewer, operator, editor or admin
    #[arg(long, default_value = "operator")]
    role: Role,
    /// In which namespace; all where not said
    #[arg(long)]
    namespace: Option<hetuflow_core::NamespaceId>,
  },
}

fn main() -> ExitCode {
  let cli = Cli::parse();
  if let Some(Command::Config { command: ConfigCommand::Default }) = &cli.command {
    print!("{}", config::default_text());
    return ExitCode::SUCCESS;
  }
  let loaded = match config::load(cli.config.as_deref(), cli.bind.as_deref()) {
    Ok(loaded) => loaded,
    Err(error) => return refuse_config(&error),
  };
  if let Some(Command::Config { command }) = &cli.command {
    return show_config(command, &loaded);
  }
  if !matches!(cli.command, Some(Command::Older(_))) {
    init_logging(&loaded.config.log);
  }
  let mut runtime = tokio::runtime::Builder::new_multi_thread();
  if loaded.config.server.workers > 0 {
    runtime.worker_threads(loaded.config.server.workers);
  }
  let runtime = match runtime.enable_all().build() {
    Ok(runtime) => runtime,
    Err(error) => {
      eprintln!("error: cannot start threads: {error}");
      return ExitCode::FAILURE;
    }
  };
  if let Some(Command::Older(verb)) = cli.command {
    return match runtime.block_on(verb.run(&loaded.config)) {
      Ok((text, well)) => {
        println!("{text}");
        if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
      }
      Err(error) => refuse_verb(&error),
    };
  }
  let outcome = runtime.block_on(run(cli.command.unwrap_or(Command::Start), &loaded));
  runtime.shutdown_timeout(std::time::Duration::from_secs(1));
  match outcome {
    Ok(code) => code,
    Err(error) => {
      eprintln!("error: {error}");
      let mut source = std::error::Error::source(&error);
      while let Some(cause) = source {
        eprintln!("  {cause}");
        source = cause.source();
      }
      if let Some(hint) = error.hint() {
        eprintln!("help: {hint}");
      }
      ExitCode::from(if error.is_config() { EXIT_CONFIG } else { EXIT_UNAVAILABLE })
    }
  }
}

async fn run(command: Command, loaded: &LoadedConfig) -> Result<ExitCode, StartError> {
  match command {
    Command::Start => {
      let application = Application::start(&loaded.config).await?;
      Ok(if application.run_until_signal().await { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
    Command::Migrate { status } => {
      let state = Application::migrate(&loaded.config, !status).await?;
      println!(
        "applied {:?}, known {:?}, pending {:?}",
        state.applied,
        state.known,
        state.pending()
      );
      Ok(ExitCode::SUCCESS)
    }
    Command::Token { command: TokenCommand::Create { name, kind, role, namespace } } => {
      let new = TokenForCreate { name, kind, role, namespace_id: namespace, ttl: None };
      println!("{}", Application::create_token(&loaded.config, new).await?);
      Ok(ExitCode::SUCCESS)
    }
    // Answered before.
    Command::Config { .. } | Command::Older(_) => Ok(ExitCode::SUCCESS),
  }
}

fn refuse_config(error: &ConfigError) -> ExitCode {
  match error {
    ConfigError::Unreadable { source, .. } => eprintln!("error: {error}: {source}"),
    ConfigError::Problems(problems) => {
      eprintln!("error: {error}");
      for problem in problems {
        eprintln!("  {problem}");
      }
      eprintln!("help: see every setting with its default: hetuflow-server config default");
    }
  }
  ExitCode::from(EXIT_CONFIG)
}

fn refuse_verb(error: &VerbError) -> ExitCode {
  eprintln!("error: {error}");
  let mut source = std::error::Error::source(error);
  while let Some(cause) = source {
    eprintln!("  {cause}");
    source = cause.source();
  }
  for rule in error.rules() {
    eprintln!("  {rule}");
  }
  if let Some(hint) = error.hint() {
    eprintln!("help: {hint}");
  }
  if error.is_unreachable() { ExitCode::from(EXIT_UNAVAILABLE) } else { ExitCode::FAILURE }
}

fn show_config(command: &ConfigCommand, loaded: &LoadedConfig) -> ExitCode {
  let file =
    loaded.file.as_ref().map_or("no file, defaults".to_owned(), |f| f.display().to_string());
  match command {
    ConfigCommand::Show => {
      println!("# {file}");
      for setting in &loaded.settings {
        println!("{} = {}  # {}", setting.key, setting.value, setting.origin);
      }
    }
    _ => println!("ok: {file}"),
  }
  ExitCode::SUCCESS
}
