//! Does what the model wants: owns the link, the terminal and the tasks that change the server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use hetuflow_core::Ts;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::effects::Next;
use super::link::{self, LinkNews, LinkOrder};
use super::look::Role;
use super::model::Model;
use super::pace::Pace;
use super::record::Recorder;
use super::signals::Signals;
use super::terminal::Screen;
use super::update::{Effect, Msg, update};
use super::view::view;
use crate::client::{Client, CtlError};

/// Messages that may wait.
const NEWS_MAX: usize = 64;
/// The steady clock stands still while a machine sleeps; the wall clock does not.
const SLEPT: Duration = Duration::from_secs(5);

/// Makes a client for another context.
pub type Switch = Box<dyn Fn(&str) -> Result<(Client, super::model::Site), CtlError>>;

/// Where what the link tells comes from.
pub enum Source {
  /// A server.
  Server(Box<Client>),
  /// A recording.
  Recording(Vec<(Duration, LinkNews)>),
}

/// How the loop runs.
pub struct Plan {
  /// Frames a second at most, for data.
  pub fps: u32,
  /// The mouse is ours.
  pub mouse: bool,
  /// A recording to write.
  pub recorder: Option<Recorder>,
  /// Makes a client for another context.
  pub switch: Switch,
  /// What is remembered between sessions.
  pub memory: Option<PathBuf>,
}

/// The running program.
pub struct Runtime {
  pub(super) model: Model,
  pub(super) client: Option<Client>,
  pub(super) orders: Sender<LinkOrder>,
  pub(super) news: Receiver<LinkNews>,
  pub(super) tasks: JoinSet<Option<Msg>>,
  pub(super) links: JoinSet<()>,
  feeders: JoinSet<()>,
  pub(super) start: Instant,
  pub(super) plan: Plan,
}

/// What a turn of the loop was woken by.
enum Woken {
  Input(Event),
  InputEnded,
  News(LinkNews),
  Done(Option<Msg>),
  Time,
  Logged,
  Continued,
  Ended(u8),
}

impl Runtime {
  /// Prepares; the link begins at once.
  pub fn new(model: Model, source: Source, plan: Plan) -> Self {
    let mut links = JoinSet::new();
    let client = match &source {
      Source::Server(client) => Some((**client).clone()),
      Source::Recording(_) => None,
    };
    let (orders, news) = connect(&mut links, source);
    Self {
      model,
      client,
      orders,
      news,
      tasks: JoinSet::new(),
      links,
      feeders: JoinSet::new(),
      start: Instant::now(),
      plan,
    }
  }

  fn tell(&mut self, msg: Msg) -> Vec<Effect> {
    if let (Msg::Link(news), Some(recorder)) = (&msg, &mut self.plan.recorder)
      && recorder.add(self.start.elapsed(), news).is_err()
    {
      self.plan.recorder = None;
      self.model.toast(Role::Bad, "the recording ended: the disk is full");
    }
    let effects = update(&mut self.model, msg, self.start.elapsed());
    self.feed_log();
    effects
  }

  /// Runs the reader of the output that is shown; a pane that is gone ends its own.
  fn feed_log(&mut self) {
    while self.feeders.try_join_next().is_some() {}
    let feeder = self.model.log.as_mut().and_then(|(_, pane)| pane.take_feeder());
    if let (Some(feeder), Some(client)) = (feeder, self.client.clone()) {
      self.feeders.spawn(feeder.run(client));
    }
  }

  /// Waits for the first whole picture and gives it as a frame.
  ///
  /// # Errors
  /// When none comes in time.
  pub async fn snapshot(
    mut self,
    (width, height): (u16, u16),
    wait: Duration,
  ) -> Result<Buffer, CtlError> {
    let deadline = tokio::time::Instant::now() + wait;
    let area = Rect::new(0, 0, width, height);
    let mut effects = self.tell(Msg::Resize(width, height));
    loop {
      for effect in effects {
        if let Effect::Watch(watch) = effect {
          let _ = self.orders.send(LinkOrder::Watch(watch)).await;
        }
      }
      let mut frame = Buffer::empty(area);
      view(&mut self.model, &mut frame);
      if self.model.link.up && self.model.store.is_synced() && self.model.is_settled() {
        return Ok(frame);
      }
      let pause = Duration::from_millis(50);
      effects = tokio::select! {
        news = self.news.recv() => match news {
          Some(news) => self.tell(Msg::Link(news)),
          None => return Err(CtlError::failure("the recording ended before the first picture")),
        },
        () = tokio::time::sleep(pause) => self.tell(Msg::Tick),
        () = tokio::time::sleep_until(deadline) => {
          let why = if self.model.link.error.is_empty() { "no whole picture came in time" } else { &self.model.link.error };
          return Err(CtlError::new(crate::client::Exit::Unreachable, why));
        }
      };
    }
  }

  /// Runs until a person leaves; the exit code.
  ///
  /// # Errors
  /// When there is no terminal.
  pub async fn run(mut self) -> Result<u8, CtlError> {
    let mut signals = Signals::new()?;
    let mut screen = Screen::take(self.plan.mouse)?;
    let mut input = EventStream::new();
    let floor = Duration::from_secs(1) / self.plan.fps.max(1);
    let mut pace = Pace::new(floor);
    let (width, height) = screen.size();
    let mut effects = self.tell(Msg::Resize(width, height));
    let mut next_change: Option<Ts> = None;
    let mut wall = std::time::SystemTime::now();
    let breaks_at = breaks_at(self.start);
    loop {
      assert!(
        breaks_at.is_none_or(|at| Instant::now() < at),
        "HETUFLOW_TUI_PANIC_AFTER_MS asks for it"
      );
      for effect in std::mem::take(&mut effects) {
        match self.effect(effect, &mut screen).await {
          Some(Next::Leave) => return Ok(0),
          Some(Next::Back) => {
            input = EventStream::new();
            (pace.wanted, pace.at_once) = (true, true);
          }
          None => {}
        }
      }
      if pace.due().is_some_and(|due| due <= Instant::now()) {
        match self.draw(&mut screen, &mut pace) {
          Ok(next) => next_change = next,
          // Nobody is there to see it any more.
          Err(_) => return Ok(0),
        }
      }
      let wake = self.wake(&pace, next_change).into_iter().chain(breaks_at).min();
      let woken = self.wait(&mut input, &mut signals, wake).await;
      let now_wall = std::time::SystemTime::now();
      let slept =
        now_wall.duration_since(wall).is_ok_and(|passed| passed > self.max_quiet(wake) + SLEPT);
      wall = now_wall;
      if slept {
        effects.extend(self.tell(Msg::Woke));
      }
      match woken {
        Woken::Ended(exit) => return Ok(exit),
        Woken::InputEnded => return Ok(0),
        Woken::Input(event) => {
          (pace.wanted, pace.at_once) = (true, true);
          effects.extend(self.input(event, &mut pace));
        }
        Woken::News(news) => {
          let visible = !matches!(news, LinkNews::Tick(_)) || self.model.link.lost_at.is_some();
          pace.wanted |= visible;
          effects.extend(self.tell(Msg::Link(news)));
        }
        Woken::Done(msg) => {
          (pace.wanted, pace.at_once) = (true, true);
          if let Some(msg) = msg {
            effects.extend(self.tell(msg));
          }
        }
        Woken::Logged => {
          if let Some((_, pane)) = &mut self.model.log {
            // Somebody looks for the line that a search goes to.
            let awaited = pane.is_awaited();
            pace.wanted |= pane.poll();
            pace.at_once |= awaited && !pane.is_awaited();
          }
          self.feed_log();
        }
        Woken::Time => {
          let due = pace.due().is_some_and(|due| due <= Instant::now());
          pace.wanted |= !due;
          effects.extend(self.tell(Msg::Tick));
        }
        Woken::Continued => {
          let _ = screen.enter();
          (pace.wanted, pace.at_once) = (true, true);
          let (width, height) = screen.size();
          effects.extend(self.tell(Msg::Resize(width, height)));
          effects.extend(self.tell(Msg::Woke));
        }
      }
    }
  }

  fn max_quiet(&self, wake: Option<Instant>) -> Duration {
    wake.map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()))
  }

  fn draw(&mut self, screen: &mut Screen, pace: &mut Pace) -> std::io::Result<Option<Ts>> {
    let (width, height) = self.model.size;
    self.model.now = self.start.elapsed();
    self.model.slow_tty = pace.pause > pace.floor;
    let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
    let drawn = view(&mut self.model, &mut frame);
    let took = screen.show(frame, drawn.cursor)?;
    pace.wrote(took);
    Ok(drawn.next_change)
  }

  /// When the loop has to turn without any message.
  fn wake(&self, pace: &Pace, next_change: Option<Ts>) -> Option<Instant> {
    let text = next_change.map(|at| {
      let now = self.model.link.server_now(self.start.elapsed());
      // All texts that run on turn together, with the clock: one frame a second, not one for each.
      let second = at.micros().saturating_add(999_999).div_euclid(1_000_000) * 1_000_000;
      Instant::now() + Ts::from_micros(second).since(now) + Duration::from_millis(1)
    });
    let text = text.filter(|_| pace.seen);
    let model = self.model.next_wake().map(|at| self.start + at);
    [text, model, pace.due()].into_iter().flatten().min()
  }

  async fn wait(
    &mut self,
    input: &mut EventStream,
    signals: &mut Signals,
    wake: Option<Instant>,
  ) -> Woken {
    let sleep = async {
      match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
      }
    };
    let wake = self.model.log.as_ref().map(|(_, pane)| pane.wake());
    let logged = async {
      match wake {
        Some(wake) => wake.notified().await,
        None => std::future::pending().await,
      }
    };
    let [terminate, hang_up, interrupt] = &mut signals.end;
    tokio::select! {
      biased;
      _ = terminate.recv() => Woken::Ended(143),
      _ = hang_up.recv() => Woken::Ended(129),
      _ = interrupt.recv() => Woken::Ended(130),
      event = input.next() => match event {
        Some(Ok(event)) => Woken::Input(event),
        _ => Woken::InputEnded,
      },
      _ = signals.goes_on.recv() => Woken::Continued,
      () = logged => Woken::Logged,
      Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => Woken::Done(done.ok().flatten()),
      Some(news) = self.news.recv() => Woken::News(news),
      () = sleep => Woken::Time,
    }
  }

  fn input(&mut self, event: Event, pace: &mut Pace) -> Vec<Effect> {
    match event {
      Event::Key(key) => self.tell(Msg::Key(key)),
      Event::Mouse(mouse) => self.tell(Msg::Mouse(mouse)),
      Event::Paste(text) => self.tell(Msg::Paste(text)),
      Event::Resize(width, height) => self.tell(Msg::Resize(width, height)),
      Event::FocusGained => {
        pace.seen = true;
        Vec::new()
      }
      Event::FocusLost => {
        pace.seen = false;
        Vec::new()
      }
    }
  }
}

/// When a build for tests breaks on purpose, so that one can see that the terminal is given back.
fn breaks_at(start: Instant) -> Option<Instant> {
  let wanted = std::env::var("HETUFLOW_TUI_PANIC_AFTER_MS").ok().filter(|_| cfg!(debug_assertions));
  Some(start + Duration::from_millis(wanted?.parse().ok()?))
}

/// Begins a link.
pub(super) fn connect(
  links: &mut JoinSet<()>,
  source: Source,
) -> (Sender<LinkOrder>, Receiver<LinkNews>) {
  let (orders, wanted) = channel(NEWS_MAX);
  let (told, news) = channel(NEWS_MAX);
  match source {
    Source::Server(client) => links.spawn(link::run(*client, wanted, told)),
    Source::Recording(lines) => links.spawn(link::replay(lines, wanted, told)),
  };
  (orders, news)
}
