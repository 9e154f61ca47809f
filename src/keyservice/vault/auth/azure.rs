//! Azure: a token of the machine's managed identity, and which machine it is (Vault API:
//! `auth/azure/login`).

use std::net::IpAddr;

use super::super::escape::escaped;
use super::machine::{Machine, Question, Silence, Way, is_near, text_of};
use super::{Desk, LoginError, Session, SourceError, body};
use crate::secret::SecretText;

/// A machine with a managed identity.
pub struct Azure {
    /// The role.
    pub role: String,
    /// The access token ([`azure_token`]).
    pub jwt: SecretText,
    /// Which machine; the server asks Azure whether the token is its.
    pub place: AzurePlace,
}

/// What a machine or another resource is called. Not every role asks for all of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AzurePlace {
    /// The subscription.
    pub subscription_id: Option<String>,
    /// The resource group.
    pub resource_group_name: Option<String>,
    /// A machine alone.
    pub vm_name: Option<String>,
    /// A scale set.
    pub vmss_name: Option<String>,
    /// Anything else, by its whole id.
    pub resource_id: Option<String>,
}

impl Azure {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        let mut fields = vec![("role", self.role.as_str()), ("jwt", self.jwt.expose_secret())];
        let place = &self.place;
        for (name, value) in [
            ("subscription_id", &place.subscription_id),
            ("resource_group_name", &place.resource_group_name),
            ("vm_name", &place.vm_name),
            ("vmss_name", &place.vmss_name),
            ("resource_id", &place.resource_id),
        ] {
            fields.extend(value.as_deref().map(|value| (name, value)));
        }
        desk.log_in("login", &body(&fields), &[])
    }
}

/// An access token for the resource that the mount is set to, of this machine's identity; `client_id` says
/// which, if it has more than one.
///
/// # Errors
///
/// If the service that has it gives none.
pub fn azure_token(
    machine: &dyn Machine,
    resource: &str,
    client_id: Option<&str>,
) -> Result<SecretText, SourceError> {
    let client = client_id.map(|id| format!("&client_id={}", escaped(id))).unwrap_or_default();
    let own = (machine.variable("IDENTITY_ENDPOINT"), machine.variable("IDENTITY_HEADER"));
    let (url, header) = match own {
        // App Service and its like have a service of their own.
        (Some(endpoint), Some(_)) if !is_near(&endpoint, is_of_host) => {
            return Err(
                "IDENTITY_ENDPOINT: neither https nor a service of this machine or its host".into(),
            );
        }
        (Some(endpoint), Some(header)) => {
            let mark = if endpoint.contains('?') { '&' } else { '?' };
            let url = format!("{endpoint}{mark}api-version=2019-08-01");
            (url, ("x-identity-header", SecretText::new(header)))
        }
        _ => {
            let url = format!("{METADATA}/identity/oauth2/token?api-version=2018-02-01");
            (url, marked())
        }
    };
    let url = format!("{url}&resource={}{client}", escaped(resource));
    let answer = asked(machine, &url, header)?;
    text_of(&answer, &["access_token"])
        .ok_or_else(|| "the metadata service of Azure answers with no token".into())
}

/// What this machine is called.
///
/// # Errors
///
/// If the metadata service does not say.
pub fn azure_place(machine: &dyn Machine) -> Result<AzurePlace, SourceError> {
    let url = format!("{METADATA}/instance?api-version=2021-02-01");
    let answer = asked(machine, &url, marked())?;
    let text = |name: &str| {
        let text = text_of(&answer, &["compute", name])?.expose_secret().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let vmss_name = text("vmScaleSetName");
    Ok(AzurePlace {
        subscription_id: text("subscriptionId"),
        resource_group_name: text("resourceGroupName"),
        vm_name: if vmss_name.is_some() { None } else { text("name") },
        vmss_name,
        resource_id: None,
    })
}

/// Where the hosts of apps and containers have it, beside loopback: at the link, or in a private network.
fn is_of_host(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_link_local() || ip.is_private())
}

const METADATA: &str = "http://169.254.169.254/metadata";

/// Without it the service thinks that somebody else's page asks.
fn marked() -> (&'static str, SecretText) {
    ("metadata", SecretText::new("true".to_owned()))
}

fn asked(
    machine: &dyn Machine,
    url: &str,
    header: (&'static str, SecretText),
) -> Result<SecretText, SourceError> {
    let (way, method, body) = (Way::Link, "GET", None);
    let question = Question { way, method, url, headers: &[header], body };
    let problem = |it: Silence| format!("the metadata service of Azure: {}", it.text());
    Ok(question.ask(machine).map_err(problem)?)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, MADE, REFUSED, Reply, told};
    use super::{Azure, azure_place, azure_token};

    const RESOURCE: &str = "https://management.azure.com/";

    fn answer(request: &str) -> Reply {
        match () {
            () if request.contains("/identity/") => (200, r#"{"access_token":"ey.az"}"#).into(),
            () => (
                200,
                r#"{"compute":{"name":"vm-1","resourceGroupName":"rg","subscriptionId":"sub-1","vmScaleSetName":""}}"#,
            )
                .into(),
        }
    }

    #[test]
    fn a_machine_says_who_and_which_it_is() {
        for (last, expected) in [(MADE, true), (REFUSED, false)] {
            let fake = Fake::new(move |request| match request.starts_with("link") {
                true => answer(request),
                false => last.into(),
            });
            let jwt = azure_token(&*fake, RESOURCE, None).expect("a token");
            let place = azure_place(&*fake).expect("a place");
            let azure = Azure { role: "dev".to_owned(), jwt, place };
            let session = told(fake.desk("azure", |desk| azure.login(desk)));
            assert_eq!(session.is_ok(), expected);
            assert!(!session.is_err_and(|error| error.contains("ey.")));
            let base = "link GET http://169.254.169.254/metadata";
            assert_eq!(
                fake.seen(),
                [
                    format!(
                        "{base}/identity/oauth2/token?api-version=2018-02-01\
                         &resource=https%3A%2F%2Fmanagement.azure.com%2F\nmetadata: true"
                    ),
                    format!("{base}/instance?api-version=2021-02-01\nmetadata: true"),
                    "POST https://vault.example/v1/auth/azure/login\n\n\
                     {\"role\":\"dev\",\"jwt\":\"ey.az\",\"subscription_id\":\"sub-1\",\
                     \"resource_group_name\":\"rg\",\"vm_name\":\"vm-1\"}"
                        .to_owned(),
                ]
            );
        }
    }

    #[test]
    fn a_member_of_a_scale_set_names_the_set() {
        let fake = Fake::new(|_| {
            (200, r#"{"compute":{"name":"set_0","vmScaleSetName":"set","subscriptionId":"s"}}"#)
                .into()
        });
        let place = azure_place(&*fake).expect("a place");
        assert_eq!((place.vm_name, place.vmss_name.as_deref()), (None, Some("set")));
    }

    #[test]
    fn an_app_asks_the_service_that_its_environment_names() {
        let fake = Fake::new(|_| (200, r#"{"access_token":"ey.app"}"#).into()).with_variables(&[
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:41001/msi/token"),
            ("IDENTITY_HEADER", "h-1"),
        ]);
        let token = azure_token(&*fake, RESOURCE, Some("id 1")).expect("a token");
        assert_eq!(token.expose_secret(), "ey.app");
        assert_eq!(
            fake.seen(),
            ["link GET http://127.0.0.1:41001/msi/token?api-version=2019-08-01\
              &resource=https%3A%2F%2Fmanagement.azure.com%2F&client_id=id%201\n\
              x-identity-header: h-1"]
        );
    }

    #[test]
    fn the_header_of_an_app_goes_to_no_other_host() {
        for endpoint in
            ["http://vault.example/msi", "http://52.1.2.3/msi", "http://127.0.0.1@evil/msi"]
        {
            let fake = Fake::new(|_| (200, r#"{"access_token":"ey.app"}"#).into());
            let fake =
                fake.with_variables(&[("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "h-1")]);
            let error = azure_token(&*fake, RESOURCE, None).expect_err(endpoint).to_string();
            assert!(error.starts_with("IDENTITY_ENDPOINT: ") && !error.contains("h-1"), "{error}");
            assert_eq!(fake.seen(), [""; 0]);
        }
        for endpoint in [
            "https://arc.example/msi",
            "http://169.254.129.2:8081/msi",
            "http://172.16.1.2:8081/msi",
        ] {
            let fake = Fake::new(|_| (200, r#"{"access_token":"ey.app"}"#).into());
            let fake =
                fake.with_variables(&[("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "h-1")]);
            assert!(azure_token(&*fake, RESOURCE, None).is_ok(), "{endpoint}");
        }
    }

    #[test]
    fn a_machine_without_an_identity_is_told_so() {
        let fake = Fake::new(|_| (400, r#"{"error":"invalid_request"}"#).into());
        let error = azure_token(&*fake, RESOURCE, None).expect_err("none").to_string();
        let place = "the metadata service of Azure: http://169.254.169.254";
        assert_eq!(error, format!("{place} answers with status 400"));
        let empty = Fake::new(|_| (200, "{}").into());
        assert!(azure_token(&*empty, RESOURCE, None).is_err());
    }
}
