//! The texts that the tests run over.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Texts by hand, one for each thing that a writer can trip over.
pub(super) const HAND: [&str; 34] = [
    "a: 1\nb: two\nc: 'three'\nd: \"four\"\n",
    "# head\na: 1 # inline\n# tail\n",
    "a:\n  b:\n    c: x\n  # tail of a\n# tail\n",
    "a:\n    b: x\n    c:\n        - y\n        - z: 1\n          w: 2\n",
    "a:\n- x\n- y\n",
    "- a\n- b: 1\n  c: 2\n- - d\n  - e\n",
    "k: |\n  text\n   more\n\n  end\nn: >-\n  folded\n  lines\n\nm: |+ # note\n  kept\n\n\n",
    "k: |2-\n   indented\nn: x",
    "a: |+\n  x\n\n\n",
    "a: b",
    "a: |\n  x",
    "{a: 1}\n",
    "{}\n",
    "{ }",
    "{a: 1,}\n",
    "{a: 1, b, c: , 'd':e} # x\n",
    "{\n  \"a\": 1, # x\n  \"b\": [2, 3]  # y\n}\n",
    "{\n\t\"a\": {\n\t\t\"b\": \"c\"\n\t}\n}\n",
    "{a: 1 # c\n}\n",
    "{ # c\n}\n",
    "[a, 'b', \"c\", {d: e}]\n",
    "[]\n",
    "[\n  a,\n  b,\n]\n",
    "",
    "# only a comment\n",
    "---",
    "--- # c\n...\n",
    "---\n---\na: 1\n",
    "a: 1\n...\n# after\n---\nb: 2\n",
    "%TAG !e! tag:example.com,2000:\n---\na: !e!x y\nb: !!str 1\nc: ! 2\n",
    "? a\n: 1\n? - b\n: c\n? d\n",
    "a: &x 1\nb: *x\nc: &y\n  d: e\nf: &z\n",
    "a: # c\n  b\nd: # e\n  # f\n  g: h\n",
    "  a: 1\n  b:\n   - c\n",
];

/// The suite and, where they are, real files: those that parse.
pub(super) fn texts() -> Vec<(String, String)> {
    let mut texts: Vec<_> = HAND
        .iter()
        .enumerate()
        .map(|(i, text)| (format!("hand {i}"), (*text).to_owned()))
        .collect();
    if let Some(root) = env::var_os("WAXSEAL_CORPUS").map(PathBuf::from) {
        texts.extend(files(&root.join("yaml/valid")));
        texts.extend(files(&root.join("real/yaml")));
    }
    texts
}

/// The suite only.
pub(super) fn small() -> Vec<(String, String)> {
    texts().into_iter().filter(|(name, _)| !name.starts_with("real/")).collect()
}

/// A text with other line breaks, and with a byte order mark.
pub(super) fn variants(text: &str) -> Vec<String> {
    let mut variants = vec![text.to_owned()];
    if !text.contains('\r') {
        variants.push(text.replace('\n', "\r\n"));
        variants.push(text.replace('\n', "\r"));
    }
    if !text.starts_with('\u{feff}') {
        variants.push(format!("\u{feff}{text}"));
    }
    variants
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let is_real = folder.parent().is_some_and(|parent| parent.ends_with("real"));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut texts: Vec<_> = entries
        .map(|entry| entry.expect("the corpus is readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .filter_map(|path| {
            let name = path.file_stem()?.to_string_lossy().into_owned();
            let name = if is_real { format!("real/{name}") } else { name };
            Some((name, String::from_utf8(fs::read(&path).ok()?).ok()?))
        })
        .collect();
    texts.sort();
    texts
}
