//! §10.1 from B027 and §10.2: jobs, tasks, raw bodies, addresses.

use serde_json::json;

use crate::api::{Case, Door};

/// Row, fields of a job, code, field, words.
const JOBS: &[(&str, &str, &str, &str, &str)] = &[
  (
    "B027",
    r#""config":{"command":"x","delivery":"exclusive"}"#,
    "policy.incomplete",
    "/config/disconnect/stop_after",
    "without a server",
  ),
  ("B028", r#""config":{"command":"x","timeout":0}"#, "duration.invalid", "/config/timeout", ""),
  (
    "B028",
    r#""config":{"command":"x","timeout":"1 fortnight"}"#,
    "duration.invalid",
    "/config/timeout",
    "with a unit",
  ),
  (
    "B028",
    r#""config":{"command":"x","timeout":"-1s"}"#,
    "duration.invalid",
    "/config/timeout",
    "",
  ),
  (
    "B032",
    r#""config":{"comand":"x"}"#,
    "json.unknown_field",
    "/config/comand",
    "did you mean command?",
  ),
  (
    "B039",
    r#""config":{"command":"x","max_retries":NaN}"#,
    "number.range",
    "/config/max_retries",
    "",
  ),
  ("B039", r#""config":{"command":"x","timeout":1e999}"#, "number.range", "/config/timeout", ""),
  (
    "B039",
    r#""config":{"command":"x","max_retries":-0}"#,
    "number.range",
    "/config/max_retries",
    "",
  ),
  (
    "B039",
    r#""config":{"command":"x","max_retries":1.0}"#,
    "number.range",
    "/config/max_retries",
    "",
  ),
  (
    "B039",
    r#""config":{"command":"x","max_retries":9223372036854775808}"#,
    "number.range",
    "/config/max_retries",
    "",
  ),
  (
    "B039",
    r#""config":{"command":"x","max_retries":9007199254740993}"#,
    "number.range",
    "/config/max_retries",
    "2^53",
  ),
  ("B042", r#""config":{"args":[]}"#, "command.empty", "/config", "nothing to run"),
  ("B042", r#""config":{"args":[""]}"#, "command.empty", "/config/args/0", "empty"),
  ("B042", r#""config":{"args":["a\u0000b"]}"#, "command.nul", "/config/args/0", "NUL"),
  ("B042", r#""config":{"command":"a\u0000b"}"#, "command.nul", "/config/command", "NUL"),
  ("B043", r#""environment":{"A=B":"x"}"#, "env.name", "/environment/A=B", "letters"),
  ("B043", r#""environment":{"":"x"}"#, "env.name", "/environment/", ""),
  ("B043", r#""environment":{"1X":"x"}"#, "env.name", "/environment/1X", ""),
  ("B043", r#""environment":{"A B":"x"}"#, "env.name", "/environment/A B", ""),
  ("B043", r#""environment":{"LD_PRELOAD":"x"}"#, "env.reserved", "/environment/LD_PRELOAD", ""),
  (
    "B043",
    r#""environment":{"HETUFLOW_TOKEN":"x"}"#,
    "env.reserved",
    "/environment/HETUFLOW_TOKEN",
    "",
  ),
  ("B043", r#""environment":{"A":"x\u0000"}"#, "env.nul", "/environment/A", "NUL"),
  (
    "B044",
    r#""config":{"command":"x","working_directory":"relative"}"#,
    "path.invalid",
    "/config/working_directory",
    "absolute",
  ),
  (
    "B044",
    r#""config":{"command":"x","working_directory":"/etc/../root"}"#,
    "path.invalid",
    "/config/working_directory",
    "",
  ),
  (
    "B044",
    r#""config":{"command":"x","working_directory":"/proc/self/fd/3"}"#,
    "path.invalid",
    "/config/working_directory",
    "",
  ),
  (
    "B045",
    r#""config":{"command":"x","max_retries":-1}"#,
    "number.range",
    "/config/max_retries",
    "0 to",
  ),
  (
    "B045",
    r#""config":{"command":"x","max_retries":1000001}"#,
    "number.range",
    "/config/max_retries",
    "0 to",
  ),
  (
    "B046",
    r#""config":{"command":"x","selector":{"a==b":"c"}}"#,
    "selector.syntax",
    "/config/selector/a==b",
    "",
  ),
  (
    "B046",
    r#""config":{"command":"x","selector":{"a in ()":"c"}}"#,
    "selector.syntax",
    "/config/selector/a in ()",
    "",
  ),
  (
    "B046",
    r#""config":{"command":"x","selector":{"a":"!!x"}}"#,
    "selector.syntax",
    "/config/selector/a",
    "!x for not",
  ),
  (
    "B046",
    r#""config":{"command":"x","selector":"zone=a, a==b"}"#,
    "selector.syntax",
    "/config/selector",
    "at byte 10",
  ),
  (
    "B046",
    r#""config":{"command":"x","selector":"a in ()"}"#,
    "selector.syntax",
    "/config/selector",
    "at byte 6",
  ),
  (
    "B046",
    r#""config":{"command":"x","selector":["gpu","!!x"]}"#,
    "selector.syntax",
    "/config/selector",
    "at byte 1",
  ),
];

/// Names that are none.
const NAMES: [&str; 9] =
  ["", "../x", "a/b", "a\nb", "\u{202e}x", "a\u{200b}b", "\u{1f680}", "-a", "a b"];

/// Row, address, status, code, field.
const ADDRESSES: &[(&str, &str, u16, &str, &str)] = &[
  ("B047", "/tasks/nope", 404, "", ""),
  ("B047", "/tasks/00000000-0000-0000-0000-000000000000", 404, "", ""),
  ("B047", "/jobs/00000000-0000-0000-0000-000000000000", 404, "", ""),
  ("B047", "/schedules/x%1by", 404, "", ""),
  ("B047", "/task-instances/nope", 404, "", ""),
  ("B048", "/jobs?limit=0", 400, "page.limit", "?limit"),
  ("B048", "/jobs?limit=-1", 400, "page.limit", "?limit"),
  ("B048", "/tasks?limit=1e9", 400, "page.limit", "?limit"),
  ("B048", "/tasks?limit=abc", 400, "page.limit", "?limit"),
  ("B048", "/jobs?cursor=garbage", 400, "page.cursor", "?cursor"),
  ("B048", "/tasks?cursor=garbage", 400, "page.cursor", "?cursor"),
  ("B049", "/tasks?status=runnning", 400, "filter.value", "?status"),
  ("B049", "/jobs?status=runnning", 400, "filter.value", "?status"),
  ("B049", "/jobs?sort=;drop%20table", 422, "sort.field", "sort"),
  ("B049", "/jobs?limit=1&limit=2", 400, "filter.value", "?limit"),
];

/// Row, whole body, status, code, field, words.
type Body = (&'static str, Vec<u8>, u16, &'static str, &'static str, &'static str);

/// Bodies as they are sent.
fn bodies() -> Vec<Body> {
  let text = |text: &str| text.as_bytes().to_vec();
  vec![
    ("B031", text(""), 400, "json.syntax", "", "line 1"),
    ("B031", text("null"), 422, "json.type", "", ""),
    ("B031", text("[]"), 422, "json.type", "", ""),
    ("B031", text("\"x\""), 422, "json.type", "", ""),
    ("B031", text("{"), 400, "json.syntax", "", "line 1, column 1"),
    (
      "B032",
      text("{\"name\":\"a\",\"comand\":\"x\"}"),
      422,
      "json.unknown_field",
      "/comand",
      "command",
    ),
    ("B033", text("{\"name\":\"a\",\"name\":\"b\"}"), 400, "json.duplicate_key", "/name", ""),
    ("B034", "[".repeat(10_000).into_bytes(), 400, "json.depth", "", "32"),
    ("B034", "{\"a\":".repeat(10_000).into_bytes(), 400, "json.depth", "", "32"),
    ("B038", b"{\"name\":\"\xff\"}".to_vec(), 400, "json.utf8", "", "byte 9"),
    ("B038", text("{\"name\":\"\\ud800\"}"), 400, "json.utf8", "/name", ""),
    ("B038", text("\u{feff}{\"name\":\"a\"}"), 400, "json.utf8", "", "byte order mark"),
  ]
}

/// The cases of jobs, tasks, bodies and addresses.
pub fn cases() -> Vec<Case> {
  let mut cases = Vec::new();
  let mut add = |row, door, input: Vec<u8>, (status, code, field, says)| {
    cases.push(Case { row, door, input, status, code, field, says });
  };
  for (row, fields, code, field, says) in JOBS {
    add(*row, Door::Job, fields.as_bytes().to_vec(), (422, *code, *field, *says));
  }
  let long = "x".repeat(256);
  for name in NAMES.into_iter().chain([&*long]) {
    let body = json!({ "name": name, "config": { "command": "x" } }).to_string();
    let rule = (422, "name.invalid", "/name", "1 to 128 letters");
    add("B040", Door::JobBody, body.into_bytes(), rule);
  }
  let args = |args: Vec<String>| format!("\"config\":{{\"args\":{}}}", json!(args)).into_bytes();
  let too_long = (422, "command.too_long", "/config/args", "");
  add("B042", Door::Job, args(vec!["x".to_owned(); 100_000]), too_long);
  add("B042", Door::Job, args(vec!["x".repeat(200_000)]), too_long);
  let many: serde_json::Map<_, _> = (0..10_000).map(|i| (format!("K{i}"), json!("v"))).collect();
  let many = format!("\"environment\":{}", json!(many)).into_bytes();
  add("B043", Door::Job, many, (422, "env.too_many", "/environment", "512"));
  let key = "k".repeat(300);
  let labels = format!("\"config\":{{\"command\":\"x\"}},\"labels\":{{\"{key}\":\"v\"}}");
  let field: &str = format!("/labels/{}…", "k".repeat(64)).leak();
  add("B046", Door::Job, labels.into_bytes(), (422, "labels.key", field, "128 bytes"));
  for (part, code, name, field) in [
    ("\"labels\":{N}", "labels.key", r"a/b~\u001b[2J", r"/labels/a~1b~0\u{1b}[2J"),
    ("\"labels\":{N}", "labels.key", r"x\ny", r"/labels/x\ny"),
    ("\"environment\":{N}", "env.name", r"~/\u202e", r"/environment/~0~1\u{202e}"),
    (
      "\"config\":{\"command\":\"x\",\"selector\":{N}}",
      "selector.syntax",
      "a=/~",
      "/config/selector/a=~1~0",
    ),
  ] {
    let fields = part.replace("{N}", &format!("{{\"{name}\":\"v\"}}"));
    let config = if part.contains("config") { "" } else { "\"config\":{\"command\":\"x\"}," };
    let input = format!("{config}{fields}").into_bytes();
    add("B046", Door::Job, input, (422, code, field, ""));
  }
  let priority = (422, "number.range", "/priority", "1000");
  add("B045", Door::Task, b"\"priority\":2147483648".to_vec(), priority);
  for (row, path, status, code, field) in ADDRESSES {
    add(*row, Door::Get, path.as_bytes().to_vec(), (*status, *code, *field, ""));
  }
  for (row, body, status, code, field, says) in bodies() {
    add(row, Door::JobBody, body, (status, code, field, says));
  }
  cases
}
