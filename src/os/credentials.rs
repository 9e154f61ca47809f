//! Where this machine keeps credentials: files, variables, commands, a job's own service; read when a login
//! needs them.
//!
//! Invariants: what is read is a secret from its first byte on; nothing is kept.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::callback::Callback;
use super::cloud::ThisMachine;
use super::fs::ReadError;
use crate::keyservice::vault::Request;
use crate::keyservice::vault::auth::{
    Door, DoorSettings, Machine, Place, Places, SourceError, Way, actions,
};
use crate::secret::{SecretText, Wiped};
use crate::shown::Show;

impl ThisMachine {
    /// Asks GitHub who this job is, with the bearer of the job. That server has nothing to do with Vault:
    /// neither its certificates nor its proxy count there.
    fn actions(&self, audience: &str) -> Result<SecretText, SourceError> {
        let missing = "is not set: the job needs `permissions: id-token: write`";
        let variable =
            |name: &'static str| self.env().text(name).ok_or_else(|| format!("{name} {missing}"));
        let base = variable("ACTIONS_ID_TOKEN_REQUEST_URL")?;
        let bearer = SecretText::new(variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
        let bearer = SecretText::new(format!("bearer {}", bearer.expose_secret()));
        let request = Request {
            method: "GET",
            url: &actions::url(&base, audience),
            socket: None,
            token: None,
            namespace: None,
            headers: &[("authorization", &bearer)],
            body: None,
            timeout: Duration::from_secs(30),
        };
        let problem =
            |error: &dyn fmt::Display| format!("the identity token of GitHub Actions: {error}");
        let answer = self.fetch(Way::World, &request);
        let answer = answer.map_err(|error| problem(&error))?;
        Ok(actions::token(&answer).map_err(|error| problem(&error))?)
    }
}

impl Places for ThisMachine {
    fn read(&self, place: &Place) -> Result<SecretText, SourceError> {
        match place {
            Place::Here(text) => Ok(SecretText::new(text.clone())),
            Place::Terminal => Err("there is nobody to ask".into()),
            Place::Variable(name) => {
                let value = self.env().named(name).ok_or_else(|| format!("{name} is not set"))?;
                let text = value.into_string().map_err(|_| format!("{name} is not UTF-8"))?;
                Ok(trimmed(text))
            }
            Place::File(path) => match self.file(path)? {
                Some(text) => Ok(SecretText::new(text.expose_secret().trim().to_owned())),
                None => Err(format!("{}: {}", Path::new(path).shown(), ReadError::NotFound).into()),
            },
            Place::Command(line) => self.command(line),
            Place::Actions(audience) => self.actions(audience),
        }
    }

    fn machine(&self) -> Option<&dyn Machine> {
        Some(self)
    }

    fn door(&self, settings: &DoorSettings) -> Result<Box<dyn Door>, SourceError> {
        Ok(Box::new(Callback::open(settings)?))
    }
}

fn trimmed(text: String) -> SecretText {
    let text = Wiped::from(text);
    SecretText::new(text.trim().to_owned())
}
