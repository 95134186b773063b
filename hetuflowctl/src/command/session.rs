//! What every command works with: the look, the flags, and a client made on first use.

use std::cell::{OnceCell, RefCell};

use super::filter_text::combine;
use super::label_filter::label_filter;
use crate::cli::{self, Global};
use crate::client::{Call, Client, CtlError, Origin, Place, config_file};
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
  interrupt: RefCell<Option<(Call, String)>>,
}

impl Session {
  /// From the flags.
  pub fn new(global: Global) -> Self {
    let look = look(&global);
    Self {
      global,
      look,
      client: OnceCell::new(),
      going_on: RefCell::new(None),
      interrupt: RefCell::new(None),
    }
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
      read_only: self.global.read_only == Some(true),
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

  /// The filter of `-F` and `-l`, in the server's language.
  ///
  /// # Errors
  /// Usage, where `-l` cannot be read.
  pub fn filter(&self) -> Result<Option<String>, CtlError> {
    let labels = match &self.global.selector {
      Some(selector) => vec![label_filter(selector)?],
      None => Vec::new(),
    };
    let filter = combine(&labels, self.global.filter.as_deref());
    Ok((!filter.trim().is_empty()).then_some(filter))
  }

  /// Progress on stderr.
  pub fn progress(&self) -> Progress {
    Progress::new(&self.look)
  }

  /// Says what goes on when we are interrupted.
  pub fn goes_on(&self, text: impl Into<String>) {
    *self.going_on.borrow_mut() = Some(text.into());
  }

  /// What is asked of the server when we are interrupted, and the words for it.
  pub fn on_interrupt(&self, call: Call, words: String) {
    *self.interrupt.borrow_mut() = Some((call, words));
  }

  /// Asks the server for what was kept for an interruption; the words about what goes on.
  pub async fn interrupt(&self) -> Option<String> {
    let kept = self.interrupt.borrow_mut().take();
    let (Some((call, words)), Ok(client)) = (kept, self.client()) else {
      return self.what_goes_on();
    };
    match client.send(call).await {
      Ok(()) => Some(words),
      Err(error) => Some(format!(
        "{}; asking it to stop failed: {}",
        self.what_goes_on().unwrap_or_default(),
        error.message
      )),
    }
  }

  /// What goes on when we are interrupted.
  pub fn what_goes_on(&self) -> Option<String> {
    self.going_on.borrow().clone()
  }
}

/// How answers look, as the flags wish it.
pub fn look(global: &Global) -> Look {
  let (format, pattern) = global.output.as_ref().map(format).unzip();
  Look::new(Wishes {
    format,
    pattern: pattern.flatten(),
    sort: global.sort.clone(),
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

/// The form, and its JSONPath or template; `@FILE` stands for a file that is read when it is used.
fn format(format: &cli::Format) -> (Format, Option<String>) {
  match format {
    cli::Format::Table => (Format::Table, None),
    cli::Format::Wide => (Format::Wide, None),
    cli::Format::Tsv => (Format::Tsv, None),
    cli::Format::Json => (Format::Json, None),
    cli::Format::Jsonl => (Format::Jsonl, None),
    cli::Format::Yaml => (Format::Yaml, None),
    cli::Format::Name => (Format::Name, None),
    cli::Format::None => (Format::None, None),
    cli::Format::JsonPath(path) => (Format::JsonPath, Some(path.clone())),
    cli::Format::Template(text) => {
      // A shell makes it hard to write these two.
      (Format::Template, Some(text.replace("\\n", "\n").replace("\\t", "\t")))
    }
    cli::Format::TemplateFile(file) => (Format::Template, Some(format!("@{}", file.display()))),
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
