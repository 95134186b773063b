//! Lists `examples/*.yaml` at build time, so that `dev --demo` works without the repository.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
  // Asked when it runs: a build folder that has moved would name the old place else.
  let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
  let examples = Path::new(&package).join("../examples");
  println!("cargo::rerun-if-changed={}", examples.display());
  println!("cargo::rerun-if-changed=build.rs");
  let mut files: Vec<PathBuf> = std::fs::read_dir(&examples)
    .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
    .unwrap_or_default();
  files.retain(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml"));
  files.sort();
  let mut list = String::from(
    "/// The examples of the repository, by file name.\nconst EXAMPLES: &[(&str, &str)] = &[\n",
  );
  for path in &files {
    println!("cargo::rerun-if-changed={}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let _ = writeln!(list, "  ({name:?}, include_str!({:?})),", path.display().to_string());
  }
  list.push_str("];\n");
  let out = std::env::var_os("OUT_DIR").expect("cargo names the folder for generated files");
  std::fs::write(Path::new(&out).join("examples_list.rs"), list)
    .expect("the build folder is writable");
}
