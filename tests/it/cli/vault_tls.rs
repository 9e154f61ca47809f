//! Servers with TLS: whose certificates are believed, which one is shown, and what is said otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect;
use serde_json::json;

use super::{Sandbox, text};
use crate::openbao::{Own, Recorder};

/// Certificates of a folder, made by OpenSSL.
struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let made = Self { folder: tempfile::tempdir().expect("a folder") };
        let config = "[req]\ndistinguished_name = name\n[name]\n[any]\ncommonName = supplied\n\
             [authority]\nbasicConstraints = critical,CA:TRUE\n\
             [ca]\ndefault_ca = own\n[own]\ndatabase = database\nnew_certs_dir = .\n\
             default_md = sha256\npolicy = any\nrand_serial = yes\n";
        std::fs::write(made.path("config"), config).expect("written");
        std::fs::write(made.path("database"), "").expect("written");
        for name in ["authority", "stranger"] {
            made.openssl(&format!(
                "req -x509 -config config -extensions authority -days 30 -subj /CN={name} \
                 -keyout {name}.key -out {name}.pem {KEY}"
            ));
        }
        let now = "20200101000000Z";
        for (name, authority, until, extension) in [
            ("server", "authority", "20491231000000Z", "subjectAltName = IP:127.0.0.1"),
            ("named", "authority", "20491231000000Z", "subjectAltName = DNS:vault.internal"),
            ("expired", "authority", "20200201000000Z", "subjectAltName = IP:127.0.0.1"),
            ("client", "authority", "20491231000000Z", "extendedKeyUsage = clientAuth"),
            ("intruder", "stranger", "20491231000000Z", "extendedKeyUsage = clientAuth"),
        ] {
            std::fs::write(made.path("extension"), format!("{extension}\n")).expect("written");
            made.openssl(&format!(
                "req -new -config config -subj /CN={name} -keyout {name}.key -out {name}.csr {KEY}"
            ));
            made.openssl(&format!(
                "ca -batch -notext -config config -startdate {now} -enddate {until} -extfile \
                 extension -cert {authority}.pem -keyfile {authority}.key -in {name}.csr -out \
                 {name}.pem"
            ));
        }
        made
    }

    fn openssl(&self, words: &str) {
        let output = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("OPENSSL_CONF", "/dev/null")
            .output()
            .expect("openssl, which tests/run asks for");
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        text(&self.path(name))
    }

    fn listener(&self, name: &str) -> serde_json::Value {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        json!({ "tls_cert_file": self.path(&cert), "tls_key_file": self.path(&key) })
    }
}

/// A word, or what stands for one that counts seconds.
fn without_times(word: &str) -> &str {
    let digits = word.trim_start_matches('(');
    let is_time = digits.len() >= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_time { "SECONDS" } else { word }
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// A server that listens with several certificates.
struct Stage {
    own: Own,
    certificates: Certificates,
    mount: String,
    /// With a certificate for its address, for another name, with one of long ago, and one that wants to
    /// see the user's.
    good: String,
    named: String,
    expired: String,
    mutual: String,
}

impl Stage {
    fn set() -> Option<Self> {
        let certificates = Certificates::make();
        let mut mutual = certificates.listener("server");
        mutual["tls_require_and_verify_client_cert"] = true.into();
        mutual["tls_client_ca_file"] = certificates.text("authority.pem").into();
        let [good, named, expired] =
            ["server", "named", "expired"].map(|name| certificates.listener(name));
        let (own, addresses) = Own::start_with(&[good, named, expired, mutual])?;
        let [good, named, expired, mutual] = addresses.try_into().expect("four");
        let mount = own.mount();
        own.create_key(&mount, "a", json!({}));
        Some(Self { own, certificates, mount, good, named, expired, mutual })
    }

    fn user(&self, address: &str, variables: &[(&str, &str)]) -> Sandbox {
        let mut sandbox = Sandbox::bare()
            .with("VAULT_ADDR", address)
            .with("VAULT_TOKEN", self.own.root())
            .with("VAULT_MAX_RETRIES", "0");
        for (name, value) in variables {
            sandbox = sandbox.with(name, value);
        }
        let uri = format!("{address}/v1/{}/keys/a", self.mount);
        let rule = format!("creation_rules:\n  - hc_vault_transit_uri: {uri}\n");
        sandbox.write(".sops.yaml", &rule);
        sandbox.write("a.yaml", "a: one\n");
        sandbox
    }

    #[track_caller]
    fn works(&self, address: &str, variables: &[(&str, &str)]) {
        let sandbox = self.user(address, variables);
        let run = sandbox.run(&["encrypt", "-i", "a.yaml"]);
        assert_eq!(run.code, Some(0), "{variables:?}: {}", run.stderr);
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).stdout, "a: one\n");
    }

    /// What is said, without what differs from run to run.
    fn told(&self, what: &str, address: &str, variables: &[(&str, &str)]) -> String {
        let sandbox = self.user(address, variables);
        let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
        assert_eq!(sandbox.read("a.yaml"), "a: one\n");
        assert!(!said.contains(self.own.root()), "{said}");
        let said = said.replace(&text(self.certificates.folder.path()), "CERTIFICATES");
        let said = said.replace(address, "ADDRESS").replace(&self.mount, "MOUNT");
        // Times.
        let said: Vec<_> = said.split(' ').map(without_times).collect();
        let said = said.join(" ");
        format!("{what}\n{}\n", sandbox.masked(&said))
    }
}

#[test]
fn every_way_to_name_an_authority_is_enough() {
    let Some(stage) = Stage::set() else { return };
    let made = &stage.certificates;
    let authority = made.text("authority.pem");
    stage.works(&stage.good, &[("VAULT_CACERT", &authority)]);
    stage.works(&stage.good, &[("BAO_CACERT", &authority), ("VAULT_CACERT", "/nowhere")]);
    let bytes = std::fs::read_to_string(&authority).expect("readable");
    stage.works(&stage.good, &[("VAULT_CACERT_BYTES", &bytes)]);
    // A folder may hold other things as well, by which Vault's own client fails.
    let folder = made.path("folder");
    std::fs::create_dir_all(folder.join("more")).expect("made");
    for name in ["stranger.pem", "authority.pem", "server.key"] {
        std::fs::copy(made.path(name), folder.join(name)).expect("copied");
    }
    std::fs::write(folder.join("README"), "what is here\n").expect("written");
    stage.works(&stage.good, &[("VAULT_CAPATH", &text(&folder))]);
    // The name of the certificate is another one than that of the address.
    let name = ("VAULT_TLS_SERVER_NAME", "vault.internal");
    stage.works(&stage.named, &[("VAULT_CACERT", &authority), name]);
    for address in [&stage.good, &stage.named, &stage.expired] {
        stage.works(address, &[("VAULT_SKIP_VERIFY", "true")]);
    }
    let (certificate, key) = (made.text("client.pem"), made.text("client.key"));
    let client = [("VAULT_CLIENT_CERT", certificate.as_str()), ("VAULT_CLIENT_KEY", &key)];
    stage.works(&stage.mutual, &[("VAULT_CACERT", authority.as_str()), client[0], client[1]]);
    // All of it as text, by both names.
    let read = |path: &str| std::fs::read_to_string(path).expect("readable");
    let (certificate, key) = (read(&certificate), read(&key));
    for names in [
        ["VAULT_CACERT_BYTES", "VAULT_CLIENT_CERT_BYTES", "VAULT_CLIENT_KEY_BYTES"],
        ["BAO_CACERT_BYTES", "BAO_CLIENT_CERT_BYTES", "BAO_CLIENT_KEY_BYTES"],
    ] {
        let texts = [&bytes, &certificate, &key];
        let variables: Vec<_> = names.into_iter().zip(texts.map(String::as_str)).collect();
        stage.works(&stage.mutual, &variables);
    }
}

#[test]
fn a_key_that_is_given_as_text_is_not_repeated() {
    let Some(stage) = Stage::set() else { return };
    let made = &stage.certificates;
    let read = |name: &str| std::fs::read_to_string(made.path(name)).expect("readable");
    let (authority, certificate) = (made.text("authority.pem"), read("client.pem"));
    for key in [read("intruder.key"), read("intruder.key").replace('\n', " "), read("config")] {
        let variables = [
            ("VAULT_CACERT", authority.as_str()),
            ("VAULT_CLIENT_CERT_BYTES", &certificate),
            ("VAULT_CLIENT_KEY_BYTES", &key),
        ];
        let said = stage.told("client", &stage.mutual, &variables);
        let parts = key.split_whitespace().filter(|part| part.len() > 20);
        assert!(parts.into_iter().all(|part| !said.contains(part)), "{said}");
        assert!(said.contains("a.yaml: cannot wrap the data key"), "{said}");
    }
}

#[test]
fn a_proxy_sees_where_a_secured_request_goes_and_nothing_of_it() {
    let Some(stage) = Stage::set() else { return };
    let authority = stage.certificates.text("authority.pem");
    let proxy = Recorder::before(&stage.named.replace("https:", "http:"));
    let (address, own) = ("https://vault.internal:8200", proxy.address());
    let known = ("VAULT_CACERT", authority.as_str());
    for variables in [
        &[known, ("HTTPS_PROXY", own.as_str())][..],
        &[known, ("https_proxy", &own), ("NO_PROXY", "vault.example")],
        &[known, ("VAULT_PROXY_ADDR", &own), ("NO_PROXY", "vault.internal")],
        &[known, ("BAO_HTTP_PROXY", &own), ("HTTPS_PROXY", "http://127.0.0.1:1")],
    ] {
        let before = proxy.requests().len();
        stage.works(address, variables);
        let requests = proxy.requests();
        let seen = &requests[before..];
        assert!(seen.len() >= 2, "{variables:?}");
        for request in seen {
            let asked = (request.method.as_str(), request.path.as_str());
            assert_eq!(asked, ("CONNECT", "vault.internal:8200"), "{variables:?}");
            assert_eq!(request.header("x-vault-token"), None);
        }
    }
    let before = proxy.connections();
    let variables = [known, ("HTTPS_PROXY", &own), ("NO_PROXY", ".internal")];
    let said = stage.told("no proxy", address, &variables);
    assert!(said.contains("cannot connect"), "{said}");
    assert_eq!(proxy.connections(), before);
}

#[test]
fn a_server_that_is_not_believed_is_told_with_what_to_do() {
    let Some(stage) = Stage::set() else { return };
    let made = &stage.certificates;
    let (authority, stranger) = (made.text("authority.pem"), made.text("stranger.pem"));
    let known = ("VAULT_CACERT", authority.as_str());
    let (readme, absent, empty) = (made.text("config"), made.text("absent"), made.path("empty"));
    std::fs::create_dir(&empty).expect("made");
    // What nobody can read, whoever they are: 5 GiB, of which no byte is there.
    let [unread, partly] = ["unread", "partly"].map(|name| made.path(name));
    for folder in [&unread, &partly] {
        std::fs::create_dir(folder).expect("made");
        let large = std::fs::File::create(folder.join("large.pem")).expect("made");
        large.set_len(5 << 30).expect("made");
    }
    std::fs::copy(made.path("stranger.pem"), partly.join("stranger.pem")).expect("copied");
    let plain = stage.own.address().to_owned();
    let client =
        |name: &str| (made.text(&format!("{name}.pem")), made.text(&format!("{name}.key")));
    let (intruder, good) = (client("intruder"), client("client"));
    let shown = |pair: &(String, String)| -> [(&'static str, String); 2] {
        [("VAULT_CLIENT_CERT", pair.0.clone()), ("VAULT_CLIENT_KEY", pair.1.clone())]
    };
    let with = |pair: &[(&'static str, String); 2]| {
        let [certificate, key] = pair;
        stage.told(
            "client",
            &stage.mutual,
            &[known, (certificate.0, &certificate.1), (key.0, &key.1)],
        )
    };
    let mut told = String::new();
    for (what, address, variables) in [
        ("no authority", &stage.good, &[][..]),
        ("another authority", &stage.good, &[("VAULT_CACERT", stranger.as_str())]),
        ("a file without certificates", &stage.good, &[("VAULT_CACERT", readme.as_str())]),
        ("no such file", &stage.good, &[("VAULT_CACERT", absent.as_str())]),
        ("no certificate in the text", &stage.good, &[("VAULT_CACERT_BYTES", "nonsense")]),
        ("an empty folder", &stage.good, &[("VAULT_CAPATH", &text(&empty))]),
        ("a file that cannot be read", &stage.good, &[("VAULT_CAPATH", &text(&unread))]),
        ("and others that can", &stage.good, &[("VAULT_CAPATH", &text(&partly))]),
        ("expired", &stage.expired, &[known]),
        ("another name", &stage.named, &[known]),
        ("not that name either", &stage.good, &[known, ("VAULT_TLS_SERVER_NAME", "b.internal")]),
        ("no certificate shown", &stage.mutual, &[known]),
        ("plain to TLS", &stage.good.replace("https:", "http:"), &[known]),
        ("TLS to plain", &plain.replace("http:", "https:"), &[known]),
    ] {
        told += &stage.told(what, address, variables);
    }
    told += &with(&shown(&intruder));
    told += &with(&shown(&(good.0.clone(), intruder.1)));
    told += &with(&shown(&(good.0, text(Path::new("/nowhere")))));
    expect![[r#"
        no authority
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: invalid peer certificate: UnknownIssuer: set VAULT_CACERT to the file of its certificate authority

        another authority
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: invalid peer certificate: UnknownIssuer: set VAULT_CACERT to the file of its certificate authority

        a file without certificates
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: VAULT_CACERT: CERTIFICATES/config: holds no certificate in PEM

        no such file
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: VAULT_CACERT: CERTIFICATES/absent: no such file

        no certificate in the text
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: VAULT_CACERT_BYTES: holds no certificate in PEM

        an empty folder
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: VAULT_CAPATH: CERTIFICATES/empty: holds no certificate in PEM

        a file that cannot be read
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: VAULT_CAPATH: CERTIFICATES/unread: holds no certificate in PEM; CERTIFICATES/unread/large.pem: is larger than 4 GiB

        and others that can
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: invalid peer certificate: UnknownIssuer: set VAULT_CACERT to the file of its certificate authority; CERTIFICATES/partly/large.pem: is larger than 4 GiB

        expired
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: invalid peer certificate: certificate expired: verification time SECONDS (UNIX), but certificate is not valid after SECONDS SECONDS seconds ago): the server needs a new one

        another name
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: invalid peer certificate: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("vault.internal"): if it is the right server, set VAULT_TLS_SERVER_NAME to the name in its certificate

        not that name either
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: invalid peer certificate: certificate not valid for name "b.internal"; certificate is only valid for IpAddress(127.0.0.1): if it is the right server, set VAULT_TLS_SERVER_NAME to the name in its certificate

        no certificate shown
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: received fatal alert: CertificateRequired: the server wants to see a certificate: set VAULT_CLIENT_CERT and VAULT_CLIENT_KEY

        plain to TLS
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: Client sent an HTTP request to an HTTPS server. (400): the address begins with https://

        TLS to plain
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: the server speaks no TLS there: does its address begin with http://?

        client
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: received fatal alert: UnknownCA: the server does not accept the certificate of VAULT_CLIENT_CERT

        client
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: the connection: keys may not be consistent: KeyMismatch

        client
        error: a.yaml: cannot wrap the data key
          ADDRESS/v1/MOUNT/keys/a: VAULT_CLIENT_KEY: /nowhere: no such file

    "#]].assert_eq(&told);
    // Whoever sets up a server is told the same.
    let sandbox = Sandbox::bare().with("VAULT_TOKEN", stage.own.root());
    let address = stage.good.replace("https:", "http:");
    let said = sandbox.run(&["init", "--vault", &address, "--apply"]).fails(1);
    assert!(said.contains("hint: the address begins with https://\n"), "{said}");
}
