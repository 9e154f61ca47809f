//! AppRole: a role id, and a secret id unless the role does without one.

use super::login::{Form, read};
use super::place::{Place, Places};
use super::settings::{PlanError, Settings};
use super::{Desk, LoginError, wrapping};
use crate::secret::SecretText;

/// Where the credentials of a role are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppRole {
    /// Not a secret by itself.
    pub role_id: Place,
    /// `None`: the role has `bind_secret_id=false`.
    pub secret_id: Option<Place>,
    /// The name of the role, if what is kept is a wrapping token with the secret id inside.
    pub wrapped_for: Option<String>,
    /// The secret id is good for one login.
    pub single_use: bool,
}

impl AppRole {
    pub(super) fn read(settings: &mut Settings) -> Result<Self, PlanError> {
        let role_id = settings.public("role_id");
        let role_id = role_id.ok_or(PlanError::Incomplete("approle needs role_id=…"))?;
        let secret_id = settings.secret("secret_id")?;
        let wrapped_for = settings.text("wrapped_for");
        if wrapped_for.is_some() && secret_id.is_none() {
            let needs = "wrapped_for needs secret_id=…: where the wrapping token is";
            return Err(PlanError::Incomplete(needs));
        }
        let single_use = settings.flag("single_use")?;
        Ok(Self { role_id, secret_id, wrapped_for, single_use })
    }

    /// Whether the same secret id can be sent again.
    pub(super) fn can_repeat(&self) -> bool {
        self.wrapped_for.is_none() && !self.single_use
    }

    /// What it sends (Vault API: `auth/approle/login`).
    pub(super) fn form(&self, desk: &Desk<'_>, places: &dyn Places) -> Result<Form, LoginError> {
        let mut fields = vec![("role_id", read(desk, places, &self.role_id, "Role id: ")?)];
        if let Some(place) = &self.secret_id {
            let secret = read(desk, places, place, "Secret id: ")?;
            let secret = match &self.wrapped_for {
                None => secret,
                Some(role) => unwrapped(desk, role, place, &secret)?,
            };
            fields.push(("secret_id", secret));
        }
        Ok(Form { username: None, fields })
    }
}

/// The secret id in a wrapping token, which must have been made for one of this role.
fn unwrapped(
    desk: &Desk<'_>,
    role: &str,
    place: &Place,
    token: &SecretText,
) -> Result<SecretText, LoginError> {
    if !wrapping::is_token(token.expose_secret()) {
        let problem = "it holds no wrapping token, which begins with `hvs.` or `s.`; if it is the secret id \
                       itself, leave wrapped_for out";
        return Err(wrapping::error(&place.to_string(), problem));
    }
    let base = format!("auth/{}/role/{role}", desk.mount().path);
    let expected = [format!("{base}/secret-id"), format!("{base}/custom-secret-id")];
    let is_expected = |path: &str| expected.iter().any(|expected| expected == path);
    let mut answer = wrapping::unwrap(desk, &place.to_string(), token, &is_expected)?;
    wrapping::text(&mut answer, "data", "secret_id")
        .ok_or_else(|| wrapping::error(&place.to_string(), "there was no secret id inside"))
}
