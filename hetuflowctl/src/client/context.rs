//! Which server, which namespace, which token: flag, variable, `.hetuflow.toml`, context, default.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::config::{Config, ContextEntry};
use super::error::{CtlError, Exit};

/// Where a server is looked for that nobody named.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// Longest token file.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

/// What was asked for, before the config is consulted.
#[derive(Debug, Clone, Default)]
pub struct Origin {
  /// `--config`, or where it is by default.
  pub config: PathBuf,
  /// `--context`.
  pub context: Option<String>,
  /// `--server`.
  pub server: Option<Url>,
  /// `--namespace`.
  pub namespace: Option<String>,
  /// `--token-file`.
  pub token_file: Option<PathBuf>,
  /// `--read-only`.
  pub read_only: bool,
  /// `--confirm`.
  pub confirm: Option<String>,
}

/// Where we work.
#[derive(Debug, Clone)]
pub struct Place {
  /// The context, where there is one.
  pub context: Option<String>,
  /// The server.
  pub server: Url,
  /// Where the address comes from, for errors.
  pub server_origin: String,
  /// The namespace.
  pub namespace: String,
  /// The token, or where to read it.
  pub token: TokenSource,
  /// Refuse everything that changes the server.
  pub read_only: bool,
  /// Refuse it until the context's name is confirmed.
  pub protected: bool,
  /// The config file.
  pub config: PathBuf,
}

/// Where the token is.
#[derive(Debug, Clone)]
pub enum TokenSource {
  /// A file.
  File(PathBuf),
  /// `HETUFLOW_TOKEN`.
  Variable,
  /// Nowhere.
  None,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProjectFile {
  context: Option<String>,
  namespace: Option<String>,
}

/// A `.hetuflow.toml`: where it is, and what it says of context and namespace.
pub type Project = (PathBuf, Option<String>, Option<String>);

impl Place {
  /// Settles everything; reads the config and `.hetuflow.toml`, not yet the token.
  ///
  /// # Errors
  /// When a file is broken or the named context is not there.
  pub fn settle(origin: &Origin) -> Result<Self, CtlError> {
    let config = Config::load(&origin.config)?;
    let project = project_file()?.map(|(_, file)| file).unwrap_or_default();
    let name = origin.context.clone().or(project.context).or_else(|| config.current.clone());
    let entry = match &name {
      Some(name) if origin.context.is_some() || origin.server.is_none() => {
        config.entry(name)?.clone()
      }
      Some(name) => config.contexts.get(name).cloned().unwrap_or_default(),
      None => ContextEntry::default(),
    };
    let (server, server_origin) = match (&origin.server, &entry.server, &name) {
      (Some(url), _, _) => (url.clone(), "--server or HETUFLOW_SERVER".to_owned()),
      (None, Some(text), Some(name)) => {
        let url = Url::parse(text).map_err(|error| {
          CtlError::usage(format!("the server of context {name} is no address: {error}"))
            .help(format!("hetuflowctl context set {name} --url {DEFAULT_SERVER}"))
        })?;
        (url, format!("context {name} in {}", origin.config.display()))
      }
      _ => (Url::parse(DEFAULT_SERVER).expect("our own address is one"), "the default".to_owned()),
    };
    // A context's token goes to the context's server and to no other.
    let same_server = origin.server.is_none()
      || entry.server.as_deref().and_then(|text| Url::parse(text).ok()).as_ref() == Some(&server);
    let token = match (&origin.token_file, std::env::var_os("HETUFLOW_TOKEN"), &entry.token_file) {
      (Some(file), _, _) => TokenSource::File(file.clone()),
      (None, Some(_), _) => TokenSource::Variable,
      (None, None, Some(file)) if same_server => TokenSource::File(file.clone()),
      _ => TokenSource::None,
    };
    let namespace = origin.namespace.clone().or(project.namespace).or(entry.namespace);
    Ok(Self {
      context: name.clone(),
      server,
      server_origin,
      namespace: namespace.unwrap_or_else(|| "default".to_owned()),
      token,
      read_only: origin.read_only || entry.read_only,
      protected: entry.protected && (origin.confirm.is_none() || origin.confirm != name),
      config: origin.config.clone(),
    })
  }

  /// The `.hetuflow.toml` that counts here: where it is, and what it says of context and namespace.
  ///
  /// # Errors
  /// When it is broken.
  pub fn project() -> Result<Option<Project>, CtlError> {
    Ok(project_file()?.map(|(path, file)| (path, file.context, file.namespace)))
  }

  /// How people know the server.
  pub fn title(&self) -> String {
    match &self.context {
      Some(name) => name.clone(),
      None => self.server.as_str().trim_end_matches('/').to_owned(),
    }
  }

  /// Reads the token. `Ok(None)`: there is none.
  ///
  /// # Errors
  /// When it is there and of no use.
  pub fn token(&self) -> Result<Option<String>, CtlError> {
    match &self.token {
      TokenSource::None => Ok(None),
      TokenSource::Variable => {
        let text = std::env::var("HETUFLOW_TOKEN").map_err(|_| {
          CtlError::new(Exit::Unauthorized, "the variable HETUFLOW_TOKEN holds no token")
        })?;
        check_token(text.as_bytes(), "the variable HETUFLOW_TOKEN").map(Some)
      }
      TokenSource::File(path) => read_token(path).map(Some).map_err(|error| {
        error.help(format!("hetuflowctl login {}", self.context.as_deref().unwrap_or("URL")))
      }),
    }
  }

  /// Where the token comes from, for errors.
  pub fn token_origin(&self) -> String {
    match &self.token {
      TokenSource::File(path) => format!("token read from {}", path.display()),
      TokenSource::Variable => "token from the variable HETUFLOW_TOKEN".to_owned(),
      TokenSource::None => "no token was sent".to_owned(),
    }
  }

  /// The token's file, where others may read it too.
  pub fn loose_token_file(&self) -> Option<&Path> {
    let TokenSource::File(path) = &self.token else { return None };
    let mode = std::fs::metadata(path).ok()?.mode();
    (mode & 0o077 != 0).then_some(path)
  }
}

fn project_file() -> Result<Option<(PathBuf, ProjectFile)>, CtlError> {
  let Ok(mut folder) = std::env::current_dir() else { return Ok(None) };
  loop {
    let path = folder.join(".hetuflow.toml");
    if let Ok(text) = std::fs::read_to_string(&path) {
      return toml::from_str(&text).map(|file| Some((path.clone(), file))).map_err(|error| {
        let mut wrong = CtlError::usage(format!("{} is refused", path.display()));
        wrong.facts = error.to_string().trim_end().lines().map(str::to_owned).collect();
        wrong.help("it may hold context and namespace, nothing else")
      });
    }
    if !folder.pop() {
      return Ok(None);
    }
  }
}

/// Reads a token from a file.
///
/// # Errors
/// When the file is missing, too long, empty or not text.
pub fn read_token(path: &Path) -> Result<String, CtlError> {
  let place = path.display().to_string();
  let file = std::fs::File::open(path).map_err(|error| {
    CtlError::new(Exit::Unauthorized, format!("cannot read the token file {place}: {error}"))
  })?;
  let mut bytes = Vec::new();
  file.take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| {
    CtlError::new(Exit::Unauthorized, format!("cannot read the token file {place}: {error}"))
  })?;
  check_token(&bytes, &place)
}

/// Checks that bytes are one token.
///
/// # Errors
/// When they are empty, too long, or not printable ASCII without blanks.
pub fn check_token(bytes: &[u8], place: &str) -> Result<String, CtlError> {
  let wrong =
    |what: &str| CtlError::new(Exit::Unauthorized, format!("{place} holds no token: {what}"));
  if bytes.len() as u64 > TOKEN_BYTES_MAX {
    return Err(wrong("it is too long"));
  }
  let bytes = bytes.trim_ascii();
  if bytes.is_empty() {
    return Err(wrong("it is empty"));
  }
  if !bytes.iter().all(u8::is_ascii_graphic) {
    return Err(wrong("it is not one line of printable text"));
  }
  Ok(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn b079_tokens() {
    for bad in [&b""[..], b"  \n", b"a b", b"a\nb", b"\xff\xfe", b"\0"] {
      let error = check_token(bad, "x").expect_err("refused");
      assert_eq!(error.exit, 4, "{bad:?}");
    }
    assert_eq!(check_token(b"hf_abc\n", "x").expect("fine"), "hf_abc");
    assert_eq!(read_token(Path::new("/nowhere")).expect_err("missing").exit, 4);
  }

  #[test]
  fn a_token_is_not_sent_to_another_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ctl.toml");
    let text =
      "current = \"a\"\n[contexts.a]\nserver = \"http://a.example\"\ntoken_file = \"/t\"\n";
    std::fs::write(&path, text).expect("written");
    let mut origin = Origin { config: path, ..Origin::default() };
    assert!(matches!(Place::settle(&origin).expect("fine").token, TokenSource::File(_)));
    origin.server = Some(Url::parse("http://b.example").expect("fine"));
    assert!(matches!(Place::settle(&origin).expect("fine").token, TokenSource::None));
    origin.context = Some("b".into());
    assert_eq!(Place::settle(&origin).expect_err("no such context").exit, 3);
  }
}
