//! Which secret of a key-value engine belongs to a file, and what goes wrong with it.

use std::path::{Component, Path, PathBuf};

use super::context::Ctx;
use super::error::{Cause, Error};
use super::exit;
use crate::config::{Destination, KvVersion};
use crate::keyservice::vault::kv::{Engine, KvError, Place, Stated};
use crate::keyservice::vault::settings::{ADDR, AGENT_ADDR};
use crate::keyservice::vault::{Address, Client};
use crate::shown::Show;

/// A secret, as it is named.
pub(crate) struct Wanted {
    server: Address,
    /// Where the engine is mounted, if a rule says so.
    mount: Option<String>,
    /// Mount and path.
    path: String,
    engine: Option<Engine>,
}

impl Wanted {
    /// The one that the destination rule of a file names.
    ///
    /// `typed`: the path of the file as it was typed; `name`: what the secret is called by.
    pub(crate) fn by_rule(
        ctx: &Ctx,
        typed: &Path,
        name: &Path,
        omit_extension: bool,
    ) -> Result<Self, Error> {
        let text = |path: &Path| {
            let not_utf8 = || Error::new(exit::GENERIC, "the name of the file is not UTF-8");
            Ok(path.to_str().ok_or_else(not_utf8)?.to_owned())
        };
        let rule = ctx.rules()?.destination(&text(typed)?)?;
        let kv = match &rule.destination {
            Destination::Kv(kv) => kv,
            Destination::Foreign(field) => {
                let text = format!(
                    "its destination rule (line {}) names {field}, which is not supported yet",
                    rule.position.line
                );
                return Err(Error::new(exit::GENERIC, text).hint("vault_path is what is supported"));
            }
        };
        let name = if omit_extension || rule.omit_extensions {
            without_extension(name)
        } else {
            name.into()
        };
        if name.file_name().is_none() {
            return Err(Error::new(exit::GENERIC, "without its extension the file has no name"));
        }
        let server = match &kv.address {
            Some(address) => Address::of_file(address).map_err(|error| {
                let line = rule.position.line;
                let text = format!("vault_address of its destination rule (line {line}): {error}");
                Error::new(exit::GENERIC, text)
            })?,
            None => named_server(ctx)?,
        };
        let folder = if kv.folder.is_empty() { String::new() } else { format!("{}/", kv.folder) };
        let path = format!("{}/{folder}{}", kv.mount, text(&name)?);
        let engine = kv.version.map(|version| match version {
            KvVersion::One => Engine::One,
            KvVersion::Two => Engine::Two,
        });
        Ok(Self { server, mount: Some(kv.mount.clone()), path, engine })
    }

    /// The one at this path (mount and path) of the server that the user names.
    pub(crate) fn at(ctx: &Ctx, path: &str) -> Result<Self, Error> {
        if path.contains("://") {
            let text = "--from takes mount and path, no address";
            return Err(Error::new(exit::GENERIC, text).hint(
                "VAULT_ADDR names the server; for …/v1/kv/data/team/app type --from kv/team/app",
            ));
        }
        let path = path.trim_matches('/').to_owned();
        Ok(Self { server: named_server(ctx)?, mount: None, path, engine: None })
    }

    /// Asks the server which engine that is.
    ///
    /// `capabilities`: what the token must be allowed there.
    pub(crate) fn find(&self, client: &Client, capabilities: &'static str) -> Result<Place, Error> {
        let Self { server, mount, path, engine } = self;
        let mount = mount.as_deref();
        let stated = Stated { server, mount, path, engine: *engine, capabilities };
        Place::find(client, &stated).map_err(|error| explain(&error))
    }

    /// What two files with one secret have in common.
    pub(crate) fn name(&self) -> String {
        format!("{}/v1/{}", self.server, self.path.shown())
    }
}

/// The client of this run.
pub(crate) fn client(ctx: &Ctx) -> Result<&Client, Error> {
    ctx.vault().client().map_err(|error| Error::of(exit::GENERIC, &error))
}

/// An error of a key-value engine.
pub(crate) fn explain(error: &KvError) -> Error {
    let told = Error::of(exit::GENERIC, error);
    // It names the server, and the place if it is about one.
    let cause = Cause { place: String::new(), why: error.to_string() };
    told.because("", vec![cause])
}

/// The server that the user names, or the Agent that stands in for it.
fn named_server(ctx: &Ctx) -> Result<Address, Error> {
    let found = ctx.env.setting(ADDR).or_else(|| ctx.env.setting(AGENT_ADDR));
    let Some((name, address)) = found else {
        let text = "nothing names a server: set VAULT_ADDR";
        return Err(Error::new(exit::GENERIC, text));
    };
    Address::parse(&address).map_err(|error| Error::new(exit::GENERIC, format!("{name}: {error}")))
}

/// Without what stands behind the last point of the name, be it all of it, as in SOPS.
fn without_extension(name: &Path) -> PathBuf {
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    match file.rfind('.') {
        // An empty name, which is an error; `with_file_name` would leave the folder.
        Some(0) => PathBuf::new(),
        Some(at) => name.with_file_name(&file[..at]),
        None => name.to_owned(),
    }
}

/// A path below a folder that was typed, as Go's walk has it: without `.`.
pub(crate) fn walked(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{walked, without_extension};

    #[test]
    fn names_are_those_of_sops() {
        for (name, cut) in
            [("a.yaml", "a"), ("d.x/a.b.yaml", "d.x/a.b"), ("d.x/a", "d.x/a"), ("d/.env", "")]
        {
            assert_eq!(without_extension(Path::new(name)), Path::new(cut));
        }
        assert_eq!(walked(Path::new("./d/./a")), Path::new("d/a"));
        assert_eq!(walked(Path::new("../d/a")), Path::new("../d/a"));
    }
}
