//! The link against a server that plays a script: breaks, refusals, another epoch.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hetuflow_core::{Envelope, MessageKind, Scope, Tick, Watch, WatchFrame, read_message};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};
use url::Url;

use super::data;
use crate::client::{Client, Origin, Place};
use crate::tui::link::{self, LinkNews, LinkOrder};
use data::Stage;

struct Link {
  orders: Sender<LinkOrder>,
  news: Receiver<LinkNews>,
  _tasks: JoinSet<()>,
}

async fn link_to(listener: &TcpListener) -> Link {
  let server =
    Url::parse(&format!("http://{}", listener.local_addr().expect("bound"))).expect("an address");
  let origin = Origin { server: Some(server), ..Origin::default() };
  let place = Place::settle(&origin).expect("settled");
  let client =
    Client::with_token(place, Some("hf_x".into()), Duration::from_secs(5), 0).expect("a client");
  let ((orders, wanted), (told, news)) = (channel(16), channel(16));
  let mut tasks = JoinSet::new();
  tasks.spawn(link::run(client, wanted, told));
  Link { orders, news, _tasks: tasks }
}

impl Link {
  async fn next(&mut self) -> LinkNews {
    loop {
      let news = tokio::time::timeout(Duration::from_secs(20), self.news.recv()).await;
      match news.expect("news in time").expect("a link") {
        LinkNews::Rtt(_) => {}
        news => return news,
      }
    }
  }
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
  let (stream, _) = listener.accept().await.expect("a client");
  accept_async(stream).await.expect("a handshake")
}

async fn say(socket: &mut WebSocketStream<TcpStream>, kind: MessageKind, payload: &impl Serialize) {
  let text = Envelope::new(kind, payload).to_json().expect("JSON");
  socket.send(Message::Text(text.into())).await.expect("sent");
}

async fn hear(socket: &mut WebSocketStream<TcpStream>) -> Watch {
  loop {
    let message = socket.next().await.expect("a message").expect("readable");
    if let Message::Text(text) = message {
      let message = read_message(text.as_str()).expect("an envelope");
      assert_eq!(message.message_kind, MessageKind::Subscribe);
      return message.read().expect("a watch");
    }
  }
}

fn watch(id: &str) -> Box<Watch> {
  Box::new(Watch {
    id: id.into(),
    scope: Scope::Tasks,
    namespace_id: None,
    filter: "state=failed".into(),
    sort: String::new(),
    from: 0,
    len: 50,
    max_hz: 10,
    target: None,
  })
}

#[tokio::test]
async fn asks_hears_breaks_and_comes_back() {
  let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
  let mut link = link_to(&listener).await;
  let mut socket = accept(&listener).await;
  assert_eq!(link.next().await, LinkNews::Up);
  link.orders.send(LinkOrder::Watch(watch("tasks.1"))).await.expect("ordered");
  let asked = hear(&mut socket).await;
  assert_eq!((asked.id.as_str(), asked.filter.as_str()), ("tasks.1", "state=failed"));
  let frame: WatchFrame = data::answer("tasks.1", Scope::Tasks, Stage::Full, 7);
  say(&mut socket, MessageKind::Frame, &frame).await;
  assert_eq!(link.next().await, LinkNews::Frame(Box::new(frame)));
  let tick = Tick { epoch: "42".into(), seq: 7, at: data::now() };
  say(&mut socket, MessageKind::Tick, &tick).await;
  assert_eq!(link.next().await, LinkNews::Tick(tick));
  // What nobody knows is passed over.
  socket.send(Message::Text("{\"never\":1}".into())).await.expect("sent");
  drop(socket);
  let LinkNews::Down { retry_ms: Some(wait), .. } = link.next().await else { panic!("not down") };
  assert!(wait <= 300, "{wait}");
  let mut socket = accept(&listener).await;
  assert_eq!(link.next().await, LinkNews::Up);
  link.orders.send(LinkOrder::Watch(watch("tasks.2"))).await.expect("ordered");
  assert_eq!(hear(&mut socket).await.id, "tasks.2");
}

#[tokio::test]
async fn a_refused_token_is_not_tried_again_before_a_person_asks() {
  use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
  let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
  let mut link = link_to(&listener).await;
  let (mut stream, _) = listener.accept().await.expect("a client");
  let mut head = Vec::new();
  while !head.ends_with(b"\r\n\r\n") {
    head.push(stream.read_u8().await.expect("a request"));
  }
  assert!(String::from_utf8_lossy(&head).to_lowercase().contains("authorization: bearer hf_x"));
  stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
  let LinkNews::Down { retry_ms, error } = link.next().await else { panic!("not down") };
  assert_eq!((retry_ms, error.as_str()), (None, "the server does not accept your token"));
  assert!(tokio::time::timeout(Duration::from_millis(400), listener.accept()).await.is_err());
  link.orders.send(LinkOrder::Retry).await.expect("ordered");
  accept(&listener).await;
  assert_eq!(link.next().await, LinkNews::Up);
}

#[tokio::test]
async fn nobody_there_is_told_and_tried_again() {
  let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
  let mut link = link_to(&listener).await;
  drop(listener);
  for _ in 0..2 {
    let LinkNews::Down { retry_ms, .. } = link.next().await else { panic!("not down") };
    assert!(retry_ms.is_some());
  }
}
