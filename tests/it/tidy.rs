//! The rules of the code, held over the sources: floors, crates, secrets, sizes.

use std::collections::BTreeMap;
#[cfg(feature = "cli")]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the crate and the floor that each is on. Imports point down only.
const FLOORS: [(&str, u8); 17] = [
    ("text", 0),
    ("value", 0),
    ("path", 0),
    ("secret", 0),
    ("shown", 0),
    ("timestamp", 0),
    ("document", 1),
    ("crypto", 1),
    ("policy", 2),
    ("keys", 2),
    ("metadata", 2),
    ("config", 3),
    ("keyservice", 3),
    ("file", 3),
    ("embed", 4),
    ("os", 4),
    ("cli", 5),
];

/// Rooms of one floor that may know one another: the metadata is made of keys and a policy.
const NEIGHBOURS: [(&str, &str); 5] = [
    ("metadata", "policy"),
    ("metadata", "keys"),
    ("document", "document"),
    ("value", "secret"),
    ("text", "secret"),
];

/// A third-party crate is named in these rooms and nowhere else.
const CRATES: [(&str, &[&str]); 33] = [
    ("aes", &["keyservice"]),
    ("aes_gcm", &["crypto"]),
    ("age", &["keyservice"]),
    ("base64", &["crypto", "document", "keyservice"]),
    ("base64_simd", &["crypto"]),
    ("bytes", &["os"]),
    ("cbc", &["keyservice"]),
    ("chacha20poly1305", &["crypto"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("ctr", &["crypto"]),
    ("getrandom", &["secret"]),
    ("ghash", &["crypto"]),
    ("hkdf", &["crypto"]),
    ("hmac", &["crypto", "keyservice"]),
    ("md5", &["keyservice"]),
    ("pkcs8", &["keyservice"]),
    ("regex", &["policy"]),
    ("reqwest", &["os"]),
    ("rpassword", &["os"]),
    ("rsa", &["keyservice"]),
    ("rustix", &["os"]),
    ("rustls", &["os"]),
    ("serde_json", &["document", "keyservice"]),
    ("sha2", &["crypto", "keyservice"]),
    ("shlex", &["os"]),
    ("signal_hook", &["os"]),
    ("ssh_key", &["keyservice"]),
    ("strsim", &["config", "keyservice"]),
    ("subtle", &["crypto"]),
    ("tempfile", &["os"]),
    ("time", &["timestamp"]),
    ("url", &["keyservice"]),
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is kept in git, with its path from the root; nothing where there is no git.
fn tracked() -> Vec<(String, Vec<u8>)> {
    let list =
        std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let list = list.map(|output| output.stdout).unwrap_or_default();
    let names = String::from_utf8(list).expect("UTF-8");
    let names = names.split_terminator('\0').map(str::to_owned);
    names
        .filter_map(|name| Some((fs::read(root().join(&name)).ok()?, name)))
        .map(|(a, b)| (b, a))
        .collect()
}

/// The first folder or file below `src/`, without its suffix.
fn room(path: &Path) -> String {
    let part = path.iter().nth(1).expect("a file in src").to_string_lossy();
    part.trim_end_matches(".rs").to_owned()
}

/// The code of a file: comments and the tests at its end left out. Other modules of tests, in files of their
/// own, are one line that says nothing.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn code_goes_on_behind_a_module_of_tests_that_is_elsewhere() {
    let text = "//! a\n#[cfg(test)]\nmod fake;\nuse b;\n// c\nfn d() {}\n\n#[cfg(test)]\nmod tests {\n    e\n}\n";
    let lines: Vec<_> = code(text).map(|(number, _)| number).collect();
    assert_eq!(lines, [2, 3, 4, 6]);
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

/// A name of a file can hold what moves the cursor or begins a new line.
#[test]
fn names_of_files_are_shown_in_one_way() {
    for (path, text) in sources() {
        for (number, line) in code(&text) {
            let raw = line.contains(".display()");
            assert!(!raw, "{}:{number}: `.shown()` is for messages", path.display());
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

/// The words of a text that look like names of variables.
#[cfg(feature = "cli")]
fn variables(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| {
            ["SOPS_", "WAXSEAL_", "XDG_", "VAULT_", "BAO_"]
                .iter()
                .any(|start| word.starts_with(start))
        })
        .collect()
}

#[cfg(feature = "cli")]
#[test]
fn every_variable_is_read_and_documented() {
    let page = fs::read_to_string(root().join("docs/commands.md")).expect("a page");
    let known = waxseal::os::env::VARIABLES;
    let sources = sources();
    for (name, _) in known {
        let entry = format!("    (\"{name}\", ");
        let read = sources.iter().flat_map(|(_, text)| code(text));
        let mut read = read.filter(|(_, line)| !line.starts_with(&entry));
        assert!(read.any(|(_, line)| line.contains(&format!("\"{name}\""))), "{name} is not read");
        let part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let mut words = page.split(|c: char| !part(c));
        assert!(words.any(|word| word == *name), "docs/commands.md does not name {name}");
    }
    for name in variables(&page) {
        assert!(known.iter().any(|(known, _)| *known == name), "{name} is documented, not read");
    }
}

#[test]
fn every_fixture_is_used() {
    // Read whole, file by file, by a test.
    const FOLDERS: [&str; 2] = ["testdata/malformed/", "testdata/sops/"];
    let files = tracked();
    let is_code = |name: &str| {
        ["src/", "tests/", "benches/"].iter().any(|folder| name.starts_with(folder))
            || name == "README.md"
    };
    let code: String = files
        .iter()
        .filter(|(name, _)| is_code(name))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes))
        .collect();
    for (name, _) in files.iter().filter(|(name, _)| name.starts_with("testdata/")) {
        let file = name.rsplit('/').next().expect("a name");
        let read = FOLDERS.iter().any(|folder| name.starts_with(folder)) || code.contains(file);
        assert!(read || file == "README.md", "{name} is used by no test");
    }
}

#[test]
fn nothing_of_this_machine_is_in_the_repository() {
    // In two parts, so that this file does not hold them.
    let marks = [
        ("/ro", "ot/"),
        ("/wo", "rk/main"),
        ("/wo", "rk/wt"),
        ("artif", "actory"),
        ("index.cra", "tes.io"),
        ("registry.np", "mjs"),
    ];
    for (name, bytes) in tracked() {
        let text = String::from_utf8_lossy(&bytes);
        for (start, end) in marks {
            assert!(!text.contains(&format!("{start}{end}")), "{name} holds {start}{end}");
        }
    }
}

#[test]
fn no_file_is_large() {
    for (name, bytes) in tracked() {
        assert!(bytes.len() < 200_000, "{name} has {} bytes", bytes.len());
    }
}
