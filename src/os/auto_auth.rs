//! Which login is configured for runs that have no token.
//!
//! `WAXSEAL_VAULT_AUTH`, else `auto_auth` of the user's own configuration, else the variables of vals.

use super::env::Env;
use super::fs::{ReadError, read};
use crate::config::user::{AutoAuth, UserConfig};
use crate::keyservice::vault::auth::{Plan, Settings};
use crate::keyservice::vault::settings::{
    AUTH_METHOD, KUBERNETES_JWT, KUBERNETES_MOUNT, LOGIN_MOUNT, PASSWORD_ENV, PASSWORD_FILE,
    ROLE_ID, SECRET_ID, USERNAME,
};
use crate::shown::Show;

/// The login that is configured, and where. `None`: none is.
///
/// # Errors
///
/// If what is configured is no login; says where it stands.
pub fn configured(env: &Env) -> Result<Option<(Plan, String)>, String> {
    if let Some(line) = env.text(VARIABLE) {
        let settings = of_line(&line);
        return plan(settings, VARIABLE.to_owned()).map(Some);
    }
    if let Some(dir) = env.user_config_dir() {
        let path = dir.join("waxseal/config.yaml");
        let shown = path.shown();
        let text = match read(&path) {
            Ok(text) => text,
            Err(ReadError::NotFound) => String::new(),
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        let config = UserConfig::parse(&text).map_err(|error| format!("{shown}: {error}"))?;
        let settings = config.auto_auth.map(|login| match login {
            AutoAuth::Line(line) => of_line(&line),
            AutoAuth::Map(method, pairs) => Ok(Settings::new(&method, pairs)),
        });
        if let Some(settings) = settings {
            return plan(settings, shown.to_string()).map(Some);
        }
    }
    match of_vals(env) {
        Some((name, settings)) => plan(Ok(settings), name.to_owned()).map(Some),
        None => Ok(None),
    }
}

const VARIABLE: &str = "WAXSEAL_VAULT_AUTH";

/// `METHOD key=value …`, with the quotes of a shell.
fn of_line(line: &str) -> Result<Settings, String> {
    let words = shlex::split(line).ok_or("its quotes do not match")?;
    Settings::of_words(&words).map_err(|error| error.to_string())
}

fn plan(settings: Result<Settings, String>, origin: String) -> Result<(Plan, String), String> {
    let plan = |settings| Plan::read(settings).map_err(|error| error.to_string());
    match settings.and_then(plan) {
        Ok(plan) => Ok((plan, origin)),
        Err(problem) => Err(format!("{origin}: {problem}")),
    }
}

/// What the variables say that vals reads. `token` is no login.
fn of_vals(env: &Env) -> Option<(&'static str, Settings)> {
    let value = |names| env.setting(names).map(|(_, value)| value);
    let (name, method) = env.setting(AUTH_METHOD).filter(|(_, method)| method != "token")?;
    let mut pairs = Vec::new();
    let mut pair = |key: &str, value: Option<String>| {
        pairs.extend(value.map(|value| (key.to_owned(), value)));
    };
    match method.as_str() {
        "approle" => {
            pair("role_id", value(ROLE_ID));
            pair("secret_id", env.setting(SECRET_ID).map(|(name, _)| format!("env:{name}")));
            pair("mount", value(LOGIN_MOUNT));
        }
        "kubernetes" => {
            pair("role", value(ROLE_ID));
            pair("jwt", value(KUBERNETES_JWT).map(|path| format!("file:{path}")));
            pair("mount", value(KUBERNETES_MOUNT));
        }
        _ => {
            pair("username", value(USERNAME));
            let variable = value(PASSWORD_ENV).map(|name| format!("env:{name}"));
            let file = || value(PASSWORD_FILE).map(|path| format!("file:{path}"));
            pair("password", variable.or_else(file));
            pair("mount", value(LOGIN_MOUNT));
        }
    }
    Some((name, Settings::new(&method, pairs)))
}

#[cfg(test)]
mod tests {
    use super::{configured, of_line, plan};
    use crate::keyservice::vault::auth::Login;
    use crate::os::env::Env;

    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], expected: Result<Option<(&str, &str, &str)>, &str>) {
        let found = configured(&Env::of(pairs));
        let found = found.as_ref().map_err(String::as_str).map(|it| {
            it.as_ref().map(|(it, origin)| (it.login.name(), it.mount.as_str(), origin.as_str()))
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_login_is_configured_in_one_of_three_places() {
        check(&[], Ok(None));
        check(&[("VAULT_AUTH_METHOD", "token")], Ok(None));
        let vals = [
            ("VAULT_AUTH_METHOD", "approle"),
            ("VAULT_ROLE_ID", "r"),
            ("VAULT_SECRET_ID", "s"),
            ("VAULT_LOGIN_MOUNT_POINT", "/ci"),
        ];
        check(&vals, Ok(Some(("approle", "ci", "VAULT_AUTH_METHOD"))));
        let own = ("WAXSEAL_VAULT_AUTH", "kubernetes role=app mount=k8s");
        check(&[vals[0], own], Ok(Some(("kubernetes", "k8s", "WAXSEAL_VAULT_AUTH"))));
        let error = "WAXSEAL_VAULT_AUTH: kubernetes needs role=…";
        check(&[("WAXSEAL_VAULT_AUTH", "kubernetes")], Err(error));
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("waxseal")).expect("made");
        let file = dir.path().join("waxseal/config.yaml");
        std::fs::write(&file, "auto_auth: userpass username=me\n").expect("written");
        let home = [("XDG_CONFIG_HOME", dir.path().to_str().expect("UTF-8")), vals[0]];
        let path = file.to_str().expect("UTF-8");
        check(&home, Ok(Some(("userpass", "userpass", path))));
    }

    #[test]
    fn every_login_of_the_documentation_is_one() {
        let page = include_str!("../../docs/login.md");
        let lines: Vec<_> = page.split("```").nth(1).expect("a block").trim().lines().collect();
        let mut named: Vec<_> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
        named.dedup();
        assert_eq!(named, Login::methods().collect::<Vec<_>>());
        for line in lines {
            let found = plan(of_line(line), line.to_owned());
            assert!(found.is_ok(), "{found:?}");
        }
    }
}
