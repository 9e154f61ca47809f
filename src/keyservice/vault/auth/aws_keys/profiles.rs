//! Profiles of AWS: keys, or where there are some: another profile whose identity may take a role, a token of
//! a cluster, a command.
//!
//! Invariants: a profile that says how its credentials are found is an error if they are not found so; no
//! chain of profiles is followed twice.

use super::super::sigv4::{Unsigned, date};
use super::{
    AwsKeys, FORM, Machine, SecretText, SourceError, Sts, WebIdentity, escaped, of_container,
    of_environment, of_instance, of_json, read_profile, sts_keys,
};

/// The credentials of a profile; `None`: it says nothing of any.
pub(super) fn keys(
    machine: &dyn Machine,
    name: &str,
    region: Option<&str>,
) -> Result<Option<AwsKeys>, SourceError> {
    below(machine, name, region, &mut Vec::new())
}

/// `chain`: the profiles that lead here.
fn below(
    machine: &dyn Machine,
    name: &str,
    region: Option<&str>,
    chain: &mut Vec<String>,
) -> Result<Option<AwsKeys>, SourceError> {
    let problem = |text: &str| SourceError::from(format!("profile {name}: {text}"));
    let mut values = read_profile(machine, name)?;
    let own = chain.last().is_some_and(|last| last == name);
    if chain.iter().any(|it| it == name) && !own {
        return Err(problem("its source_profile leads back to it"));
    }
    let text = |key: &str| values.get(key).map(|text| text.expose_secret().to_owned());
    let unread = |key: &str| {
        problem(&format!(
            "{key} is not read here; \
             eval \"$(aws configure export-credentials --profile {name} --format env)\""
        ))
    };
    // A profile that names itself has keys beside its role.
    let role = text("role_arn").filter(|_| !own);
    let (source, kept) = (text("source_profile"), text("credential_source"));
    if let Some(role) = role.filter(|_| source.is_some() || kept.is_some()) {
        if values.contains_key("mfa_serial") {
            return Err(unread("mfa_serial"));
        }
        chain.push(name.to_owned());
        let found = match (&source, kept.as_deref()) {
            (Some(source), _) => below(machine, source, region, chain)?,
            (None, Some("Environment")) => of_environment(machine)?,
            (None, Some("EcsContainer")) => of_container(machine)?,
            (None, Some("Ec2InstanceMetadata")) => of_instance(machine)?,
            (None, _) => return Err(problem("its credential_source is none")),
        };
        let found = found.ok_or_else(|| problem("there are no credentials where it says"))?;
        let role =
            Role { arn: role, session: text("role_session_name"), external: text("external_id") };
        return role
            .keys(machine, region, &found)
            .map(Some)
            .map_err(|error| problem(&error.to_string()));
    }
    if !values.contains_key("aws_access_key_id") {
        if let (Some(file), Some(role)) = (text("web_identity_token_file"), text("role_arn")) {
            let session = text("role_session_name");
            return WebIdentity { file, role, session }.keys(machine, region).map(Some);
        }
        if let Some(line) = text("credential_process") {
            let printed = machine
                .command(&line)
                .map_err(|text| problem(&format!("credential_process: {text}")))?;
            let keys = of_json(&printed, "SessionToken");
            return keys
                .map(Some)
                .ok_or_else(|| problem("credential_process prints no credentials"));
        }
        return match ["sso_session", "sso_start_url"].iter().find(|key| values.contains_key(**key))
        {
            Some(key) => Err(unread(key)),
            None => Ok(None),
        };
    }
    let Some(id) = values.remove("aws_access_key_id") else { return Ok(None) };
    let secret = values.remove("aws_secret_access_key");
    let secret = secret.ok_or_else(|| problem("aws_secret_access_key is missing"))?;
    let id = id.expose_secret().to_owned();
    Ok(Some(AwsKeys { id, secret, token: values.remove("aws_session_token") }))
}

/// What somebody may take who has other credentials.
struct Role {
    arn: String,
    session: Option<String>,
    external: Option<String>,
}

impl Role {
    /// Asks STS (AWS documentation: `AssumeRole`), signed with those.
    fn keys(
        &self,
        machine: &dyn Machine,
        region: Option<&str>,
        own: &AwsKeys,
    ) -> Result<AwsKeys, SourceError> {
        let sts = Sts::of(region)?;
        let session = self.session.as_deref().unwrap_or("waxseal");
        let mut body = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn={}&RoleSessionName={}",
            escaped(&self.arn),
            escaped(session)
        );
        if let Some(external) = &self.external {
            body += "&ExternalId=";
            body += &escaped(external);
        }
        let time = date(machine.time());
        let mut signed = vec![("content-type", FORM), ("host", &*sts.host), ("x-amz-date", &*time)];
        if let Some(token) = &own.token {
            signed.push(("x-amz-security-token", token.expose_secret()));
        }
        let unsigned = Unsigned {
            method: "POST",
            path: "/",
            headers: &signed,
            body: body.as_bytes(),
            region: &sts.region,
            service: "sts",
            time: &time,
        };
        let text = |text: &str| SecretText::new(text.to_owned());
        let mut headers = vec![("authorization", text(&unsigned.authorization(own)))];
        headers.push(("x-amz-date", text(&time)));
        headers.extend(
            own.token.as_ref().map(|it| ("x-amz-security-token", text(it.expose_secret()))),
        );
        sts_keys(machine, &sts, "its role", &SecretText::new(body), headers)
    }
}
