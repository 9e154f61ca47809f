//! The rules of the code, held over the sources: floors, crates, secrets, sizes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the crate and the floor that each is on. Imports point down only.
const FLOORS: [(&str, u8); 15] = [
    ("text", 0),
    ("value", 0),
    ("path", 0),
    ("secret", 0),
    ("timestamp", 0),
    ("document", 1),
    ("crypto", 1),
    ("policy", 2),
    ("keys", 2),
    ("metadata", 2),
    ("config", 3),
    ("keyservice", 3),
    ("file", 3),
    ("os", 4),
    ("cli", 5),
];

/// Rooms of one floor that may know one another: the metadata is made of keys and a policy.
const NEIGHBOURS: [(&str, &str); 4] =
    [("metadata", "policy"), ("metadata", "keys"), ("document", "document"), ("value", "secret")];

/// A third-party crate is named in these rooms and nowhere else.
const CRATES: [(&str, &[&str]); 22] = [
    ("aes", &["keyservice"]),
    ("aes_gcm", &["crypto"]),
    ("age", &["keyservice"]),
    ("base64", &["crypto", "document", "keyservice"]),
    ("cbc", &["keyservice"]),
    ("clap", &["cli"]),
    ("getrandom", &["secret", "file", "os"]),
    ("hkdf", &["crypto"]),
    ("hmac", &["crypto"]),
    ("indicatif", &["cli"]),
    ("md5", &["keyservice"]),
    ("pkcs8", &["keyservice"]),
    ("regex", &["policy"]),
    ("rpassword", &["os"]),
    ("rustix", &["os"]),
    ("serde_json", &["document"]),
    ("sha2", &["crypto", "keyservice"]),
    ("shlex", &["os"]),
    ("signal_hook", &["os"]),
    ("ssh_key", &["keyservice"]),
    ("tempfile", &["os"]),
    ("time", &["timestamp"]),
];

/// Modules that may read a secret's text or bytes.
const CROSSINGS: [&str; 6] = [
    "src/secret.rs",
    "src/crypto/cipher.rs",
    "src/crypto/seal.rs",
    "src/keyservice/",
    "src/os/",
    "src/cli/",
];

/// Lines of code in a file, its tests left out, above which a seam is looked for.
const LONGEST_FILE: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let name = path.strip_prefix(root).expect("inside the crate").to_owned();
                found.push((name, text));
            }
        }
    }
    found.retain(|(path, _)| !path.ends_with("tests.rs"));
    found.sort();
    found
}

/// The first folder or file below `src/`, without its suffix.
fn room(path: &Path) -> String {
    let part = path.iter().nth(1).expect("a file in src").to_string_lossy();
    part.trim_end_matches(".rs").to_owned()
}

/// The code of a file: comments and the tests at its end left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]") && !line.starts_with("mod tests"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|&(_, floor)| floor)
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let here = room(&path);
        let Some(own) = floor(&here) else { continue };
        for (number, line) in code(&text) {
            for used in line.split("crate::").skip(1) {
                let name: String =
                    used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let Some(other) = floor(&name) else { continue };
                let neighbours = NEIGHBOURS.contains(&(here.as_str(), name.as_str()));
                if name != here && other >= own && !neighbours {
                    wrong.push(format!("{}:{number}: {here} imports {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    for (path, _) in sources() {
        let room = room(&path);
        assert!(
            floor(&room).is_some() || ["lib", "main"].contains(&room.as_str()),
            "{} is on no floor",
            path.display()
        );
    }
}

#[test]
fn a_third_party_crate_is_named_in_one_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let here = room(&path);
        for (number, line) in code(&text) {
            for (name, rooms) in CRATES {
                let named = line.contains(&format!("use {name}::"))
                    || line.contains(&format!(" {name}::"))
                    || line.contains(&format!("({name}::"))
                    || line.contains(&format!("#[{name}("));
                if named && !line.contains("crate::") && !rooms.contains(&here.as_str()) {
                    wrong.push(format!("{}:{number}: {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "crates named outside their room:\n{}", wrong.join("\n"));
}

#[test]
fn secrets_are_exposed_where_it_is_allowed() {
    for (path, text) in sources() {
        let name = path.to_string_lossy().replace('\\', "/");
        let allowed = CROSSINGS.iter().any(|prefix| name.starts_with(prefix));
        for (number, line) in code(&text) {
            assert!(
                allowed || !line.contains("expose_secret"),
                "{name}:{number}: exposes a secret; is this module a crossing?"
            );
        }
    }
}

#[test]
fn nothing_is_left_undone() {
    for (path, text) in sources() {
        for (number, line) in code(&text) {
            for mark in ["todo!", "unimplemented!", "dbg!", "FIXME", "XXX", ".unwrap()"] {
                assert!(!line.contains(mark), "{}:{number}: {mark}", path.display());
            }
        }
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let long: BTreeMap<_, _> = sources()
        .into_iter()
        .map(|(path, text)| (path, code(&text).filter(|(_, line)| !line.is_empty()).count()))
        .filter(|&(_, lines)| lines > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "look for a seam: {long:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} has no module documentation", path.display());
    }
}
