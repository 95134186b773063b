//! Secrets: sealed in their table, opened only by the key that sealed them.

use std::sync::Arc;

use hetuflow_core::{NamespaceId, SecretForPut};
use hetuflow_server::infra::bmc::{PageArgs, secret_bmc};
use hetuflow_server::infra::bus::Bus;
use hetuflow_server::service::{Actor, SecretSvc, Store};

use crate::engines::TestStore;

const CANARY: &str = "canary-of-the-table";

fn value(text: &str) -> SecretForPut {
  SecretForPut { value: Some(text.to_owned()), base64: None }
}

fn service(store: &TestStore, key: &std::path::Path) -> SecretSvc {
  SecretSvc::new(Store::new(store.db.clone(), Arc::new(Bus::default())), key.to_owned())
}

pub async fn values_are_sealed_and_counted(store: &TestStore) {
  let dir = tempfile::tempdir().unwrap();
  let secrets = service(store, &dir.path().join("secret.key"));
  let (actor, namespace) = (Actor::system(), NamespaceId::default());
  let names: Vec<String> = ["db", "gone", "tls"].map(str::to_owned).to_vec();
  assert!(secrets.values(&namespace, &names).await.unwrap().is_empty());
  let first = secrets.put(&actor, (None, "db"), value("old")).await.unwrap();
  let second = secrets.put(&actor, (None, "db"), value(CANARY)).await.unwrap();
  secrets.put(&actor, (None, "tls"), value("other")).await.unwrap();
  assert_eq!((first.version, second.version), (1, 2));
  assert_eq!((first.created_at, &second.recipients), (second.created_at, &first.recipients));
  let found = secrets.values(&namespace, &names).await.unwrap();
  assert_eq!(found.keys().collect::<Vec<_>>(), ["db", "tls"]);
  assert_eq!(found["db"].expose(), CANARY.as_bytes());

  let mut conn = store.db.read().await.unwrap();
  for row in secret_bmc::sealed(&mut conn, &namespace, &names).await.unwrap() {
    let shown = format!("{row:?} {}", String::from_utf8_lossy(&row.sealed));
    assert!(!shown.contains(CANARY), "{shown}");
  }
  drop(conn);
  let page = secrets.list(&actor, None, &PageArgs::first(1)).await.unwrap();
  assert_eq!((page.data[0].name.as_str(), page.page.next_cursor.as_deref()), ("db", Some("db")));
  let nowhere = NamespaceId::new("nowhere").unwrap();
  assert!(secrets.put(&actor, (Some(&nowhere), "db"), value("x")).await.is_err());
  assert!(secrets.put(&actor, (None, "../db"), value("x")).await.is_err());
  secrets.delete(&actor, (None, "db")).await.unwrap();
  assert!(secrets.delete(&actor, (None, "db")).await.is_err());
  assert!(secrets.get(&actor, (None, "db")).await.is_err());
}

pub async fn a_strange_key_opens_nothing(store: &TestStore) {
  let dir = tempfile::tempdir().unwrap();
  let (actor, namespace) = (Actor::system(), NamespaceId::default());
  let ours = service(store, &dir.path().join("ours.key"));
  ours.put(&actor, (None, "db"), value(CANARY)).await.unwrap();
  let other_file = dir.path().join("other.key");
  let other = service(store, &other_file);
  let names = ["db".to_owned()];
  assert!(other.values(&namespace, &names).await.unwrap().is_empty());
  // It must not make a key of its own beside secrets that it cannot open.
  let refused = other.put(&actor, (None, "new"), value("x")).await.expect_err("another key");
  assert!(refused.to_string().contains("other server"), "{refused}");
  assert!(!other_file.exists());
  std::fs::copy(dir.path().join("ours.key"), &other_file).unwrap();
  other.put(&actor, (None, "new"), value("x")).await.unwrap();
  assert_eq!(other.values(&namespace, &names).await.unwrap()["db"].expose(), CANARY.as_bytes());
}
