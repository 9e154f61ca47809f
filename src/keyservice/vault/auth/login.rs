//! The methods of logging in, each with where its credentials are.
//!
//! Invariants: a [`Plan`] that exists names all that its method needs; credentials are read when a
//! login is made and not before, and kept no longer.

use super::super::escape::escaped;
use super::super::{CallError, TransportError};
use super::approle::AppRole;
use super::place::{Place, Places};
use super::settings::{PlanError, Settings, is_near, is_word};
use super::vouched::Vouched;
use super::{Desk, LoginError, Session, body, says_no_more, wrapping};
use crate::secret::SecretText;

/// A login that was configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The method.
    pub login: Login,
    /// Where it is mounted, behind `auth/`.
    pub mount: String,
    /// The namespace of the mount, if another than that of the keys; an empty one is the root.
    pub namespace: Option<String>,
    /// No token: each request carries the login itself (OpenBao).
    pub inline: bool,
}

/// A method.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Login {
    /// A role id and a secret id.
    AppRole(AppRole),
    /// A name and a password.
    Password {
        /// Who knows them.
        backend: Backend,
        /// The name.
        username: String,
        /// The password.
        password: Place,
    },
    /// A signed token: of Kubernetes, of a CI service, of any other issuer.
    Jwt {
        /// The name of the method.
        method: &'static str,
        /// `None`: the default role of the mount.
        role: Option<String>,
        /// The token.
        jwt: Place,
    },
    /// The certificate that is shown when the connection is made.
    Certificate {
        /// `None`: whichever role fits the certificate.
        name: Option<String>,
        /// The files of a certificate and its key, if others than those of every connection.
        identity: Option<(String, String)>,
    },
    /// Somebody else vouches: a provider, a directory, a cloud.
    Vouched(Vouched),
}

/// Who knows a password. All take it in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The server itself.
    Userpass,
    /// A directory.
    Ldap,
    /// A RADIUS server.
    Radius,
}

/// What a method sends in one request.
pub struct Form {
    /// Who logs in, where that stands in the path.
    pub username: Option<String>,
    /// A JSON object of texts.
    pub fields: Vec<(&'static str, SecretText)>,
}

/// The token of a pod, where Kubernetes puts it.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Plan {
    /// Reads what was typed of a login.
    ///
    /// # Errors
    ///
    /// If no method has this name, or a setting is missing, of a wrong form, or not known.
    pub fn read(mut settings: Settings) -> Result<Self, PlanError> {
        let login = Login::read(&mut settings)?;
        let mount = settings.text("mount").unwrap_or_else(|| login.name().to_owned());
        let mount = mount.trim_matches('/').to_owned();
        if !super::super::is_path(&mount) {
            return Err(PlanError::Value { key: "mount", form: "no path" });
        }
        // An empty one is the root, whatever the environment says.
        let namespace = settings.given("namespace").map(|it| it.trim_matches('/').to_owned());
        let inline = settings.flag("inline")?;
        settings.end()?;
        if inline && !login.is_one_request() {
            return Err(PlanError::Inline { method: login.name() });
        }
        Ok(Self { login, mount, namespace, inline })
    }
}

impl Login {
    fn read(settings: &mut Settings) -> Result<Self, PlanError> {
        if let Some(vouched) = Vouched::read(settings)? {
            return Ok(Self::Vouched(vouched));
        }
        let backend = match settings.method() {
            "userpass" => Backend::Userpass,
            "ldap" => Backend::Ldap,
            "radius" => Backend::Radius,
            "approle" => return AppRole::read(settings).map(Self::AppRole),
            "kubernetes" => {
                let role = Some(settings.required("role")?);
                let jwt = settings.secret("jwt")?;
                let jwt = jwt.unwrap_or_else(|| Place::File(SERVICE_ACCOUNT.to_owned()));
                return Ok(Self::Jwt { method: "kubernetes", role, jwt });
            }
            "jwt" => {
                let role = settings.text("role");
                let jwt = settings.secret("jwt")?;
                let jwt =
                    jwt.ok_or(PlanError::Incomplete("jwt needs jwt=…: where the token is"))?;
                return Ok(Self::Jwt { method: "jwt", role, jwt });
            }
            "cert" => {
                let name = settings.text("name").or_else(|| settings.text("role"));
                let identity = match (settings.text("cert"), settings.text("key")) {
                    (Some(certificate), Some(key)) => Some((certificate, key)),
                    (None, None) => None,
                    _ => {
                        let needs = "cert needs both cert=PATH and key=PATH, or none";
                        return Err(PlanError::Incomplete(needs));
                    }
                };
                return Ok(Self::Certificate { name, identity });
            }
            "token" => return Err(PlanError::Incomplete(TOKEN)),
            typed => {
                let all: Vec<&str> = Self::methods().collect();
                let meant = all.iter().find(|known| is_near(typed, known));
                let meant = meant.map_or(String::new(), |it| format!(", did you mean `{it}`?"));
                let typed =
                    if is_word(typed) { format!("method `{typed}`") } else { "such method".into() };
                let (typed, known) = (typed + &meant, all.join(", "));
                return Err(PlanError::UnknownMethod { typed, known });
            }
        };
        let username = settings.required("username")?;
        if matches!(username.as_str(), "." | "..") {
            return Err(PlanError::Value { key: "username", form: "none" });
        }
        let password = settings.secret("password")?.unwrap_or(Place::Terminal);
        Ok(Self::Password { backend, username, password })
    }

    /// The names of all methods.
    pub fn methods() -> impl Iterator<Item = &'static str> {
        METHODS.into_iter().chain(Vouched::METHODS)
    }

    /// What the method is called, in settings and as a mount.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AppRole(_) => "approle",
            Self::Password { backend: Backend::Userpass, .. } => "userpass",
            Self::Password { backend: Backend::Ldap, .. } => "ldap",
            Self::Password { backend: Backend::Radius, .. } => "radius",
            Self::Jwt { method, .. } => method,
            Self::Certificate { .. } => "cert",
            Self::Vouched(vouched) => vouched.name(),
        }
    }

    /// As whom it logs in, where a setting says so: what that is called, and the name. Never a secret.
    #[must_use]
    pub fn who(&self) -> Option<(&'static str, &str)> {
        match self {
            // Where there is no secret id, this one is all it takes.
            Self::AppRole(AppRole { role_id: Place::Here(id), secret_id: Some(_), .. }) => {
                Some(("role_id", id))
            }
            Self::AppRole(_) => None,
            Self::Password { username, .. } => Some(("username", username)),
            Self::Jwt { role, .. } => role.as_deref().map(|role| ("role", role)),
            Self::Certificate { name, .. } => name.as_deref().map(|name| ("role", name)),
            Self::Vouched(vouched) => vouched.who(),
        }
    }

    /// Whether it is one request that can be made with others.
    fn is_one_request(&self) -> bool {
        match self {
            Self::AppRole(role) => role.can_repeat(),
            // There it would be a path of its own.
            Self::Password { username, .. } => !username.contains('/'),
            Self::Jwt { .. } | Self::Certificate { .. } => true,
            Self::Vouched(_) => false,
        }
    }

    /// Whether a second login of this run can work: what is used up by one, or asked of a person, is not
    /// there again.
    #[must_use]
    pub fn can_repeat(&self) -> bool {
        match self {
            Self::AppRole(role) => role.can_repeat(),
            Self::Password { password, .. } => *password != Place::Terminal,
            Self::Jwt { jwt, .. } => *jwt != Place::Terminal,
            Self::Certificate { .. } => true,
            Self::Vouched(vouched) => vouched.can_repeat(),
        }
    }

    /// Whether it sends a secret id, which may be good for one login.
    pub(super) fn has_secret_id(&self) -> bool {
        matches!(self, Self::AppRole(role) if role.secret_id.is_some())
    }

    /// Whether somebody has to do something elsewhere before the server answers.
    pub(super) fn waits_for_person(&self) -> bool {
        matches!(self, Self::Vouched(vouched) if vouched.waits_for_person())
    }

    /// The certificate and key that connections of this login show, if it has its own.
    #[must_use]
    pub fn identity(&self) -> Option<&(String, String)> {
        match self {
            Self::Certificate { identity, .. } => identity.as_ref(),
            Self::AppRole(_) | Self::Password { .. } | Self::Jwt { .. } | Self::Vouched(_) => None,
        }
    }

    /// Logs in, once.
    ///
    /// # Errors
    ///
    /// If a credential is not there, or the server gives no token.
    pub fn login(&self, desk: &Desk<'_>, places: &dyn Places) -> Result<Session, LoginError> {
        if let Self::Vouched(vouched) = self {
            return vouched.login(desk, places);
        }
        let form = self.form(desk, places)?;
        desk.submit(&form).map_err(|error| self.explained(error, &form))
    }

    /// A refusal, with what it can mean of this method beside what it can of every one.
    pub(super) fn explained(&self, error: LoginError, form: &Form) -> LoginError {
        match error {
            LoginError::Refused { refusal, hint } => {
                let is_denied = refusal.status == 403 && says_no_more(&refusal);
                let hint = match self.meaning(form, is_denied) {
                    Some(more) if is_denied => format!("{more}; {hint}"),
                    Some(more) => more.to_owned(),
                    None => hint,
                };
                LoginError::Refused { refusal, hint }
            }
            LoginError::Call(CallError::Transport(TransportError::Login(mut problem))) => {
                if let Some(more) = self.meaning(form, problem.starts_with("permission denied")) {
                    problem = format!("{problem}: {more}");
                }
                CallError::from(TransportError::Login(problem)).into()
            }
            error => error,
        }
    }

    fn meaning(&self, form: &Form, is_denied: bool) -> Option<&'static str> {
        let is_wrapped = |(name, text): &(&str, SecretText)| {
            *name == "secret_id" && wrapping::is_token(text.expose_secret())
        };
        if matches!(self, Self::AppRole(role) if role.wrapped_for.is_none())
            && form.fields.iter().any(is_wrapped)
        {
            return Some(WRAPPED);
        }
        (is_denied && self.name() == "kubernetes").then_some(CLUSTER)
    }

    /// What it sends.
    ///
    /// # Errors
    ///
    /// If a credential is not there.
    pub fn form(&self, desk: &Desk<'_>, places: &dyn Places) -> Result<Form, LoginError> {
        let mut fields = Vec::new();
        let mut name = None;
        let text = |text: &str| SecretText::new(text.to_owned());
        match self {
            Self::AppRole(role) => return role.form(desk, places),
            Self::Vouched(vouched) => {
                let problem = format!("{} is no single form", vouched.name());
                return Err(LoginError::Setting(problem));
            }
            Self::Password { username, password, .. } => {
                name = Some(username.clone());
                let prompt = format!("Password of {username} ({}): ", self.name());
                fields.push(("password", read(desk, places, password, &prompt)?));
            }
            Self::Jwt { role, jwt, .. } => {
                if let Some(role) = role {
                    fields.push(("role", text(role)));
                }
                fields.push(("jwt", read(desk, places, jwt, "Token (JWT): ")?));
            }
            Self::Certificate { name, .. } => {
                if let Some(name) = name {
                    fields.push(("name", text(name)));
                }
            }
        }
        Ok(Form { username: name, fields })
    }
}

/// A secret id has another form than a token.
const WRAPPED: &str =
    "its secret id looks like a wrapping token: say wrapped_for=ROLE, so that it is opened";

/// The server says the same when it has not asked the cluster.
const CLUSTER: &str = "the cluster may refuse the pod's token, or the server not reach the cluster";

/// What needs no login.
const TOKEN: &str = "a token needs no login: set VAULT_TOKEN, or write it to ~/.vault-token";

/// The methods that are read here.
const METHODS: [&str; 7] = ["approle", "userpass", "ldap", "radius", "kubernetes", "jwt", "cert"];

impl Form {
    /// Behind the mount, as a URL has it.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.username {
            Some(name) => format!("login/{}", escaped(name)),
            None => "login".to_owned(),
        }
    }

    /// The body of the request.
    #[must_use]
    pub fn body(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let fields: Vec<_> =
            self.fields.iter().map(|(name, text)| (*name, text.expose_secret())).collect();
        body(&fields)
    }
}

/// Reads a credential. An empty one is not sent: the server would answer as to a fault of its own, or
/// count it as a refusal.
pub(super) fn read(
    desk: &Desk<'_>,
    places: &dyn Places,
    place: &Place,
    prompt: &str,
) -> Result<SecretText, LoginError> {
    let text = match place {
        Place::Here(text) => SecretText::new(text.clone()),
        Place::Terminal => desk.person()?.secret(prompt)?,
        place => places.read(place)?,
    };
    if text.expose_secret().is_empty() {
        return Err(LoginError::Setting(format!("{place} is empty")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::fake::plan;
    use super::{Login, Plan, Settings};

    #[test]
    fn a_plan_names_its_method_its_mount_and_its_namespace() {
        let approle = plan("approle role_id=r secret_id=env:S mount=/ci/roles/ namespace=team/");
        let approle = approle.expect("valid");
        assert_eq!((approle.mount.as_str(), approle.login.name()), ("ci/roles", "approle"));
        assert_eq!(approle.namespace.as_deref(), Some("team"));
        let pod = plan("kubernetes role=app").expect("valid");
        assert!(matches!(pod.login, Login::Jwt { method: "kubernetes", .. }));
        assert_eq!((pod.mount.as_str(), pod.namespace), ("kubernetes", None));
        for root in ["kubernetes role=app namespace=", "kubernetes role=app namespace=/"] {
            assert_eq!(plan(root).expect("valid").namespace.as_deref(), Some(""), "{root}");
        }
    }

    #[test]
    fn every_method_is_read() {
        for name in Login::methods() {
            let read = Plan::read(Settings::new(name, Vec::new()));
            match read {
                Ok(plan) => assert_eq!(plan.login.name(), name),
                Err(error) => assert!(error.to_string().starts_with(name), "{error}"),
            }
        }
    }

    #[test]
    fn a_plan_that_cannot_work_is_none() {
        for (text, expected) in [
            ("aprole", "there is no method `aprole`, did you mean `approle`?: there are approle, "),
            ("userpas", "there is no method `userpas`, did you mean `userpass`?"),
            ("hunter2!", "there is no such method: there are approle, "),
            ("token", "a token needs no login: set VAULT_TOKEN, or write it to ~/.vault-token"),
            ("approle", "approle needs role_id=…"),
            ("userpass", "userpass needs username=…"),
            ("userpass username=..", "username is none"),
            ("jwt role=a", "jwt needs jwt=…"),
            ("jwt jwt=eyJ", "jwt is where the secret is"),
            ("cert cert=a.pem", "cert needs both"),
            ("kubernetes role=a mount=../sys", "mount is no path"),
            ("kubernetes roll=a role=b", "kubernetes knows no roll"),
            ("approle role_id=r secret_id=file:/s wrapped_for=app inline=true", "cannot be inline"),
            ("approle role_id=r secret_id=file:/s single_use=true inline=true", "cannot be inline"),
        ] {
            let error = plan(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
