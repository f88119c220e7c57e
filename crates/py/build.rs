//! One number for the sources of the core, so that a run can say by which code it was made, on any machine.
#![allow(clippy::disallowed_macros)] // printing is how a build script speaks to cargo

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for room in fs::read_dir(&crates)? {
        let folder = room?.path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut found)?;
            println!("cargo::rerun-if-changed={}", folder.display());
        }
    }
    found.sort();
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for path in &found {
        let name = path.strip_prefix(&crates).unwrap_or(path).to_string_lossy().into_owned();
        hasher.update(name.as_bytes());
        hasher.update(&fs::read(path)?);
    }
    println!("cargo::rustc-env=MMBOT_SOURCE_HASH={:032x}", hasher.digest128());
    Ok(())
}
