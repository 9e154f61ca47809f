#![expect(clippy::disallowed_methods, reason = "tests touch the machine")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use age::secrecy::SecretString;

use super::{
    AgeIdentities, IdentitySource, Interaction, Nobody, Reading, SourceKind, check_recipient,
    generate_identity,
};
use crate::keyservice::KeyError;
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

const KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

const ED25519: &str = include_str!("testdata/ed25519");
const ED25519_PUB: &str = include_str!("testdata/ed25519.pub");
const LOCKED: &str = include_str!("testdata/ed25519-locked");
const RSA: &str = include_str!("testdata/rsa");
const RSA_PUB: &str = include_str!("testdata/rsa.pub");
const ED25519_PKCS8: &str = include_str!("testdata/ed25519-pkcs8");
const RSA_LOCKED: &str = include_str!("testdata/rsa-locked");
const RSA_PEM: &str = include_str!("testdata/rsa-pem");
const RSA_PEM_LOCKED: &str = include_str!("testdata/rsa-pem-locked");
const RSA_PKCS8: &str = include_str!("testdata/rsa-pkcs8");
const RSA_PKCS8_LOCKED: &str = include_str!("testdata/rsa-pkcs8-locked");
const RSA_WEAK_PUB: &str = include_str!("testdata/rsa-weak.pub");
const ECDSA_PUB: &str = include_str!("testdata/ecdsa.pub");

/// The user, who answers every passphrase prompt alike and remembers it.
struct User {
    answer: &'static str,
    asked: Mutex<Vec<String>>,
}

impl User {
    fn answering(answer: &'static str) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Interaction for User {
    fn passphrase(&self, prompt: &str) -> Result<SecretText, String> {
        self.asked.lock().expect("not poisoned").push(prompt.to_owned());
        Ok(SecretText::new(self.answer.to_owned()))
    }

    fn message(&self, _text: &str) {}

    fn confirm(&self, _question: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn line(&self, _prompt: &str) -> Option<String> {
        None
    }
}

fn source(kind: SourceKind, name: &str, text: &str) -> IdentitySource {
    IdentitySource::of_text(kind, name, SecretText::new(text.to_owned()))
}

fn service(sources: Vec<IdentitySource>) -> AgeIdentities {
    AgeIdentities::new(sources, Arc::new(Nobody))
}

/// Identity and recipient.
fn new_pair() -> (String, String) {
    let new = generate_identity(Timestamp::from_unix(0).expect("in range"));
    let file = new.file.expose_secret();
    (file.lines().last().expect("the identity").to_owned(), new.recipient)
}

/// The identity file locked with a passphrase.
fn lock(text: &str, passphrase: &str) -> String {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(2);
    super::recipient::encrypt(&recipient, text.as_bytes()).expect("locked")
}

#[track_caller]
fn looked(result: Result<zeroize::Zeroizing<Vec<u8>>, KeyError>) -> Vec<String> {
    match result {
        Err(KeyError::NoIdentity { looked }) => {
            looked.into_iter().map(|place| format!("{}: {}", place.name, place.outcome)).collect()
        }
        other => panic!("no identity was expected to fit: {other:?}"),
    }
}

#[test]
fn a_key_is_wrapped_as_one_armored_file() {
    let (identity, recipient) = new_pair();
    let service = service(vec![source(SourceKind::IdentityWords, "SOPS_AGE_KEY", &identity)]);
    let wrapped = service.wrap_bytes(&format!(" {recipient} "), KEY).expect("wrapped");
    assert!(wrapped.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert!(wrapped.ends_with("\n-----END AGE ENCRYPTED FILE-----\n"));
    let lines: Vec<_> = wrapped.lines().collect();
    assert!(lines[1..lines.len() - 2].iter().all(|line| line.len() == 64));
    assert_eq!(**service.unwrap_bytes(&recipient, &wrapped).expect("unwrapped"), *KEY);
    // As other tools leave it.
    for variant in [
        wrapped.replace('\n', "\r\n"),
        format!("\n  \t{wrapped}\n\n"),
        wrapped.trim_end().to_owned(),
    ] {
        assert_eq!(**service.unwrap_bytes(&recipient, &variant).expect("unwrapped"), *KEY);
    }
}

#[test]
fn identities_of_all_sources_are_one_set() {
    let pairs: Vec<_> = (0..4).map(|_| new_pair()).collect();
    let service = service(vec![
        source(
            SourceKind::IdentityWords,
            "SOPS_AGE_KEY",
            &format!("# me\n{} {}", pairs[0].0, pairs[1].0),
        ),
        source(
            SourceKind::Identities,
            "file",
            &format!("# c\r\n{}\r\n\r\n{}\r\n", pairs[2].0, pairs[3].0),
        ),
    ]);
    for (_, recipient) in &pairs {
        let wrapped = service.wrap_bytes(recipient, KEY).expect("wrapped");
        assert_eq!(**service.unwrap_bytes(recipient, &wrapped).expect("unwrapped"), *KEY);
        // The recipient in a file is not trusted to be the one that it is wrapped for.
        assert_eq!(**service.unwrap_bytes("age1other", &wrapped).expect("unwrapped"), *KEY);
    }
}

#[test]
fn every_place_is_told_if_none_fits() {
    let (mine, _) = new_pair();
    let (_, other) = new_pair();
    let not_there = |name: &str| {
        IdentitySource::new(SourceKind::Identities, Reading::Once, name, "", Box::new(|_| Ok(None)))
    };
    let service = service(vec![
        source(SourceKind::SshKey, "~/.ssh/id_ed25519", ED25519),
        source(SourceKind::IdentityWords, "SOPS_AGE_KEY", &mine),
        source(SourceKind::Identities, "SOPS_AGE_KEY_FILE", &format!("{mine}\n {mine}\n")),
        source(SourceKind::Identities, "pq", &format!("{mine}\nAGE-SECRET-KEY-PQ-1XYZ\n")),
        source(SourceKind::Identities, "locked", &lock(&mine, "x")),
        not_there("keys.txt"),
        IdentitySource::new(
            SourceKind::Identities,
            Reading::PerRecipient,
            "SOPS_AGE_KEY_CMD",
            "false",
            Box::new(|_| Err("exited with 1".into())),
        ),
    ]);
    let wrapped = service.wrap_bytes(&other, KEY).expect("wrapped");
    assert_eq!(
        looked(service.unwrap_bytes(&other, &wrapped)),
        [
            "~/.ssh/id_ed25519: not for this recipient",
            "SOPS_AGE_KEY: one identity, which is not for this recipient",
            "SOPS_AGE_KEY_FILE: line 2: not an age identity",
            "pq: one identity, which is not for this recipient; post-quantum identities are not supported yet",
            "locked: nobody can be asked for its passphrase",
            "keys.txt: not there",
            "SOPS_AGE_KEY_CMD: exited with 1",
        ]
    );
}

#[test]
fn ssh_keys_unwrap() {
    let keys = [
        (ED25519, ED25519_PUB),
        (ED25519_PKCS8, ED25519_PUB),
        (RSA, RSA_PUB),
        (RSA_PEM, RSA_PUB),
        (RSA_PKCS8, RSA_PUB),
    ];
    for (private, public) in keys.iter().flat_map(|&(private, public)| {
        [(private.to_owned(), public), (private.replace('\n', "\r\n"), public)]
    }) {
        let service = service(vec![source(SourceKind::SshKey, "ssh", &private)]);
        // The comment behind the key is kept in files, and no part of it.
        let wrapped = service.wrap_bytes(public, KEY).expect("wrapped");
        assert_eq!(**service.unwrap_bytes(public, &wrapped).expect("unwrapped"), *KEY);
    }
}

/// The public half of [`LOCKED`].
fn locked_recipient() -> String {
    let key = age::ssh::Identity::from_buffer(LOCKED.as_bytes(), None).expect("a key");
    age::ssh::Recipient::try_from(key).map(|it| it.to_string()).expect("a recipient")
}

#[test]
fn a_locked_ssh_key_is_asked_for_once_and_only_for_its_own_files() {
    let user = User::answering("correct horse");
    let service =
        AgeIdentities::new(vec![source(SourceKind::SshKey, "id_ed25519", LOCKED)], user.clone());
    let other = service.wrap_bytes(ED25519_PUB, KEY).expect("wrapped");
    assert_eq!(
        looked(service.unwrap_bytes(ED25519_PUB, &other)),
        ["id_ed25519: not for this recipient"]
    );
    assert_eq!(user.asked(), Vec::<String>::new());
    let recipient = locked_recipient();
    for _ in 0..2 {
        let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
        assert_eq!(**service.unwrap_bytes(&recipient, &wrapped).expect("unwrapped"), *KEY);
    }
    assert_eq!(user.asked(), ["Enter passphrase for identity 'id_ed25519': "]);
}

/// An SSH key with a public key beside it.
fn with_public(private: &str, public: Result<&str, &str>) -> IdentitySource {
    let public = public.map(str::to_owned).map_err(str::to_owned);
    source(SourceKind::SshKey, "id_rsa", private).with_public(Box::new(move || public.clone()))
}

#[test]
fn a_locked_key_that_does_not_tell_whose_it_is_has_a_public_key_beside_it() {
    // OpenSSH's own form tells it.
    for (locked, public) in [
        (RSA_LOCKED, Err("never read")),
        (RSA_PEM_LOCKED, Ok(RSA_PUB)),
        (RSA_PKCS8_LOCKED, Ok(RSA_PUB)),
    ] {
        let user = User::answering("correct horse");
        let service = AgeIdentities::new(vec![with_public(locked, public)], user.clone());
        let other = service.wrap_bytes(ED25519_PUB, KEY).expect("wrapped");
        assert_eq!(
            looked(service.unwrap_bytes(ED25519_PUB, &other)),
            ["id_rsa: not for this recipient"]
        );
        assert_eq!(user.asked(), [""; 0]);
        for _ in 0..2 {
            let wrapped = service.wrap_bytes(RSA_PUB, KEY).expect("wrapped");
            assert_eq!(**service.unwrap_bytes(RSA_PUB, &wrapped).expect("unwrapped"), *KEY);
        }
        assert_eq!(user.asked(), ["Enter passphrase for identity 'id_rsa': "]);
        let service =
            AgeIdentities::new(vec![with_public(locked, public)], User::answering("wrong"));
        let wrapped = service.wrap_bytes(RSA_PUB, KEY).expect("wrapped");
        assert_eq!(
            looked(service.unwrap_bytes(RSA_PUB, &wrapped)),
            ["id_rsa: incorrect passphrase"]
        );
    }
}

#[track_caller]
fn check_ssh_source(source: IdentitySource, expected: &str) {
    let service = AgeIdentities::new(vec![source], User::answering("correct horse"));
    let wrapped = service.wrap_bytes(RSA_PUB, KEY).expect("wrapped");
    assert_eq!(looked(service.unwrap_bytes(RSA_PUB, &wrapped)), [format!("id_rsa: {expected}")]);
}

#[test]
fn ssh_keys_that_cannot_be_used_say_why() {
    let check =
        |text: &str, expected: &str| check_ssh_source(with_public(text, Ok(RSA_PUB)), expected);
    let damaged = "a damaged SSH private key";
    let unknown = "not an SSH private key in a format that age reads";
    check("", unknown);
    check(RSA_PUB, unknown);
    check(&RSA_PEM[..400], unknown);
    check(&RSA_PKCS8[..400], damaged);
    check(&RSA_PKCS8_LOCKED[..400], damaged);
    check(&RSA_PKCS8.replacen("MII", "MIJ", 1), damaged);
    check(&RSA_PEM_LOCKED.replace("DEK-Info", "Dek"), damaged);
    // The IV is 32 hexadecimal digits, no more, no less, no sign.
    for start in ["AES-128-CBC,+", "AES-128-CBC,0", "AES-128-CBC,00", "AES-128-CBC,\u{e9}"] {
        check(&RSA_PEM_LOCKED.replace("AES-128-CBC,", start), damaged);
    }
    let iv = RSA_PEM_LOCKED.split("AES-128-CBC,").nth(1).and_then(|it| it.lines().next());
    let iv = iv.expect("an IV");
    for shorter in [&iv[..31], &iv[..2], ""] {
        check(&RSA_PEM_LOCKED.replace(iv, shorter), damaged);
    }
    check(
        &RSA_PEM_LOCKED.replace("AES-128-CBC", "DES-EDE3-CBC"),
        "locked with an old cipher: `ssh-keygen -p` converts it",
    );
    check(&RSA_PEM_LOCKED.replace("AES-128", "AES-256"), "incorrect passphrase");
    check(
        &RSA_PKCS8_LOCKED.replacen("BQ0w", "BQ4w", 1),
        "locked in a way that is not supported: `ssh-keygen -p` converts it",
    );
    let rsa = source(SourceKind::SshKey, "id_rsa", RSA_PEM_LOCKED);
    check_ssh_source(rsa, "locked, and no public key is beside it: `ssh-keygen -p` converts it");
    check_ssh_source(with_public(RSA_PEM_LOCKED, Err("no such file")), "no such file");
    check_ssh_source(
        with_public(RSA_PEM_LOCKED, Ok("ssh-rsa !")),
        "the public key beside it is damaged",
    );
    // A key of another kind, as OpenSSL writes it.
    let ecdsa = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQEBAQEBAQEBAQEB\n\
        AQEBAQEBAQEBAQEBAQEBAQEBAQGhRANCAARvBSDS+jLxZfDzGIxcLTxSp0JFpaIt\n\
        CRJBkhYmvFTbXlpvEYhOTqZj1rSbVe4uRzYqpJiYf9y3GmzD5E1p+MAA\n\
        -----END PRIVATE KEY-----\n";
    let read = super::source::IdentitySource::of_text(
        SourceKind::SshKey,
        "id_rsa",
        SecretText::new(ecdsa.to_owned()),
    );
    check_ssh_source(read, "an SSH key of a kind age cannot use");
}

#[test]
fn a_text_of_identities_holds_nothing_else() {
    let (identity, recipient) = new_pair();
    let user = User::answering("x");
    let plugin = bech32("age-plugin-test-", b"test").to_uppercase();
    let service = AgeIdentities::new(
        vec![
            source(SourceKind::Identities, "ssh", ED25519),
            source(SourceKind::IdentityWords, "recipient", &recipient),
            source(SourceKind::Identities, "broken", &identity[..40]),
            source(SourceKind::Identities, "locked plugin", &lock(&plugin, "x")),
            source(SourceKind::Identities, "for a key", &{
                let wrapped = service(Vec::new()).wrap_bytes(&recipient, KEY);
                wrapped.expect("wrapped")
            }),
        ],
        user,
    );
    let (_, other) = new_pair();
    let wrapped = service.wrap_bytes(&other, KEY).expect("wrapped");
    assert_eq!(
        looked(service.unwrap_bytes(&other, &wrapped)),
        [
            "ssh: line 1: not an age identity",
            "recipient: line 1: a recipient, where an identity (AGE-SECRET-KEY-1…) is needed",
            "broken: line 1: malformed: invalid Bech32 encoding",
            "locked plugin: age-plugin-test is not in PATH",
            "for a key: it is an age file, but not one with a passphrase",
        ]
    );
}

#[test]
fn a_locked_identity_file_may_be_binary() {
    let (identity, recipient) = new_pair();
    let mut lock = age::scrypt::Recipient::new(SecretString::from("x".to_owned()));
    lock.set_work_factor(2);
    let binary = age::encrypt(&lock, identity.as_bytes()).expect("locked");
    let armored = super::armor_identity_file(&binary).expect("an age file");
    let sources = vec![source(SourceKind::Identities, "file", armored.expose_secret())];
    let service = AgeIdentities::new(sources, User::answering("x"));
    let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
    assert_eq!(**service.unwrap_bytes(&recipient, &wrapped).expect("unwrapped"), *KEY);
    assert!(super::armor_identity_file(identity.as_bytes()).is_none());
}

#[test]
fn a_locked_identity_file_is_asked_for_once_and_last() {
    let (locked_identity, locked_recipient) = new_pair();
    let (open_identity, open_recipient) = new_pair();
    let user = User::answering("open sesame");
    let service = AgeIdentities::new(
        vec![
            source(
                SourceKind::Identities,
                "SOPS_AGE_KEY_FILE",
                &lock(&locked_identity, "open sesame"),
            ),
            source(SourceKind::Identities, "keys.txt", &open_identity),
        ],
        user.clone(),
    );
    let unwrap = |recipient: &str| {
        let wrapped = service.wrap_bytes(recipient, KEY).expect("wrapped");
        assert_eq!(**service.unwrap_bytes(recipient, &wrapped).expect("unwrapped"), *KEY);
    };
    unwrap(&open_recipient);
    assert_eq!(user.asked(), Vec::<String>::new());
    unwrap(&locked_recipient);
    unwrap(&locked_recipient);
    assert_eq!(user.asked(), ["Enter passphrase for identity 'SOPS_AGE_KEY_FILE': "]);
}

#[test]
fn a_wrong_passphrase_is_called_so() {
    let (identity, recipient) = new_pair();
    let user = User::answering("wrong");
    let sources = vec![
        source(SourceKind::Identities, "file", &lock(&identity, "right")),
        source(SourceKind::SshKey, "ssh", LOCKED),
    ];
    let service = AgeIdentities::new(sources, user);
    let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
    assert_eq!(looked(service.unwrap_bytes(&recipient, &wrapped))[0], "file: incorrect passphrase");
    let recipient = locked_recipient();
    let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
    assert_eq!(looked(service.unwrap_bytes(&recipient, &wrapped))[1], "ssh: incorrect passphrase");
}

#[test]
fn nothing_is_read_before_it_is_needed() {
    let (identity, recipient) = new_pair();
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = |kind, reading, name: &str| {
        let reads = Arc::clone(&reads);
        let read = move |_: &str| {
            reads.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        };
        IdentitySource::new(kind, reading, name, "", Box::new(read))
    };
    let service = service(vec![
        counted(SourceKind::SshKey, Reading::Once, "ssh"),
        counted(SourceKind::Identities, Reading::PerRecipient, "command"),
        source(SourceKind::IdentityWords, "SOPS_AGE_KEY", &identity),
    ]);
    let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
    assert_eq!(reads.load(Ordering::Relaxed), 0);
    service.unwrap_bytes(&recipient, &wrapped).expect("unwrapped");
    assert_eq!(reads.load(Ordering::Relaxed), 0);
}

#[test]
fn commands_are_asked_once_per_recipient() {
    let pairs: Vec<_> = (0..2).map(|_| new_pair()).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let read = {
        let (asked, pairs) = (Arc::clone(&asked), pairs.clone());
        move |recipient: &str| {
            asked.lock().expect("not poisoned").push(recipient.to_owned());
            let found = pairs.iter().find(|(_, it)| it == recipient);
            Ok(found.map(|(identity, _)| SecretText::new(identity.clone())))
        }
    };
    let command = IdentitySource::new(
        SourceKind::Identities,
        Reading::PerRecipient,
        "cmd",
        "",
        Box::new(read),
    );
    let service = service(vec![command]);
    for (_, recipient) in pairs.iter().chain(&pairs) {
        let wrapped = service.wrap_bytes(recipient, KEY).expect("wrapped");
        service.unwrap_bytes(recipient, &wrapped).expect("unwrapped");
    }
    assert_eq!(*asked.lock().expect("not poisoned"), [pairs[0].1.clone(), pairs[1].1.clone()]);
}

#[test]
fn damaged_files_are_told_apart_from_missing_identities() {
    let (identity, recipient) = new_pair();
    let service = service(vec![source(SourceKind::IdentityWords, "SOPS_AGE_KEY", &identity)]);
    let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
    for damaged in [
        String::new(),
        "text".to_owned(),
        wrapped[..wrapped.len() / 2].to_owned(),
        wrapped.replace("YWdl", "YWdm"),
        wrapped.replacen("-----\n", "-----\n!", 1),
    ] {
        let result = service.unwrap_bytes(&recipient, &damaged);
        assert!(matches!(result, Err(KeyError::Malformed { .. })), "{result:?}");
    }
}

#[track_caller]
fn check_text(recipient: &str, expected: &str) {
    let result =
        check_recipient(recipient).map_or_else(|error| error.to_string(), |()| "ok".into());
    assert_eq!(result, expected);
}

#[test]
fn recipients_are_checked() {
    let (identity, recipient) = new_pair();
    check_text(&recipient, "ok");
    check_text(&format!("  {recipient}\n"), "ok");
    check_text(ED25519_PUB, "ok");
    check_text(RSA_PUB, "ok");
    check_text("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "ok");
    check_text("age1pq1abc", "post-quantum recipients (age1pq1…) are not supported yet");
    let mut damaged = recipient.clone();
    let last = damaged.pop().expect("a character");
    damaged.push(if last == 'q' { 'p' } else { 'q' });
    check_text(&damaged, "not a valid age recipient: invalid Bech32 encoding");
    check_text(RSA_WEAK_PUB, "not a valid SSH recipient: the RSA key is shorter than 2048 bits");
    check_text("ssh-rsa AAAA", "not a valid SSH recipient: the key is damaged");
    check_text(
        ECDSA_PUB,
        "unknown recipient type: an age recipient begins with age1, ssh-ed25519 or ssh-rsa",
    );
    let secret =
        "this is an age identity (a secret), not a recipient: `age-keygen -y` shows the recipient";
    check_text(&identity, secret);
    check_text(ED25519, secret);
    check_text(
        "",
        "unknown recipient type: an age recipient begins with age1, ssh-ed25519 or ssh-rsa",
    );
}

#[test]
fn a_new_identity_is_laid_out_as_age_keygen_does() {
    let new = generate_identity(Timestamp::from_unix(1_767_323_045).expect("in range"));
    let lines: Vec<_> = new.file.expose_secret().lines().collect();
    assert_eq!(lines[0], "# created: 2026-01-02T03:04:05Z");
    assert_eq!(lines[1], format!("# public key: {}", new.recipient));
    assert!(lines[2].starts_with("AGE-SECRET-KEY-1") && lines.len() == 3);
    assert!(new.file.expose_secret().ends_with('\n'));
}

/// A key that is wrapped for so many recipients, one of them with an identity here.
fn wrapped_for(recipients: usize) -> (AgeIdentities, String) {
    let (identity, recipient) = new_pair();
    let recipient: age::x25519::Recipient = recipient.parse().expect("a recipient");
    let all = std::iter::repeat_n(&recipient as &dyn age::Recipient, recipients);
    let encryptor = age::Encryptor::with_recipients(all).expect("recipients");
    let mut armor = Vec::new();
    let format = age::armor::Format::AsciiArmor;
    let output = age::armor::ArmoredWriter::wrap_output(&mut armor, format).expect("armor");
    let mut writer = encryptor.wrap_output(output).expect("a writer");
    std::io::Write::write_all(&mut writer, KEY).expect("written");
    writer.finish().and_then(age::armor::ArmoredWriter::finish).expect("finished");
    let service = service(vec![source(SourceKind::Identities, "file", &identity)]);
    (service, String::from_utf8(armor).expect("ASCII"))
}

/// The library adds a stanza of its own.
#[test]
fn a_key_wrapped_for_very_many_recipients_is_refused() {
    let (service, wrapped) = wrapped_for(999);
    assert_eq!(**service.unwrap_bytes("age1", &wrapped).expect("unwrapped"), *KEY);
    let (service, wrapped) = wrapped_for(1_000);
    let error = service.unwrap_bytes("age1", &wrapped).expect_err("too many");
    assert_eq!(
        error.to_string(),
        "the wrapped key cannot be read: it has more than 1000 recipients"
    );
}

const CHILD: &str = "WAXSEAL_TEST_PLUGIN_CHILD";

/// Run by [`plugins_wrap_and_unwrap`] with a plugin in its PATH.
#[test]
fn plugin_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let recipient = bech32("age1test", b"test");
    let identity = bech32("age-plugin-test-", b"test").to_uppercase();
    let service = service(vec![source(SourceKind::Identities, "file", &identity)]);
    let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
    assert_eq!(**service.unwrap_bytes(&recipient, &wrapped).expect("unwrapped"), *KEY);
    let missing = service.wrap_bytes(&bech32("age1missing", b"test"), KEY);
    assert_eq!(
        missing.expect_err("no such plugin").to_string(),
        "age-plugin-missing is not in PATH"
    );
    one_that_fails_hides_no_other(&recipient, &wrapped, &identity);
    plugins_of_a_locked_file_are_used(&recipient, &wrapped, &identity);
}

/// A plugin that is not there, and one that gives a wrong key.
fn one_that_fails_hides_no_other(recipient: &str, wrapped: &str, identity: &str) {
    let plugin = |name: &str| bech32(&format!("age-plugin-{name}-"), b"test").to_uppercase();
    let failing = [plugin("missing"), plugin("liar"), plugin("gone")];
    let service = |identities: &[&str]| {
        service(vec![source(SourceKind::Identities, "file", &identities.join("\n"))])
    };
    let [missing, liar, gone] = failing.each_ref().map(String::as_str);
    let with = service(&[missing, liar, gone, identity]);
    assert_eq!(**with.unwrap_bytes(recipient, wrapped).expect("unwrapped"), *KEY);
    let without = service(&[missing, liar, gone]);
    assert_eq!(
        looked(without.unwrap_bytes(recipient, wrapped)),
        ["file: age-plugin-missing is not in PATH; its header was changed; \
          age-plugin-gone is not in PATH"]
    );
}

fn plugins_of_a_locked_file_are_used(recipient: &str, wrapped: &str, identity: &str) {
    let (native, other) = new_pair();
    let text = format!("{native}\n{identity}\n");
    let user = User::answering("x");
    let locked = source(SourceKind::Identities, "locked", &lock(&text, "x"));
    let service = AgeIdentities::new(vec![locked], user.clone());
    assert_eq!(**service.unwrap_bytes(recipient, wrapped).expect("unwrapped"), *KEY);
    let wrapped = service.wrap_bytes(&other, KEY).expect("wrapped");
    assert_eq!(**service.unwrap_bytes(&other, &wrapped).expect("unwrapped"), *KEY);
    assert_eq!(user.asked(), ["Enter passphrase for identity 'locked': "]);
}

#[test]
fn plugins_wrap_and_unwrap() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let plugin = dir.path().join("age-plugin-test");
    std::fs::write(&plugin, include_str!("testdata/age-plugin-test")).expect("written");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let liar = dir.path().join("age-plugin-liar");
    let wrong = include_str!("testdata/age-plugin-test").replace(
        "-> file-key 0\\n%s\\n' \"$stanza\"",
        "-> file-key 0\\n%s\\n' AAAAAAAAAAAAAAAAAAAAAA",
    );
    std::fs::write(&liar, wrong).expect("written");
    std::fs::set_permissions(&liar, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "keyservice::age::tests::plugin_child"])
        .env(CHILD, "1")
        .env("PATH", format!("{}:{path}", dir.path().display()))
        .output()
        .expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A bech32 encoder: the crate's is not public.
fn bech32(hrp: &str, data: &[u8]) -> String {
    const CHARS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let bits: Vec<u8> = data.iter().flat_map(|b| (0..8).rev().map(move |i| (b >> i) & 1)).collect();
    let mut values: Vec<u8> = bits
        .chunks(5)
        .map(|chunk| (0..5).fold(0, |sum, i| (sum << 1) | chunk.get(i).copied().unwrap_or(0)))
        .collect();
    let polymod = |values: &[u8]| {
        values.iter().fold(1u32, |sum, &value| {
            let top = sum >> 25;
            [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3]
                .iter()
                .enumerate()
                .filter(|(i, _)| (top >> i) & 1 == 1)
                .fold(((sum & 0x01ff_ffff) << 5) ^ u32::from(value), |sum, (_, g)| sum ^ g)
        })
    };
    let mut all: Vec<u8> = hrp.bytes().map(|b| b >> 5).collect();
    all.push(0);
    all.extend(hrp.bytes().map(|b| b & 31));
    all.extend(&values);
    all.extend([0; 6]);
    let sum = polymod(&all) ^ 1;
    values.extend((0..6).map(|i| u8::try_from((sum >> (5 * (5 - i))) & 31).unwrap_or(0)));
    let text: String = values.iter().map(|&v| char::from(CHARS[usize::from(v)])).collect();
    format!("{hrp}1{text}")
}
