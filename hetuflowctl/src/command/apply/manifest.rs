//! Manifests: the envelope, the kinds, and what they become.

use std::collections::BTreeSet;

use hetuflow_core::{
  API_VERSION, Environment, JobForCreate, JobStatus, Labels, NamespaceForCreate, NamespaceId,
  ScheduleForCreate, TaskConfig, read_environment,
};
use serde::Deserialize;
use serde_json::Value;

use super::convert::check_job;
use super::files::Source;
use super::problem::{Problem, refuse};
use super::read::read;
use super::scalar::Word;
use super::tree::{self, Data, Node};
use crate::client::{CtlError, Exit};

const KINDS: [&str; 2] = ["Job", "Namespace"];

/// Everything that files ask for.
#[derive(Debug, Default)]
pub struct Loaded {
  /// The files.
  pub sources: Vec<Source>,
  /// The jobs, each with where it stands.
  pub jobs: Vec<(JobForCreate, Place)>,
  /// The namespaces.
  pub namespaces: Vec<NamespaceForCreate>,
}

/// Where a thing stands.
#[derive(Debug, Clone)]
pub struct Place {
  /// The file, by its place among the sources.
  pub file: usize,
  /// The document.
  pub node: Node,
  /// Parts of it that could not be read.
  pub left_out: BTreeSet<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobManifest {
  #[serde(rename = "apiVersion")]
  _api_version: Value,
  #[serde(rename = "kind")]
  _kind: Value,
  metadata: Metadata,
  spec: JobSpec,
  /// What a server wrote; `get -o yaml` gives it, and we leave it alone.
  #[serde(default, rename = "status")]
  _status: Value,
}

#[derive(Deserialize)]
struct NamespaceManifest {
  #[serde(rename = "apiVersion")]
  _api_version: Value,
  #[serde(rename = "kind")]
  _kind: Value,
  metadata: NamespaceMetadata,
  #[serde(default)]
  spec: NamespaceSpec,
  #[serde(default, rename = "status")]
  _status: Value,
}

#[derive(Deserialize)]
struct Metadata {
  name: String,
  #[serde(default)]
  namespace: Option<NamespaceId>,
  #[serde(default)]
  labels: Labels,
}

#[derive(Deserialize)]
struct NamespaceMetadata {
  name: NamespaceId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamespaceSpec {
  description: String,
}

#[derive(Deserialize)]
struct JobSpec {
  #[serde(default)]
  description: String,
  #[serde(default, deserialize_with = "read_environment")]
  environment: Environment,
  #[serde(default)]
  config: TaskConfig,
  #[serde(default)]
  status: Option<JobStatus>,
  #[serde(default)]
  owner: String,
  #[serde(default)]
  schedules: Vec<ScheduleForCreate>,
}

/// Reads and checks all files; nothing is sent anywhere.
///
/// # Errors
/// Invalid, with every problem of every file.
pub fn load(sources: Vec<Source>) -> Result<Loaded, CtlError> {
  load_with(sources, Vec::new())
}

/// As [`load`], with problems that were found before.
///
/// # Errors
/// Invalid, with every problem of every file.
pub fn load_with(sources: Vec<Source>, mut problems: Vec<Problem>) -> Result<Loaded, CtlError> {
  let mut loaded = Loaded { sources, ..Loaded::default() };
  for (file, source) in loaded.sources.iter().enumerate() {
    let documents = match tree::read(source) {
      Ok(documents) => documents,
      Err(found) => {
        problems.extend(found);
        continue;
      }
    };
    for node in documents {
      // A separator with nothing behind it, or only comments, is no manifest.
      if matches!(&node.data, Data::Plain(text) if Word::read(text) == Word::Null) {
        continue;
      }
      let before = problems.len();
      match kind_of(source, &node) {
        Ok("Namespace") => {
          if let Some(read) = read::<NamespaceManifest>(source, &node, &mut problems) {
            let NamespaceManifest { metadata, spec, .. } = read.value;
            loaded
              .namespaces
              .push(NamespaceForCreate { id: metadata.name, description: spec.description });
          }
        }
        Ok(_) => {
          if let Some(read) = read::<JobManifest>(source, &node, &mut problems) {
            let place = Place { file, node: node.clone(), left_out: read.left_out };
            loaded.jobs.push((job(read.value), place));
          }
        }
        Err(problem) => problems.push(problem),
      }
      problems[before..].iter_mut().for_each(|problem| problem.owner = owner(&node));
    }
  }
  for (job, place) in &mut loaded.jobs {
    problems.extend(check_job(job, place, &loaded.sources[place.file]));
  }
  problems.extend(twice(&loaded));
  if !problems.is_empty() {
    return Err(refuse(problems, &loaded.sources));
  }
  if loaded.jobs.is_empty() && loaded.namespaces.is_empty() {
    return Err(CtlError::new(Exit::Invalid, "nothing to apply"));
  }
  Ok(loaded)
}

fn job(manifest: JobManifest) -> JobForCreate {
  let JobManifest { metadata, spec, .. } = manifest;
  JobForCreate {
    namespace_id: metadata.namespace,
    name: metadata.name,
    description: spec.description,
    environment: spec.environment,
    config: spec.config,
    status: spec.status,
    labels: metadata.labels,
    owner: spec.owner,
    schedules: spec.schedules,
  }
}

/// What a document is called, for the line above its problems.
pub fn owner(node: &Node) -> Option<String> {
  let kind = node.get("kind")?.text()?.to_lowercase();
  let name = node.get("metadata")?.get("name")?.text()?;
  Some(format!("{kind} {name}"))
}

fn kind_of(source: &Source, node: &Node) -> Result<&'static str, Problem> {
  let here = |at: &Node, code: &str, message: String| {
    Problem::at(&source.name, at.begin, at.width, code, message)
  };
  if !matches!(node.data, Data::Map(_)) {
    return Err(
      here(node, "manifest.type", "a manifest is a mapping".into())
        .hint(format!("begin with  apiVersion: {API_VERSION}")),
    );
  }
  match node.get("apiVersion") {
    None => {
      return Err(
        here(node, "manifest.api_version", "apiVersion is missing".into())
          .hint(format!("write  apiVersion: {API_VERSION}")),
      );
    }
    Some(version) if version.text() != Some(API_VERSION) => {
      let shown = version.text().unwrap_or("something else").to_owned();
      let problem =
        here(version, "manifest.api_version", format!("apiVersion {shown} is not known"));
      return Err(problem.hint(format!("this hetuflowctl reads {API_VERSION}")));
    }
    Some(_) => {}
  }
  let known = format!("known kinds: {}", KINDS.join(", "));
  let Some(kind) = node.get("kind") else {
    return Err(here(node, "manifest.kind", "kind is missing".into()).hint(known));
  };
  let text = kind.text().unwrap_or_default();
  KINDS.into_iter().find(|name| *name == text).ok_or_else(|| {
    let problem = here(kind, "manifest.kind", format!("unknown kind {text}"));
    match hetuflow_core::config_text::nearest(text, KINDS) {
      Some(near) => problem.hint(format!("did you mean  {near} ?  {known}")),
      None => problem.hint(known),
    }
  })
}

/// Two jobs with one name: both lines are named.
fn twice(loaded: &Loaded) -> Vec<Problem> {
  let mut problems = Vec::new();
  for (index, (job, place)) in loaded.jobs.iter().enumerate() {
    let same = |(other, _): &&(JobForCreate, Place)| {
      other.name == job.name
        && other.namespace_id.clone().unwrap_or_default()
          == job.namespace_id.clone().unwrap_or_default()
    };
    let Some((_, first)) = loaded.jobs[..index].iter().find(same) else { continue };
    let name = |place: &Place| {
      place
        .node
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .unwrap_or(&place.node)
        .clone()
    };
    let (here, there) = (name(place), name(first));
    let message = format!(
      "job {} stands twice; the first is at {}:{}",
      job.name, loaded.sources[first.file].name, there.begin.line
    );
    let file = &loaded.sources[place.file].name;
    problems.push(Problem::at(file, here.begin, here.width, "manifest.duplicate", message));
  }
  problems
}
