//! Names and passwords that the server itself knows.

use serde_json::json;

use super::Site;

#[test]
fn a_password_from_a_file_a_variable_or_a_command_logs_in() {
    let Some(site) = Site::new("userpass") else { return };
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": site.policy }));
    for place in ["file:password", "env:PASSWORD", "'command:cat password'"] {
        let sandbox = site.user(&format!("userpass username=anna password={place}"));
        let sandbox = sandbox.with("PASSWORD", "hunter2");
        sandbox.write("password", "hunter2\n");
        site.works(&sandbox, "POST auth/M/login/anna");
    }
}

#[test]
fn a_refused_password_is_sent_once() {
    let Some(site) = Site::new("userpass") else { return };
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": site.policy }));
    let sandbox = site.user("userpass username=anna password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "wrong-hunter");
    let said = "invalid username or password (400): it was not tried a second time";
    site.refuses(&sandbox, "POST auth/M/login/anna", "wrong-hunter", said);
}
