//! What every command works with: the look, the flags, and a client made on first use.

use std::cell::{OnceCell, RefCell};

use crate::cli::{self, Global};
use crate::client::{Client, CtlError, Origin, Place, config_file};
use crate::output::{Format, Look, Progress, TimeStyle, Wishes};

/// What every command works with.
#[derive(Debug)]
pub struct Session {
  /// The flags of every command.
  pub global: Global,
  /// How answers look.
  pub look: Look,
  client: OnceCell<Client>,
  going_on: RefCell<Option<String>>,
}

impl Session {
  /// From the flags.
  pub fn new(global: Global) -> Self {
    let look = look(&global);
    Self { global, look, client: OnceCell::new(), going_on: RefCell::new(None) }
  }

  /// What was asked for, before the config is consulted.
  ///
  /// # Errors
  /// When there is no home folder.
  pub fn origin(&self) -> Result<Origin, CtlError> {
    Ok(Origin {
      config: match &self.global.config {
        Some(path) => path.clone(),
        None => config_file()?,
      },
      context: self.global.context.clone(),
      server: self.global.server.clone(),
      namespace: self.global.namespace.clone(),
      token_file: self.global.token_file.clone(),
      read_only: self.global.read_only,
      confirm: self.global.confirm.clone(),
    })
  }

  /// Where we work.
  ///
  /// # Errors
  /// When the config is broken or the context is not there.
  pub fn place(&self) -> Result<Place, CtlError> {
    Place::settle(&self.origin()?)
  }

  /// The client.
  ///
  /// # Errors
  /// When the config or the token is of no use.
  pub fn client(&self) -> Result<&Client, CtlError> {
    if let Some(client) = self.client.get() {
      return Ok(client);
    }
    let place = self.place()?;
    if let Some(path) = place.loose_token_file() {
      self.look.warn(format!("others may read {0}: chmod 600 {0}", path.display()));
    }
    let client = Client::new(place, self.global.request_timeout, self.global.verbose)?;
    Ok(self.client.get_or_init(|| client))
  }

  /// The namespace of lists: none with `--all-namespaces`.
  ///
  /// # Errors
  /// When the config is broken.
  pub fn list_namespace(&self) -> Result<Option<String>, CtlError> {
    if self.global.all_namespaces {
      return Ok(None);
    }
    Ok(Some(self.client()?.place.namespace.clone()))
  }

  /// Progress on stderr.
  pub fn progress(&self) -> Progress {
    Progress::new(&self.look)
  }

  /// Says what goes on when we are interrupted.
  pub fn goes_on(&self, text: impl Into<String>) {
    *self.going_on.borrow_mut() = Some(text.into());
  }

  /// What goes on when we are interrupted.
  pub fn what_goes_on(&self) -> Option<String> {
    self.going_on.borrow().clone()
  }
}

/// How answers look, as the flags wish it.
pub fn look(global: &Global) -> Look {
  Look::new(Wishes {
    format: global.output.map(format),
    time: global.time.map(time),
    color: match global.color {
      cli::When::Auto => None,
      cli::When::Always => Some(true),
      cli::When::Never => Some(false),
    },
    columns: global.columns.clone(),
    no_header: global.no_header,
    quiet: global.quiet,
    no_input: global.no_input,
    yes: global.yes,
  })
}

fn format(format: cli::Format) -> Format {
  match format {
    cli::Format::Table => Format::Table,
    cli::Format::Wide => Format::Wide,
    cli::Format::Tsv => Format::Tsv,
    cli::Format::Json => Format::Json,
    cli::Format::Jsonl => Format::Jsonl,
    cli::Format::Yaml => Format::Yaml,
    cli::Format::Name => Format::Name,
    cli::Format::None => Format::None,
  }
}

fn time(style: cli::TimeStyle) -> TimeStyle {
  match style {
    cli::TimeStyle::Relative => TimeStyle::Relative,
    cli::TimeStyle::Local => TimeStyle::Local,
    cli::TimeStyle::Utc => TimeStyle::Utc,
    cli::TimeStyle::Rfc3339 => TimeStyle::Rfc3339,
    cli::TimeStyle::Unix => TimeStyle::Unix,
  }
}
