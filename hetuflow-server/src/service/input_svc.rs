//! Files that tasks find when they start: what each source is, found once for each task, and its
//! bytes for the agent that has the task.

use hetuflow_core::{
  AgentId, ArtifactEntity, ArtifactState, ContentHash, DOWNLOAD_PIECES_MAX, FILE_PIECE_BYTES,
  FileDownload, FileFrame, FileTransferState, FileTransferStatus, InputFile, InputNote,
  InputSource, NamespaceId, Role, TaskId, TaskInputEntity,
};

use super::artifact_svc::ArtifactSvc;
use super::store::Work;
use super::task_ref::resolve_task;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::artifact_bmc::{self, ArtifactRow, LeftBy};
use crate::infra::bmc::artifact_content_bmc::{self as content_bmc, Piece};
use crate::infra::bmc::{job_bmc, task_input_bmc};
use crate::infra::db::DbError;

/// What a source is, or why it is nothing.
type Known = Result<TaskInputEntity, String>;

impl ArtifactSvc {
  /// Says what the files are that a task finds. What is found is written down, so that the next
  /// attempt gets the same bytes; what is not found is looked for again then.
  ///
  /// # Errors
  /// When the database fails.
  pub async fn inputs(
    &self,
    (namespace, task): (&NamespaceId, TaskId),
    wanted: &[InputFile],
  ) -> Result<Vec<InputNote>, DbError> {
    let mut work = self.store.work().await.map_err(database)?;
    let outcome = self.find_inputs(&mut work, (namespace, task), wanted).await;
    work.end(outcome.map_err(SvcError::from)).await.map_err(database)
  }

  async fn find_inputs(
    &self,
    work: &mut Work,
    (namespace, task): (&NamespaceId, TaskId),
    wanted: &[InputFile],
  ) -> Result<Vec<InputNote>, DbError> {
    let known = task_input_bmc::of_task(&mut work.tx, task).await?;
    let (mut notes, mut new) = (Vec::with_capacity(wanted.len()), Vec::new());
    for input in wanted {
      let before = known.iter().find(|one| one.target == input.target());
      let found = match before {
        Some(before) => Ok(before.clone()),
        None => self.find_input(work, (namespace, task), input).await?,
      };
      if let (None, Ok(found)) = (before, &found) {
        new.push(found.clone());
      }
      notes.push(note(input, found));
    }
    task_input_bmc::insert(&mut work.tx, namespace, &new).await?;
    Ok(notes)
  }

  /// What a source is now.
  async fn find_input(
    &self,
    work: &mut Work,
    (namespace, task): (&NamespaceId, TaskId),
    input: &InputFile,
  ) -> Result<Known, DbError> {
    let Some(source) = input.source() else {
      return Ok(Err("nothing says where it comes from".to_owned()));
    };
    let by = match source {
      InputSource::Content(hash) => {
        return self.find_content(work, (namespace, task), (input, hash)).await;
      }
      InputSource::Attempt(id, _) => LeftBy::Attempt(id),
      InputSource::Task(id, _) => LeftBy::Task(id),
      InputSource::Put(_) => LeftBy::Hand,
      InputSource::Job(job, _) => match job_bmc::get_by_name(&mut work.tx, namespace, job).await? {
        Some(job) => LeftBy::Job(job.id),
        None => {
          return Ok(Err(format!("there is no job \"{}\"", job.escape_debug())));
        }
      },
    };
    let name = input.name.as_deref().unwrap_or_default();
    let row = artifact_bmc::newest(&mut work.tx, (namespace, name), by).await?;
    let Some(file) = row.map(|row| self.entity(row)) else {
      return Ok(Err("there is no such file".to_owned()));
    };
    let Some(hash) = usable(&file) else {
      let why = file.reason.unwrap_or_else(|| "no reason was told".to_owned());
      return Ok(Err(format!("it is {}: {why}", file.state)));
    };
    // It must not be swept away between this look and the end of this transaction.
    content_bmc::touch(&mut work.tx, (namespace, hash), work.now).await?;
    let input = known(work, (task, input), (hash, file.size));
    Ok(Ok(TaskInputEntity { artifact_id: Some(file.id), ..input }))
  }

  async fn find_content(
    &self,
    work: &mut Work,
    (namespace, task): (&NamespaceId, TaskId),
    (input, hash): (&InputFile, ContentHash),
  ) -> Result<Known, DbError> {
    let content = content_bmc::touch(&mut work.tx, (namespace, hash), work.now).await?;
    if let Some(content) = content.filter(|content| content.stored_at.is_some()) {
      return Ok(Ok(known(work, (task, input), (hash, content.size))));
    }
    let row = artifact_bmc::coming(&mut work.tx, namespace, &hash.to_string()).await?;
    Ok(match row.map(|row| self.entity(row)) {
      Some(file) => Ok(known(work, (task, input), (hash, file.size))),
      None => Err("no file of the namespace has this content".to_owned()),
    })
  }

  fn entity(&self, row: ArtifactRow) -> ArtifactEntity {
    row.into_entity(self.limits.kept_for)
  }

  /// Answers an agent that wants bytes of a file that one of its attempts finds.
  ///
  /// # Errors
  /// When the database fails.
  pub async fn download(
    &self,
    agent: &AgentId,
    wanted: &FileDownload,
  ) -> SvcResult<(FileTransferStatus, Vec<FileFrame>)> {
    let mut conn = self.store.read().await?;
    let Some(namespace) = task_input_bmc::namespace_for(&mut conn, agent, wanted).await? else {
      let why = "no attempt of this agent is to find it";
      return Ok((status(wanted, FileTransferState::Refused, why), Vec::new()));
    };
    let hash = wanted.content_hash.to_string();
    let Some(content) = content_bmc::whole(&mut conn, &namespace, &hash).await? else {
      let coming = artifact_bmc::coming(&mut conn, &namespace, &hash).await?;
      let answer = match coming {
        Some(_) => status(wanted, FileTransferState::Unknown, "it is on its way from its agent"),
        None => status(wanted, FileTransferState::Lost, "its bytes are not here any more"),
      };
      return Ok((answer, Vec::new()));
    };
    let piece = FILE_PIECE_BYTES as u64;
    let from = i64::try_from(wanted.offset - wanted.offset % piece).unwrap_or(i64::MAX);
    let limit = i64::from(wanted.pieces.clamp(1, DOWNLOAD_PIECES_MAX));
    let pieces = content_bmc::pieces_from(&mut conn, content.id, from, limit).await?;
    let size = u64::try_from(content.size).unwrap_or(0);
    if pieces.is_empty() && wanted.offset < size {
      let why = "its bytes are not here any more";
      return Ok((status(wanted, FileTransferState::Lost, why), Vec::new()));
    }
    let frames = pieces.into_iter().map(|piece| frame(content.id, piece));
    let frames: Option<Vec<FileFrame>> = frames.collect();
    let broken = || SvcError::unavailable("a stored piece cannot be read");
    let answer = FileTransferStatus {
      transfer_id: Some(content.id),
      file_size: size,
      bytes_transferred: wanted.offset,
      error_message: None,
      ..status(wanted, FileTransferState::Stored, "")
    };
    Ok((answer, frames.ok_or_else(broken)?))
  }

  /// Reads what a task has found, or is to find; nothing before it was handed out for the first
  /// time.
  ///
  /// # Errors
  /// 404 for the task; 403 below viewer.
  pub async fn inputs_of(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
  ) -> SvcResult<Vec<TaskInputEntity>> {
    let mut conn = self.store.read().await?;
    let task = resolve_task(&mut conn, &actor.namespace(namespace), reference).await?;
    if actor.namespace_id.as_ref().is_some_and(|own| *own != task.namespace_id) {
      return Err(SvcError::not_found("task", reference));
    }
    actor.require(Role::Viewer, &task.namespace_id)?;
    Ok(task_input_bmc::of_task(&mut conn, task.id).await?)
  }
}

fn known(
  work: &Work,
  (task_id, input): (TaskId, &InputFile),
  (hash, size): (ContentHash, i64),
) -> TaskInputEntity {
  TaskInputEntity {
    task_id,
    target: input.target().to_owned(),
    content_hash: hash.to_string(),
    size,
    artifact_id: None,
    created_at: work.now,
  }
}

/// What a file is, where its bytes are here or on their way.
fn usable(file: &ArtifactEntity) -> Option<ContentHash> {
  let comes = matches!(file.state, ArtifactState::Stored | ArtifactState::Uploading);
  file.content_hash.as_deref().filter(|_| comes)?.parse().ok()
}

/// As the agent is told.
fn note(input: &InputFile, found: Known) -> InputNote {
  let blank = InputNote {
    to: input.target().to_owned(),
    content_hash: None,
    file_size: 0,
    mode: input.rights(),
    reason: None,
  };
  match found {
    Ok(found) => InputNote {
      content_hash: found.content_hash.parse().ok(),
      file_size: u64::try_from(found.size).unwrap_or(0),
      ..blank
    },
    Err(why) => InputNote { reason: Some(format!("{}: {why}", input.shown())), ..blank },
  }
}

fn status(wanted: &FileDownload, status: FileTransferState, why: &str) -> FileTransferStatus {
  FileTransferStatus {
    transfer_id: None,
    instance_id: wanted.instance_id,
    content_hash: wanted.content_hash,
    file_size: 0,
    bytes_transferred: 0,
    status,
    error_message: Some(why.to_owned()),
  }
}

/// A piece as it is stored; none where it can never have been a piece.
fn frame(transfer_id: uuid::Uuid, piece: Piece) -> Option<FileFrame> {
  Some(FileFrame {
    transfer_id,
    seq: 0,
    offset: u64::try_from(piece.file_offset).ok()?,
    raw_len: u32::try_from(piece.raw_len).ok()?,
    codec: u8::try_from(piece.codec).ok().and_then(hetuflow_core::Codec::from_number)?,
    data: piece.data,
  })
}

/// Only the database can fail here.
fn database(error: SvcError) -> DbError {
  match error {
    SvcError::Database(error) => error,
    other => DbError::BadData(other.to_string()),
  }
}
