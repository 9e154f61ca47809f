//! Kerberos beside a real key distribution centre, and the directory that the server wants to ask as well.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use waxseal::keyservice::vault::Address;
use waxseal::keyservice::vault::auth::{Kerberos, LoginError, Session, service_name};
use waxseal::secret::SecretText;

use super::{at_desk, lines, policies};
use crate::cli::login::backends::{directory, libraries, root};
use crate::openbao::{Bao, Process, Recorder, free_pair};

const CLIENT: &str = "\
[libdefaults]
 default_realm = EXAMPLE.ORG
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 EXAMPLE.ORG = {
  kdc = 127.0.0.1:PORT
 }
[dbmodules]
 db_module_dir = MODULES
";

// The server does not read what newer centres say of a person beside the name.
const CENTRE: &str = "\
[kdcdefaults]
 kdc_listen = 127.0.0.1:PORT
 kdc_tcp_listen = 127.0.0.1:PORT
[realms]
 EXAMPLE.ORG = {
  database_name = DIR/principal
  key_stash_file = DIR/stash
  disable_pac = true
 }
";

/// A centre with one person and one service.
struct Centre {
    root: PathBuf,
    dir: TempDir,
    variables: Vec<(&'static str, String)>,
    /// Ends with the test.
    _process: Process,
}

impl Centre {
    fn start(root: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let (library, folders) = libraries(root);
        let modules = folders.split(':').map(|folder| format!("{folder}/krb5/plugins/kdb"));
        let modules = modules.into_iter().find(|it| Path::new(it).exists()).expect("its modules");
        let port = free_pair().to_string();
        let client = CLIENT.replace("PORT", &port).replace("MODULES", &modules);
        let centre = CENTRE.replace("PORT", &port).replace("DIR", &path(""));
        fs::write(path("krb5.conf"), client).expect("written");
        fs::write(path("kdc.conf"), centre).expect("written");
        let variables = vec![
            (library, folders),
            ("KRB5_CONFIG", path("krb5.conf")),
            ("KRB5_KDC_PROFILE", path("kdc.conf")),
            ("KRB5CCNAME", format!("FILE:{}", path("tickets"))),
        ];
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(root.join(program));
            command.args(args).envs(variables.iter().map(|(name, value)| (name, value)));
            let output = command.output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let create = ["create", "-s", "-P", "of-the-centre", "-r", "EXAMPLE.ORG"];
        run("usr/sbin/kdb5_util", &create);
        for query in [
            "addprinc -pw hunter2 anna".to_owned(),
            "addprinc -randkey HTTP/127.0.0.1".to_owned(),
            "addprinc -randkey HTTP/elsewhere".to_owned(),
            format!("ktadd -k {} HTTP/127.0.0.1", path("keytab")),
        ] {
            run("usr/sbin/kadmin.local", &["-q", &query]);
        }
        let given: Vec<_> = variables.iter().map(|(name, value)| (*name, value.clone())).collect();
        let program = root.join("usr/sbin/krb5kdc");
        // It says so to its log, which without a setting is standard error.
        let process = Process::start_until(&program, &["-n".to_owned()], &given, "starting...");
        let process = process.unwrap_or_else(|log| panic!("krb5kdc does not start:\n{log}"));
        let centre = Self { root: root.to_owned(), dir, variables, _process: process };
        centre.log_in();
        centre
    }

    /// Gets the person's ticket.
    fn log_in(&self) {
        let mut command = self.command(&self.root.join("usr/bin/kinit"));
        let mut kinit = command.arg("anna").stdin(Stdio::piped()).spawn().expect("it runs");
        kinit.stdin.take().expect("a pipe").write_all(b"hunter2\n").expect("written");
        assert!(kinit.wait().expect("a child").success());
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::null());
        command
    }

    fn token(&self, service: &str) -> SecretText {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/kerberos/spnego.py");
        let mut command = self.command(Path::new("python3"));
        let output = command.arg(script).arg(service).stdout(Stdio::piped()).output();
        let output = output.expect("python3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        SecretText::new(String::from_utf8(output.stdout).expect("text"))
    }

    fn keytab(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("keytab")).expect("a file")
    }
}

/// A mount that takes tickets of the centre, and who stands before the server.
fn mount(bao: &Bao, centre: &Centre, directory: &str, header: bool) -> (String, Recorder) {
    let mount = bao.auth("", "kerberos");
    let post =
        |path: &str, body: Value| bao.ask("POST", &format!("auth/{mount}/{path}"), Some(body));
    let keytab = BASE64_STANDARD.encode(centre.keytab());
    post("config", json!({ "keytab": keytab, "service_account": "HTTP/127.0.0.1" }));
    let people = json!({
        "url": directory, "userdn": "dc=example,dc=org", "userattr": "uid",
        "token_policies": ["writer"], "token_ttl": 600,
    });
    post("config/ldap", people);
    if header {
        let tune = json!({ "passthrough_request_headers": ["Authorization"] });
        bao.ask("POST", &format!("sys/auth/{mount}/tune"), Some(tune));
    }
    (mount, Recorder::before(bao.address()))
}

fn login(front: &Recorder, mount: &str, token: SecretText) -> Result<Session, LoginError> {
    at_desk(&front.address(), mount, |desk| Kerberos { token }.login(desk))
}

#[test]
fn a_ticket_for_the_server_logs_in_and_another_does_not() {
    let (Some(bao), Some(root)) = (Bao::start(), root()) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (_directory, url) = directory(&root, &dir);
    let centre = Centre::start(&root);
    let (mounted, front) = mount(bao, &centre, &url, true);
    let server = Address::parse(&front.address()).expect("an address");
    let service = service_name(&server).expect("a host");
    assert_eq!(service, "HTTP/127.0.0.1");
    let token = centre.token(&service);
    let header = format!("Negotiate {}", token.expose_secret().trim());
    let session = login(&front, &mounted, token);
    assert!(policies(bao, session).contains("writer"));
    let requests = front.requests();
    assert_eq!(lines(&requests), [format!("POST /v1/auth/{mounted}/login")]);
    assert_eq!(requests[0].header("authorization"), Some(header.as_str()));
    assert!(requests[0].body.is_empty());

    // A ticket for somebody else's service is refused, and not sent again.
    let error = login(&front, &mounted, centre.token("HTTP/elsewhere")).map(|_| ());
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("(401): is the ticket for this server's name"), "{error}");
    assert_eq!(front.requests().len(), 2);

    // A mount as it is made: the header does not reach the method.
    let (mounted, front) = mount(bao, &centre, &url, false);
    let error = login(&front, &mounted, centre.token(&service)).map(|_| ());
    assert!(error.expect_err("refused").to_string().contains("passthrough_request_headers"));
    assert_eq!(front.requests().len(), 1);
}
