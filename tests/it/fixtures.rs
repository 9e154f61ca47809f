//! Files that real sops made are read, without sops: each to the data of the `.plain` beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxseal::document::{Document, Format};
use waxseal::file::{EncryptedFile, Verdict};
use waxseal::keyservice::age::{AgeIdentities, IdentitySource, Nobody, SourceKind};
use waxseal::keyservice::{DecryptionOrder, Keyring};
use waxseal::secret::SecretText;

use crate::sops::{roots, same};
use crate::support::files;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sops")
}

/// The three throwaway identities.
fn keyring() -> Keyring {
    let source = |name: &str, kind| {
        let text = std::fs::read_to_string(folder().join(name)).expect("an identity");
        IdentitySource::of_text(kind, name, SecretText::new(text))
    };
    let sources = vec![
        source("keys.txt", SourceKind::Identities),
        source("second.txt", SourceKind::Identities),
        source("id_ed25519", SourceKind::SshKey),
    ];
    let age = AgeIdentities::new(sources, Arc::new(Nobody));
    Keyring::new(vec![Box::new(age)], DecryptionOrder::default())
}

#[test]
fn files_made_by_sops_are_read() {
    let keyring = keyring();
    let mut read = 0;
    for plain in files(&folder(), ".plain") {
        let sealed = plain.with_extension("");
        let name = sealed.file_name().expect("a name").to_string_lossy().into_owned();
        let plain = std::fs::read_to_string(plain).expect("UTF-8");
        let text = std::fs::read_to_string(&sealed).expect("UTF-8");
        let format = Format::of_file_name(&name);
        let file = EncryptedFile::parse(text, format).unwrap_or_else(|it| panic!("{name}: {it}"));
        let key = keyring.recover(file.metadata().groups()).expect("a key");
        let opened = file.decrypt(&key).unwrap_or_else(|it| panic!("{name}: {it}"));
        assert_eq!(opened.outcome().verdict(), Verdict::Sops, "{name}");
        if opened.encrypted().is_envelope() {
            assert_eq!(opened.content(), plain.as_bytes(), "{name}");
        } else {
            let expected = Document::parse(plain, format).expect("valid");
            let (ours, theirs) = (roots(opened.document()), roots(&expected));
            assert!(same(&ours, &theirs), "{name} is read as\n{}", opened.document().text());
        }
        read += 1;
    }
    assert!(read > 15, "only {read} files");
}
