//! The door of a desk: agents come in one after the other, and what is said through it.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::executor::frames::{Frame, FrameReader, Hello, ToExecutor};

/// How long an agent may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// An agent that has come.
pub(super) struct Guest {
  /// What it has said first.
  pub(super) hello: Box<Hello>,
  /// What it says.
  pub(super) reader: FrameReader<OwnedReadHalf>,
  /// What it hears.
  pub(super) writer: OwnedWriteHalf,
}

/// The next agent that says hello.
pub(super) async fn first_agent(listener: &UnixListener) -> Guest {
  loop {
    match tokio::time::timeout(HELLO_LIMIT, accept(listener)).await {
      Ok(Ok(guest)) => return guest,
      Ok(Err(error)) => tracing::warn!(%error, "an agent is not understood"),
      // Nobody came, or somebody came and said nothing.
      Err(_) => {}
    }
  }
}

async fn accept(listener: &UnixListener) -> io::Result<Guest> {
  let (stream, _) = listener.accept().await?;
  // Whoever talks here starts processes as us.
  let (guest, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
  if guest != own && guest != 0 {
    return Err(io::Error::other(format!("user {guest} is not the user of this executor ({own})")));
  }
  let (reader, writer) = stream.into_split();
  let mut reader = FrameReader::new(reader);
  match reader.next().await? {
    Some(Frame::Json(json)) => match serde_json::from_slice(&json)? {
      ToExecutor::Hello(hello) => Ok(Guest { hello, reader, writer }),
      _ => Err(io::Error::other("hello comes first")),
    },
    _ => Err(io::ErrorKind::UnexpectedEof.into()),
  }
}

/// Writes what goes at once; for ever nothing where nobody listens.
pub(super) async fn write_some(
  writer: Option<&mut OwnedWriteHalf>,
  bytes: &[u8],
) -> io::Result<usize> {
  match writer {
    Some(writer) => writer.write(bytes).await,
    None => std::future::pending().await,
  }
}

/// The next word of the agent; for ever none where there is no agent.
pub(super) async fn next_frame(
  reader: Option<&mut FrameReader<OwnedReadHalf>>,
) -> io::Result<Option<Frame>> {
  match reader {
    Some(reader) => reader.next().await,
    None => std::future::pending().await,
  }
}
