//! Files that attempts leave: taken from agents by their content, given to people by their name.
//! What people put there is `artifact_put`, what tasks find is `input_svc`.

use std::time::Duration;

use hetuflow_core::{
  AgentId, ArtifactEntity, ArtifactFilter, ArtifactId, ArtifactState, ContentHash, ContentHasher,
  FileTransferState, FileTransferStatus, FileUpload, NamespaceId, Page, Role, TaskInstanceId,
  Topic,
};
use serde_json::json;
use uuid::Uuid;

use super::artifact_reader::{ArtifactReader, PIECES_PER_READ, unpack};
use super::store::{PageArgs, Store, Work};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::artifact_bmc::{self, ArtifactRow};
use crate::infra::bmc::artifact_content_bmc::{self as content_bmc, Content, Extent};
use crate::infra::bmc::task_instance_bmc;
use crate::infra::db::Conn;

/// Files that one turn of the sweep forgets.
const EXPIRED_PER_TURN: i64 = 1000;
/// Contents that one turn of the sweep deletes; each may have thousands of pieces.
const ORPHANS_PER_TURN: i64 = 8;
/// A content without a file may be one whose file is told in the next moment.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// What is taken, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ArtifactLimits {
  /// Bytes of the largest file.
  pub file_bytes: u64,
  /// Bytes of all contents of a namespace; 0 is unlimited.
  pub namespace_bytes: u64,
  /// How long files are kept whose job does not say.
  pub kept_for: Duration,
}

/// Use cases of files.
pub struct ArtifactSvc {
  pub(super) store: Store,
  pub(super) limits: ArtifactLimits,
}

impl ArtifactSvc {
  /// Over a store.
  pub fn new(store: Store, limits: ArtifactLimits) -> Self {
    Self { store, limits }
  }

  /// Says what is to become of a content that an agent has. Once all of it is here, it is compared
  /// with its hash; only then it counts as stored.
  ///
  /// # Errors
  /// When the database fails.
  pub async fn announce(
    &self,
    agent: &AgentId,
    upload: &FileUpload,
  ) -> SvcResult<FileTransferStatus> {
    let step = self.judge(agent, upload).await?;
    let (content, namespace) = match step {
      Step::Over(state, why) => return Ok(status(upload, state, why)),
      Step::Open(content, namespace) => (content, namespace),
    };
    let mut conn = self.store.read().await?;
    let mut here = durable(&content_bmc::extents(&mut conn, content.id).await?);
    if here == content.size {
      if self.is_intact(&mut conn, &content, upload.content_hash).await? {
        drop(conn);
        self.keep(&content, (&namespace, upload.content_hash)).await?;
        return Ok(status(upload, FileTransferState::Stored, None));
      }
      drop(conn);
      tracing::warn!(agent.id = %agent, content_hash = %upload.content_hash,
        "what came is not what was announced; it is asked for again");
      let mut work = self.store.work().await?;
      let cleared = content_bmc::clear(&mut work.tx, content.id).await;
      work.end(cleared.map_err(SvcError::from)).await?;
      here = 0;
    }
    Ok(FileTransferStatus {
      transfer_id: Some(content.id),
      bytes_transferred: u64::try_from(here).unwrap_or(0),
      ..status(upload, FileTransferState::Wanted, None)
    })
  }

  async fn judge(&self, agent: &AgentId, upload: &FileUpload) -> SvcResult<Step> {
    let mut work = self.store.work().await?;
    let outcome = self.judge_in(&mut work, agent, upload).await;
    work.end(outcome).await
  }

  async fn judge_in(
    &self,
    work: &mut Work,
    agent: &AgentId,
    upload: &FileUpload,
  ) -> SvcResult<Step> {
    let FileUpload { instance_id, content_hash, .. } = *upload;
    let row = artifact_bmc::with_content(&mut work.tx, instance_id, content_hash).await?;
    let file = row.map(|row| row.into_entity(self.limits.kept_for));
    let Some(file) = file.filter(|file| file.agent_id.as_ref() == Some(agent)) else {
      return Ok(Step::Over(FileTransferState::Unknown, None));
    };
    match file.state {
      ArtifactState::Stored => return Ok(Step::Over(FileTransferState::Stored, None)),
      ArtifactState::Refused => return Ok(Step::Over(FileTransferState::Refused, file.reason)),
      ArtifactState::Uploading | ArtifactState::Lost => {}
    }
    let place = (&file.namespace_id, content_hash);
    if let Some(found) = content_bmc::touch(&mut work.tx, place, work.now).await? {
      if found.size != file.size || u64::try_from(found.size) != Ok(upload.file_size) {
        return self.refuse(work, upload, "another size was told for the same content").await;
      }
      if found.stored_at.is_some() {
        self.tell_stored(work, place).await?;
        return Ok(Step::Over(FileTransferState::Stored, None));
      }
      return Ok(Step::Open(found, file.namespace_id));
    }
    if let Some(why) = self.has_no_room(&mut work.tx, &file, upload).await? {
      return self.refuse(work, upload, &why).await;
    }
    let named = (&file.namespace_id, content_hash.to_string());
    let named = (named.0, named.1.as_str());
    let content = content_bmc::open(&mut work.tx, named, file.size, work.now).await?;
    Ok(Step::Open(content, file.namespace_id))
  }

  /// Why a content is not taken.
  async fn has_no_room(
    &self,
    conn: &mut Conn,
    file: &ArtifactEntity,
    upload: &FileUpload,
  ) -> SvcResult<Option<String>> {
    if u64::try_from(file.size) != Ok(upload.file_size) {
      return Ok(Some("another size was told for the same content".to_owned()));
    }
    self.lacks_room(conn, &file.namespace_id, upload.file_size).await
  }

  /// Why there is no room for so many bytes.
  pub(super) async fn lacks_room(
    &self,
    conn: &mut Conn,
    namespace: &NamespaceId,
    bytes: u64,
  ) -> SvcResult<Option<String>> {
    let limits = self.limits;
    if bytes > limits.file_bytes {
      let limit = limits.file_bytes;
      let why = format!("larger than the server takes: artifacts.file_size_max is {limit} bytes");
      return Ok(Some(why));
    }
    let used = content_bmc::used_bytes(conn, namespace).await?;
    let after = u64::try_from(used).unwrap_or(0).saturating_add(bytes);
    Ok((limits.namespace_bytes > 0 && after > limits.namespace_bytes).then(|| {
      let limit = limits.namespace_bytes;
      format!("the namespace is full: artifacts.namespace_size_max is {limit} bytes")
    }))
  }

  async fn refuse(&self, work: &mut Work, upload: &FileUpload, why: &str) -> SvcResult<Step> {
    let which = (upload.instance_id, upload.content_hash);
    artifact_bmc::set_gone(&mut work.tx, which, (ArtifactState::Refused, why)).await?;
    Ok(Step::Over(FileTransferState::Refused, Some(why.to_owned())))
  }

  /// Whether the pieces come to the hash.
  async fn is_intact(
    &self,
    conn: &mut Conn,
    content: &Content,
    hash: ContentHash,
  ) -> SvcResult<bool> {
    let (mut hasher, mut offset) = (ContentHasher::default(), 0);
    while offset < content.size {
      let pieces = content_bmc::pieces_from(conn, content.id, offset, PIECES_PER_READ).await?;
      let Some(last) = pieces.last() else { return Ok(false) };
      offset = last.file_offset + last.raw_len;
      for piece in &pieces {
        match unpack(piece) {
          Ok(bytes) => hasher.add(&bytes),
          Err(_) => return Ok(false),
        }
      }
      tokio::task::yield_now().await;
    }
    Ok(hasher.finish() == hash)
  }

  async fn keep(
    &self,
    content: &Content,
    (namespace, hash): (&NamespaceId, ContentHash),
  ) -> SvcResult<()> {
    let mut work = self.store.work().await?;
    let outcome = async {
      content_bmc::set_stored(&mut work.tx, content.id, work.now).await?;
      self.tell_stored(&mut work, (namespace, hash)).await
    }
    .await;
    work.end(outcome).await
  }

  /// All files that wait for a content are stored with it; each is told.
  pub(super) async fn tell_stored(
    &self,
    work: &mut Work,
    (namespace, hash): (&NamespaceId, ContentHash),
  ) -> SvcResult<()> {
    for file in artifact_bmc::set_stored(&mut work.tx, namespace, hash).await? {
      let Some(task) = file.task_id else { continue };
      let data = json!({
        "artifact_id": file.id, "instance_id": file.instance_id, "name": file.name,
        "size": file.size, "content_hash": hash,
      });
      work.note(namespace, (Topic::Task, task.to_string()), "artifact.stored", data);
    }
    Ok(())
  }

  /// An agent has a content no more.
  ///
  /// # Errors
  /// When the database fails.
  pub async fn note_lost(&self, agent: &AgentId, told: &FileTransferStatus) -> SvcResult<()> {
    let mut work = self.store.work().await?;
    let outcome = async {
      let which = (told.instance_id, told.content_hash);
      let row = artifact_bmc::with_content(&mut work.tx, which.0, which.1).await?;
      let file = row.map(|row| row.into_entity(self.limits.kept_for));
      if file.is_some_and(|file| file.agent_id.as_ref() == Some(agent)) {
        let why = told.error_message.as_deref().unwrap_or("its agent has it no more");
        let why: String = why.chars().filter(|c| !c.is_control()).take(500).collect();
        artifact_bmc::set_gone(&mut work.tx, which, (ArtifactState::Lost, &why)).await?;
      }
      Ok(())
    }
    .await;
    work.end(outcome).await
  }

  /// Reads a page of files, newest first.
  ///
  /// # Errors
  /// 403 below viewer.
  pub async fn list(
    &self,
    actor: &Actor,
    filter: &ArtifactFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<ArtifactEntity>> {
    let mut filter = filter.clone();
    filter.namespace_id = Some(actor.namespace(filter.namespace_id.as_ref()));
    actor.require(Role::Viewer, filter.namespace_id.as_ref().unwrap_or(&NamespaceId::default()))?;
    let mut conn = self.store.read().await?;
    let found = artifact_bmc::list(&mut conn, &filter, page).await?;
    Ok(self.page(found))
  }

  /// Reads a page of the files of one attempt, newest first.
  ///
  /// # Errors
  /// 404 for the attempt; 403 below viewer.
  pub async fn of_attempt(
    &self,
    actor: &Actor,
    instance: TaskInstanceId,
    page: &PageArgs,
  ) -> SvcResult<Page<ArtifactEntity>> {
    let mut conn = self.store.read().await?;
    let attempt = task_instance_bmc::get(&mut conn, instance).await?;
    let attempt = attempt
      .filter(|row| actor.namespace_id.as_ref().is_none_or(|own| *own == row.namespace_id))
      .ok_or_else(|| SvcError::not_found("attempt", &instance.to_string()))?;
    actor.require(Role::Viewer, &attempt.namespace_id)?;
    let filter = ArtifactFilter { instance_id: Some(instance), ..ArtifactFilter::default() };
    let found = artifact_bmc::list(&mut conn, &filter, page).await?;
    Ok(self.page(found))
  }

  fn page(&self, found: Page<ArtifactRow>) -> Page<ArtifactEntity> {
    let data = found.data.into_iter().map(|row| row.into_entity(self.limits.kept_for)).collect();
    Page { data, page: found.page }
  }

  /// Reads about one.
  ///
  /// # Errors
  /// 404; 403 below viewer.
  pub async fn get(&self, actor: &Actor, id: &str) -> SvcResult<ArtifactEntity> {
    let mut conn = self.store.read().await?;
    self.find(&mut conn, (actor, Role::Viewer), id).await
  }

  async fn find(
    &self,
    conn: &mut Conn,
    (actor, role): (&Actor, Role),
    id: &str,
  ) -> SvcResult<ArtifactEntity> {
    let row = match id.parse::<ArtifactId>() {
      Ok(id) => artifact_bmc::get(conn, id).await?,
      Err(_) => None,
    };
    let file = row.map(|row| row.into_entity(self.limits.kept_for));
    let file = file
      .filter(|file| actor.namespace_id.as_ref().is_none_or(|own| *own == file.namespace_id))
      .ok_or_else(|| SvcError::not_found("artifact", id))?;
    actor.require(role, &file.namespace_id)?;
    Ok(file)
  }

  /// Opens the bytes of one.
  ///
  /// # Errors
  /// 404; 403 below viewer; 409 `artifact.not_here` with the reason while it is not stored.
  pub async fn open(&self, actor: &Actor, id: &str) -> SvcResult<(ArtifactEntity, ArtifactReader)> {
    let mut conn = self.store.read().await?;
    let file = self.find(&mut conn, (actor, Role::Viewer), id).await?;
    let hash = file.content_hash.as_deref().unwrap_or_default();
    let content = match file.state {
      ArtifactState::Stored => content_bmc::whole(&mut conn, &file.namespace_id, hash).await?,
      _ => None,
    };
    let Some(content) = content else {
      let why = match (file.state, &file.reason) {
        (ArtifactState::Uploading, _) => "is still on its way from its agent".to_owned(),
        (state, Some(reason)) => format!("is {state}: {reason}"),
        (state, None) => format!("is {state}, and its bytes are not here"),
      };
      let message = format!("artifact {id} {why}");
      return Err(SvcError::conflict("artifact.not_here", "", message));
    };
    Ok((file, ArtifactReader::new(self.store.clone(), content)))
  }

  /// Forgets one; its bytes go when no other has them.
  ///
  /// # Errors
  /// 404; 403 below editor.
  pub async fn delete(&self, actor: &Actor, id: &str) -> SvcResult<()> {
    let mut work = self.store.work().await?;
    let outcome = self.forget(&mut work, actor, id).await;
    work.end(outcome).await
  }

  async fn forget(&self, work: &mut Work, actor: &Actor, id: &str) -> SvcResult<()> {
    let file = self.find(&mut work.tx, (actor, Role::Editor), id).await?;
    artifact_bmc::delete(&mut work.tx, file.id).await?;
    let data = json!({ "name": file.name, "instance_id": file.instance_id, "by": actor.name });
    work.note(&file.namespace_id, (Topic::Audit, id.to_owned()), "artifact.deleted", data);
    Ok(())
  }

  /// One turn of the sweep: forgets what is over, and deletes a few contents that nothing has any
  /// more. Returns how many there were of both.
  ///
  /// # Errors
  /// When the database fails.
  pub async fn sweep(&self) -> SvcResult<(usize, usize)> {
    let mut work = self.store.work().await?;
    let now = work.now;
    let outcome = async {
      let ages = (now, now.minus(self.limits.kept_for));
      let files = artifact_bmc::delete_expired(&mut work.tx, ages, EXPIRED_PER_TURN).await?;
      let before = now.minus(ORPHAN_AGE);
      let contents = content_bmc::delete_orphans(&mut work.tx, before, ORPHANS_PER_TURN).await?;
      Ok((files, contents))
    }
    .await;
    work.end(outcome).await
  }
}

/// What is known of an announced content.
enum Step {
  /// There is nothing to send.
  Over(FileTransferState, Option<String>),
  /// It is open, in this namespace.
  Open(Content, NamespaceId),
}

fn status(
  upload: &FileUpload,
  status: FileTransferState,
  error_message: Option<String>,
) -> FileTransferStatus {
  FileTransferStatus {
    transfer_id: None::<Uuid>,
    instance_id: upload.instance_id,
    content_hash: upload.content_hash,
    file_size: upload.file_size,
    bytes_transferred: if status == FileTransferState::Stored { upload.file_size } else { 0 },
    status,
    error_message,
  }
}

/// How many bytes are there from the first on, without a hole.
fn durable(extents: &[Extent]) -> i64 {
  let mut end = 0;
  for extent in extents {
    if extent.file_offset != end {
      break;
    }
    end += extent.raw_len;
  }
  end
}

#[cfg(test)]
mod tests {
  use hetuflow_core::FILE_PIECE_BYTES;

  use super::*;

  #[test]
  fn a_hole_ends_what_is_durable() {
    let piece = FILE_PIECE_BYTES as i64;
    let at = |file_offset, raw_len| Extent { file_offset, raw_len };
    assert_eq!(durable(&[]), 0);
    assert_eq!(durable(&[at(piece, piece)]), 0);
    assert_eq!(durable(&[at(0, piece), at(piece, 5)]), piece + 5);
    assert_eq!(durable(&[at(0, piece), at(2 * piece, piece)]), piece);
  }
}
