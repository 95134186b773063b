//! What selectors mean, how they are written, and that both agree.

use proptest::prelude::*;

use super::*;
use crate::types::{AgentId, NamespaceId, Requests};

fn labels(pairs: &[(&str, &str)]) -> Labels {
  pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn agent() -> Labels {
  labels(&[("zone", "eu-1"), ("gpu", "a100"), ("cuda", "12.4"), ("note", "a b")])
}

#[test]
fn short_forms_mean_what_they_say() {
  for (key, value, fits) in [
    ("zone", "eu-1", true),
    ("zone", "eu-2|eu-1", true),
    ("zone", "eu-*", true),
    ("zone", "*-1", true),
    ("zone", "!us-*", true),
    ("zone", "!eu-*", false),
    ("gpu", "*", true),
    ("disk", "*", false),
    ("disk", "!*", true),
    ("disk", "!ssd", true),
    ("zone", "", false),
    ("cuda", ">=12.2", true),
    ("cuda", "<12.4", false),
    ("zone", ">=1", false),
  ] {
    let selector = Selector::from_iter([(key, value)]);
    assert_eq!(selector.matches(&agent()), fits, "{key}={value}");
  }
}

#[test]
fn texts_mean_what_they_say() {
  for (text, fits) in [
    ("", true),
    ("  zone = eu-1 , gpu", true),
    ("zone in (us-1, eu-*)", true),
    ("zone notin (us-1, eu-*)", false),
    ("disk notin (ssd)", true),
    ("in=x", false),
    ("zone!=eu-2,!disk", true),
    ("!zone", false),
    ("cuda>=12.2, cuda < 13", true),
    ("cuda > 12.4", false),
    ("cuda<=12.4", true),
    ("disk<=12.4", false),
    ("note=\"a b\"", true),
    ("note=\"a \\\"b\\\"\"", false),
    ("zone=us|eu-1", true),
  ] {
    let selector = Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(selector.matches(&agent()), fits, "{text}");
  }
}

#[test]
fn the_first_wrong_byte_is_named() {
  for (text, at) in [
    ("a==b", 2),
    ("a in ()", 6),
    ("!!x", 1),
    ("a=", 2),
    ("a=b,", 4),
    (",", 0),
    ("a b", 2),
    ("a in b", 5),
    ("a in (b", 7),
    ("a in (b c)", 8),
    ("a>=x", 3),
    ("a>=", 3),
    ("é=b, ü=\"x", 9),
    ("a=b*c*", 2),
    ("a=\"\"", 2),
    ("a=b=c", 3),
    ("a notin (", 9),
    ("a=\u{1b}", 2),
  ] {
    let error = Selector::parse(text).expect_err(text);
    assert_eq!(error.span.0, at, "{text}: {error}");
    assert!(error.to_string().contains(&format!("byte {at}")), "{error}");
    let mut errors = Vec::new();
    Selector::read(text).check("/selector", &mut errors);
    assert_eq!(errors[0].code, "selector.syntax");
    assert_eq!(errors[0].span, Some(error.span));
    assert!(!Selector::read(text).matches(&agent()), "{text}");
  }
}

#[test]
fn broken_conditions_are_named() {
  for (key, value) in [("a b", "x"), ("", "x"), ("a", ""), ("a", "!!x"), ("a", "x**"), ("a", ">x")]
  {
    let mut errors = Vec::new();
    Selector::from_iter([(key, value)]).check("/selector", &mut errors);
    assert_eq!(errors.len(), 1, "{key}={value}: {errors:?}");
    assert_eq!(errors[0].code, "selector.syntax");
  }
}

#[test]
fn json_is_an_object_where_that_says_it_all() {
  for (json, written) in [
    (r#""zone=a""#, r#"{"zone":"a"}"#),
    (r#""zone in (a,b), !spot, cuda>=12""#, r#"{"cuda":">=12","spot":"!*","zone":"a|b"}"#),
    (r#""cuda>=12, cuda<13""#, r#""cuda>=12, cuda<13""#),
    (r#"{"zone":["a","b"],"gpu":true,"v":2}"#, r#"{"gpu":"true","v":"2","zone":"a|b"}"#),
    (
      r#"["gpu", {"key":"zone","operator":"NotIn","values":["a","b"]}, {"key":"v","op":">","value":2}]"#,
      r#"{"gpu":"*","v":">2","zone":"!a|b"}"#,
    ),
    ("null", "{}"),
    (r#""a==b""#, r#""a==b""#),
    (r#"{"a":"!!x","b":"y"}"#, r#"{"a":"!!x","b":"y"}"#),
  ] {
    let read: Selector = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
    let text = serde_json::to_string(&read).expect("plain data");
    assert_eq!(text, written, "{json}");
    let again: Selector = serde_json::from_str(&text).expect("its own form");
    assert_eq!(serde_json::to_string(&again).expect("plain data"), text);
  }
}

#[test]
fn an_empty_list_of_types_is_any_or_none() {
  let whole = TaskTypes::These(vec!["mail".to_owned()]);
  assert!(whole.serve(Some("mail")) && whole.serve(None) && !whole.serve(Some("fax")));
  assert!(!TaskTypes::These(Vec::new()).serve(Some("mail")));
  assert!(TaskTypes::Any.serve(Some("mail")));
}

fn condition() -> impl Strategy<Value = Condition> {
  let value = "[a-z0-9 ,()=<>\"\\\\é.-]{0,6}\\*?[a-z0-9.]{1,3}";
  let values = || prop::collection::vec(value, 1..4);
  let comparison = prop::sample::select(vec![
    Comparison::Less,
    Comparison::AtMost,
    Comparison::Greater,
    Comparison::AtLeast,
  ]);
  let test = prop_oneof![
    values().prop_map(LabelTest::In),
    values().prop_map(LabelTest::NotIn),
    Just(LabelTest::Exists),
    Just(LabelTest::Absent),
    (comparison, "v?[0-9]{1,3}(\\.[0-9a-z]{1,3}){0,2}")
      .prop_map(|(how, version)| LabelTest::Compare(how, version)),
  ];
  ("[a-z][a-z0-9./_-]{0,5}", test).prop_map(|(key, test)| Condition { key, test })
}

proptest! {
  #[test]
  fn what_is_written_is_read_back(conditions in prop::collection::vec(condition(), 0..5)) {
    let selector = Selector(Parts { conditions, broken: Vec::new() });
    let text = selector.to_string();
    let read = Selector::parse(&text);
    prop_assert_eq!(read.as_ref(), Ok(&selector), "{}", text);
    let json = serde_json::to_string(&selector).expect("plain data");
    let read: Selector = serde_json::from_str(&json).expect("its own form");
    for value in ["a", "1.2", "x y"] {
      for condition in selector.conditions() {
        let labels = labels(&[(&condition.key, value)]);
        prop_assert_eq!(read.matches(&labels), selector.matches(&labels), "{}", json);
      }
    }
  }

  #[test]
  fn nothing_panics(text in "\\PC{0,40}") {
    if let Err(error) = Selector::parse(&text) {
      prop_assert!(error.span.0 <= error.span.1 && error.span.1 <= text.len());
      prop_assert!(text.is_char_boundary(error.span.0) && text.is_char_boundary(error.span.1));
    }
  }

  #[test]
  fn equal_demands_have_one_class(key in "[a-z]{1,8}", value in "[a-z]{1,8}") {
    let class = SelectorClass {
      selector: Selector::from_iter([(key.as_str(), value.as_str())]),
      ..SelectorClass::any(NamespaceId::default())
    };
    prop_assert_eq!(class.class_id(), class.clone().class_id());
    let other = SelectorClass { task_type: Some(value.clone()), ..class.clone() };
    prop_assert_ne!(class.class_id(), other.class_id());
    let needy = SelectorClass { requests: Some(Requests::default()), ..class.clone() };
    prop_assert!(class.class_id() >= 0 && needy.class_id() < 0);
    let pinned = SelectorClass { pin: Some(AgentId::new("a-1").expect("an id")), ..class.clone() };
    prop_assert!(!pinned.admits(&labels(&[(&key, &value)]), &[], &TaskTypes::Any));
    prop_assert!(pinned.admits(&labels(&[(&key, &value), ("agent", "a-1")]), &[], &TaskTypes::Any));
    prop_assert!(class.admits(&labels(&[(&key, &value)]), &[], &TaskTypes::Any));
  }
}
