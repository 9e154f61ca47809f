//! Logins for which somebody else vouches: a provider with its own pages, a directory, a cloud.
//!
//! Invariants: what has to be said by the user is asked for before anything is sent; credentials are read,
//! and clouds asked, when a login is made and not before.

use super::aws_keys::{self, AwsKeys};
use super::login::read;
use super::{
    AwsEc2, AwsIam, Azure, AzurePlace, Desk, DoorSettings, Gcp, GitHub, Kerberos, LoginError, Oidc,
    OidcBack, Okta, OktaProvider, Place, Places, PlanError, Saml, Session, Settings, azure_place,
    azure_token, gce_token, iam_token, service_name,
};
use crate::secret::SecretText;

/// A method, and where what it needs is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Vouched {
    /// A personal access token.
    GitHub {
        /// Where it is.
        token: Place,
    },
    /// A name, a password, and a push or a passcode.
    Okta {
        /// The name.
        username: String,
        /// The password.
        password: Place,
        /// The passcode.
        totp: Option<Place>,
        /// Who makes it.
        provider: Option<OktaProvider>,
    },
    /// A browser.
    Oidc {
        /// How.
        oidc: Oidc,
        /// Where it comes back to.
        door: DoorSettings,
    },
    /// A browser, of another protocol.
    Saml(Saml),
    /// A ticket.
    Kerberos {
        /// The words of a command that prints the token, given the service's name; or where a token is.
        token: Place,
    },
    /// An identity of AWS.
    AwsIam {
        /// `None`: the identity's name.
        role: Option<String>,
        /// What was set by hand: the id, the secret key, the session token.
        keys: Option<(String, Place, Option<Place>)>,
        /// A profile by name.
        profile: Option<String>,
        /// `auto`: that of the machine.
        region: Option<String>,
        /// What the mount wants to see.
        server_id: Option<String>,
    },
    /// An instance of EC2.
    AwsEc2 {
        /// `None`: the id of its image.
        role: Option<String>,
        /// What its first login chose.
        nonce: Place,
    },
    /// A machine or an account of Google Cloud.
    Gcp {
        /// The role.
        role: String,
        /// `iam`: the account signs; else the machine is known.
        iam: bool,
        /// An account, if not the machine's own.
        account: Option<String>,
    },
    /// A machine of Azure.
    Azure {
        /// The role.
        role: String,
        /// What the mount is set to.
        resource: String,
        /// An identity, if the machine has several.
        client_id: Option<String>,
        /// What it is called; nothing: as its metadata say.
        place: AzurePlace,
    },
}

impl Vouched {
    /// The names of the methods.
    pub(super) const METHODS: [&str; 8] =
        ["oidc", "saml", "okta", "github", "kerberos", "aws", "gcp", "azure"];

    /// Reads what was typed of a login; `None`: it is another method's.
    pub(super) fn read(settings: &mut Settings) -> Result<Option<Self>, PlanError> {
        let method = settings.method().to_owned();
        let of_type = |settings: &mut Settings, names: [&str; 2], form| {
            let text = settings.text("type").unwrap_or_else(|| names[0].to_owned());
            let problem = PlanError::Value { key: "type", form };
            names.iter().position(|name| *name == text).ok_or(problem)
        };
        Ok(Some(match method.as_str() {
            "github" => {
                Self::GitHub { token: settings.secret("token")?.unwrap_or(Place::Terminal) }
            }
            "okta" => Self::Okta {
                username: settings.required("username")?,
                password: settings.secret("password")?.unwrap_or(Place::Terminal),
                totp: settings.secret("totp")?,
                provider: match settings.text("provider").as_deref() {
                    None => None,
                    Some("OKTA") => Some(OktaProvider::Okta),
                    Some("GOOGLE") => Some(OktaProvider::Google),
                    Some(_) => {
                        return Err(PlanError::Value { key: "provider", form: "OKTA or GOOGLE" });
                    }
                },
            },
            "oidc" => Self::Oidc {
                oidc: Oidc {
                    role: settings.text("role"),
                    skip_browser: settings.flag("skip_browser")?,
                    back: match settings.text("callbackmode").as_deref() {
                        None | Some("client") => OidcBack::Here,
                        Some("direct" | "device") => OidcBack::Server,
                        Some(_) => {
                            let (key, form) = ("callbackmode", "client, direct or device");
                            return Err(PlanError::Value { key, form });
                        }
                    },
                },
                door: door(settings)?,
            },
            "saml" => Self::Saml(Saml {
                role: settings.text("role"),
                acs_url: settings.text("acs_url"),
                skip_browser: settings.flag("skip_browser")?,
            }),
            "kerberos" => {
                let token = settings.secret("token")?;
                Self::Kerberos { token: token.ok_or(PlanError::Incomplete(KERBEROS))? }
            }
            "aws" if of_type(settings, ["iam", "ec2"], "iam or ec2")? == 1 => {
                let role = settings.text("role");
                let nonce = settings.secret("nonce")?;
                let nonce = nonce.ok_or(PlanError::Incomplete("aws type=ec2 needs nonce=…"))?;
                Self::AwsEc2 { role, nonce }
            }
            "aws" => {
                let id = settings.text("access_key_id");
                let secret = settings.secret("secret_access_key")?;
                let token = settings.secret("session_token")?;
                let keys = match (id, secret) {
                    (Some(id), Some(secret)) => Some((id, secret, token)),
                    (None, None) if token.is_none() => None,
                    _ => {
                        let problem = "access_key_id and secret_access_key need each other";
                        return Err(PlanError::Incomplete(problem));
                    }
                };
                Self::AwsIam {
                    role: settings.text("role"),
                    keys,
                    profile: settings.text("profile"),
                    region: settings.text("region"),
                    server_id: settings.text("header_value"),
                }
            }
            "gcp" => Self::Gcp {
                role: settings.required("role")?,
                iam: of_type(settings, ["gce", "iam"], "gce or iam")? == 1,
                account: settings.text("service_account"),
            },
            "azure" => Self::Azure {
                role: settings.required("role")?,
                resource: settings.required("resource")?,
                client_id: settings.text("client_id"),
                place: AzurePlace {
                    subscription_id: settings.text("subscription_id"),
                    resource_group_name: settings.text("resource_group_name"),
                    vm_name: settings.text("vm_name"),
                    vmss_name: settings.text("vmss_name"),
                    resource_id: settings.text("resource_id"),
                },
            },
            _ => return Ok(None),
        }))
    }

    /// As whom it logs in, where a setting says so.
    pub(super) fn who(&self) -> Option<(&'static str, &str)> {
        let role = match self {
            Self::Okta { username, .. } => return Some(("username", username)),
            Self::GitHub { .. } | Self::Kerberos { .. } => None,
            Self::Oidc { oidc, .. } => oidc.role.as_deref(),
            Self::Saml(saml) => saml.role.as_deref(),
            Self::AwsIam { role, .. } | Self::AwsEc2 { role, .. } => role.as_deref(),
            Self::Gcp { role, .. } | Self::Azure { role, .. } => Some(role.as_str()),
        };
        role.map(|role| ("role", role))
    }

    /// What the method is called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::GitHub { .. } => "github",
            Self::Okta { .. } => "okta",
            Self::Oidc { .. } => "oidc",
            Self::Saml(_) => "saml",
            Self::Kerberos { .. } => "kerberos",
            Self::AwsIam { .. } | Self::AwsEc2 { .. } => "aws",
            Self::Gcp { .. } => "gcp",
            Self::Azure { .. } => "azure",
        }
    }

    /// Whether somebody is waited for, before a browser or a phone.
    pub(super) fn waits_for_person(&self) -> bool {
        matches!(self, Self::Okta { .. } | Self::Oidc { .. } | Self::Saml(_))
    }

    /// Whether a second login of a run needs nobody.
    pub(super) fn can_repeat(&self) -> bool {
        match self {
            Self::Okta { .. } | Self::Oidc { .. } | Self::Saml(_) => false,
            Self::GitHub { token } => *token != Place::Terminal,
            Self::Kerberos { token } => matches!(token, Place::Command(_)),
            Self::AwsIam { .. } | Self::AwsEc2 { .. } | Self::Gcp { .. } | Self::Azure { .. } => {
                true
            }
        }
    }

    /// Logs in, once.
    pub(super) fn login(
        &self,
        desk: &Desk<'_>,
        places: &dyn Places,
    ) -> Result<Session, LoginError> {
        let missing = LoginError::Setting;
        let machine = || {
            places.machine().ok_or_else(|| missing("the machine cannot be asked here".to_owned()))
        };
        match self {
            Self::GitHub { token } => {
                let token = read(desk, places, token, "Access token for GitHub: ")?;
                GitHub { token }.login(desk)
            }
            Self::Okta { username, password, totp, provider } => {
                let prompt = format!("Password of {username} (okta): ");
                let password = read(desk, places, password, &prompt)?;
                let totp = totp.as_ref();
                let totp = totp.map(|totp| read(desk, places, totp, "Passcode: ")).transpose()?;
                let (username, provider) = (username.clone(), *provider);
                Okta { username, password, totp, provider }.login(desk, desk.person()?)
            }
            Self::Oidc { oidc, door } => oidc.login(desk, desk.person()?, &|| places.door(door)),
            Self::Saml(saml) => saml.login(desk, desk.person()?),
            Self::Kerberos { token } => {
                let token = match token {
                    Place::Command(line) => {
                        let name = service_name(&desk.mount().server).ok_or_else(|| {
                            missing("kerberos needs an address with a host".to_owned())
                        })?;
                        Place::Command(format!("{line} {name}"))
                    }
                    token => token.clone(),
                };
                let token = read(desk, places, &token, "SPNEGO token: ")?;
                Kerberos { token }.login(desk)
            }
            Self::AwsIam { role, keys, profile, region, server_id } => {
                let profile = profile.as_deref();
                let region = match region.as_deref() {
                    Some("auto") => aws_keys::region(machine()?, profile)?,
                    region => region.map(str::to_owned),
                };
                let keys = match keys {
                    Some((id, secret, token)) => AwsKeys {
                        id: id.clone(),
                        secret: read(desk, places, secret, "Secret access key: ")?,
                        token: match token {
                            Some(token) => Some(read(desk, places, token, "Session token: ")?),
                            None => None,
                        },
                    },
                    None => aws_keys::find(machine()?, profile, region.as_deref())?,
                };
                let (role, server_id, time) = (role.clone(), server_id.clone(), machine()?.time());
                AwsIam { role, keys, region, server_id, time }.login(desk)
            }
            Self::AwsEc2 { role, nonce } => {
                let nonce = read(desk, places, nonce, "Nonce: ")?;
                let pkcs7 = aws_keys::ec2_identity(machine()?)?;
                AwsEc2 { role: role.clone(), pkcs7, nonce }.login(desk)
            }
            Self::Gcp { role, iam, account } => {
                let token = if *iam { iam_token } else { gce_token };
                let jwt: SecretText = token(machine()?, role, account.as_deref())?;
                Gcp { role: role.clone(), jwt }.login(desk)
            }
            Self::Azure { role, resource, client_id, place } => {
                let jwt = azure_token(machine()?, resource, client_id.as_deref())?;
                let place = match *place == AzurePlace::default() {
                    true => azure_place(machine()?)?,
                    false => place.clone(),
                };
                Azure { role: role.clone(), jwt, place }.login(desk)
            }
        }
    }
}

/// What to do where a library for it is not everywhere.
const KERBEROS: &str = "kerberos needs token=command:LINE: a program that prints the SPNEGO token in base64 \
                        for the service whose name it gets (HTTP/host)";

fn door(settings: &mut Settings) -> Result<DoorSettings, PlanError> {
    let mut door = DoorSettings::default();
    let port = |key: &'static str, text: String| {
        text.parse().map_err(|_| PlanError::Value { key, form: "no port" })
    };
    if let Some(text) = settings.text("listenaddress") {
        door.listen = text;
    }
    if let Some(text) = settings.text("callbackhost") {
        door.host = text;
    }
    if let Some(text) = settings.text("port") {
        door.port = port("port", text)?;
    }
    if let Some(text) = settings.text("callbackport") {
        door.uri_port = Some(port("callbackport", text)?);
    }
    Ok(door)
}

#[cfg(test)]
mod tests {
    use super::super::fake::plan;

    #[test]
    fn each_method_is_read_with_its_settings() {
        for text in [
            "oidc",
            "oidc role=dev port=0 listenaddress=127.0.0.1 callbackhost=::1 callbackport=9",
            "oidc callbackmode=device skip_browser=true",
            "saml role=dev acs_url=https://a.example/cb skip_browser=true",
            "okta username=ada password=env:P totp=terminal provider=GOOGLE",
            "github token=env:T",
            "kerberos token=command:spnego",
            "aws role=dev region=auto header_value=vault.example profile=ci",
            "aws access_key_id=AKI secret_access_key=env:S session_token=env:T",
            "aws type=ec2 role=dev nonce=file:/n",
            "gcp role=dev type=iam service_account=a@p",
            "gcp role=dev",
            "azure role=dev resource=https://a.example vm_name=vm subscription_id=s",
        ] {
            let plan = plan(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(Some(plan.mount.as_str()), text.split(' ').next(), "{text}");
        }
    }

    #[test]
    fn a_plan_that_cannot_work_is_none() {
        for (text, expected) in [
            ("okta", "okta needs username=…"),
            ("okta username=a password=hunter2", "password is where the secret is"),
            ("okta username=a provider=X", "provider is OKTA or GOOGLE"),
            ("oidc port=x", "port is no port"),
            ("oidc callbackmode=x", "callbackmode is"),
            ("oidc roll=x", "oidc knows no roll"),
            ("kerberos", "kerberos needs token=command:LINE"),
            ("aws access_key_id=AKI", "need each other"),
            ("aws type=ec2", "aws type=ec2 needs nonce=…"),
            ("aws type=x", "type is iam or ec2"),
            ("gcp", "gcp needs role=…"),
            ("azure role=a", "azure needs resource=…"),
            ("github token=env:T inline=true", "cannot be inline"),
        ] {
            let error = plan(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
