//! A second factor, after the first was accepted.
//!
//! Invariant: one method is chosen for each constraint and asked once.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Desk, LoginError};
use crate::keyservice::vault::Repeat;
use crate::keyservice::vault::envelope::flat;

/// Does what `auth.mfa_requirement` asks for (Vault API: `sys/mfa/validate`): the answer that has the
/// token. `None`: nothing is asked for.
pub(super) fn validated(desk: &Desk<'_>, auth: &Value) -> Result<Option<Value>, LoginError> {
    let requirement = auth.get("mfa_requirement").filter(|it| !it.is_null());
    let Some(requirement) = requirement else { return Ok(None) };
    let shape = || LoginError::Shape { path: desk.mount().path.clone() };
    let id = requirement.get("mfa_request_id").and_then(Value::as_str).ok_or_else(shape)?;
    let constraints = requirement.get("mfa_constraints").and_then(Value::as_object);
    let mut payload = serde_json::Map::new();
    for (name, constraint) in constraints.ok_or_else(shape)? {
        let any = constraint.get("any").and_then(Value::as_array).ok_or_else(shape)?;
        let text = |method: &Value, name: &str| {
            method.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        // Nobody has to type anything if a push is enough, and nobody may be there.
        let types = |method: &&Value| method.get("uses_passcode") == Some(&Value::Bool(true));
        let method = any.iter().find(|it| !types(it)).or_else(|| any.first()).ok_or_else(shape)?;
        let method_id = text(method, "id").ok_or_else(shape)?;
        let kind = flat(&text(method, "type").unwrap_or_default());
        let code = if types(&method) {
            let prompt = format!("Passcode ({kind}, {}): ", flat(name));
            let code = desk.person()?.secret(&prompt)?;
            code.expose_secret().trim().to_owned()
        } else {
            desk.person()?.tell(&format!("confirm the login with {kind}"));
            String::new()
        };
        payload.insert(method_id, json!([code]));
    }
    let asked = json!({ "mfa_request_id": id, "mfa_payload": payload });
    let asked = Zeroizing::new(asked.to_string().into_bytes());
    desk.call("POST", "sys/mfa/validate", Some(&asked), None, Repeat::Unsent).map(Some)
}
