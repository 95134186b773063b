//! YAML as a tree that knows where each part stands; bounded in depth, size and aliases.

use std::collections::{BTreeSet, HashMap};

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use serde_json::Value;

use super::files::Source;
use super::problem::{Pos, Problem};
use super::scalar::Word;

const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 200_000;
const ALIASES_MAX: usize = 100;

/// A part of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
  /// Its number in its file.
  pub id: usize,
  /// Where it begins.
  pub begin: Pos,
  /// How many characters it takes on that line.
  pub width: usize,
  /// What it is.
  pub data: Data,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
  /// An unquoted word.
  Plain(String),
  /// Quoted or block text: always text.
  Text(String),
  /// A list.
  List(Vec<Node>),
  /// A mapping, in the order of the file.
  Map(Vec<(Node, Node)>),
}

impl Node {
  /// The value of a key.
  pub fn get(&self, key: &str) -> Option<&Node> {
    let Data::Map(entries) = &self.data else { return None };
    entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
  }

  /// As a plain value, by the rules of YAML 1.2.
  pub fn value(&self) -> Value {
    match &self.data {
      Data::Text(text) => Value::String(text.clone()),
      Data::Plain(text) => match Word::read(text) {
        Word::Null => Value::Null,
        Word::Bool(flag) => Value::Bool(flag),
        Word::Int(number) => number.into(),
        Word::Big(number) => number.into(),
        Word::Float(number) => number.into(),
        Word::OldBool | Word::OddNumber | Word::Text => Value::String(text.clone()),
      },
      Data::List(items) => Value::Array(items.iter().map(Node::value).collect()),
      Data::Map(entries) => Value::Object(
        entries
          .iter()
          .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.value())))
          .collect(),
      ),
    }
  }

  /// The text of a scalar.
  pub fn text(&self) -> Option<&str> {
    match &self.data {
      Data::Plain(text) | Data::Text(text) => Some(text),
      _ => None,
    }
  }

  /// Whether a node of these numbers is in it.
  pub fn holds(&self, ids: &BTreeSet<usize>) -> bool {
    ids.contains(&self.id)
      || match &self.data {
        Data::Plain(_) | Data::Text(_) => false,
        Data::List(items) => items.iter().any(|item| item.holds(ids)),
        Data::Map(entries) => entries.iter().any(|(k, v)| k.holds(ids) || v.holds(ids)),
      }
  }

  fn count(&self) -> usize {
    match &self.data {
      Data::Plain(_) | Data::Text(_) => 1,
      Data::List(items) => 1 + items.iter().map(Node::count).sum::<usize>(),
      Data::Map(entries) => 1 + entries.iter().map(|(k, v)| k.count() + v.count()).sum::<usize>(),
    }
  }
}

enum Open {
  List(Node, usize, Vec<Node>),
  Map(Node, usize, Vec<(Node, Node)>, Option<Node>),
}

struct Builder<'s> {
  source: &'s Source,
  stack: Vec<Open>,
  documents: Vec<Node>,
  anchors: HashMap<usize, Node>,
  aliases: usize,
  nodes: usize,
  problems: Vec<Problem>,
}

/// Reads every document of a file, or says what is wrong with it.
pub fn read(source: &Source) -> Result<Vec<Node>, Vec<Problem>> {
  let mut options = Options::default();
  options.emit_unresolved_aliases = true;
  options.emit_comments = false;
  let mut builder = Builder {
    source,
    stack: Vec::new(),
    documents: Vec::new(),
    anchors: HashMap::new(),
    aliases: 0,
    nodes: 0,
    problems: Vec::new(),
  };
  let mut parser = Parser::new_from_str_with_options(&source.text, options);
  while let Some(event) = parser.next_event() {
    let outcome = match event {
      Ok((event, span)) => builder.take(event, &span),
      Err(error) => Err(builder.syntax(&error)),
    };
    if let Err(problem) = outcome {
      builder.problems.push(problem);
      return Err(builder.problems);
    }
  }
  if builder.problems.is_empty() { Ok(builder.documents) } else { Err(builder.problems) }
}

impl Builder<'_> {
  fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Problem> {
    match event {
      Event::Scalar(text, style, anchor, tag) => {
        self.refuse_tag(tag.as_deref(), span);
        let data = match style {
          ScalarStyle::Plain => Data::Plain(text.into_owned()),
          _ => Data::Text(text.into_owned()),
        };
        let node = self.node(span, data)?;
        self.place(node, anchor)
      }
      Event::SequenceStart(_, anchor, tag) => {
        self.refuse_tag(tag.as_deref(), span);
        let node = self.node(span, Data::List(Vec::new()))?;
        self.open(Open::List(node, anchor, Vec::new()))
      }
      Event::MappingStart(_, anchor, tag) => {
        self.refuse_tag(tag.as_deref(), span);
        let node = self.node(span, Data::Map(Vec::new()))?;
        self.open(Open::Map(node, anchor, Vec::new(), None))
      }
      Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
        Some(Open::List(node, anchor, items)) => {
          self.place(Node { data: Data::List(items), ..node }, anchor)
        }
        Some(Open::Map(node, anchor, entries, _)) => {
          self.place(Node { data: Data::Map(entries), ..node }, anchor)
        }
        None => Ok(()),
      },
      Event::Alias(id) => self.alias(id, span),
      Event::UnresolvedAlias(name) => Err(self.no_anchor(&name, span)),
      Event::DocumentStart(..) => {
        self.anchors.clear();
        Ok(())
      }
      _ => Ok(()),
    }
  }

  fn node(&mut self, span: &Span, data: Data) -> Result<Node, Problem> {
    self.nodes += 1;
    let begin = pos(span);
    if self.nodes > NODES_MAX {
      return Err(self.problem(
        begin,
        1,
        "yaml.too_large",
        format!("more than {NODES_MAX} values"),
      ));
    }
    let width = if span.start.line() == span.end.line() {
      span.end.col().saturating_sub(span.start.col())
    } else {
      1
    };
    Ok(Node { id: self.nodes, begin, width, data })
  }

  fn open(&mut self, open: Open) -> Result<(), Problem> {
    if self.stack.len() >= DEPTH_MAX {
      let (Open::List(node, ..) | Open::Map(node, ..)) = &open;
      return Err(self.problem(
        node.begin,
        1,
        "yaml.too_deep",
        format!("nested deeper than {DEPTH_MAX}"),
      ));
    }
    self.stack.push(open);
    Ok(())
  }

  fn place(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
    if anchor != 0 {
      if self.anchors.len() >= ALIASES_MAX {
        return Err(self.problem(
          node.begin,
          1,
          "yaml.alias_limit",
          format!("more than {ALIASES_MAX} anchors"),
        ));
      }
      self.anchors.insert(anchor, node.clone());
    }
    match self.stack.last_mut() {
      None => self.documents.push(node),
      Some(Open::List(_, _, items)) => items.push(node),
      Some(Open::Map(_, _, entries, key @ None)) => {
        let bad = bad_key(&node, entries);
        let (begin, width) = (node.begin, node.width);
        *key = Some(node);
        if let Some((code, message)) = bad {
          let problem = self.problem(begin, width, code, message);
          self.problems.push(problem);
        }
      }
      Some(Open::Map(_, _, entries, key)) => {
        let name = key.take().expect("a value follows its key");
        entries.push((name, node));
      }
    }
    Ok(())
  }

  fn alias(&mut self, id: usize, span: &Span) -> Result<(), Problem> {
    self.aliases += 1;
    let begin = pos(span);
    let node = self.anchors.get(&id).cloned();
    let Some(node) = node else {
      return Err(self.problem(begin, 1, "yaml.alias", "an alias inside its own anchor"));
    };
    self.nodes += node.count();
    if self.aliases > ALIASES_MAX || self.nodes > NODES_MAX {
      return Err(self.problem(begin, 1, "yaml.alias_limit", "aliases make this too large"));
    }
    self.place(node, 0)
  }

  fn no_anchor(&self, name: &str, span: &Span) -> Problem {
    let begin = pos(span);
    let problem = self.problem(begin, span.len(), "yaml.alias", format!("*{name} names no anchor"));
    self.cron_hint(problem, begin.line)
  }

  fn refuse_tag(&mut self, tag: Option<&Tag>, span: &Span) {
    if let Some(tag) = tag {
      let at = span.tag_span().map_or_else(|| pos(span), |tag| pos(&tag));
      let name = tag.original();
      let width = name.chars().count();
      let problem = self.problem(at, width, "yaml.tag", format!("the tag {name} is not allowed"));
      self.problems.push(problem.hint("leave it out, and quote the value where it is text"));
    }
  }

  fn syntax(&self, error: &ScanError) -> Problem {
    let marker = error.marker();
    let at = marker.byte_offset().unwrap_or_else(|| byte_of(&self.source.text, marker.index()));
    let begin = Pos { line: marker.line(), column: marker.col() + 1, at };
    // The parser may notice a tab only at the end of the line before it.
    for number in [begin.line, begin.line + 1] {
      let line = self.source.line(number);
      let indent = &line[..line.len() - line.trim_start().len()];
      if let Some(column) = indent.chars().position(|c| c == '\t') {
        let begin = Pos { line: number, column: column + 1, at };
        return self
          .problem(begin, 1, "yaml.syntax", "a tab in the indentation")
          .hint("indent with spaces, not tabs");
      }
    }
    let info = error.info();
    let too_deep = info.contains("recursion limit") || info.contains("nesting");
    let code = if too_deep { "yaml.too_deep" } else { "yaml.syntax" };
    let problem = self.problem(begin, 1, code, info);
    self.cron_hint(problem, begin.line)
  }

  /// An unquoted cron expression begins with `*`, which is an alias to YAML.
  fn cron_hint(&self, problem: Problem, line: usize) -> Problem {
    let looks_like_cron = [line, line.saturating_sub(1)].iter().any(|number| {
      let text = self.source.line(*number);
      [": *", "- *"].iter().any(|begin| text.contains(begin))
    });
    if looks_like_cron { problem.hint("quote the cron expression") } else { problem }
  }

  fn problem(&self, at: Pos, width: usize, code: &str, message: impl Into<String>) -> Problem {
    Problem::at(&self.source.name, at, width, code, message)
  }
}

fn bad_key(key: &Node, entries: &[(Node, Node)]) -> Option<(&'static str, String)> {
  let Some(name) = key.text() else {
    return Some(("yaml.key", "a key must be text".to_owned()));
  };
  if name == "<<" && matches!(key.data, Data::Plain(_)) {
    return Some(("yaml.merge", "merge keys << are not allowed".to_owned()));
  }
  let first = entries.iter().find(|(other, _)| other.text() == Some(name))?;
  let message = format!("the key {name} stands twice; the first is on line {}", first.0.begin.line);
  Some(("yaml.duplicate_key", message))
}

fn pos(span: &Span) -> Pos {
  let start = &span.start;
  Pos {
    line: start.line(),
    column: start.col() + 1,
    at: start.byte_offset().unwrap_or(start.index()),
  }
}

fn byte_of(text: &str, index: usize) -> usize {
  text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}
