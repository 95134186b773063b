//! §10.3: frames to the agents' door, before and after the registration.

use anyhow::{Result, bail, ensure};
use hetuflow_tests::wait;
use serde_json::json;

use crate::api::{House, one_line, quiet};
use crate::socket::{Heard, LIMIT, Socket, agent_token, frame, message};

/// What must become of a frame.
#[derive(Debug, Clone, Copy)]
enum Outcome {
  /// A farewell with this code and these words.
  Close(u16, &'static str),
  /// An answer of kind `error` with this code; the connection lives on.
  Refused(&'static str),
  /// No answer; the connection lives on.
  Stays,
  /// The connection ends, in whatever way.
  Ends,
  /// We hang up with a reset at once.
  Reset,
}
use Outcome::{Close, Ends, Refused, Reset, Stays};

/// Row, bytes, outcome.
type Case = (&'static str, Vec<u8>, Outcome);

/// A text frame.
fn text(text: &str) -> Vec<u8> {
  frame(0x81, text.len() as u64, text.as_bytes())
}

/// A frame that is not as RFC 6455 wants it; the first byte and the data.
fn odd() -> Vec<Vec<u8>> {
  let mut unmasked = text("x");
  unmasked[1] &= 0x7f;
  let one = |first| frame(first, 1, b"x");
  let mut pieces = one(0x01);
  pieces.extend(one(0x00).repeat((1 << 20) + 1));
  vec![
    unmasked,
    frame(0x81, 2, b"\xff\xfe"),
    one(0x83),
    one(0xc1),
    one(0x80),
    frame(0x81, (1 << 20) + 1, b"x"),
    frame(0x81, 1 << 40, b"x"),
    pieces,
    frame(0x09, 126, &[0; 126]),
  ]
}

/// The row of each frame of [`odd`], and what becomes of it.
const ODD_ROWS: [(&str, Outcome); 9] = [
  ("B064", Close(1002, "connection failed")),
  ("B064", Close(1007, "connection failed")),
  ("B064", Close(1002, "connection failed")),
  ("B064", Close(1002, "connection failed")),
  ("B064", Close(1002, "connection failed")),
  ("B063", Close(1009, "connection failed")),
  ("B063", Close(1009, "connection failed")),
  ("B063", Close(1009, "connection failed")),
  ("B064", Close(1002, "connection failed")),
];

/// Frames in the place of the registration.
fn first_cases() -> Vec<Case> {
  let register = |fields: serde_json::Value| {
    let mut payload = json!({ "agent_id": "probe", "agent_epoch": 1, "protocol_version": 1 });
    for (name, value) in fields.as_object().into_iter().flatten() {
      payload[name] = value.clone();
    }
    text(&message("agent_register", &payload))
  };
  let mut cases = vec![
    ("B060", text(&message("agent_heartbeat", &json!({}))), Close(4000, "register first")),
    ("B060", text("hello"), Close(4000, "register first")),
    ("B060", text("{}"), Close(4000, "register first")),
    ("B060", text(&message("frobnicate", &json!({}))), Close(4000, "register first")),
    ("B064", frame(0x82, 3, b"\x01\x02\x03"), Close(4000, "register first")),
    (
      "B062",
      register(json!({ "protocol_version": 9 })),
      Close(4026, "the agent speaks 9, this server at most 1: upgrade the server"),
    ),
    ("B074", register(json!({ "hostname": "a\u{1b}[2J" })), Close(4002, "hostname")),
    ("B074", register(json!({ "hostname": "a\0" })), Close(4002, "hostname")),
    ("B074", register(json!({ "hostname": "a".repeat(1_000_000) })), Close(4002, "hostname")),
    ("B074", register(json!({ "version": "1\n2" })), Close(4002, "version")),
    ("B074", register(json!({ "agent_id": "a/b" })), Close(4002, "agent_id")),
    (
      "B074",
      register(json!({ "capabilities": { "labels": { "a\nb": "x" } } })),
      Close(4002, "capabilities.labels"),
    ),
    (
      "B074",
      register(json!({ "agent_epoch": "\u{65e5}\u{672c}".repeat(80) })),
      Close(4002, "agent_epoch"),
    ),
    ("B073", frame(0x88, 0, b""), Ends),
    ("B073", frame(0x88, 2, &[0, 0]), Ends),
    ("B073", text("x")[..5].to_vec(), Reset),
  ];
  cases.extend(ODD_ROWS.into_iter().zip(odd()).map(|((row, end), bytes)| (row, bytes, end)));
  cases
}

/// Frames after the registration.
fn later_cases() -> Vec<Case> {
  let say = |kind: &str, payload| text(&message(kind, &payload));
  let grant = |slots: serde_json::Value| {
    say("task_poll", json!({ "available_capacity": slots, "free_slots": slots }))
  };
  let beat = |mut fields: serde_json::Value| {
    fields["agent_id"] = json!("probe");
    say("agent_heartbeat", fields)
  };
  let output = |stream: u8, raw_len: u32, data: &[u8]| {
    let mut bytes = vec![1];
    bytes.extend([0; 56]);
    bytes.extend(raw_len.to_le_bytes());
    bytes.extend([stream, 0]);
    bytes.extend(data);
    frame(0x82, bytes.len() as u64, &bytes)
  };
  let mut cases = vec![
    ("B065", say("frobnicate", json!({})), Refused("unsupported")),
    ("B065", text("[1,"), Refused("bad_request")),
    ("B066", say("task_report_batch", json!({ "items": [] })), Refused("bad_request")),
    ("B069", grant(json!(-1)), Refused("bad_request")),
    ("B069", grant(json!(4_294_967_296_u64)), Refused("bad_request")),
    ("B069", grant(json!(0)), Stays),
    ("B070", output(7, 1, b"x"), Refused("bad_request")),
    ("B070", output(1, 9, b"x"), Refused("bad_request")),
    ("B070", output(1, 0, b""), Refused("bad_request")),
    ("B070", frame(0x82, 8, b"\x01garbage"), Refused("bad_request")),
    ("B064", frame(0x82, 4, b"\x28zzz"), Refused("bad_request")),
    ("B071", beat(json!({ "timestamp": 0, "sent_at_us": -5, "status": "idle" })), Stays),
    ("B071", beat(json!({ "timestamp": 253_402_300_800_000_i64, "status": "idle" })), Stays),
    (
      "B071",
      text(&message("agent_heartbeat", &json!({})).replace("{}", "NaN")),
      Refused("bad_request"),
    ),
    (
      "B071",
      beat(json!({ "timestamp": 1, "status": "idle", "metrics": { "clock_offset_ms": -9e15 } })),
      Stays,
    ),
    (
      "B067",
      say("ack", json!({ "message_id": uuid::Uuid::now_v7(), "status": "ok", "seq": 99 })),
      Stays,
    ),
    ("B065", text(&"x".repeat(1 << 20)), Refused("bad_request")),
    ("B073", frame(0x88, 0, b""), Ends),
    ("B073", frame(0x88, 2, &[0, 0]), Ends),
  ];
  cases.extend(ODD_ROWS.into_iter().zip(odd()).map(|((row, end), bytes)| (row, bytes, end)));
  cases
}

/// The rows of this file's cases.
pub fn rows() -> Vec<&'static str> {
  first_cases().into_iter().chain(later_cases()).map(|(row, ..)| row).collect()
}

/// Sends a case and looks at what becomes of it.
async fn run(mut socket: Socket, bytes: &[u8], outcome: Outcome) -> Result<()> {
  // A server that has refused already may reset the rest of a large frame.
  let sent = socket.raw(bytes).await;
  match outcome {
    Reset => socket.reset(),
    Ends => loop {
      match socket.hear().await? {
        Heard::End => return Ok(()),
        Heard::Close(code, words) => {
          ensure!((1000..5000).contains(&code), "{code} {words}");
          one_line(&words)?;
        }
        // A heartbeat that was odd, but whole.
        Heard::Message(message) => bail!("{message}"),
      }
    },
    Close(code, words) => {
      sent?;
      match socket.hear().await? {
        Heard::Close(found, reason) => {
          ensure!(found == code && reason.contains(words), "{found} {reason:?}");
          one_line(&reason)
        }
        other => bail!("{other:?}"),
      }
    }
    Refused(code) => {
      sent?;
      let before = socket.lives().await?;
      ensure!(before.len() == 1 && before[0]["message_kind"] == "error", "{before:?}");
      let error = &before[0]["payload"];
      ensure!(error["code"] == code, "{error}");
      one_line(error["err_msg"].as_str().unwrap_or("\n"))
    }
    Stays => {
      sent?;
      let before = socket.lives().await?;
      // An odd heartbeat is answered as any.
      ensure!(before.iter().all(|one| one["message_kind"] != "error"), "{before:?}");
      Ok(())
    }
  }
}

#[tokio::test]
async fn every_frame_is_answered_and_changes_nothing() -> Result<()> {
  let mut house = House::open(0).await?;
  let (url, token) = (house.cluster.server(0).url().to_owned(), agent_token(&house).await?);
  let mut wrong = Vec::new();
  for (later, cases) in [(false, first_cases()), (true, later_cases())] {
    if later {
      drop(Socket::registered(&url, &token, "probe").await?);
    }
    let before = house.counts().await?;
    for (row, bytes, outcome) in cases {
      let socket = match later {
        true => Socket::registered(&url, &token, "probe").await?,
        false => Socket::agent(&url, &token).await?,
      };
      let shown: String = String::from_utf8_lossy(&bytes).chars().take(120).collect();
      if let Err(error) = run(socket, &bytes, outcome).await {
        wrong.push(format!("{row} later={later} {shown:?} {outcome:?}: {error:#}"));
      }
      ensure!(house.counts().await? == before, "{row} {shown:?} left something");
    }
  }
  // B073: whatever the end was like, the agent is seen to be gone.
  let api = house.cluster.api();
  wait::until("the probe to be gone", LIMIT, async || {
    let stats = api.get_ok("/gateway/stats").await.ok()?;
    (stats["active_connections"] == 0).then_some(())
  })
  .await?;
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()?;
  ensure!(wrong.is_empty(), "{} frames:\n{}", wrong.len(), wrong.join("\n"));
  Ok(())
}
