//! Where the credentials of AWS are, in the order of its own tools: environment, profile, web identity,
//! container, instance.
//!
//! Invariants: the first place that has any decides, and one that is half set up is an error, so that
//! nobody logs in as somebody else by mistake; a container's address that is neither of this machine nor
//! secured is refused, since a token goes there.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::escape::escaped;
use super::SourceError;
use super::aws::Sts;
use super::machine::{Machine, Question, Silence, Way, is_near, text_of};
use crate::secret::SecretText;

/// Credentials of AWS.
pub struct AwsKeys {
    /// The access key's id, which is no secret.
    pub id: String,
    /// The secret access key.
    pub secret: SecretText,
    /// The session token, of credentials that last for a while.
    pub token: Option<SecretText>,
}

/// The credentials of this machine; `profile` is one that was asked for by name, and then nothing else is
/// taken; `region` that of STS.
///
/// # Errors
///
/// If there are none, or the place that should have them has not; says which.
pub fn find(
    machine: &dyn Machine,
    profile: Option<&str>,
    region: Option<&str>,
) -> Result<AwsKeys, SourceError> {
    if profile.is_none()
        && let Some(keys) = of_environment(machine)?
    {
        return Ok(keys);
    }
    if let Some(keys) = of_profile(machine, profile, region)? {
        return Ok(keys);
    }
    let name = |name| machine.variable(name);
    if let (Some(file), Some(role)) = (name("AWS_WEB_IDENTITY_TOKEN_FILE"), name("AWS_ROLE_ARN")) {
        let session = name("AWS_ROLE_SESSION_NAME");
        return WebIdentity { file, role, session }.keys(machine, region);
    }
    if let Some(keys) = of_container(machine)? {
        return Ok(keys);
    }
    if let Some(keys) = of_instance(machine)? {
        return Ok(keys);
    }
    Err("no credentials of AWS: neither in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor in a \
         profile, nor from a web identity, a container or an instance"
        .into())
}

/// The region that this machine is set to, if any.
///
/// # Errors
///
/// If a file that should name it cannot be read.
pub fn region(machine: &dyn Machine, profile: Option<&str>) -> Result<Option<String>, SourceError> {
    let named = machine.variable("AWS_REGION").or_else(|| machine.variable("AWS_DEFAULT_REGION"));
    if named.is_some() {
        return Ok(named);
    }
    let values = read_profile(machine, &profile_name(machine, profile))?;
    if let Some(region) = values.get("region") {
        return Ok(Some(region.expose_secret().to_owned()));
    }
    let of_instance = Instance::reach(machine);
    let region = of_instance.and_then(|it| it.get("meta-data/placement/region").ok());
    Ok(region.map(|region| region.expose_secret().trim().to_owned()))
}

/// The identity document of this instance with AWS's signature, for [`super::AwsEc2`].
///
/// # Errors
///
/// If this is no instance of EC2.
pub fn ec2_identity(machine: &dyn Machine) -> Result<SecretText, SourceError> {
    let instance = Instance::reach(machine).ok_or("the metadata service of EC2 does not answer")?;
    instance.get("dynamic/instance-identity/pkcs7").map_err(|silence| silence.text().into())
}

fn of_environment(machine: &dyn Machine) -> Result<Option<AwsKeys>, SourceError> {
    let secret = |name| machine.variable(name).map(SecretText::new);
    match (machine.variable("AWS_ACCESS_KEY_ID"), secret("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret_key)) => {
            let token = secret("AWS_SESSION_TOKEN");
            Ok(Some(AwsKeys { id, secret: secret_key, token }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err("AWS_ACCESS_KEY_ID needs AWS_SECRET_ACCESS_KEY as well".into()),
        (None, Some(_)) => Err("AWS_SECRET_ACCESS_KEY needs AWS_ACCESS_KEY_ID as well".into()),
    }
}

fn of_profile(
    machine: &dyn Machine,
    asked: Option<&str>,
    region: Option<&str>,
) -> Result<Option<AwsKeys>, SourceError> {
    let named = asked.is_some() || machine.variable("AWS_PROFILE").is_some();
    let name = profile_name(machine, asked);
    match profiles::keys(machine, &name, region)? {
        None if named => {
            Err(format!("profile {name}: no such profile, or it holds no credentials").into())
        }
        keys => Ok(keys),
    }
}

type Values = HashMap<String, SecretText>;

fn profile_name(machine: &dyn Machine, asked: Option<&str>) -> String {
    let name = asked.map(str::to_owned).or_else(|| machine.variable("AWS_PROFILE"));
    name.unwrap_or_else(|| "default".to_owned())
}

/// The values of a profile; those of the file of credentials before those of the other.
fn read_profile(machine: &dyn Machine, name: &str) -> Result<Values, SourceError> {
    let path = |variable, path: &str| machine.variable(variable).unwrap_or_else(|| path.to_owned());
    let credentials = path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    let config = path("AWS_CONFIG_FILE", "~/.aws/config");
    let in_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let mut values = Values::new();
    for (file, section) in [(config, in_config.as_str()), (credentials, name)] {
        if let Some(text) = machine.file(&file)? {
            values.extend(section_of(text.expose_secret(), section));
        }
    }
    Ok(values)
}

/// The values of a section of such a file; lines that are set in belong to the value before them.
fn section_of(text: &str, section: &str) -> Values {
    let mut inside = false;
    let mut values = Values::new();
    for line in text.lines() {
        let set_in = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = name.0.split_whitespace().eq(section.split_whitespace());
        } else if let Some((key, value)) = line.split_once('=')
            && inside
            && !set_in
            && !line.starts_with(['#', ';'])
        {
            let value = SecretText::new(value.trim().to_owned());
            values.insert(key.trim().to_ascii_lowercase(), value);
        }
    }
    values
}

/// A token that somebody else made (a Kubernetes cluster), exchanged at STS for credentials of a role.
struct WebIdentity {
    file: String,
    role: String,
    session: Option<String>,
}

impl WebIdentity {
    fn keys(&self, machine: &dyn Machine, region: Option<&str>) -> Result<AwsKeys, SourceError> {
        let file = &self.file;
        let token = machine.file(file)?;
        let token = token.ok_or_else(|| format!("web identity: {file}: no such file"))?;
        let body = SecretText::new(format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}\
             &WebIdentityToken={}",
            escaped(&self.role),
            escaped(self.session.as_deref().unwrap_or("waxseal")),
            escaped(token.expose_secret().trim()),
        ));
        let sts = Sts::of(region)?;
        sts_keys(machine, &sts, "web identity", &body, Vec::new())
    }
}

/// What STS gives to a request.
fn sts_keys(
    machine: &dyn Machine,
    sts: &Sts,
    what: &str,
    body: &SecretText,
    mut headers: Vec<(&'static str, SecretText)>,
) -> Result<AwsKeys, SourceError> {
    headers.push(("content-type", SecretText::new(FORM.to_owned())));
    let question = Question {
        way: Way::World,
        method: "POST",
        url: &format!("https://{}/", sts.host),
        headers: &headers,
        body: Some(body.expose_secret().as_bytes()),
    };
    let answer = question.ask(machine).map_err(|it| format!("{what}: {}", it.text()))?;
    // XML; the three texts hold nothing that XML escapes.
    let part = |name: &str| {
        let (_, rest) = answer.expose_secret().split_once(&format!("<{name}>"))?;
        Some(SecretText::new(rest.split_once(&format!("</{name}>"))?.0.to_owned()))
    };
    let parts = (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"));
    let (Some(id), Some(secret), token @ Some(_)) = parts else {
        return Err(format!("{what}: {} answers with no credentials", sts.host).into());
    };
    Ok(AwsKeys { id: id.expose_secret().to_owned(), secret, token })
}

const FORM: &str = "application/x-www-form-urlencoded";

fn of_container(machine: &dyn Machine) -> Result<Option<AwsKeys>, SourceError> {
    let relative = machine.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = match (relative, machine.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        (Some(path), _) if path.starts_with('/') => format!("http://169.254.170.2{path}"),
        (Some(_), _) => {
            return Err("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI begins with no slash".into());
        }
        (None, Some(url)) if is_near(&url, is_of_container) => url,
        (None, Some(_)) => {
            return Err("AWS_CONTAINER_CREDENTIALS_FULL_URI: neither https nor this machine's \
                        own service"
                .into());
        }
        (None, None) => return Ok(None),
    };
    let token = match machine.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => {
            let token = machine.file(&file)?.ok_or_else(|| format!("{file}: no such file"))?;
            Some(SecretText::new(token.expose_secret().trim().to_owned()))
        }
        None => machine.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(SecretText::new),
    };
    let headers: Vec<_> = token.into_iter().map(|token| ("authorization", token)).collect();
    let question =
        Question { way: Way::Link, method: "GET", url: &url, headers: &headers, body: None };
    let answer = question.ask(machine).map_err(|it| format!("container: {}", it.text()))?;
    of_json(&answer, "Token").map(Some).ok_or_else(|| "container: no credentials are given".into())
}

/// Where the tools of AWS send a container's token, beside loopback.
fn is_of_container(ip: IpAddr) -> bool {
    let known = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
    known.iter().any(|known| known.parse() == Ok(ip))
}

fn of_instance(machine: &dyn Machine) -> Result<Option<AwsKeys>, SourceError> {
    let Some(instance) = Instance::reach(machine) else { return Ok(None) };
    let error = |silence: Silence| SourceError::from(format!("instance: {}", silence.text()));
    let roles = match instance.get(ROLES) {
        Ok(roles) => roles,
        // An instance without a role.
        Err(Silence::No(404, _) | Silence::Away(_)) => return Ok(None),
        Err(silence @ Silence::No(..)) => return Err(error(silence)),
    };
    let Some(role) = roles.expose_secret().lines().map(str::trim).find(|role| !role.is_empty())
    else {
        return Ok(None);
    };
    let answer = instance.get(&format!("{ROLES}{}", escaped(role))).map_err(error)?;
    of_json(&answer, "Token").map(Some).ok_or_else(|| "instance: no credentials are given".into())
}

const ROLES: &str = "meta-data/iam/security-credentials/";

fn of_json(json: &SecretText, token: &str) -> Option<AwsKeys> {
    let id = text_of(json, &["AccessKeyId"])?.expose_secret().to_owned();
    let secret = text_of(json, &["SecretAccessKey"])?;
    Some(AwsKeys { id, secret, token: text_of(json, &[token]) })
}

/// The metadata service of an instance.
struct Instance<'a> {
    machine: &'a dyn Machine,
    address: String,
    /// What version 2 of the service wants to see; `None`: it is version 1.
    token: Option<SecretText>,
}

impl<'a> Instance<'a> {
    /// `None`: there is none.
    fn reach(machine: &'a dyn Machine) -> Option<Self> {
        let off = machine.variable("AWS_EC2_METADATA_DISABLED");
        if off.is_some_and(|off| off.eq_ignore_ascii_case("true")) {
            return None;
        }
        let address = machine.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let address = address.unwrap_or_else(|| "http://169.254.169.254".to_owned());
        let address = address.trim_end_matches('/').to_owned();
        let seconds = SecretText::new("300".to_owned());
        let question = Question {
            way: Way::Link,
            method: "PUT",
            url: &format!("{address}/latest/api/token"),
            headers: &[("x-aws-ec2-metadata-token-ttl-seconds", seconds)],
            body: None,
        };
        match question.ask(machine) {
            Ok(token) => Some(Self { machine, address, token: Some(token) }),
            Err(Silence::No(403..=405, _)) => Some(Self { machine, address, token: None }),
            Err(Silence::No(..) | Silence::Away(_)) => None,
        }
    }

    fn get(&self, path: &str) -> Result<SecretText, Silence> {
        let token = self.token.as_ref().map(|it| it.expose_secret().to_owned());
        let token = token.map(|token| ("x-aws-ec2-metadata-token", SecretText::new(token)));
        let headers: Vec<_> = token.into_iter().collect();
        let url = format!("{}/latest/{path}", self.address);
        let (way, method) = (Way::Link, "GET");
        Question { way, method, url: &url, headers: &headers, body: None }.ask(self.machine)
    }
}

mod profiles;
#[cfg(test)]
mod tests;
