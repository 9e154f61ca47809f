//! Directories and RADIUS servers: real ones, each run by the test from a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::{Process, Site, free_pair};

/// Below which the programs are, if they are brought.
pub(crate) fn root() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("WAXSEAL_SERVERS")?))
}

/// Where their libraries are, which the system may not have.
pub(crate) fn libraries(root: &Path) -> (&'static str, String) {
    let mut folders = vec![root.join("usr/lib/freeradius")];
    for lib in ["usr/lib", "lib"] {
        let entries = fs::read_dir(root.join(lib)).into_iter().flatten().flatten();
        folders.extend(entries.map(|it| it.path()).filter(|it| it.ends_with(triplet())));
    }
    let folders: Vec<_> = folders.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    ("LD_LIBRARY_PATH", folders.join(":"))
}

fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

const DIRECTORY: &str = "\
include ROOT/etc/ldap/schema/core.schema
include ROOT/etc/ldap/schema/cosine.schema
include ROOT/etc/ldap/schema/inetorgperson.schema
pidfile DIR/pid
modulepath ROOT/usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 16777216
suffix \"dc=example,dc=org\"
rootdn \"cn=admin,dc=example,dc=org\"
rootpw admin
directory DIR
";

const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: uid=anna/b@example.org,dc=example,dc=org
objectClass: inetOrgPerson
uid: anna/b@example.org
cn: Anna
sn: B
userPassword: hunter2
";

/// A directory in which one person is: its address.
pub(crate) fn directory(root: &Path, dir: &TempDir) -> (Process, String) {
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let config = DIRECTORY.replace("ROOT", root.to_string_lossy().trim_end_matches('/'));
    fs::write(path("slapd.conf"), config.replace("DIR", &path(""))).expect("written");
    fs::write(path("entries"), ENTRIES).expect("written");
    let program = root.join("usr/sbin/slapd");
    let libraries = libraries(root);
    let mut add = Command::new(&program);
    add.args(["-Tadd", "-f", &path("slapd.conf"), "-l", &path("entries")]);
    let added = add.env(libraries.0, &libraries.1).output().expect("it runs");
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let url = format!("ldap://127.0.0.1:{}", free_pair());
    let args = ["-f", &path("slapd.conf"), "-h", &url, "-d", "256"].map(str::to_owned);
    let process = Process::start_until(&program, &args, &[libraries], "slapd starting");
    (process.unwrap_or_else(|log| panic!("slapd does not start:\n{log}")), url)
}

const RADIUS: &str = "\
prefix = DIR
name = freeradius
libdir = ROOT/usr/lib/freeradius
logdir = DIR
run_dir = DIR
pidfile = DIR/pid
security {
  reject_delay = 0
}
thread pool {
  start_servers = 1
  max_servers = 2
  min_spare_servers = 1
  max_spare_servers = 2
}
client local {
  ipaddr = 127.0.0.1
  secret = shared
}
modules {
  pap {
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = PORT
  }
  authorize {
    if (&User-Name == \"anna b\") {
      update control {
        &Cleartext-Password := \"hunter2\"
      }
    }
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
  }
}
";

fn radius(root: &Path, dir: &TempDir) -> (Process, u16) {
    let port = free_pair();
    let config = RADIUS
        .replace("ROOT", root.to_string_lossy().trim_end_matches('/'))
        .replace("DIR", &dir.path().to_string_lossy())
        .replace("PORT", &port.to_string());
    fs::write(dir.path().join("radiusd.conf"), config).expect("written");
    let dictionary = root.join("usr/share/freeradius").to_string_lossy().into_owned();
    let folder = dir.path().to_string_lossy().into_owned();
    let args = ["-f", "-l", "stdout", "-d", &folder, "-D", &dictionary].map(str::to_owned);
    let program = root.join("usr/sbin/freeradius");
    let ready = "Ready to process requests";
    let process = Process::start_until(&program, &args, &[libraries(root)], ready);
    (process.unwrap_or_else(|log| panic!("freeradius does not start:\n{log}")), port)
}

#[test]
fn a_person_of_a_directory_logs_in_whatever_is_in_the_name() {
    let (Some(site), Some(root)) = (Site::new("ldap"), root()) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (_directory, url) = directory(&root, &dir);
    let config = json!({
        "url": url, "userdn": "dc=example,dc=org", "userattr": "uid",
        "binddn": "cn=admin,dc=example,dc=org", "bindpass": "admin",
        "token_policies": site.policy,
    });
    site.set("config", config);
    let sandbox = site.user("ldap username=anna/b@example.org password=env:PASSWORD");
    let login = "POST auth/M/login/anna%2Fb%40example.org";
    site.works(&sandbox.with("PASSWORD", "hunter2"), login);
    let sandbox = site.user("ldap username=anna/b@example.org password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "wrong-hunter");
    site.refuses(&sandbox, login, "wrong-hunter", "(400): it was not tried a second time");
}

#[test]
fn a_person_whom_a_radius_server_knows_logs_in() {
    let (Some(site), Some(root)) = (Site::new("radius"), root()) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (_server, port) = radius(&root, &dir);
    let config = json!({
        "host": "127.0.0.1", "port": port, "secret": "shared",
        "unregistered_user_policies": site.policy,
    });
    site.set("config", config);
    let login = "POST auth/M/login/anna%20b";
    let sandbox = site.user("radius 'username=anna b' password=env:PASSWORD");
    site.works(&sandbox.with("PASSWORD", "hunter2"), login);
    let sandbox = site.user("radius 'username=anna b' password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "wrong-hunter");
    site.refuses(&sandbox, login, "wrong-hunter", "(400): it was not tried a second time");
}
