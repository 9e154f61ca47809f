//! Interop: real sops reads what we write, we read what it writes, and files travel between both.

use waxseal::document::{Document, Format};
use waxseal::file::{Consent, EncryptedFile, Nonces, RotateOptions, Verdict};
use waxseal::path::KeyPath;
use waxseal::policy::Policy;
use waxseal::value::Tree;

use crate::sops::{Sops, policies, roots, same, sample};
use crate::support::now;

/// A YAML text by sops without its comments: where these go is not ours to say.
fn data_lines(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// What cannot go both ways, and why.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "valid/E76Z.yaml",
    "a key is an alias to a value that is sealed: sops takes the token for the key",
)];

fn documents(suffix: &str) -> Vec<(String, String)> {
    let own: [(&str, &str); 4] = [
        ("values.yaml", include_str!("../../testdata/examples/values.yaml")),
        ("package.json", include_str!("../../testdata/examples/package.json")),
        // sops makes list items of these comments, and they are all that the lists hold.
        (
            "comments.yaml",
            "a:\n  - b: []  # one\n    c: []\n    # two\n    # three\nd: []\n# four\n",
        ),
        ("comments-in.yaml", "a: [\n  # one\n]\nb: [[\n  # two\n  # three\n]]\nc: 1\n"),
    ];
    let mut all: Vec<_> = own
        .iter()
        .filter(|(name, _)| name.ends_with(suffix))
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    if suffix == "yaml" {
        all.extend(sample("yaml/valid", ".yaml", 2));
        all.extend(sample("real/yaml", "", 41));
    } else {
        all.extend(sample("real/json", ".json", 29));
    }
    all
}

/// Seals with each of the two and lets the other one read.
fn check_both_ways(suffix: &str, format: Format) {
    let Some(sops) = Sops::start() else { return };
    let (mut both, mut wrong) = (0, Vec::new());
    for (index, (name, text)) in documents(suffix).into_iter().enumerate() {
        if EXCEPTIONS.iter().any(|(file, _)| name.ends_with(file)) {
            continue;
        }
        let policies = policies();
        let (policy, flags) = &policies[index % policies.len()];
        let Some(theirs) = sops.encrypt(&text, suffix, flags) else { continue };
        let Some(ours) = sops.seal(&text, format, policy) else { continue };
        let Ok(expect) = sops.decrypt(&theirs, suffix, suffix) else { continue };
        match sops.decrypt(&ours, suffix, suffix) {
            Ok(got) if data_lines(&got) == data_lines(&expect) => {}
            Ok(got) => wrong.push(format!("{name}: sops reads\n{got}\ninstead of\n{expect}")),
            Err(error) => wrong.push(format!("{name}: sops refuses ours: {error}")),
        }
        if let Err(error) = sops.check_theirs(theirs, &expect, format) {
            wrong.push(format!("{name}: {error}"));
        }
        both += 1;
    }
    assert!(wrong.is_empty(), "{} of {both} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(both > 0, "nothing was compared");
}

impl Sops {
    /// We decrypt a file by sops to what sops decrypts it to.
    fn check_theirs(&self, theirs: String, expect: &str, format: Format) -> Result<(), String> {
        let file = EncryptedFile::parse(theirs, format).map_err(|error| error.to_string())?;
        let key = self.unwrap(&file);
        let opened = file.decrypt(&key).map_err(|error| format!("we refuse theirs: {error}"))?;
        if opened.outcome().verdict() != Verdict::Sops {
            return Err(format!("outcome {:?}", opened.outcome()));
        }
        let expect = Document::parse(expect.to_owned(), format).map_err(|e| e.to_string())?;
        if same(&roots(opened.document()), &roots(&expect)) {
            return Ok(());
        }
        Err(format!("we read\n{}", opened.document().text()))
    }
}

#[test]
fn yaml_is_read_both_ways() {
    check_both_ways("yaml", Format::Yaml);
}

#[test]
fn json_is_read_both_ways() {
    check_both_ways("json", Format::Json);
}

/// What real sops does to our files, and ours to its, over and over: never broken.
#[test]
fn a_file_travels_between_both() {
    let Some(sops) = Sops::start() else { return };
    let mut wrong = Vec::new();
    for (name, text) in documents("yaml") {
        if EXCEPTIONS.iter().any(|(file, _)| name.ends_with(file)) {
            continue;
        }
        // What sops does not take itself (a list at the root, keys that are no strings), we do.
        if sops.encrypt(&text, "yaml", &[]).is_none() {
            continue;
        }
        let Some(ours) = sops.seal(&text, Format::Yaml, &Policy::default()) else { continue };
        if sops.decrypt(&ours, "yaml", "yaml").is_err() {
            wrong.push(format!("{name}: sops refuses ours"));
            continue;
        }
        if let Err(error) = sops.travel(&ours) {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

impl Sops {
    fn travel(&self, ours: &str) -> Result<(), String> {
        // sops changes one value: the file is a file by sops again.
        let set = self.change(ours, "yaml", &["set"], &["[\"travel_key\"]", "\"there\""]);
        let Ok(set) = set else { return Ok(()) };
        let opened = self.open(&set)?;
        // We change another one, sops reads it.
        let path = KeyPath::parse("[\"travel_key\"]").map_err(|error| error.to_string())?;
        let value = Tree::str("and back");
        let text = waxseal::file::set(opened.document(), &path, &value)
            .map_err(|error| format!("set: {error}"))?;
        let back = opened
            .reencrypt(text, Nonces::Derived, now(), Consent::AsBefore)
            .map_err(|error| format!("reencrypt: {error}\n{set}"))?;
        self.decrypt(&back, "yaml", "yaml")
            .map_err(|error| format!("sops refuses the way back: {error}\n{back}"))?;
        let again = self.open(&back)?;
        if again.outcome().verdict() == Verdict::Broken {
            return Err("broken".to_owned());
        }
        // sops re-emits the file around an unchanged mac: never broken.
        let other = "age1lzd99uklcjnc0e7d860axevet2cz99ce9pq6tzuzd05l5nr28ams36nvun";
        for file in [ours, &back] {
            let rotated = self.change(
                file,
                "yaml",
                &["groups", "add", "--in-place", "--age", other, "--file"],
                &[],
            )?;
            let parsed = EncryptedFile::parse(rotated.clone(), Format::Yaml)
                .map_err(|error| format!("after groups add: {error}"))?;
            parsed
                .decrypt(&self.key())
                .map_err(|error| format!("after groups add: {error}\n{rotated}"))?;
        }
        Ok(())
    }
}

#[test]
fn sops_reads_what_we_rotated() {
    let Some(sops) = Sops::start() else { return };
    let text = include_str!("../../testdata/examples/values.yaml");
    let theirs = sops.encrypt(text, "yaml", &[]).expect("sops encrypts");
    let file = EncryptedFile::parse(theirs, Format::Yaml).expect("a file");
    let key = sops.unwrap(&file);
    let opened = file.decrypt(&key).expect("opens");
    let options = RotateOptions {
        groups: sops.groups.clone(),
        recipients_are_known: true,
        text_is_reviewed: true,
        nonces: Nonces::Derived,
        now: now(),
    };
    let rotated = opened.rotate(&sops.key(), &options).expect("rotates");
    let read = sops.decrypt(&rotated, "yaml", "yaml").expect("sops reads it");
    let again = sops.open(&rotated).expect("we read it");
    assert_eq!(again.outcome().verdict(), Verdict::Sealed);
    assert!(read.contains("c0rrect-horse"));
}
