//! The one table of keys: dispatch, help, footer, `--print-keys` and `keys.toml` all read it.

use std::collections::BTreeMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a key works, as a set of screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u8);

impl Place {
  /// Dashboard.
  pub const DASH: Self = Self(1);
  /// List of tasks.
  pub const TASKS: Self = Self(2);
  /// One task.
  pub const TASK: Self = Self(4);
  /// List of jobs.
  pub const JOBS: Self = Self(8);
  /// List of agents.
  pub const AGENTS: Self = Self(16);
  /// Events.
  pub const EVENTS: Self = Self(32);
  /// Servers.
  pub const SERVERS: Self = Self(64);
  /// Everywhere.
  pub const ALL: Self = Self(127);
  /// Screens with a filter.
  pub const LISTS: Self = Self(2 | 8 | 16 | 32 | 64);
  /// Screens with rows.
  pub const ROWS: Self = Self(127 & !4);

  const fn or(self, other: Self) -> Self {
    Self(self.0 | other.0)
  }

  /// Whether the two have a screen in common.
  pub const fn meets(self, other: Self) -> bool {
    self.0 & other.0 != 0
  }
}

/// Part of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
  /// What the screen is about.
  Screen,
  /// Moving in lists.
  Lists,
  /// Everywhere.
  Everywhere,
  /// Changes the server; always asks.
  Acting,
}

impl Group {
  /// In the order of the help.
  pub const ALL: [Self; 4] = [Self::Screen, Self::Acting, Self::Lists, Self::Everywhere];

  /// Its heading.
  pub const fn title(self) -> &'static str {
    match self {
      Self::Screen => "THIS SCREEN",
      Self::Lists => "LISTS",
      Self::Everywhere => "EVERYWHERE",
      Self::Acting => "ACTING (always asks)",
    }
  }
}

macro_rules! actions {
  ($( $variant:ident $name:literal [$($key:literal),*] $place:expr, $group:ident, $hint:literal, $help:literal; )+) => {
    /// What a key does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Action { $( $variant ),+ }

    /// The table.
    pub static TABLE: &[Binding] = &[ $(
      Binding { action: Action::$variant, name: $name, keys: &[$($key),*], place: $place,
        group: Group::$group, hint: $hint, help: $help },
    )+ ];
  };
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
  /// What it does.
  pub action: Action,
  /// Its name in `keys.toml`.
  pub name: &'static str,
  /// Its keys.
  pub keys: &'static [&'static str],
  /// Where it works.
  pub place: Place,
  /// Where the help lists it.
  pub group: Group,
  /// Its word in the footer; empty where it is not shown.
  pub hint: &'static str,
  /// Its words in the help.
  pub help: &'static str,
}

const WORK: Place = Place::TASKS.or(Place::TASK);
const COPIES: Place = Place::ALL;

actions! {
  Open "open" ["enter"] Place::ROWS, Screen, "open", "open what the cursor is on";
  Logs "logs" ["l"] Place::TASKS.or(Place::DASH), Screen, "logs", "output of the newest attempt";
  Inspect "inspect" ["i"] Place::ALL, Screen, "inspect", "every field, as YAML or JSON";
  Pager "pager" ["o"] Place::ALL, Screen, "", "the same in $PAGER";
  View "view" ["v"] Place::TASKS, Screen, "view", "rows, board or heat";
  Export "export" ["e"] Place::LISTS, Screen, "export", "write the rows to a file";
  PrevAttempt "previous-attempt" ["left"] Place::TASK, Screen, "", "attempt before";
  NextAttempt "next-attempt" ["right"] Place::TASK, Screen, "", "attempt after";
  RowMenu "actions" ["x"] Place::ALL, Screen, "actions", "every action on this row";
  Run "run" ["T"] WORK.or(Place::JOBS).or(Place::DASH), Acting, "run job", "run the job now";
  Retry "retry" ["R"] WORK, Acting, "retry", "run ended tasks once more";
  Cancel "cancel" ["X"] WORK.or(Place::DASH), Acting, "cancel", "stop tasks: TERM, then KILL";
  Kill "kill" ["K"] WORK.or(Place::DASH), Acting, "", "kill tasks at once";
  Force "force" ["F"] WORK.or(Place::DASH), Acting, "", "start tasks past what they wait for";
  Pause "pause" ["P"] Place::JOBS.or(Place::DASH), Acting, "pause", "disable or enable jobs, pause the schedule of a fire";
  Cordon "cordon" ["C"] Place::AGENTS, Acting, "cordon", "take no new tasks, or take them again";
  Drain "drain" ["D"] Place::AGENTS, Acting, "drain", "empty agents: nothing new, and wait for what runs";
  Delete "delete" ["delete"] Place::JOBS.or(Place::AGENTS), Acting, "", "delete jobs, or agents that are offline";
  Up "up" ["k", "up"] Place::ROWS, Lists, "", "up";
  Down "down" ["j", "down"] Place::ROWS, Lists, "", "down";
  HalfUp "half-up" ["ctrl-u"] Place::ROWS, Lists, "", "half a page up";
  HalfDown "half-down" ["ctrl-d"] Place::ROWS, Lists, "", "half a page down";
  PageUp "page-up" ["pageup"] Place::ROWS, Lists, "", "page up";
  PageDown "page-down" ["pagedown"] Place::ROWS, Lists, "", "page down";
  Top "top" ["g", "home"] Place::ROWS, Lists, "", "top; the cursor follows what is newest";
  Bottom "bottom" ["G", "end"] Place::ROWS, Lists, "", "bottom";
  Left "left" ["left"] Place::LISTS, Lists, "", "columns to the left";
  Right "right" ["right"] Place::LISTS, Lists, "", "columns to the right";
  Mark "mark" ["space"] Place::LISTS, Lists, "mark", "mark the row, or take its mark away";
  MarkRange "mark-range" ["V"] Place::LISTS, Lists, "range", "mark from the last mark to here";
  MarkAll "mark-all" ["ctrl-a"] Place::LISTS, Lists, "", "mark all that the filter lets through";
  ClearMarks "clear-marks" ["ctrl-\\"] Place::LISTS, Lists, "", "clear marks";
  Sort "sort" ["s"] Place::LISTS, Lists, "sort", "sort by a column";
  Columns "columns" ["w"] Place::LISTS, Lists, "columns", "choose columns";
  Filter "filter" ["/"] Place::LISTS, Lists, "filter", "filter; Esc clears";
  Exclude "exclude" ["&"] Place::LISTS, Lists, "", "exclude a word";
  Command "command" [":"] Place::ALL, Everywhere, "command", "command line, the words of the CLI";
  Find "find" ["ctrl-p"] Place::ALL, Everywhere, "find", "find anything";
  Where "where" ["@"] Place::ALL, Everywhere, "where", "context and namespace";
  ScreenDash "dashboard" ["1"] Place::ALL, Everywhere, "", "Dashboard";
  ScreenTasks "tasks" ["2"] Place::ALL, Everywhere, "", "Tasks";
  ScreenJobs "jobs" ["3"] Place::ALL, Everywhere, "", "Jobs";
  ScreenAgents "agents" ["5"] Place::ALL, Everywhere, "", "Agents";
  ScreenEvents "events" ["6"] Place::ALL, Everywhere, "", "Events";
  ScreenServers "servers" ["7"] Place::ALL, Everywhere, "", "Servers";
  NextPane "next-pane" ["tab"] Place::ALL, Everywhere, "", "next pane";
  PrevPane "previous-pane" ["backtab"] Place::ALL, Everywhere, "", "pane before";
  Zoom "zoom" ["z"] Place::ALL, Everywhere, "", "only this pane";
  Freeze "freeze" ["f"] Place::ALL, Everywhere, "freeze", "hold the picture; data goes on";
  Resync "resync" ["r"] Place::ALL, Everywhere, "", "read again, or connect now";
  TimeMode "time" ["t"] Place::ALL, Everywhere, "", "relative, local or UTC times";
  Copy "copy" ["y"] Place::ALL, Everywhere, "copy", "copy the id";
  CopyCommand "copy-command" ["Y"] COPIES, Everywhere, "", "copy as a hetuflowctl command";
  HistoryBack "history-back" ["["] Place::ALL, Everywhere, "", "screen before";
  HistoryForward "history-forward" ["]"] Place::ALL, Everywhere, "", "screen after";
  LastScreen "last-screen" ["`"] Place::ALL, Everywhere, "", "between the last two screens";
  Help "help" ["?"] Place::ALL, Everywhere, "help", "this help";
  Redraw "redraw" ["ctrl-l"] Place::ALL, Everywhere, "", "draw everything again";
  Suspend "suspend" ["ctrl-z"] Place::ALL, Everywhere, "", "suspend";
  Leave "leave" ["q"] Place::ALL, Everywhere, "back", "back; quits at the first screen";
  Back "back" ["esc"] Place::ALL, Everywhere, "", "back; never quits";
  Quit "quit" ["ctrl-c"] Place::ALL, Everywhere, "", "quit at once";
}

/// One key press, without what terminals add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
  code: KeyCode,
  ctrl: bool,
  alt: bool,
}

impl Key {
  /// The key of an event.
  pub fn of(event: KeyEvent) -> Self {
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let alt = event.modifiers.contains(KeyModifiers::ALT);
    let code = match event.code {
      KeyCode::Char(c) if ctrl => KeyCode::Char(control(c)),
      KeyCode::Char(c)
        if event.modifiers.contains(KeyModifiers::SHIFT) && c.is_ascii_lowercase() =>
      {
        KeyCode::Char(c.to_ascii_uppercase())
      }
      KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
      code => code,
    };
    Self { code, ctrl, alt }
  }

  /// Reads `ctrl-p`, `space`, `T`.
  pub fn read(text: &str) -> Option<Self> {
    let mut rest = text;
    let (mut ctrl, mut alt) = (false, false);
    loop {
      if let Some(after) = rest.strip_prefix("ctrl-").filter(|after| !after.is_empty()) {
        (ctrl, rest) = (true, after);
      } else if let Some(after) = rest.strip_prefix("alt-").filter(|after| !after.is_empty()) {
        (alt, rest) = (true, after);
      } else {
        break;
      }
    }
    let mut chars = rest.chars();
    let code = match (chars.next(), chars.next()) {
      (Some(c), None) if ctrl => KeyCode::Char(control(c)),
      (Some(c), None) => KeyCode::Char(c),
      _ => named(rest)?,
    };
    Some(Self { code, ctrl, alt })
  }
}

/// Terminals without the newer protocols send ^\ as ^4.
fn control(c: char) -> char {
  match c.to_ascii_lowercase() {
    '4' => '\\',
    other => other,
  }
}

const NAMED: [(&str, KeyCode); 14] = [
  ("enter", KeyCode::Enter),
  ("esc", KeyCode::Esc),
  ("space", KeyCode::Char(' ')),
  ("tab", KeyCode::Tab),
  ("backtab", KeyCode::BackTab),
  ("delete", KeyCode::Delete),
  ("up", KeyCode::Up),
  ("down", KeyCode::Down),
  ("left", KeyCode::Left),
  ("right", KeyCode::Right),
  ("home", KeyCode::Home),
  ("end", KeyCode::End),
  ("pageup", KeyCode::PageUp),
  ("pagedown", KeyCode::PageDown),
];

fn named(text: &str) -> Option<KeyCode> {
  if let Some(number) = text.strip_prefix('f').and_then(|n| n.parse().ok()) {
    return (1..=12).contains(&number).then_some(KeyCode::F(number));
  }
  NAMED.iter().find(|(name, _)| *name == text).map(|(_, code)| *code)
}

/// The keys as they are in this session.
#[derive(Debug, Clone)]
pub struct Keys {
  bound: BTreeMap<Action, Vec<String>>,
}

impl Default for Keys {
  fn default() -> Self {
    let own = |row: &Binding| row.keys.iter().map(|key| (*key).to_owned()).collect();
    Self { bound: TABLE.iter().map(|row| (row.action, own(row))).collect() }
  }
}

/// What is wrong with `keys.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem(pub String);

impl fmt::Display for KeyProblem {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&self.0)
  }
}

impl Keys {
  /// The table with the changes of a `keys.toml`: `cancel = "ctrl-x"`, `up = ["k", "up"]`.
  ///
  /// # Errors
  /// Every problem at once: unknown actions, unreadable keys, and keys that two actions want.
  pub fn with_changes(text: &str) -> Result<Self, Vec<KeyProblem>> {
    let mut keys = Self::default();
    let changes: toml::Table =
      toml::from_str(text).map_err(|error| vec![KeyProblem(error.to_string())])?;
    let mut problems = Vec::new();
    for (name, value) in changes {
      let Some(row) = TABLE.iter().find(|row| row.name == name) else {
        let near = hetuflow_core::config_text::nearest(&name, TABLE.iter().map(|row| row.name));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        problems.push(KeyProblem(format!("no action is called {name:?}{hint}")));
        continue;
      };
      let words: Vec<String> = match value {
        toml::Value::String(word) => vec![word],
        toml::Value::Array(words) => {
          words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        }
        _ => vec![String::new()],
      };
      for word in words.iter().filter(|word| Key::read(word).is_none()) {
        problems.push(KeyProblem(format!("{name}: {word:?} is no key")));
      }
      keys.bound.insert(row.action, words);
    }
    problems.extend(keys.clashes());
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
  }

  fn clashes(&self) -> Vec<KeyProblem> {
    let mut problems = Vec::new();
    for (at, row) in TABLE.iter().enumerate() {
      for other in TABLE[at + 1..].iter().filter(|other| other.place.meets(row.place)) {
        let both = self.of(row.action).iter().filter(|word| {
          self.of(other.action).iter().any(|theirs| Key::read(theirs) == Key::read(word))
        });
        for word in both {
          let told = format!("the key {word} is bound to {} and to {}", row.name, other.name);
          problems.push(KeyProblem(told));
        }
      }
    }
    problems
  }

  /// The keys of an action.
  pub fn of(&self, action: Action) -> &[String] {
    self.bound.get(&action).map_or(&[], Vec::as_slice)
  }

  /// What a key does on a screen.
  pub fn action(&self, event: KeyEvent, place: Place) -> Option<Action> {
    let pressed = Key::of(event);
    let here = TABLE.iter().filter(|row| row.place.meets(place));
    let mut bound =
      here.filter(|row| self.of(row.action).iter().any(|word| Key::read(word) == Some(pressed)));
    bound.next().map(|row| row.action)
  }

  /// The first key of an action as people know it: `↵`, `^P`, `T`.
  pub fn label(&self, action: Action, enter: &str) -> String {
    self.of(action).first().map(|word| shown(word, enter)).unwrap_or_default()
  }

  /// All keys of an action as people know them.
  pub fn labels(&self, action: Action, enter: &str) -> String {
    let all: Vec<String> = self.of(action).iter().map(|word| shown(word, enter)).collect();
    all.join(" ")
  }

  /// The table as text, in the form of `keys.toml`.
  pub fn print(&self) -> String {
    let mut out = String::from("# ~/.config/hetuflow/keys.toml changes these keys.\n");
    for group in Group::ALL {
      out.push_str(&format!("\n# {}\n", group.title()));
      for row in TABLE.iter().filter(|row| row.group == group) {
        let words: Vec<String> =
          self.of(row.action).iter().map(|word| format!("{word:?}")).collect();
        let entry = format!("{} = [{}]", row.name, words.join(", "));
        out.push_str(&format!("{entry:<40} # {}\n", row.help));
      }
    }
    out
  }
}

fn shown(word: &str, enter: &str) -> String {
  match word {
    "enter" => enter.to_owned(),
    "esc" => "Esc".to_owned(),
    "tab" => "Tab".to_owned(),
    "backtab" => "S-Tab".to_owned(),
    "delete" => "Del".to_owned(),
    "pageup" => "PgUp".to_owned(),
    "pagedown" => "PgDn".to_owned(),
    _ => match word.strip_prefix("ctrl-") {
      Some(rest) => format!("^{}", rest.to_ascii_uppercase()),
      None => word.to_owned(),
    },
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn press(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
    KeyEvent::new(code, modifiers)
  }

  #[test]
  fn the_table_has_no_clashes_and_every_key_can_be_read() {
    assert_eq!(Keys::default().clashes(), []);
    for row in TABLE {
      assert!(row.keys.iter().all(|key| Key::read(key).is_some()), "{}", row.name);
    }
  }

  #[test]
  fn no_lower_case_key_acts() {
    for row in TABLE.iter().filter(|row| row.group == Group::Acting) {
      for key in row.keys {
        let upper = key.len() == 1 && key.chars().all(char::is_uppercase);
        assert!(upper || *key == "delete", "{} acts on {key}", row.name);
      }
    }
  }

  #[test]
  fn keys_are_found_where_they_work() {
    let keys = Keys::default();
    let of = |code, place| keys.action(press(code, KeyModifiers::NONE), place);
    assert_eq!(of(KeyCode::Char('C'), Place::AGENTS), Some(Action::Cordon));
    assert_eq!(of(KeyCode::Char('C'), Place::TASKS), None);
    assert_eq!(of(KeyCode::Left, Place::TASK), Some(Action::PrevAttempt));
    let find = press(KeyCode::Char('p'), KeyModifiers::CONTROL);
    assert_eq!(keys.action(find, Place::DASH), Some(Action::Find));
    assert_eq!(keys.label(Action::Find, "↵"), "^P");
    let shifted = press(KeyCode::Char('x'), KeyModifiers::SHIFT);
    assert_eq!(keys.action(shifted, Place::TASKS), Some(Action::Cancel));
  }

  #[test]
  fn changes_clash_or_count() {
    let keys = Keys::with_changes("cancel = \"ctrl-x\"\nup = [\"k\", \"f2\"]").expect("fine");
    let pressed = press(KeyCode::Char('x'), KeyModifiers::CONTROL);
    assert_eq!(keys.action(pressed, Place::TASKS), Some(Action::Cancel));
    let problems =
      Keys::with_changes("cancel = \"R\"\nfly = \"u\"\nup = \"blah\"").expect_err("no");
    let all = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(all.contains("the key R is bound to retry and to cancel"), "{all}");
    assert!(all.contains("\"fly\"") && all.contains("\"blah\" is no key"), "{all}");
  }
}
