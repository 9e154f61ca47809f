//! The user's own configuration, which does not travel with files.
//!
//! Invariant: a key that is not known is an error: this file has one reader.

use super::read::Reader;
use super::{ConfigError, Document, Format};

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserConfig {
    /// How to log in to servers.
    pub auto_auth: Option<AutoAuth>,
}

/// A login: in one line, or as a map of its settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AutoAuth {
    /// `METHOD key=value …`.
    Line(String),
    /// `method` and the settings.
    Map(String, Vec<(String, String)>),
}

impl UserConfig {
    /// Reads the configuration: YAML.
    ///
    /// # Errors
    ///
    /// If it is no YAML, or has a key twice, one that is not known, or something of a wrong type.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(text.to_owned(), Format::Yaml)?;
        if let Some(duplicate) = document.duplicate_key() {
            return Err(duplicate.into());
        }
        let reader = Reader::new(&document);
        let mut config = Self::default();
        let Some(root) = reader.root()? else { return Ok(config) };
        for entry in reader.map(root, "the configuration")? {
            if entry.name != "auto_auth" {
                return Err(reader.error(entry.key, "not a key of this file: auto_auth is"));
            }
            if reader.is_map(entry.value)? {
                let mut pairs = Vec::new();
                for setting in reader.map(entry.value, "auto_auth")? {
                    pairs.push((setting.name, reader.text(setting.value, "a setting")?));
                }
                let method = pairs.iter().position(|(name, _)| name == "method");
                let method = method.map(|at| pairs.swap_remove(at).1);
                let method =
                    method.ok_or_else(|| reader.error(entry.value, "auto_auth has no method"))?;
                config.auto_auth = Some(AutoAuth::Map(method, pairs));
            } else if reader.is_list(entry.value)? {
                return Err(reader.error(entry.value, "auto_auth must be a text or a map"));
            } else {
                let line = reader.text(entry.value, "auto_auth")?;
                config.auto_auth = (!line.is_empty()).then_some(AutoAuth::Line(line));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::{AutoAuth, UserConfig};

    #[test]
    fn a_login_is_a_line_or_a_map() {
        let read = |text: &str| UserConfig::parse(text).map(|it| it.auto_auth);
        let line = AutoAuth::Line("kubernetes role=app".into());
        assert_eq!(read("auto_auth: kubernetes role=app\n"), Ok(Some(line)));
        let map = AutoAuth::Map("jwt".into(), vec![("jwt".into(), "env:CI".into())]);
        assert_eq!(read("auto_auth:\n  method: jwt\n  jwt: env:CI\n"), Ok(Some(map)));
        assert_eq!(read(""), Ok(None));
        assert!(read("auto_auth:\n  role: a\n").is_err());
        assert!(read("autoauth: jwt\n").is_err());
        let list = read("auto_auth: [jwt]\n").map_err(|error| error.problem);
        assert_eq!(list, Err("auto_auth must be a text or a map".to_owned()));
    }
}
