//! The language by examples, and that nothing breaks the reader.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Filter {
  Filter::parse(text, FilterScope::Tasks).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn wrong(text: &str) -> FilterError {
  Filter::parse(text, FilterScope::Tasks).expect_err(text)
}

#[test]
fn the_example_of_the_manual_is_read() {
  let filter = read(
    "state=failed,retry job~^etl agent=worker-* age<10m run>30s exit=137 prio>=5 \
     label.tier=gold since=1h \"free text\" !word",
  );
  assert_eq!(filter.groups.len(), 1);
  assert_eq!(filter.groups[0].len(), 11);
  let Test::Field { values, .. } = &filter.groups[0][0].test else { panic!("a field") };
  assert_eq!(values[1].meaning, Meaning::Words(vec!["waiting_retry"]));
  assert!(filter.groups[0][10].negated);
  assert!(filter.ages());
}

#[test]
fn groups_quotes_and_negations() {
  assert!(read("").is_empty());
  assert!(read("   ").is_empty());
  assert_eq!(read("state=failed | state=lost job=a").groups.len(), 2);
  assert_eq!(read("-job=a"), read("!job=a"));
  assert_eq!(read("job!=a"), read("!job=a"));
  assert_eq!(read("!job!=a"), read("job=a"));
  assert_eq!(read("job!~a"), read("!job~a"));
  assert_eq!(read("name=a"), read("job=a"));
  assert_eq!(read("status=ok"), read("state=ok"));
  assert!(Filter::parse("state=OK", FilterScope::Tasks).is_ok());
  let regex = read("job~^(a|b,c)$ x");
  let Test::Field { values, .. } = &regex.groups[0][0].test else { panic!("a field") };
  assert_eq!(values[0].text, "^(a|b,c)$");
  assert_eq!(regex.groups[0].len(), 2);
  assert_eq!(read(r#""a \"b\" \\ c""#).groups[0][0].test, Test::Text(r#"a "b" \ c"#.to_owned()));
  assert_eq!(read("a,b").groups[0][0].test, Test::Text("a,b".to_owned()));
}

#[test]
fn errors_point_at_their_place_and_say_what_would_do() {
  for (text, code, column, hint) in [
    ("state=faild", "filter.value", 6, "did you mean \"failed\"?"),
    ("job=a stat=failed", "filter.field", 6, "did you mean \"state\"?"),
    ("job=a agnet=b", "filter.field", 6, "did you mean \"agent\"?"),
    ("zzz=1", "filter.field", 0, "fields are state"),
    ("exit=x", "filter.value", 5, "a whole number"),
    ("age<10", "filter.value", 4, "10m"),
    ("since=soon", "filter.value", 6, "today"),
    ("state~f", "filter.op", 5, "= and !="),
    ("job<5", "filter.op", 3, "= != ~ !~"),
    ("prio~5", "filter.op", 4, "<="),
    ("job=", "filter.value", 4, "any characters"),
    ("job=a,", "filter.value", 6, "any characters"),
    ("=5", "filter.syntax", 0, "field=value"),
    ("\"open", "filter.syntax", 0, "\""),
    ("\"a\"b", "filter.syntax", 3, "space"),
    ("a |", "filter.syntax", 2, "two groups"),
    ("| a", "filter.syntax", 0, "two groups"),
    ("a || b", "filter.syntax", 3, "two groups"),
    ("a !", "filter.syntax", 2, "!word"),
    ("label.=x", "filter.field", 0, "label.tier"),
    ("émile=ü job=é agnt=b", "filter.field", 0, "fields"),
  ] {
    let error = wrong(text);
    assert_eq!((error.code, error.column), (code, column), "{text}: {error:?}");
    assert!(error.hint.contains(hint), "{text}: {error:?}");
  }
  assert_eq!(wrong(&"a ".repeat(65)).code, "filter.too_long");
  assert_eq!(wrong(&"a".repeat(5000)).code, "filter.too_long");
}

#[test]
fn instants_are_read_as_people_write_them() {
  let now: super::super::Ts = "2026-11-21T10:30:00Z".parse().expect("an instant");
  for (text, expected) in [
    ("1h", "2026-11-21T09:30:00Z"),
    ("-90s", "2026-11-21T10:28:30Z"),
    ("today", "2026-11-21T00:00:00Z"),
    ("yesterday", "2026-11-20T00:00:00Z"),
    ("2026-11-01", "2026-11-01T00:00:00Z"),
    ("\"2026-11-01 14:05\"", "2026-11-01T14:05:00Z"),
    ("2026-11-01T14:05:00+01:00", "2026-11-01T13:05:00Z"),
    ("@1763733600", "2025-11-21T14:00:00Z"),
  ] {
    let filter = read(&format!("since={text}"));
    let Test::Field { values, .. } = &filter.groups[0][0].test else { panic!("a field") };
    let Meaning::Instant(instant) = values[0].meaning else { panic!("an instant") };
    assert_eq!(instant.seen_from(now).to_string(), expected, "{text}");
  }
}

#[test]
fn globs_match_whole_texts() {
  for (pattern, text, fits) in [
    ("a", "a", true),
    ("a", "ab", false),
    ("a*", "ab", true),
    ("*b", "ab", true),
    ("*", "", true),
    ("a*c*e", "abcde", true),
    ("a*c*e", "abde", false),
    ("ab*ba", "aba", false),
    ("**", "x", true),
  ] {
    assert_eq!(glob_matches(pattern, text), fits, "{pattern} {text}");
  }
}

#[test]
fn orders_are_read() {
  let keys = parse_sort("-age, job", FilterScope::Tasks).expect("an order");
  assert_eq!(keys[0], SortKey { field: FilterField::Age, down: true });
  assert_eq!(keys[1], SortKey { field: FilterField::Job, down: false });
  assert!(parse_sort("", FilterScope::Tasks).expect("no order").is_empty());
  let error = parse_sort("age,agee", FilterScope::Tasks).expect_err("unknown");
  assert_eq!((error.code, error.column), ("sort.field", 4));
  assert_eq!(parse_sort("a,,b", FilterScope::Tasks).expect_err("a hole").code, "sort.field");
  assert_eq!(parse_sort("age,,job", FilterScope::Tasks).expect_err("a hole").code, "sort.syntax");
}

#[test]
fn every_field_has_a_name_that_is_read_back() {
  for scope in [
    FilterScope::Tasks,
    FilterScope::Jobs,
    FilterScope::Schedules,
    FilterScope::Agents,
    FilterScope::Events,
  ] {
    for name in scope.names() {
      let (field, _) = scope.field(name, (0, "filter.field")).expect("known");
      let (again, _) = scope.field(&field.name(), (0, "filter.field")).expect(name);
      assert_eq!(field, again, "{name}");
    }
  }
}

fn scopes() -> impl Strategy<Value = FilterScope> {
  prop_oneof![
    Just(FilterScope::Tasks),
    Just(FilterScope::Jobs),
    Just(FilterScope::Schedules),
    Just(FilterScope::Agents),
    Just(FilterScope::Events),
  ]
}

proptest! {
  #[test]
  fn nothing_breaks_the_reader(text in "\\PC{0,80}", scope in scopes()) {
    if let Err(error) = Filter::parse(&text, scope) {
      prop_assert!(error.column as usize <= text.chars().count());
    }
    let _read = parse_sort(&text, scope);
  }

  #[test]
  fn what_looks_like_a_filter_is_read_and_written_alike(
    parts in proptest::collection::vec(
      "(!|-|)(state|job|agent|age|exit|since|label\\.x|prio|id|)(=|!=|~|<|>=|)([a-z*0-9]{1,4}|\"[a-z\"\\\\ |,=]{0,6}\"|failed|5m|7)(,ok|)",
      0..6),
    bars in proptest::collection::vec(any::<bool>(), 6),
    scope in scopes(),
  ) {
    let mut text = String::new();
    for (part, bar) in parts.iter().zip(&bars) {
      text.push_str(part);
      text.push_str(if *bar { " | " } else { " " });
    }
    if let Ok(filter) = Filter::parse(&text, scope) {
      let written = filter.to_string();
      let again = Filter::parse(&written, scope);
      prop_assert_eq!(again.as_ref().ok(), Some(&filter), "{} -> {}", text, written);
    }
  }
}
