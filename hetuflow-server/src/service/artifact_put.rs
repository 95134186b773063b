//! Files that people put there by hand, for tasks to find.

use std::time::Duration;

use hetuflow_core::{
  ArtifactEntity, ArtifactId, ArtifactState, ContentHash, ContentHasher, FILE_PIECE_BYTES,
  FieldError, FileFrame, NamespaceId, Role, TIMEOUT_SECS_MAX, Topic, is_file_name,
};
use serde_json::json;
use uuid::Uuid;

use super::artifact_svc::ArtifactSvc;
use super::namespace_svc::require_namespace;
use super::store::Work;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::artifact_bmc;
use crate::infra::bmc::artifact_content_bmc as content_bmc;

/// Pieces that are written in one transaction.
const PIECES_PER_WRITE: usize = 32;

/// What is put there.
#[derive(Debug, Clone)]
pub struct ArtifactForPut {
  /// Where; the token's own or the default one where not said.
  pub namespace_id: Option<NamespaceId>,
  /// How it is called.
  pub name: String,
  /// Its bytes.
  pub size: u64,
  /// What they must come to, where that is known.
  pub content_hash: Option<ContentHash>,
  /// How long it is kept; as the server says where not said.
  pub retention: Option<Duration>,
}

/// A file on its way in.
pub struct Incoming {
  put: ArtifactForPut,
  namespace: NamespaceId,
  by: String,
  content: Uuid,
  came: u64,
  buffer: Vec<u8>,
  pieces: Vec<FileFrame>,
  hasher: ContentHasher,
}

impl ArtifactSvc {
  /// Makes room for a file.
  ///
  /// # Errors
  /// The broken rules; 403 below operator; 404 for the namespace; 409 `artifact.no_room`.
  pub async fn begin_put(&self, actor: &Actor, put: ArtifactForPut) -> SvcResult<Incoming> {
    let namespace = actor.namespace(put.namespace_id.as_ref());
    actor.require(Role::Operator, &namespace)?;
    check(&put)?;
    let mut work = self.store.work().await?;
    let outcome = self.make_room(&mut work, &namespace, put.size).await;
    let content = work.end(outcome).await?;
    Ok(Incoming {
      put,
      namespace,
      by: actor.name.clone(),
      content,
      came: 0,
      buffer: Vec::new(),
      pieces: Vec::new(),
      hasher: ContentHasher::default(),
    })
  }

  async fn make_room(
    &self,
    work: &mut Work,
    namespace: &NamespaceId,
    bytes: u64,
  ) -> SvcResult<Uuid> {
    require_namespace(work, namespace).await?;
    if let Some(why) = self.lacks_room(&mut work.tx, namespace, bytes).await? {
      return Err(SvcError::conflict("artifact.no_room", "", why));
    }
    // Its true name is known when all of it is here; till then no file can have it.
    let name = format!("incoming-{}", Uuid::now_v7());
    let size = i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(content_bmc::open(&mut work.tx, (namespace, &name), size, work.now).await?.id)
  }

  /// Takes the next bytes.
  ///
  /// # Errors
  /// More bytes than were announced; when the database fails.
  pub async fn put_bytes(&self, incoming: &mut Incoming, mut bytes: &[u8]) -> SvcResult<()> {
    incoming.came += bytes.len() as u64;
    if incoming.came > incoming.put.size {
      return Err(wrong_size(incoming));
    }
    incoming.hasher.add(bytes);
    while !bytes.is_empty() {
      let room = FILE_PIECE_BYTES - incoming.buffer.len();
      let (now, later) = bytes.split_at(room.min(bytes.len()));
      incoming.buffer.extend_from_slice(now);
      bytes = later;
      if incoming.buffer.len() == FILE_PIECE_BYTES {
        incoming.cut((incoming.came - bytes.len() as u64) - FILE_PIECE_BYTES as u64);
      }
      if incoming.pieces.len() >= PIECES_PER_WRITE {
        self.write(incoming).await?;
      }
    }
    Ok(())
  }

  async fn write(&self, incoming: &mut Incoming) -> SvcResult<()> {
    let pieces = std::mem::take(&mut incoming.pieces);
    let mut work = self.store.work().await?;
    let mut all: Vec<&FileFrame> = pieces.iter().collect();
    let written = content_bmc::insert_pieces(&mut work.tx, &mut all).await;
    work.end(written.map_err(SvcError::from)).await
  }

  /// All of it is here: it is a file from now on.
  ///
  /// # Errors
  /// Fewer bytes than were announced, or other ones; when the database fails.
  pub async fn end_put(&self, mut incoming: Incoming) -> SvcResult<ArtifactEntity> {
    if incoming.came != incoming.put.size {
      return Err(wrong_size(&incoming));
    }
    if !incoming.buffer.is_empty() {
      incoming.cut(incoming.came - incoming.buffer.len() as u64);
    }
    self.write(&mut incoming).await?;
    let hash = std::mem::take(&mut incoming.hasher).finish();
    if incoming.put.content_hash.is_some_and(|wanted| wanted != hash) {
      let message = format!("what came is another content: {hash}");
      let error = FieldError::new("hash.differs", "?content_hash", message);
      return Err(SvcError::invalid(vec![error]));
    }
    let mut work = self.store.work().await?;
    let outcome = self.name(&mut work, &incoming, hash).await;
    work.end(outcome).await
  }

  async fn name(
    &self,
    work: &mut Work,
    incoming: &Incoming,
    hash: ContentHash,
  ) -> SvcResult<ArtifactEntity> {
    let (namespace, now) = (&incoming.namespace, work.now);
    match content_bmc::touch(&mut work.tx, (namespace, hash), now).await? {
      Some(same) if same.stored_at.is_some() => {
        content_bmc::delete(&mut work.tx, incoming.content).await?;
      }
      other => {
        // An agent that is sending the same content hears that it is stored.
        if let Some(part) = other {
          content_bmc::delete(&mut work.tx, part.id).await?;
        }
        content_bmc::rename(&mut work.tx, incoming.content, hash, now).await?;
        self.tell_stored(work, (namespace, hash)).await?;
      }
    }
    let expires = incoming.put.retention.map(|time| now.plus(time));
    let file = ArtifactEntity {
      id: ArtifactId::generate(),
      namespace_id: namespace.clone(),
      job_id: None,
      task_id: None,
      instance_id: None,
      agent_id: None,
      created_by: Some(incoming.by.clone()),
      name: incoming.put.name.clone(),
      size: i64::try_from(incoming.put.size).unwrap_or(i64::MAX),
      content_hash: Some(hash.to_string()),
      state: ArtifactState::Stored,
      reason: None,
      created_at: now,
      expires_at: expires.unwrap_or_else(|| now.plus(self.limits.kept_for)),
    };
    artifact_bmc::insert_put(&mut work.tx, &file, expires).await?;
    let data = json!({
      "name": file.name, "size": file.size, "content_hash": hash, "by": incoming.by,
    });
    work.note(namespace, (Topic::Audit, file.id.to_string()), "artifact.put", data);
    Ok(file)
  }

  /// What has come of a file that does not come any more is forgotten; the sweep does what fails
  /// here.
  pub async fn drop_put(&self, content: Uuid) {
    let Ok(mut work) = self.store.work().await else { return };
    let deleted = content_bmc::delete(&mut work.tx, content).await;
    if let Err(error) = work.end(deleted.map_err(SvcError::from)).await {
      tracing::debug!(error = &error as &dyn std::error::Error, "an unfinished file is left");
    }
  }
}

impl Incoming {
  /// Names what was stored of it so far.
  pub fn content(&self) -> Uuid {
    self.content
  }

  fn cut(&mut self, offset: u64) {
    self.pieces.push(FileFrame::new(self.content, offset, &self.buffer));
    self.buffer.clear();
  }
}

fn check(put: &ArtifactForPut) -> SvcResult<()> {
  let mut errors = Vec::new();
  if !is_file_name(&put.name) {
    let message = "a name is a path that leads down, of at most 400 bytes";
    errors.push(
      FieldError::new("path.invalid", "?name", message)
        .with_hint("name=data/rows.csv: without a / before it, and without . or .."),
    );
  }
  if let Some(time) = put.retention
    && (time.is_zero() || time.as_secs() > TIMEOUT_SECS_MAX)
  {
    let error = FieldError::new("duration.invalid", "?retention", "the time is out of range")
      .with_hint("write a time over 0, at most 366 days");
    errors.push(error);
  }
  SvcError::check(errors)
}

fn wrong_size(incoming: &Incoming) -> SvcError {
  let (came, size) = (incoming.came, incoming.put.size);
  let message = format!("{size} bytes were announced, {came} came");
  SvcError::invalid(vec![FieldError::new("body.length", "Content-Length", message)])
}
